"""What an S3 endpoint may do to us, said by raw servers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest
from needs import needs
from pydantic import SecretStr

from cctv_images.clock import SimulatedClock
from cctv_images.errors import StoreError
from cctv_images.publish import AwsSettings, Publication, S3Options, s3_wire
from cctv_images.publish.s3 import S3Store

BODY = b"\xff\xd8" + bytes(100_000) + b"\xff\xd9"
MD5 = hashlib.md5(BODY).hexdigest()
NOON = 1_772_366_400.0
SECRET, TOKEN = "very-secret", "very-secret-token"


@dataclass
class Seen:
    """One request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter


@dataclass
class Server:
    answer: Callable[[Seen], Awaitable[bytes | None]]
    """Bytes to send, or None to leave the connection as it is."""
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    scheme: str = "http"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *rest = head.decode("latin-1").strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(seen := Seen(line, headers, body, writer))
                if (answer := await self.answer(seen)) is not None:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    answer: Callable[[Seen], Awaitable[bytes | None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(answer, scheme="https" if tls else "http")
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def says(status: str, body: bytes = b"", **headers: str) -> Callable[[Seen], Awaitable[bytes]]:
    async def answer(_: Seen) -> bytes:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body

    return answer


def error(status: str, code: str, more: str = "", **headers: str) -> Callable[[Seen], Awaitable[bytes]]:
    return says(status, f"<?xml version='1.0'?><Error><Code>{code}</Code>{more}</Error>".encode(), **headers)


@asynccontextmanager
async def store_at(server: Server, **options: str) -> AsyncIterator[S3Store]:
    settings = AwsSettings(
        access_key_id="known",
        secret_access_key=SecretStr(SECRET),
        session_token=SecretStr(TOKEN),
        region="us-east-1",
        endpoint_url=f"{server.scheme}://127.0.0.1:{server.port}",
    )
    store = await S3Store.open("pictures", aws=settings, options=S3Options(**options), clock=SimulatedClock(NOON))
    try:
        yield store
    finally:
        await store.close()


PICTURE = Publication("image/17.jpg", BODY, "picture", NOON, 300.0)


async def refused(store: S3Store) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await store.put(PICTURE)
    assert SECRET not in str(caught.value)
    assert "known" not in str(caught.value)
    return caught.value


async def test_the_request_is_what_the_contract_says_and_never_waits_for_a_100_continue() -> None:
    async with serving(says("200 OK", ETag=f'"{MD5}"')) as server, store_at(server) as store:
        receipt = await store.put(PICTURE)
    (seen,) = server.requests
    assert seen.line == "PUT /pictures/image/17.jpg HTTP/1.1"
    assert seen.body == BODY
    assert seen.headers["expires"] == formatdate(NOON + 300, usegmt=True)
    assert seen.headers["content-type"] == "image/jpeg"
    assert seen.headers["x-amz-meta-kind"] == "picture"
    assert seen.headers["x-amz-meta-captured-at"] == "2026-03-01T12:00:00Z"
    assert seen.headers["x-amz-content-sha256"] == hashlib.sha256(BODY).hexdigest()
    assert not {"expect", "cache-control", "x-amz-meta-error-state", "transfer-encoding"} & set(seen.headers)
    assert (receipt.etag, receipt.uploaded_at, receipt.expires_at) == (MD5, NOON, NOON + 300)


async def test_encryption_and_storage_class_go_with_each_object() -> None:
    async with (
        serving(says("200 OK", ETag=f'"{MD5}"')) as server,
        store_at(
            server, server_side_encryption="aws:kms", kms_key_id="alias/cctv", storage_class="ONEZONE_IA"
        ) as store,
    ):
        await store.put(PICTURE)
    headers = server.requests[0].headers
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/cctv"
    assert headers["x-amz-storage-class"] == "ONEZONE_IA"
    assert headers["x-amz-checksum-crc32"] == base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()


async def test_connections_are_kept_and_used_again() -> None:
    async with serving(says("200 OK", ETag=f'"{MD5}"')) as server, store_at(server) as store:
        for _ in range(5):
            await store.put(PICTURE)
    assert (len(server.requests), server.connections) == (5, 1)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_refused_and_the_other_host_sees_nothing(status: str) -> None:
    async with serving(says("200 OK", ETag=f'"{MD5}"')) as other:
        location = f"http://127.0.0.1:{other.port}/pictures/image/17.jpg?X-Amz-Security-Token=abc"
        async with serving(says(status, Location=location)) as server, store_at(server) as store:
            failure = await refused(store)
    assert (failure.reason, failure.transient) == ("redirected", False)
    assert "127.0.0.1" in failure.detail
    assert "abc" not in failure.detail
    assert (other.connections, len(server.requests)) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        error("301 Moved Permanently", "PermanentRedirect", x_amz_bucket_region="eu-west-1"),
        error("400 Bad Request", "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
        error("400 Bad Request", "IllegalLocationConstraintException", x_amz_bucket_region="eu-west-1"),
        says("301 Moved Permanently", x_amz_bucket_region="eu-west-1", Location="http://127.0.0.1:1/"),
    ],
)
async def test_a_bucket_in_another_region_is_told_with_the_right_one(
    answer: Callable[[Seen], Awaitable[bytes]],
) -> None:
    async with serving(answer) as server, store_at(server) as store:
        failure = await refused(store)
    assert failure.reason == "region"
    assert "AWS_REGION=eu-west-1" in failure.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "says_why"),
    [
        (says("200 OK", ETag='"d41d8cd98f00b204e9800998ecf8427e"'), "not the MD5"),
        (says("200 OK"), "no ETag"),
        (says("200 OK", b"<html>Please log in</html>", Content_Type="text/html"), "text/html"),
        (error("200 OK", "InternalError"), "no ETag"),
    ],
)
async def test_a_200_without_proof_is_not_believed(answer: Callable[[Seen], Awaitable[bytes]], says_why: str) -> None:
    async with serving(answer) as server, store_at(server) as store:
        failure = await refused(store)
    assert (failure.reason, failure.transient) == ("lied", True)
    assert says_why in failure.detail


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "206 Partial Content"])
async def test_only_a_200_counts(status: str) -> None:
    async with serving(says(status, ETag=f'"{MD5}"')) as server, store_at(server) as store:
        assert (await refused(store)).reason == "refused"


