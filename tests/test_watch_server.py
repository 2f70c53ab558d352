"""The local web server: what it answers, and what slow or rude clients cannot do to it."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from cctv_images.clock import SimulatedClock
from cctv_images.errors import ConfigError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet
from cctv_images.states import CameraState, Health
from cctv_images.watch.server import MAX_CONNECTIONS, WebServer, parse_listen

PICTURE = b"\xff\xd8" + bytes(range(256)) * 400


class Site:
    """A fleet, a folder of pictures, and a server over both."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock()
        self.fleet = Fleet(self.clock.time(), starting=False)
        self.folder = folder
        self.server = WebServer(self.fleet, self.clock, lambda camera_id: folder / f"{camera_id}.jpg")
        self.port = 0

    def add(self, camera_id: str, **more: Any) -> CameraRecord:
        record = CameraRecord(Camera(camera_id, "pelco", "Sarix", name=f"camera {camera_id}"), 300.0)
        record.state = CameraState(Health.OK)
        record.kind, record.etag = "picture", "d41d8cd98f00b204e9800998ecf8427e"
        record.captured_at = self.clock.time()
        record.expires_at = self.clock.time() + 300
        for name, value in more.items():
            setattr(record, name, value)
        self.fleet.cameras[camera_id] = record
        (self.folder / f"{camera_id}.jpg").write_bytes(PICTURE)
        return record

    @contextlib.asynccontextmanager
    async def ask(self, path: str, method: str = "GET", **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}", **more) as answer,
        ):
            yield answer

    async def text(self, path: str) -> tuple[int, str]:
        async with self.ask(path) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    site.port = await site.server.open("127.0.0.1:0")
    yield site
    await site.server.close()


async def test_a_picture_comes_with_its_expiry_and_etag(site: Site) -> None:
    record = site.add("134")
    async with site.ask("/image/134.jpg") as answer:
        assert await answer.read() == PICTURE
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
        assert parsedate_to_datetime(answer.headers["Expires"]).timestamp() == record.expires_at
        assert "Cache-Control" not in answer.headers
        assert answer.headers["X-Kind"] == "picture"


