"""Stills by RTSP from a server that nobody here wrote, and from cameras of raw sockets that misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import io
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_camera import acquirer, login, ok, outcome, raw_camera, saying
from rtsp_server import LOGIN, needs_gst, rtsp_server

from cctv_images.acquire import Acquirer, FetchCycle, Still, Trace
from cctv_images.acquire.budget import Budget
from cctv_images.acquire.recipes import RECIPES
from cctv_images.acquire.rtsp import objection
from cctv_images.acquire.rtsp.decode import Decoder, can_decode
from cctv_images.acquire.rtsp.rtp import Frames, Packet, frames_of, parse_packet
from cctv_images.acquire.rtsp.sdp import Video, video_of
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.process.verify import examine

av = pytest.importorskip("av")


def camera(port: int, path: str = "/live", **more: object) -> Camera:
    row = {"camera_id": "c1", "recipe": "generic", "scheme": "rtsp", "host": "127.0.0.1", "port": port, "path": path}
    return Camera(**row | more)  # type: ignore[arg-type]


def size(still: Still | CameraError) -> tuple[int, int]:
    assert isinstance(still, Still), still
    picture = examine(still.data, 50_000_000)
    return picture.width, picture.height


# By gst-rtsp-server


async def by_gst(fetcher: Acquirer, camera: Camera, cycle: FetchCycle | None = None) -> Still | CameraError:
    """It answers 503 where a pipeline is not up in time, which a busy machine has."""
    for _ in range(3):
        seen = await outcome(fetcher, camera, cycle)
        if not (isinstance(seen, CameraError) and seen.state is ErrorState.BUSY):
            break
    return seen


@pytest.fixture(scope="module")
def gst() -> Iterator[int]:
    with rtsp_server() as port:
        yield port


@pytest.fixture(scope="module")
def closed_gst() -> Iterator[int]:
    with rtsp_server("closed") as port:
        yield port


@needs_gst()
@pytest.mark.parametrize("path", ["/h264", "/h265", "/jpeg"])
async def test_a_key_picture_comes_of_every_codec(gst: int, path: str) -> None:
    async with acquirer(timeout_s=20, max_bytes=8 << 20) as fetcher:
        assert size(await by_gst(fetcher, camera(gst, path))) == (640, 360)


@needs_gst()
async def test_a_server_that_sends_by_udp_alone_is_asked_so(gst: int) -> None:
    trace = Trace()
    async with acquirer(timeout_s=20) as fetcher:
        assert size(await by_gst(fetcher, camera(gst, "/udp"))) == (640, 360)
        assert size(await by_gst(fetcher, camera(gst, "/udp"), FetchCycle(trace))) == (640, 360)
    assert sum("SETUP" in step.text for step in trace.steps) == 1, "UDP is remembered"


@needs_gst()
async def test_an_unknown_stream_is_not_found(gst: int) -> None:
    async with acquirer() as fetcher:
        error = await by_gst(fetcher, camera(gst, "/nothing"))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.NOT_FOUND


@needs_gst()
async def test_video_of_more_pixels_than_allowed_never_gets_the_memory(gst: int) -> None:
    async with acquirer(timeout_s=20, max_pixels=640 * 360 - 1) as fetcher:
        error = await by_gst(fetcher, camera(gst, "/h264"))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.TOO_LARGE


@needs_gst()
async def test_the_right_login_opens_the_stream_and_stands_in_no_trace(closed_gst: int) -> None:
    trace = Trace()
    async with acquirer(timeout_s=20, default_login=login(*LOGIN)) as fetcher:
        assert size(await by_gst(fetcher, camera(closed_gst, "/h264"), FetchCycle(trace))) == (640, 360)
    said = repr(trace.steps)
    assert LOGIN[1] not in said
    assert "response=" not in said


@needs_gst()
async def test_a_wrong_login_is_offered_once(closed_gst: int) -> None:
    cycle = FetchCycle(Trace())
    async with acquirer(default_login=login("admin", "wrong")) as fetcher:
        errors = [await by_gst(fetcher, camera(closed_gst, "/h264"), cycle) for _ in range(2)]
    assert [error.state for error in errors if isinstance(error, CameraError)] == [ErrorState.AUTH] * 2
    assert cycle.trace is not None
    assert sum("offering" in step.text for step in cycle.trace.steps) == 1


# By raw sockets


@dataclass
class Request:
    method: str
    url: str
    head: str

    @property
    def authorization(self) -> dict[str, str]:
        found = re.search(r"^Authorization: (.*)$", self.head, re.MULTILINE)
        return dict(re.findall(r'(\w+)="?([^",\r]*)', found[1])) if found else {}


@dataclass
class Talk:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[Request] = field(default_factory=list)

    def say(self, status: str, *fields: str, body: bytes = b"") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {len(self.requests)}", *fields, f"Content-Length: {len(body)}", "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)

    def send(self, payload: bytes, *, sequence: int, marker: bool, timestamp: int = 7, channel: int = 0) -> None:
        data = rtp(payload, sequence=sequence, marker=marker, timestamp=timestamp)
        self.writer.write(b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data)


Script = Callable[[Talk, Request], Awaitable[None]]


@asynccontextmanager
async def raw_rtsp(script: Script) -> AsyncIterator[tuple[int, list[Request]]]:
    """Calls the script for each request; gives the port and all requests."""
    requests: list[Request] = []
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        talk = Talk(reader, writer, requests)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, url, _ = head.split(" ", 2)
                requests.append(Request(method, url, head))
                await script(talk, requests[-1])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        for task in tasks:
            task.cancel()


JPEG_SDP = b"v=0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
H264_SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
TCP = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"


def rtp(payload: bytes, *, sequence: int, marker: bool, timestamp: int = 7) -> bytes:
    head = bytes([0x80, 26 | marker << 7]) + (sequence & 0xFFFF).to_bytes(2, "big")
    return head + timestamp.to_bytes(4, "big") + b"\0\0\0\1" + payload


def serving(*, sdp: bytes = JPEG_SDP, play: Callable[[Talk], Awaitable[None]] | None = None) -> Script:
    async def script(talk: Talk, request: Request) -> None:
        if request.method == "DESCRIBE":
            talk.say("200 OK", body=sdp)
        elif request.method == "SETUP":
            talk.say("200 OK", TCP, "Session: abc;timeout=60")
        elif request.method == "PLAY":
            talk.say("200 OK")
            if play is not None:
                await play(talk)

    return script


async def send_picture(talk: Talk) -> None:
    for number, (payload, last) in enumerate(jpeg_payloads(still_jpeg())):
        talk.send(payload, sequence=number, marker=last)


def still_jpeg(width: int = 320, height: int = 176, **options: object) -> bytes:
    out = io.BytesIO()
    picture = Image.effect_noise((width, height), 60).convert("RGB")
    picture.save(out, "JPEG", quality=50, **options)  # type: ignore[arg-type]
    return out.getvalue()


def jpeg_payloads(jpeg: bytes, piece: int = 1000) -> list[tuple[bytes, bool]]:
    """(payload, whether it is the last) as RFC 2435 has them, the quantisation tables sent along."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        size8 = bytes([picture.width // 8, picture.height // 8])
    tables = b"".join(re.findall(rb"\xff\xdb\x00\x43.(.{64})", jpeg, re.DOTALL))
    scan = jpeg[jpeg.index(b"\xff\xda") + 14 : -2]
    pieces = [scan[at : at + piece] for at in range(0, len(scan), piece)]
    payloads = []
    for number, data in enumerate(pieces):
        head = b"\0" + (number * piece).to_bytes(3, "big") + b"\x01\xff" + size8
        quantisation = b"\0\0" + len(tables).to_bytes(2, "big") + tables if number == 0 else b""
        payloads.append((head + quantisation + data, number == len(pieces) - 1))
    return payloads


