"""Signed requests to one bucket: botocore finds the address, aiobotocore keeps the credentials, one pool of
connections carries them.

aiobotocore's client is not in the way of a put: its handlers cost three times the request itself (benchmarks), and its
transport follows redirects, repeats requests unasked and may wait for a `100 Continue` for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import botocore.session
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ConfigNotFound, ConfigParseError, ProfileNotFound
from botocore.httpsession import get_cert_path
from multidict import CIMultiDictProxy
from yarl import URL

from cctv_images import __version__
from cctv_images.errors import ConfigError, StoreError, plain
from cctv_images.publish.options import AwsSettings
from cctv_images.publish.signature import UNSIGNED_PAYLOAD, signed

CALL_S = 25.0
CONNECT_S, READ_S = 3.0, 10.0
KEEPALIVE_S = 10.0
"""Below the idle time after which S3 closes, so that a put seldom meets a connection that has just been closed."""
LARGE_BODY = 1 << 20
SLOWEST = 64 << 10
"""Bytes per second. What a body has beyond LARGE_BODY is given more time by this."""
MAX_ANSWER = 1 << 20
USER_AGENT = f"cctv-images/{__version__}"
DEFAULT_REGION = "us-east-1"
_MARK = "KEY"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket's objects are."""

    base: str
    """Address of an object without its key, ending in a slash."""
    region: str