async def test_one_connection_serves_many_pictures(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.add("134")
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    for _ in range(3):
        writer.write(b"GET /image/134.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(len(PICTURE)) == PICTURE
    writer.close()
    assert caplog.records == []


async def test_an_unchanged_picture_is_not_sent_again(site: Site) -> None:
    record = site.add("134")
    for tag in (f'"{record.etag}"', f'W/"{record.etag}"', f'"other", "{record.etag}"', "*"):
        async with site.ask("/image/134.jpg", headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
            assert answer.headers["ETag"] == f'"{record.etag}"'
            assert "Expires" in answer.headers
    async with site.ask("/image/134.jpg", headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


async def test_a_fallback_tells_its_reason(site: Site) -> None:
    site.add("134", kind="fallback", state=CameraState(Health.FAILING, 1, 0, ErrorState.AUTH))
    async with site.ask("/image/134.jpg") as answer:
        assert (answer.headers["X-Kind"], answer.headers["X-Error-State"]) == ("fallback", "auth")


async def test_there_is_no_picture_of_an_unknown_camera_or_before_one_is_published(site: Site) -> None:
    site.add("134", kind=None)
    site.add("135")
    (site.folder / "135.jpg").unlink()
    (site.folder / "secret.jpg").write_bytes(PICTURE)
    assert await site.text("/image/134.jpg") == (404, "nothing is published for this camera yet\n")
    assert (await site.text("/image/135.jpg"))[0] == 404
    for path in ("/image/secret.jpg", "/image/%2e%2e%2fsecret.jpg", "/image/..%2f..%2fetc%2fpasswd.jpg", "/image/.jpg"):
        assert (await site.text(path))[0] == 404


async def test_an_image_may_be_asked_for_by_head(site: Site) -> None:
    site.add("134")
    async with site.ask("/image/134.jpg", "HEAD") as answer:
        assert int(answer.headers["Content-Length"]) == len(PICTURE)
        assert await answer.read() == b""


async def test_the_api_tells_the_fleet_and_each_camera(site: Site) -> None:
    site.add("134", state=CameraState(Health.FAILING, 3, 0, ErrorState.TIMEOUT, "no answer within 30 s"))
    site.add("135")
    status, text = await site.text("/api/cameras")
    told = json.loads(text)
    assert status == 200
    assert [camera["id"] for camera in told["cameras"]] == ["134", "135"]
    assert told["fleet"]["health"]["failing"] == 1
    assert told["fleet"]["store"]["ok"] is True
    camera = json.loads((await site.text("/api/cameras/134"))[1])
    assert camera == told["cameras"][0]
    assert {"id", "name", "latitude", "longitude", "model", "health", "error_state", "kind", "captured_at"} <= set(
        camera
    )
    assert {"expires", "failures", "last_cycles", "last_failures"} <= set(camera)
    assert (camera["error_state"], camera["failures"]) == ("timeout", 3)
    assert (await site.text("/api/cameras/999"))[0] == 404


async def test_the_brief_list_leaves_the_cycles_out(site: Site) -> None:
    site.add("134")
    (camera,) = json.loads((await site.text("/api/cameras?brief"))[1])["cameras"]
    assert "last_cycles" not in camera
    assert camera["health"] == "ok"


@pytest.mark.parametrize("count", [0, 1, 25, 26, 1_000])
async def test_a_list_of_any_length_is_one_json_document(site: Site, count: int) -> None:
    for number in range(count):
        site.fleet.cameras[str(number)] = CameraRecord(Camera(str(number), "pelco"), 300.0)
    assert len(json.loads((await site.text("/api/cameras"))[1])["cameras"]) == count


async def test_health_says_starting_then_ok_then_why_not(site: Site) -> None:
    site.fleet.starting = True
    assert await site.text("/healthz") == (200, "starting\n")
    site.fleet.starting = False
    assert await site.text("/healthz") == (200, "ok\n")
    site.add("134", next_due=site.clock.monotonic())
    await site.clock.advance(61)
    assert await site.text("/healthz") == (503, "the slot of camera 134 is overdue by 61 s\n")
    site.fleet.cameras.clear()
    site.fleet.store.ok, site.fleet.store.reason = False, "denied"
    assert await site.text("/healthz") == (503, "the store takes no pictures: denied\n")
    assert await site.text("/livez") == (200, "ok\n")


async def test_metrics_are_plain_prometheus_text(site: Site) -> None:
    site.add("134")
    async with site.ask("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'cctv_images_camera_up{camera_id="134"} 1' in await answer.text()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_changed_here(site: Site, method: str) -> None:
    site.add("134")
    for path in ("/", "/image/134.jpg", "/api/cameras", "/metrics", "/healthz"):
        async with site.ask(path, method) as answer:
            assert answer.status == 405


async def test_every_answer_has_the_security_headers(site: Site) -> None:
    site.add("134")
    for path in (
        "/",
        "/page.js",
        "/page.css",
        "/favicon.ico",
        "/image/134.jpg",
        "/api/cameras",
        "/metrics",
        "/nowhere",
    ):
        async with site.ask(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Server"] == "cctv-images"


async def test_the_page_needs_no_inline_script_or_style(site: Site) -> None:
    async with site.ask("/") as answer:
        page = await answer.text()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script src="/page.js"') == 1
    assert "http://" not in page
    assert "https://" not in page


async def test_a_fault_is_answered_without_a_traceback(site: Site) -> None:
    site.add("134", captured_at="not a time")
    status, text = await site.text("/api/cameras/134")
    assert status == 500
    assert "Traceback" not in text
    assert "TypeError" not in text


async def test_a_port_in_use_is_named(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path)
    with pytest.raises(ConfigError, match=f"CCTV_LISTEN: cannot listen on 127.0.0.1:{site.port}: the port is in use"):
        await other.server.open(f"127.0.0.1:{site.port}")
    await other.server.close()


async def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    for listen, reason in (("192.0.2.1:8080", "no such address"), ("nowhere.invalid:8080", "does not resolve")):
        with pytest.raises(ConfigError, match=f"CCTV_LISTEN: cannot listen on {listen}: .*{reason}"):
            await Site(tmp_path).server.open(listen)


@pytest.mark.parametrize("listen", ["", "8080", ":8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "::1:²"])
def test_a_listen_address_that_cannot_be_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="CCTV_LISTEN"):
        parse_listen(listen)


def test_listen_addresses_of_both_families_are_understood() -> None:
    assert parse_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert parse_listen("[::1]:80") == ("::1", 80)


async def test_more_connections_than_allowed_are_closed_and_free_places_are_used_again(site: Site) -> None:
    streams = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(MAX_CONNECTIONS)]
    await asyncio.sleep(0.2)
    reader, extra = await asyncio.open_connection("127.0.0.1", site.port)
    with contextlib.suppress(ConnectionError):
        extra.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.read(100) == b""
    for _, writer in [*streams, (reader, extra)]:
        writer.close()
    await asyncio.sleep(0.2)
    assert (await site.text("/livez"))[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_client_that_sends_no_whole_request_is_closed(tmp_path: Path, said: bytes) -> None:
    site = Site(tmp_path)
    site.server = WebServer(site.fleet, site.clock, lambda _: None, idle_s=0.3)
    site.port = await site.server.open("127.0.0.1:0")
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(said)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await site.server.close()


async def test_a_client_that_does_not_read_its_answer_is_cut_off(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.server = WebServer(site.fleet, site.clock, lambda i: tmp_path / f"{i}.jpg", answer_s=0.5)
    site.port = await site.server.open("127.0.0.1:0")
    site.add("134")
    (tmp_path / "134.jpg").write_bytes(os.urandom(32 * 1024 * 1024))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
    writer.write(b"GET /image/134.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(1.5)
    received = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while chunk := await reader.read(1 << 16):
                received += len(chunk)
    assert received < 32 * 1024 * 1024
    writer.close()
    assert (await site.text("/livez"))[0] == 200
    await site.server.close()


async def test_a_client_that_leaves_early_is_no_error(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5_000):
        site.fleet.cameras[str(number)] = CameraRecord(Camera(str(number), "pelco"), 300.0)
    site.add("134")
    (site.folder / "134.jpg").write_bytes(os.urandom(32 * 1024 * 1024))
    for path in (b"/api/cameras", b"/image/134.jpg"):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readexactly(100)
        writer.transport.abort()
    await asyncio.sleep(0.5)
    assert (await site.text("/livez"))[0] == 200
    assert caplog.records == []


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\r\n\r\n\r\n\x00\x00\x00 /\r\n\r\n",
    ],
)
async def test_rude_requests_get_an_error_without_details(site: Site, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(said + b"\r\n\r\n")
    answer = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            answer = await reader.read()
    assert b"Traceback" not in answer
    assert answer[:12] in (b"", b"HTTP/1.0 400", b"HTTP/1.1 400")
    writer.close()
    assert (await site.text("/livez"))[0] == 200


def test_the_same_holds_on_uvloop_whose_transports_differ(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        site = Site(tmp_path)
        site.port = await site.server.open("127.0.0.1:0")
        await test_a_picture_comes_with_its_expiry_and_etag(site)
        await test_one_connection_serves_many_pictures(site, caplog)
        await test_an_unchanged_picture_is_not_sent_again(site)
        await test_more_connections_than_allowed_are_closed_and_free_places_are_used_again(site)
        await test_a_client_that_leaves_early_is_no_error(site, caplog)
        await site.server.close()
        await test_a_client_that_sends_no_whole_request_is_closed(tmp_path, b"GET / HT")
        await test_a_client_that_does_not_read_its_answer_is_cut_off(tmp_path)

    uvloop.run(scenario())