async def test_mjpeg_comes_out_as_it_was_without_any_decoder() -> None:
    async with raw_rtsp(serving(play=send_picture)) as (port, requests), acquirer() as fetcher:
        still = await outcome(fetcher, camera(port))
        await asyncio.sleep(0.05)
    assert size(still) == (320, 176)
    assert [request.method for request in requests] == ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    assert requests[1].url.endswith("/live/track1")


async def test_the_login_is_answered_by_sha256_and_for_every_request() -> None:
    async def script(talk: Talk, request: Request) -> None:
        said = request.authorization
        ha1, ha2 = (sha256(text) for text in ("viewer:cam:secret", f"{request.method}:{request.url}"))
        if said.get("response") != sha256(f"{ha1}:n0nce:{ha2}"):
            challenge = 'Digest realm="cam", nonce="n0nce", algorithm="SHA-256", stale="FALSE"'
            return talk.say("401 Unauthorized", f"WWW-Authenticate: {challenge}")
        await serving(play=send_picture)(talk, request)

    async with raw_rtsp(script) as (port, requests), acquirer(default_login=login()) as fetcher:
        assert size(await outcome(fetcher, camera(port))) == (320, 176)
    assert [bool(request.authorization) for request in requests[:4]] == [False, True, True, True]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_basic_is_never_answered_where_digest_is_offered_by_rtsp_too() -> None:
    async def script(talk: Talk, request: Request) -> None:
        challenges = 'WWW-Authenticate: Basic realm="a"', 'WWW-Authenticate: Digest realm="a", nonce="n"'
        talk.say("401 Unauthorized", *challenges)

    async with raw_rtsp(script) as (port, requests), acquirer(default_login=login()) as fetcher:
        error = await outcome(fetcher, camera(port))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.AUTH
    assert len(requests) == 2
    assert "Basic" not in requests[1].head