class Incoming:
    """An answer whose body is still to be read."""

    def __init__(self, answer: aiohttp.ClientResponse, host: str) -> None:
        self.status, self.headers = answer.status, answer.headers
        self._content = answer.content
        self._host = host

    async def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end. Raises StoreError."""
        try:
            return await self._content.read(size)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise _transport_error(exc, self._host) from None

    async def answer(self) -> Answer:
        """With the body of an error."""
        body = b""
        while len(body) < MAX_ANSWER and (some := await self.read(MAX_ANSWER)):
            body += some
        return Answer(self.status, self.headers, body)


class Wire:
    """request() makes exactly one try and sends nothing anywhere but to the bucket's own address."""

    def __init__(self, place: Place, credentials: AioSession, http: aiohttp.ClientSession) -> None:
        self.place = place
        self._credentials = credentials
        self._looking_for_keys = asyncio.Lock()
        self._http = http
        self.host = urlsplit(place.base).netloc

    @classmethod
    async def open(cls, bucket: str, aws: AwsSettings, addressing: str, pool: int) -> Wire:
        """Asks the network nothing. pool: connections at most. Raises ConfigError."""
        try:
            place, tls, credentials = await asyncio.to_thread(_prepare, bucket, aws, addressing)
        except ProfileNotFound:
            raise ConfigError(f"AWS_PROFILE names {aws.profile!r}, which is in none of the AWS shared files") from None
        except (ConfigParseError, ConfigNotFound) as exc:
            raise ConfigError(f"an AWS shared file cannot be read: {exc.kwargs.get('path')}") from None
        except (BotoCoreError, ValueError) as exc:
            raise ConfigError(
                f"the store's address cannot be made of the AWS settings ({type(exc).__name__})"
            ) from None
        except OSError as exc:
            raise ConfigError(f"the CA bundle for the store cannot be read ({exc.strerror})") from None
        connector = aiohttp.TCPConnector(
            limit=pool, ssl=tls, keepalive_timeout=KEEPALIVE_S, resolver=aiohttp.ThreadedResolver()
        )
        http = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            skip_auto_headers=("Accept", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        # aiohttp repeats a PUT unasked when a kept connection breaks. Retries belong to the publisher alone.
        assert http._retry_connection
        http._retry_connection = False
        return cls(place, credentials, http)

    async def request(
        self,
        method: str,
        key: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        limit: int = MAX_ANSWER,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Raises StoreError for all that is no answer; any status is one. An answer of more than `limit` bytes is cut.
        The empty key is the bucket itself.

        When it fails or is cancelled the connection is closed: nothing of this request can arrive later.
        """
        try:
            async with asyncio.timeout(CALL_S + max(0, len(body) - LARGE_BODY) / SLOWEST):
                url = self._url(key, query or {})
                send = await self._sign(method, url, headers or {}, body)
                payload = io.BytesIO(body) if len(body) > LARGE_BODY else body
                async with self._http.request(method, url, data=payload, headers=send, allow_redirects=False) as answer:
                    return Answer(answer.status, answer.headers, await _read(answer.content, limit))
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise _transport_error(exc, self.host) from None

    @asynccontextmanager
    async def receiving(self, key: str) -> AsyncIterator[Incoming]:
        """A GET whose body is read bit by bit. Raises StoreError like request; a body may take any time, as long as
        it comes."""
        try:
            async with asyncio.timeout(CALL_S):
                url = self._url(key, {})
                send = await self._sign("GET", url, {}, b"")
                answer = await self._http.request("GET", url, headers=send, allow_redirects=False)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise _transport_error(exc, self.host) from None
        async with answer:
            yield Incoming(answer, self.host)

    async def close(self) -> None:
        await self._http.close()

    def _url(self, key: str, query: Mapping[str, str]) -> URL:
        asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
        return URL(self.place.base + quote(key, safe="/~") + (f"?{asked}" if asked else ""), encoded=True)

    async def _sign(self, method: str, url: URL, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """Over plain http the body is part of the signature; over https TLS guards it."""
        payload = UNSIGNED_PAYLOAD if url.scheme == "https" else hashlib.sha256(body).hexdigest()
        headers["Host"] = self.host
        keys, region = await self._keys(), self.place.region
        return signed(method, url.raw_path, headers, payload, keys, region, time.time(), url.raw_query_string)

    async def _keys(self) -> ReadOnlyCredentials:
        try:
            async with self._looking_for_keys:  # an instance role's service is asked once, not by each put in flight
                credentials = await self._credentials.get_credentials()
            if credentials is None:
                raise StoreError(
                    "keys", "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", transient=False
                )
            frozen: ReadOnlyCredentials = await credentials.get_frozen_credentials()
            return frozen
        except BotoCoreError as exc:
            raise StoreError("keys", f"the AWS credentials could not be had ({type(exc).__name__})") from None


def _prepare(bucket: str, aws: AwsSettings, addressing: str) -> tuple[Place, ssl.SSLContext, AioSession]:
    """Blocks for some 200 ms on files: rules of endpoints, shared files, certificates."""
    credentials = AioSession(profile=aws.profile)
    if aws.access_key_id and aws.secret_access_key:
        token = aws.session_token.get_secret_value() if aws.session_token else None
        credentials.set_credentials(aws.access_key_id, aws.secret_access_key.get_secret_value(), token)
    rules = botocore.session.Session(profile=aws.profile)
    region = aws.region or rules.get_config_variable("region") or DEFAULT_REGION
    style = {"addressing_style": addressing, "us_east_1_regional_endpoint": "regional"}
    config = Config(signature_version=UNSIGNED, s3=style, proxies={})
    client = rules.create_client("s3", region, endpoint_url=aws.endpoint_url, config=config)
    address = _address(client, bucket)
    client.close()
    tls = ssl.create_default_context()
    tls.load_verify_locations(rules.get_config_variable("ca_bundle") or get_cert_path(True))
    return Place(address, region), tls, credentials


class _Found(Exception):
    pass


def _address(client: Any, bucket: str) -> str:
    """Where botocore would ask for the bucket's objects (rules of regions, partitions, profile): it is let go as far as
    the sending. A presigned address will not do: those still name the global endpoint."""

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        raise _Found(request.url)

    client.meta.events.register_first("before-send.s3.HeadObject", stop)
    try:
        client.head_object(Bucket=bucket, Key=_MARK)
    except _Found as found:
        return str(found).removesuffix(_MARK)
    raise AssertionError("botocore did not stop before sending")


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit])
    return bytes(body)


def _transport_error(exc: Exception, host: str) -> StoreError:
    """The order matters: some of aiohttp's errors are a time-out as well as a client error."""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        why = plain(getattr(exc.certificate_error, "verify_message", "not trusted"), 80)
        return StoreError("tls", f"the certificate of {host} is refused: {why}", transient=False)
    if isinstance(exc, aiohttp.ClientSSLError):
        return StoreError("tls", f"the TLS handshake with {host} failed")
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return StoreError("unreachable", f"the name {host} does not resolve")
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return StoreError("timeout", f"{host} did not take the connection within {CONNECT_S:.0f} s")
    if isinstance(exc, TimeoutError):
        return StoreError("timeout", f"{host} did not answer in time")
    if isinstance(exc, aiohttp.ClientConnectorError):
        return StoreError("unreachable", f"{host}: {exc.strerror or 'no connection'}")
    if isinstance(exc, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionError):
        return StoreError("unreachable", f"{host} closed the connection before its answer was complete")
    return StoreError("bad_answer", f"{host} gave no readable HTTP answer ({type(exc).__name__})")