async def test_a_bucket_that_encrypts_by_itself_is_proven_by_a_checksum_from_the_second_try_on() -> None:
    async def answer(seen: Seen) -> bytes:
        echo = {k.replace("-", "_"): v for k, v in seen.headers.items() if k == "x-amz-checksum-crc32"}
        return await says("200 OK", ETag='"something"', x_amz_server_side_encryption="aws:kms", **echo)(seen)

    async with serving(answer) as server, store_at(server) as store:
        assert (await refused(store)).transient
        assert (await store.put(PICTURE)).etag == MD5
        assert (await store.put(PICTURE)).etag == MD5
    assert len(server.requests) == 3


async def test_a_wrong_checksum_in_the_answer_proves_nothing() -> None:
    answer = says("200 OK", ETag='"something"', x_amz_checksum_sha256="AAAA")
    async with serving(answer) as server, store_at(server, checksum="sha256") as store:
        assert (await refused(store)).reason == "lied"


@pytest.mark.parametrize(
    ("answer", "reason", "transient"),
    [
        (error("503 Slow Down", "SlowDown", "<Message>Please reduce</Message>"), "busy", True),
        (says("503 Service Unavailable", b"<html>"), "busy", True),
        (says("429 Too Many Requests"), "busy", True),
        (error("500 Internal Server Error", "InternalError"), "server", True),
        (says("502 Bad Gateway", b"<html>nginx</html>"), "server", True),
        (error("507 Insufficient Storage", "XMinioStorageFull"), "full", True),
        (error("403 Forbidden", "AccessDenied"), "denied", False),
        (says("403 Forbidden"), "denied", False),
        (error("403 Forbidden", "InvalidAccessKeyId"), "keys", False),
        (error("403 Forbidden", "SignatureDoesNotMatch", "<StringToSign>x</StringToSign>"), "keys", False),
        (error("400 Bad Request", "ExpiredToken"), "expired_token", False),
        (error("404 Not Found", "NoSuchBucket"), "no_bucket", False),
        (error("400 Bad Request", "InvalidStorageClass", "<Message>No \x1b[31m</Message>"), "refused", False),
        (error("400 Bad Request", "RequestTimeout"), "refused", True),
        (says("404 Not Found", b"<html>"), "refused", False),
    ],
)
async def test_each_refusal_has_its_reason(
    answer: Callable[[Seen], Awaitable[bytes]], reason: str, transient: bool
) -> None:
    async with serving(answer) as server, store_at(server) as store:
        failure = await refused(store)
    assert (failure.reason, failure.transient) == (reason, transient)
    assert failure.detail.isprintable()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("date", "says_how_far"),
    [(NOON - 3660, "61 minutes ahead"), (NOON + 7 * 3600, "7.0 hours behind"), (None, "differs too much")],
)
async def test_a_skewed_clock_is_explained_by_the_answers_date(date: float | None, says_how_far: str) -> None:
    headers = {"Date": formatdate(date, usegmt=True)} if date else {}
    async with serving(error("403 Forbidden", "RequestTimeTooSkewed", **headers)) as server, store_at(server) as store:
        failure = await refused(store)
    assert (failure.reason, failure.transient) == ("clock", False)
    assert says_how_far in failure.detail