async def test_nothing_is_sent_after_a_refused_login_not_even_a_good_bye() -> None:
    async def script(talk: Talk, request: Request) -> None:
        if request.method == "PLAY" or not request.authorization:
            return talk.say("401 Unauthorized", 'WWW-Authenticate: Digest realm="a", nonce="n"')
        await serving()(talk, request)

    async with raw_rtsp(script) as (port, requests), acquirer(default_login=login()) as fetcher:
        error = await outcome(fetcher, camera(port))
        await asyncio.sleep(0.05)
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.AUTH
    after = requests[[request.method for request in requests].index("PLAY") + 1 :]
    assert not any(request.authorization for request in after)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("404 Not Found", ErrorState.NOT_FOUND),
        ("503 Service Unavailable", ErrorState.BUSY),
        ("453 Not Enough Bandwidth", ErrorState.BUSY),
        ("403 Forbidden", ErrorState.AUTH),
        ("302 Moved", ErrorState.REDIRECTED),
        ("500 Oops", ErrorState.HTTP_ERROR),
    ],
)
async def test_a_status_means_what_it_means_by_http(status: str, state: ErrorState) -> None:
    async def script(talk: Talk, request: Request) -> None:
        talk.say(status, "Location: rtsp://127.0.0.9/elsewhere")

    async with raw_rtsp(script) as (port, requests), acquirer() as fetcher:
        error = await outcome(fetcher, camera(port))
    assert isinstance(error, CameraError)
    assert error.state is state
    assert len(requests) == 1


async def test_a_web_server_is_no_video_server() -> None:
    async with raw_camera(saying(ok(b"x"))) as web, acquirer() as fetcher:
        error = await outcome(fetcher, camera(web.port))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.BAD_RESPONSE


@pytest.mark.parametrize("noise", [b"\0" * 100_000, b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 20_000, b"$"])
async def test_noise_is_a_bad_response_or_ends_in_time(noise: bytes) -> None:
    async def script(talk: Talk, request: Request) -> None:
        talk.writer.write(noise)

    async with raw_rtsp(script) as (port, _), acquirer(timeout_s=1) as fetcher:
        error = await outcome(fetcher, camera(port))
    assert isinstance(error, CameraError)
    assert error.state in (ErrorState.BAD_RESPONSE, ErrorState.TIMEOUT)


