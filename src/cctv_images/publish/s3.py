"""A bucket as a store."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from email.utils import formatdate, parsedate_to_datetime
from typing import Self

from cctv_images.clock import Clock, RealClock, iso
from cctv_images.errors import StoreError, plain
from cctv_images.publish.canary import try_out
from cctv_images.publish.options import AwsSettings, S3Options
from cctv_images.publish.s3_deletion import AT_ONCE, UNKNOWN_HERE, deletion, prove_deleted
from cctv_images.publish.s3_errors import store_error
from cctv_images.publish.s3_listing import MAX_PAGE, Page, asked, read_page
from cctv_images.publish.s3_wire import Answer, Wire
from cctv_images.publish.store import Entry, Lack, Publication, Receipt, Stat, StoredObject

POOL = 128
"""Connections at most. 128 puts of a second each carry 10,000 cameras at an interval of 80 s."""
MAX_OBJECT = 64 << 20
METADATA = "x-amz-meta-"
LIST_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""A server that restarts must not void a listing of hours: a page is asked for again after each of these."""
CONTENT_MD5 = "content-md5"
LOST = "neither Expires nor metadata is kept: browsers and CDNs would show old pictures"

CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}


class S3Store:
    """Keys are put below `prefix`. Buckets are never created."""

    def __init__(
        self,
        wire: Wire,
        bucket: str,
        prefix: str,
        options: S3Options,
        cache_control: str | None,
        keys: str,
        clock: Clock,
    ) -> None:
        self._wire = wire
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._keys = keys
        self._clock = clock
        kms = (options.server_side_encryption or "").startswith("aws:kms")
        self.checksum: str | None = options.checksum or ("crc32" if kms else None)
        """Algorithm of the checksum that proves a put where the ETag is not the MD5; None: the ETag proves it."""
        constant = {
            "Cache-Control": cache_control,
            "x-amz-storage-class": options.storage_class,
            "x-amz-server-side-encryption": options.server_side_encryption,
            "x-amz-server-side-encryption-aws-kms-key-id": options.kms_key_id,
        }
        self._constant = {name: value for name, value in constant.items() if value}
        self.exclusive = False
        self._conditional = True
        """False once the store has said that it knows no If-None-Match."""

    @classmethod
    async def open(
        cls,
        bucket: str,
        prefix: str = "",
        *,
        aws: AwsSettings,
        options: S3Options | None = None,
        cache_control: str | None = None,
        pool: int = POOL,
        clock: Clock | None = None,
    ) -> Self:
        """Asks the network nothing: an outage is no mistake in the settings. Raises ConfigError."""
        options = options or S3Options()
        wire = await Wire.open(bucket, aws, options.addressing, pool)
        keys = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" if aws.access_key_id else "shared files or instance role"
        if not aws.access_key_id and aws.profile:
            keys = f"profile {aws.profile}"
        return cls(
            wire,
            bucket,
            prefix,
            options=options,
            cache_control=cache_control,
            keys=keys,
            clock=clock or RealClock(),
        )

    @property
    def address(self) -> str:
        """Address of an object without its key."""
        return self._wire.place.base + self._prefix

    async def put(self, publication: Publication) -> Receipt:
        body, now = publication.body, self._clock.time()
        md5 = publication.md5 or hashlib.md5(body, usedforsecurity=False).hexdigest()
        expires = None if publication.ttl_s is None else now + publication.ttl_s
        given = {
            "Content-Type": publication.content_type,
            "Expires": formatdate(expires, usegmt=True) if expires else None,
            "If-None-Match": "*" if publication.new and self._conditional else None,
            f"{METADATA}captured-at": iso(publication.captured_at),
            f"{METADATA}kind": publication.kind,
            f"{METADATA}error-state": publication.error_state,
            f"{METADATA}{CONTENT_MD5}": md5 if publication.hashed else None,
        }
        headers = {name: value for name, value in given.items() if value} | self._constant
        sent = self._add_checksum(headers, body)
        answer = await self._wire.request("PUT", self._prefix + publication.key, headers, body)
        if answer.status == 412 and publication.new:
            raise StoreError("exists", f"{publication.key} is taken", transient=False)
        if answer.status == 501 and "If-None-Match" in headers:
            self._conditional = False
            return await self.put(publication)
        self._prove(answer, md5, sent)
        return Receipt(md5, now, expires)

    async def head(self, key: str) -> Stat | None:
        answer = await self._wire.request("HEAD", self._prefix + key)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._error(answer)
        md5 = answer.headers.get(f"{METADATA}{CONTENT_MD5}") if self.checksum else answer.headers.get("ETag")
        return Stat(int(answer.headers.get("Content-Length", "-1")), md5 and md5.strip('"').lower())

    async def get(self, key: str) -> StoredObject:
        answer = await self._wire.request("GET", self._prefix + key, limit=MAX_OBJECT)
        if answer.status != 200:
            raise self._error(answer)
        if answer.headers.get("Content-Length", str(len(answer.body))) != str(len(answer.body)):
            raise StoreError("refused", "the object is larger than anything we put", transient=False)
        try:
            expires = parsedate_to_datetime(answer.headers.get("Expires", "")).timestamp()
        except ValueError:
            expires = None
        metadata = {
            n.lower().removeprefix(METADATA): v for n, v in answer.headers.items() if n.lower().startswith(METADATA)
        }
        return StoredObject(key, answer.body, answer.headers.get("Content-Type", ""), expires, metadata)

    async def delete(self, key: str) -> None:
        answer = await self._wire.request("DELETE", self._prefix + key)
        if answer.status not in (200, 204):
            raise self._error(answer)

    async def delete_many(self, keys: Sequence[str]) -> None:
        for begin in range(0, len(keys), AT_ONCE):
            some = [self._prefix + key for key in keys[begin : begin + AT_ONCE]]
            headers, body = deletion(some)
            answer = await self._wire.request("POST", "", headers, body, MAX_PAGE, query={"delete": ""})
            if answer.status == 200:
                prove_deleted(answer, some)
            elif answer.status in UNKNOWN_HERE:
                for key in keys[begin : begin + AT_ONCE]:
                    await self.delete(key)
            else:
                raise self._error(answer)

    async def canary(self, key: str, *, archive: bool = False) -> Sequence[Lack]:
        bucket = f"arn:aws:s3:::{self._bucket}"
        rights = {verb: f"s3:{verb.title()}Object on {bucket}/{self._prefix}{key}" for verb in ("put", "get", "delete")}
        rights["list"] = f"s3:ListBucket on {bucket}"
        lost = "metadata is not kept" if archive else LOST
        return await try_out(self, key, rights, lost, self._clock, archive=archive)

    async def close(self) -> None:
        await self._wire.close()

    async def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]:
        inside, after = self._prefix + prefix, start_after and self._prefix + start_after
        page = await self._page(inside, after, None)
        while page.token is not None:
            coming = asyncio.create_task(self._page(inside, after, page.token))
            coming.add_done_callback(lambda task: task.cancelled() or task.exception())
            try:
                for entry in page.entries:
                    yield entry
                following = await coming
            finally:
                coming.cancel()
            if following.token == page.token:
                raise StoreError("lied", "the listing goes in circles", transient=False)
            page = following
        for entry in page.entries:
            yield entry

    async def _page(self, prefix: str, start_after: str, token: str | None) -> Page:
        """Makes several tries."""
        query, pauses = asked(prefix, start_after, token), iter(LIST_PAUSES_S)
        while True:
            try:
                answer = await self._wire.request("GET", "", limit=MAX_PAGE, query=query)
                if answer.status != 200:
                    raise self._error(answer)
                return read_page(answer, self._prefix, prefix)
            except StoreError as error:
                pause = next(pauses, None)
                if not error.transient or pause is None:
                    raise
            await self._clock.sleep(pause)

    def _add_checksum(self, headers: dict[str, str], body: bytes) -> str | None:
        if not self.checksum:
            return None
        sent = base64.b64encode(CHECKSUMS[self.checksum](body)).decode()
        headers["x-amz-sdk-checksum-algorithm"] = self.checksum.upper()
        headers[f"x-amz-checksum-{self.checksum}"] = sent
        return sent

    def _prove(self, answer: Answer, md5: str, sent: str | None) -> None:
        """Raises unless the answer shows that the store holds what was sent: a captive portal says 200 as well."""
        if answer.status != 200:
            raise self._error(answer)
        etag = answer.headers.get("ETag", "").strip('"').lower()
        if etag == md5 or (sent and answer.headers.get(f"x-amz-checksum-{self.checksum}") == sent):
            return
        encryption = answer.headers.get("x-amz-server-side-encryption", "")
        if not self.checksum and encryption.startswith("aws:kms"):
            # The bucket encrypts by its own default, so the ETag says nothing: ask for the other proof from now on.
            self.checksum = "crc32"
            raise StoreError("lied", "the bucket encrypts with KMS, so its ETag proves nothing; trying with a checksum")
        what = f"an ETag that is not the MD5 of what was sent ({plain(etag, 40)})" if etag else "no ETag"
        kind = plain(answer.headers.get("Content-Type", "no type"), 40)
        hint = "" if self.checksum or not etag else '; if its ETags are no MD5s, set "checksum" in CCTV_S3_OPTIONS'
        raise StoreError("lied", f"200 with {what}, {kind}: nothing shows that the object was taken{hint}")

    def _error(self, answer: Answer) -> StoreError:
        return store_error(
            answer, bucket=self._bucket, region=self._wire.place.region, now=self._clock.time(), keys=self._keys
        )