async def reset_in_mid_put(seen: Seen) -> None:
    seen.writer.transport.abort()


async def test_a_broken_connection_costs_exactly_one_put_per_try_also_on_a_kept_connection() -> None:
    broken = False

    async def answer(seen: Seen) -> bytes | None:
        return await reset_in_mid_put(seen) if broken else await says("200 OK", ETag=f'"{MD5}"')(seen)

    async with serving(answer) as server, store_at(server) as store:
        await store.put(PICTURE)
        broken = True
        failure = await refused(store)
        assert (failure.reason, failure.transient) == ("unreachable", True)
        assert (len(server.requests), server.connections) == (2, 1)
        await refused(store)
        assert len(server.requests) == 3


async def test_a_server_that_cuts_the_upload_short_is_one_failed_try() -> None:
    connections = 0

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(1000)
        writer.transport.abort()

    listener = await asyncio.start_server(cut, "127.0.0.1", 0)
    server = Server(says("200 OK"), port=listener.sockets[0].getsockname()[1])
    async with store_at(server) as store:
        assert (await refused(store)).reason == "unreachable"
    listener.close()
    assert connections == 1


async def test_nobody_listening_is_unreachable() -> None:
    async with serving(says("200 OK")) as server:
        pass
    await asyncio.sleep(0.05)
    async with store_at(server) as store:
        failure = await refused(store)
    assert (failure.reason, failure.transient) == ("unreachable", True)


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    settings = AwsSettings(access_key_id="known", secret_access_key=SecretStr(SECRET), endpoint_url="http://s3.invalid")
    store = await S3Store.open("pictures", aws=settings)
    failure = await refused(store)
    assert failure.reason == "unreachable"
    await store.close()


async def silence(_: Seen) -> None:
    return None


async def trickle(seen: Seen) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 100_000:
        seen.writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def endless_continue(seen: Seen) -> None:
    while True:
        seen.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await asyncio.sleep(0.05)


async def drip_a_body(seen: Seen) -> None:
    seen.writer.write(f'HTTP/1.1 200 OK\r\nETag: "{MD5}"\r\nContent-Length: 9999\r\n\r\n'.encode())
    await trickle(seen)


@pytest.mark.parametrize("answer", [silence, trickle, endless_continue, drip_a_body])
async def test_an_answer_that_never_ends_ends_at_the_limit(
    answer: Callable[[Seen], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_wire, "CALL_S", 0.5)
    async with serving(answer) as server, store_at(server) as store:
        failure = await refused(store)
    assert (failure.reason, failure.transient) == ("timeout", True)


async def test_an_endless_error_document_is_cut() -> None:
    async def flood(seen: Seen) -> bytes:
        seen.writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            seen.writer.write(b"x" * 65536)
            await seen.writer.drain()

    async with serving(flood) as server, store_at(server) as store:
        assert (await refused(store)).reason == "server"


@pytest.mark.parametrize("junk", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"HTTP/1.1 abc\r\n\r\n"])
async def test_what_is_no_http_is_said_to_be_none(junk: bytes) -> None:
    async def answer(seen: Seen) -> None:
        seen.writer.write(junk)
        seen.writer.close()

    async with serving(answer) as server, store_at(server) as store:
        assert (await refused(store)).reason in ("bad_answer", "unreachable")