async def test_a_stream_without_video_says_so() -> None:
    sound = b"v=0\r\nm=audio 0 RTP/AVP 0\r\n"
    mpeg4 = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\n"
    for sdp, said in ((sound, "without video"), (mpeg4, "MP4V-ES")):
        async with raw_rtsp(serving(sdp=sdp)) as (port, _), acquirer() as fetcher:
            error = await outcome(fetcher, camera(port))
        assert isinstance(error, CameraError)
        assert error.state is ErrorState.NOT_AN_IMAGE
        assert said in error.detail


async def test_hung_servers_hold_up_nobody() -> None:
    async def hang(talk: Talk, request: Request) -> None:
        if request.method != "PLAY":
            await serving()(talk, request)

    async with (
        raw_rtsp(hang) as (hung, _),
        raw_rtsp(serving(play=send_picture)) as (well, _),
        acquirer(timeout_s=8) as fetcher,
    ):
        waiting = [asyncio.create_task(outcome(fetcher, camera(hung, camera_id=f"h{n}"))) for n in range(20)]
        await asyncio.sleep(0.2)
        begin = time.perf_counter()
        assert size(await outcome(fetcher, camera(well))) == (320, 176)
        assert time.perf_counter() - begin < 4
        errors = await asyncio.gather(*waiting)
    assert {error.state for error in errors if isinstance(error, CameraError)} == {ErrorState.TIMEOUT}


async def test_a_stream_of_no_key_pictures_ends_in_time_and_says_what_was_missing() -> None:
    async def endless(talk: Talk) -> None:
        for number in range(10_000):
            talk.send(b"\x41\x9a" + b"x" * 500, sequence=number, marker=True, timestamp=number)
            await talk.writer.drain()
            await asyncio.sleep(0.001)

    async with raw_rtsp(serving(sdp=H264_SDP, play=endless)) as (port, _), acquirer(timeout_s=1) as fetcher:
        error = await outcome(fetcher, camera(port))
    assert isinstance(error, CameraError)
    assert (error.state, error.detail) == (ErrorState.TIMEOUT, "no key picture within 1 s")


async def test_a_key_picture_without_end_is_too_large() -> None:
    async def endless(talk: Talk) -> None:
        for number in range(100_000):
            head = b"\x7c\x85\x88" if number == 0 else b"\x7c\x05"
            talk.send(head + b"x" * 1300, sequence=number, marker=False)
            await talk.writer.drain()

    async with raw_rtsp(serving(sdp=H264_SDP, play=endless)) as (port, _), acquirer(timeout_s=10) as fetcher:
        error = await outcome(fetcher, camera(port))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.TOO_LARGE


async def test_an_address_outside_the_fence_is_never_connected_to() -> None:
    async with (
        raw_rtsp(serving(play=send_picture)) as (port, requests),
        acquirer(networks=[ip_network("10.0.0.0/8")]) as fetcher,
    ):
        error = await outcome(fetcher, camera(port))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.UNREACHABLE
    assert requests == []


# Decoding


async def test_what_is_no_video_is_damaged_and_leaves_no_process_behind() -> None:
    decoder = Decoder(max_pixels=1_000_000, max_bytes=1 << 20)
    before = children()
    with pytest.raises(CameraError) as caught:
        await decoder.jpeg("h264", b"\0\0\0\1\x65" + os.urandom(20_000))
    assert caught.value.state in (ErrorState.TRUNCATED, ErrorState.NOT_AN_IMAGE)
    assert children() == before


async def test_a_decoder_that_is_given_up_is_killed() -> None:
    decoder = Decoder(max_pixels=1_000_000, max_bytes=1 << 20)
    before = children()
    task = asyncio.create_task(decoder.jpeg("h264", b"\0" * (8 << 20)))
    while children() == before:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == before


def children() -> set[str]:
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/task/{task}/children") as listed:
            found |= set(listed.read().split())  # unless the thread has ended meanwhile
    return found


# Packets


