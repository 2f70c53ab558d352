"""A bucket as one side of a sync."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from cctv_images.errors import StoreError
from cctv_images.publish.s3 import METADATA, S3Store
from cctv_images.publish.s3_errors import element
from cctv_images.publish.s3_wire import Answer, Incoming
from cctv_images.publish.side import CARRIED, CHANGED, PART, THERE, WHOLE, About, Body, Side

MAX_PARTS = 10_000
MD5 = re.compile(r"[0-9a-f]{32}")


class S3Side(S3Store):
    """begun(key, upload) is called for each copy in parts, and ended once it is complete or taken back: one that was
    killed can be cleared away."""

    conditional: bool | None = None
    """Whether the server holds to If-None-Match; None until it was tried, from the first object created."""
    begun: Callable[[str, str], None] = staticmethod(lambda key, upload: None)
    ended: Callable[[str, str], None] = staticmethod(lambda key, upload: None)

    async def begin(self, *, writable: bool) -> None:
        """A bucket that is not there, or may not be listed, says so at the first page of its listing."""

    def holds(self, other: Side) -> bool:
        return (
            isinstance(other, S3Side)
            and (self.service, self._bucket) == (other.service, other._bucket)
            and other._prefix.startswith(self._prefix)
        )

    async def look(self, key: str) -> About | None:
        answer = await self._wire.request("HEAD", self._prefix + key)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._error(answer)
        return _about(answer.headers)

    @asynccontextmanager
    async def reading(self, key: str) -> AsyncIterator[_Reading]:
        async with self._wire.receiving(self._prefix + key) as incoming:
            if incoming.status != 200:
                raise self._error(await incoming.answer())
            yield _Reading(incoming)

    async def write(self, key: str, body: Body, over: About | None) -> None:
        await self._look_before(key, over)
        if body.about.size > WHOLE:
            await self._write_parts(key, body, over)
        else:
            data = await body.part(WHOLE + 1)
            md5 = body.verify()
            headers = self._headers(body.about)
            sent = self._add_checksum(headers, data)
            answer = await self._put(key, headers, data, over)
            self._prove(answer, md5, sent)
            if over is None and self.conditional is None:
                await self._try_condition(key, headers, data)

    async def copy(self, source: Side, key: str, over: About | None) -> bool:
        if not isinstance(source, S3Side) or source.service != self.service:
            return False
        found = await source.look(key)
        if found is None:
            raise StoreError("missing", "there is no such object", transient=False)
        await self._look_before(key, over)
        where = {"x-amz-copy-source": quote(f"/{source._bucket}/{source._prefix}{key}", safe="/~")}
        answer = await self._put(key, self._constant | where, b"", over)
        if answer.status != 200 or b"CopyObjectResult" not in answer.body:
            raise self._error(answer)
        etag = (element(answer, "ETag") or "").replace("&#34;", "").replace("&quot;", "").strip('"')
        if etag != found.etag:
            taken = await self.look(key)
            if taken is None or taken.size != found.size or None not in (taken.md5, found.md5):
                raise StoreError("lied", "the store says that it has copied the object, and it has another one")
        return True

    @property
    def service(self) -> str:
        """The address of the server whose buckets can be copied from one to the other."""
        url = urlsplit(self._wire.place.base)
        host = (url.hostname or "").removeprefix(f"{self._bucket}.").rstrip(".")
        host = "127.0.0.1" if host in ("localhost", "::1") else host
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        return f"{url.scheme}://{host}:{port}{url.path.removesuffix('/').removesuffix(f'/{self._bucket}')}"

    async def abort(self, key: str, upload: str) -> None:
        """Takes back the parts of a copy that was not completed. Raises StoreError."""
        answer = await self._wire.request("DELETE", self._prefix + key, query={"uploadId": upload})
        if answer.status not in (200, 204, 404):
            raise self._error(answer)
        self.ended(key, upload)

    async def _put(self, key: str, headers: Mapping[str, str], data: bytes, over: About | None) -> Answer:
        answer = await self._wire.request("PUT", self._prefix + key, {**headers, **self._condition(over)}, data)
        return self._met(answer, over)

    def _condition(self, over: About | None) -> dict[str, str]:
        if self.conditional is False or (over is not None and over.etag is None):
            return {}
        return {"If-None-Match": "*"} if over is None else {"If-Match": f'"{over.etag}"'}

    def _met(self, answer: Answer, over: About | None) -> Answer:
        """The answer, unless it is about the condition."""
        if answer.status == 412:
            reason, why = (THERE, "an object is there already") if over is None else (CHANGED, "it has been replaced")
            raise StoreError(reason, f"{why} at the destination", transient=over is not None)
        if answer.status == 409:
            raise StoreError("busy", "somebody else writes the same object at this moment")
        if answer.status == 501 and self.conditional is None:
            self.conditional = False
            raise StoreError("busy", "the server knows no conditions; trying without")
        return answer

    async def _look_before(self, key: str, over: About | None) -> None:
        """For a server of which it is not known that it holds to conditions."""
        if self.conditional and over is None:
            return
        there = await self.look(key)
        if over is None and there is not None:
            raise StoreError(THERE, "an object is there already at the destination", transient=False)
        if over is not None and (there is None or there.etag != over.etag):
            raise StoreError(CHANGED, "it has been replaced at the destination")

    async def _try_condition(self, key: str, headers: Mapping[str, str], data: bytes) -> None:
        """Puts what is there already once more, where it must be refused. If it is not, nothing has changed."""
        answer = await self._wire.request("PUT", self._prefix + key, {**headers, **self._condition(None)}, data)
        if answer.status in (200, 412):
            self.conditional = answer.status == 412

    async def _write_parts(self, key: str, body: Body, over: About | None) -> None:
        headers = self._headers(body.about)
        if self.checksum:
            headers["x-amz-checksum-algorithm"] = self.checksum.upper()
        answer = await self._wire.request("POST", self._prefix + key, headers, query={"uploads": ""})
        upload = element(answer, "UploadId")
        if answer.status != 200 or not upload:
            raise self._error(answer)
        self.begun(key, upload)
        try:
            parts, etag = await self._send_parts(key, body, upload)
            body.verify()
            await self._look_before(key, over)
            await self._complete(key, upload, parts, etag, over)
        except BaseException:
            with suppress(StoreError):  # a cancellation stays one
                await self.abort(key, upload)
            raise
        self.ended(key, upload)

    async def _send_parts(self, key: str, body: Body, upload: str) -> tuple[str, str]:
        """What the completion lists, and the ETag that the whole must then have where those of the parts are MD5s."""
        size = max(PART, -(-body.about.size // MAX_PARTS))
        listed, hashes = "", b""
        while part := await body.part(size):
            md5 = hashlib.md5(part, usedforsecurity=False)
            number, headers = len(hashes) // md5.digest_size + 1, dict[str, str]()
            sent = self._add_checksum(headers, part)
            query = {"uploadId": upload, "partNumber": str(number)}
            answer = await self._wire.request("PUT", self._prefix + key, headers, part, query=query)
            self._prove(answer, md5.hexdigest(), sent)
            hashes += md5.digest()
            name = f"Checksum{(self.checksum or '').upper()}"
            checksum = f"<{name}>{sent}</{name}>" if sent else ""
            etag = escape(answer.headers["ETag"])
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{checksum}</Part>"
        whole = hashlib.md5(hashes, usedforsecurity=False)
        return listed, f"{whole.hexdigest()}-{len(hashes) // whole.digest_size}"

    async def _complete(self, key: str, upload: str, parts: str, etag: str, over: About | None) -> None:
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        condition, query = self._condition(over), {"uploadId": upload}
        answer = await self._wire.request("POST", self._prefix + key, condition, document, query=query)
        if self._met(answer, over).status != 200 or b"CompleteMultipartUploadResult" not in answer.body:
            raise self._error(answer)
        if etag.encode() not in answer.body and not self.checksum:
            raise StoreError("lied", "the parts together do not have the hash that they should have")

    def _headers(self, about: About) -> dict[str, str]:
        metadata = {f"{METADATA}{name}": value for name, value in about.metadata.items()}
        return {**about.headers, **metadata, **self._constant}


class _Reading:
    def __init__(self, incoming: Incoming) -> None:
        self.about = _about(incoming.headers)
        self.read = incoming.read


def _about(headers: Mapping[str, str]) -> About:
    """Of an object's answer. Raises StoreError."""
    try:
        size, modified = int(headers["Content-Length"]), parsedate_to_datetime(headers["Last-Modified"]).timestamp()
    except (KeyError, ValueError):
        raise StoreError("lied", "200 without a length or the time of the last change") from None
    etag = headers.get("ETag", "").strip('"')
    encrypted = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    known = MD5.fullmatch(etag) and not encrypted and "x-amz-server-side-encryption-customer-algorithm" not in headers
    said = {
        name.lower(): value.encode(errors="surrogateescape").decode(errors="replace") for name, value in headers.items()
    }
    return About(
        size,
        modified,
        etag or None,
        etag if known else None,
        {name: said[name.lower()] for name in CARRIED if said.get(name.lower())},
        {name.removeprefix(METADATA): value for name, value in said.items() if name.startswith(METADATA)},
    )