async def test_a_cancelled_put_closes_its_connection_so_that_nothing_arrives_late() -> None:
    async with serving(silence) as server, store_at(server) as store:
        task = asyncio.create_task(store.put(PICTURE))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.requests[0].writer.wait_closed()


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(says("200 OK", ETag=f'"{MD5}"')) as proxy, serving(says("200 OK", ETag=f'"{MD5}"')) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with store_at(server) as store:
            await store.put(PICTURE)
        assert (proxy.connections, len(server.requests)) == (0, 1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed one for 127.0.0.1, key and certificate in one file."""
    file = tmp_path / "server.pem"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=store "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {file} -out {file}.crt && cat {file}.crt >> {file}",
        shell=True,
        check=True,
        capture_output=True,
    )
    return file


@needs("openssl")
async def test_over_https_the_body_is_not_hashed_again_and_the_certificate_is_checked(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with serving(says("200 OK", ETag=f'"{MD5}"'), tls) as server:
        async with store_at(server) as store:
            failure = await refused(store)
        assert (failure.reason, failure.transient, server.requests) == ("tls", False, [])
        assert "self-signed" in failure.detail
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with store_at(server) as store:
            await store.put(PICTURE)
    assert server.requests[0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


async def test_a_canary_names_the_missing_right() -> None:
    async def answer(seen: Seen) -> bytes:
        if seen.line.startswith("PUT"):
            return await says("200 OK", ETag=f'"{hashlib.md5(seen.body).hexdigest()}"')(seen)
        return await error("403 Forbidden", "AccessDenied")(seen)

    async with serving(answer) as server, store_at(server) as store:
        found = [lack.sentence for lack in await store.canary("image/canary.jpg")]
    assert len(found) == 2
    assert "s3:GetObject on arn:aws:s3:::pictures/image/canary.jpg" in found[0]
    assert "s3:DeleteObject" in found[1]
    assert "still there" in found[1]
    async with serving(error("403 Forbidden", "AccessDenied")) as server, store_at(server) as store:
        (lack,) = await store.canary("image/canary.jpg")
    assert "s3:PutObject" in lack.sentence


async def test_an_archive_that_knows_no_conditions_passes_the_canary() -> None:
    from test_listing import page  # which imports from here

    objects: dict[str, bytes] = {}

    async def answer(seen: Seen) -> bytes:
        method, path, _ = seen.line.split()
        if "list-type" in path:
            return await says("200 OK", page("canary"))(seen)
        if "if-none-match" in seen.headers:
            return await error("501 Not Implemented", "NotImplemented")(seen)
        if method == "PUT":
            objects[path] = seen.body
        if (body := objects.get(path)) is None:
            return await says("404 Not Found")(seen)
        if method == "DELETE":
            del objects[path]
            return await says("204 No Content")(seen)
        about = {"ETag": hashlib.md5(body).hexdigest(), "Content_Type": "image/jpeg", "x_amz_meta_kind": "canary"}
        found = await says("200 OK", b"" if method == "PUT" else body, **about)(seen)
        return found.removesuffix(body) if method == "HEAD" else found

    async with serving(answer) as server, store_at(server) as store:
        assert await store.canary("canary", archive=True) == []
        assert not store.exclusive
    assert not objects


async def test_a_canary_tells_what_the_store_does_not_keep() -> None:
    body = b""

    async def answer(seen: Seen) -> bytes:
        nonlocal body
        body = seen.body or body
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        sent = b"other" if seen.line.startswith("GET") else b""
        return await says("204 Gone" if seen.line.startswith("DELETE") else "200 OK", sent, ETag=etag)(seen)

    async with serving(answer) as server, store_at(server) as store:
        found = [lack.sentence for lack in await store.canary("image/canary.jpg")]
    assert [next(w for w in ("read back", "Content-Type", "Expires") if w in sentence) for sentence in found] == [
        "read back",
        "Content-Type",
        "Expires",
    ]