def pushed(video: Video, packets: list[Packet]) -> list[bytes]:
    with Budget().body(1 << 20, lambda: None) as body:
        frames: Frames = frames_of(video, body)
        return [done for packet in packets if (done := frames.push(packet))]


def h264_packets(slices: list[bytes], piece: int = 100, *, timestamp: int = 1, first: int = 0) -> list[Packet]:
    payloads = [b"\x67sps", b"\x68pps"]
    for unit in slices:
        pieces = [unit[at : at + piece] for at in range(1, len(unit), piece)]
        for number, data in enumerate(pieces):
            flags = 0x80 * (number == 0) | 0x40 * (number == len(pieces) - 1)
            payloads.append(bytes([0x7C, flags | unit[0] & 0x1F]) + data)
    last = len(payloads) - 1
    return [Packet(first + n, timestamp, n == last, payload) for n, payload in enumerate(payloads)]


H264 = Video("h264", "")
SLICES = [b"\x65\x88" + bytes(range(256)) * 3, b"\x65\x20" + bytes(range(255, -1, -1)) * 2]


def test_fragments_of_a_key_picture_are_put_together() -> None:
    start = b"\0\0\0\1"
    expected = start + b"\x67sps" + start + b"\x68pps" + b"".join(start + unit for unit in SLICES)
    assert pushed(H264, h264_packets(SLICES)) == [expected]


@given(st.data())
@settings(deadline=None)
def test_a_key_picture_of_which_anything_is_missing_is_never_shown(data: st.DataObject) -> None:
    packets = h264_packets(SLICES)
    lost = data.draw(st.sets(st.integers(2, len(packets) - 1), min_size=1))
    later = h264_packets(SLICES, timestamp=2, first=len(packets))
    whole = pushed(H264, later)
    assert pushed(H264, [p for n, p in enumerate(packets) if n not in lost] + later) == whole


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 3), st.booleans(), st.binary(min_size=1, max_size=40))))
def test_packets_of_noise_break_nothing(noise: list[tuple[int, int, bool, bytes]]) -> None:
    for video in (H264, Video("hevc", ""), Video("mjpeg", "")):
        with contextlib.suppress(CameraError):
            pushed(video, [Packet(*fields) for fields in noise])


@given(st.binary(max_size=80))
def test_noise_is_no_packet_or_one_with_a_payload(data: bytes) -> None:
    packet = parse_packet(data)
    assert packet is None or packet.payload


@pytest.mark.parametrize("options", [{}, {"subsampling": "4:2:0"}])
def test_a_jpeg_by_rtp_decodes_to_the_same_pixels(options: dict[str, object]) -> None:
    jpeg = still_jpeg(**options)
    payloads = jpeg_payloads(jpeg)
    (done,) = pushed(Video("mjpeg", ""), [Packet(n, 1, last, p) for n, (p, last) in enumerate(payloads)])
    with Image.open(io.BytesIO(done)) as got, Image.open(io.BytesIO(jpeg)) as sent:
        assert got.tobytes() == sent.tobytes()


def test_the_description_s_first_readable_video_is_taken() -> None:
    sets = base64.b64encode(b"\x67one").decode(), base64.b64encode(b"\x68two").decode()
    sdp = (
        "v=0\nm=audio 0 RTP/AVP 8\na=control:audio\nm=video 0 RTP/AVP 98\na=rtpmap:98 MP4V-ES/90000\n"
        f"m=video 0 RTP/AVP 96\na=rtpmap:96 h264/90000\na=fmtp:96 x=1; sprop-parameter-sets={sets[0]},{sets[1]}\n"
        "a=control:trackID=2\n"
    )
    assert video_of(sdp.encode()) == Video("h264", "trackID=2", (b"\x67one", b"\x68two"))


@given(st.binary(max_size=400))
def test_a_description_of_noise_is_no_video(data: bytes) -> None:
    with contextlib.suppress(CameraError):
        assert video_of(data).codec


# Rows


def test_the_document_shows_every_path_that_is_known() -> None:
    text = (Path(__file__).parents[1] / "docs" / "cameras.md").read_text()
    section = text.partition("## Video by RTSP")[2].partition("\n## ")[0]
    known = {name: recipe.rtsp_path for name, recipe in RECIPES.items() if recipe.rtsp_path}
    assert dict(re.findall(r"^\| ([\w-]+) \| `(.+)` \|$", section, re.MULTILINE)) == known


@pytest.mark.parametrize(
    ("recipe", "path", "channel", "asked"),
    [
        ("hikvision", None, None, "/Streaming/Channels/101"),
        ("dahua", None, 3, "/cam/realmonitor?channel=3&subtype=0"),
        ("dahua", "/own?a=1", 3, "/own?a=1"),
    ],
)
def test_an_rtsp_address_without_a_path_gets_the_make_s(
    recipe: str, path: str | None, channel: int | None, asked: str
) -> None:
    row = Camera("1", recipe, scheme="rtsp", host="h", path=path, channel=channel)
    assert RECIPES[recipe].target(row) == asked
    assert objection(row) is None


def test_an_rtsp_address_that_cannot_be_asked_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    no_path = objection(Camera("1", "generic", scheme="rtsp", host="h", path="/"))
    assert no_path is not None
    assert "names no path" in no_path
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    can_decode.cache_clear()
    try:
        no_extra = objection(Camera("1", "generic", scheme="rtsp", host="h", path="/live"))
    finally:
        can_decode.cache_clear()
    assert no_extra is not None
    assert "pip install 'cctv-images[rtsp]'" in no_extra


# Floods


TINY = H264_SDP, b"$\0\0\0" * 8192
BLANK = H264_SDP, b"\r\n" * 16384
FOREIGN = H264_SDP, b"A * RTSP/1.0\r\n\r\n" * 2048
UNITS = H264_SDP, b"$\0\xff\xff" + rtp(b"\x18" + b"\0\1\x65" * 21_836, sequence=1, marker=False).ljust(65535, b"\0")


@pytest.mark.parametrize(("sdp", "flood"), [TINY, BLANK, FOREIGN, UNITS], ids=["tiny", "blank", "foreign", "units"])
async def test_a_flood_does_not_hold_up_the_loop(sdp: bytes, flood: bytes) -> None:
    async def pour(talk: Talk) -> None:
        while True:
            talk.writer.write(flood)
            await talk.writer.drain()

    longest = 0.0
    async with raw_rtsp(serving(sdp=sdp, play=pour)) as (port, _), acquirer(timeout_s=1) as fetcher:
        asking = asyncio.create_task(outcome(fetcher, camera(port)))
        while not asking.done():
            begin = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begin)
    assert isinstance(asking.result(), CameraError)
    assert longest < 0.05, "seconds of work between two turns of the loop"


async def test_a_track_on_another_host_is_still_asked_of_the_camera_itself() -> None:
    elsewhere = b"v=0\r\nm=video 0 RTP/AVP 26\r\na=control:rtsp://127.0.0.9:9/live/track1\r\n"
    async with raw_rtsp(serving(sdp=elsewhere, play=send_picture)) as (port, requests), acquirer() as fetcher:
        assert size(await outcome(fetcher, camera(port))) == (320, 176)
    assert requests[1].url == "rtsp://127.0.0.9:9/live/track1"


async def test_a_cut_key_picture_is_damaged() -> None:
    whole = encoded("h264"), encoded("hevc")
    decoder = Decoder(max_pixels=1_000_000, max_bytes=1 << 20)
    for codec, picture in zip(("h264", "hevc"), whole, strict=True):
        assert examine(await decoder.jpeg(codec, picture), 1_000_000).width == 640
        with pytest.raises(CameraError) as caught:
            await decoder.jpeg(codec, picture[: len(picture) // 2])
        assert caught.value.state is ErrorState.TRUNCATED


def encoded(codec: str) -> bytes:
    """One key picture, encoded by PyAV."""
    encoder = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuv420p"
    encoder.time_base = Fraction(1, 10)
    frame = av.VideoFrame.from_image(Image.effect_noise((640, 360), 60).convert("RGB"))
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
