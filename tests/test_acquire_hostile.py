"""What is on the wire, and what becomes of it: a picture's bytes or an error_state."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from dataclasses import dataclass

import pytest
import uvloop
from raw_camera import Script, Talk, acquirer, jpeg, ok, outcome, raw_camera, saying

from cctv_images.acquire import Still
from cctv_images.errors import ErrorState

JPEG = jpeg()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(5000) + b"\xff\xd8\xff" + bytes(99) + b"\0\0\0\0IEND\xaeB`\x82"
PART = b"\r\nContent-Type: image/jpeg\r\n\r\n"


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass(frozen=True)
class Case:
    name: str
    script: Script
    expected: ErrorState | bytes
    """The error_state, or the bytes of the picture."""
    lenient: bool | None = None
    """Which way must have read it; None = either."""


def said(name: str, answer: bytes, expected: ErrorState | bytes = JPEG, lenient: bool | None = None) -> Case:
    return Case(name, saying(answer), expected, lenient)


def kept_open(name: str, answer: bytes, expected: ErrorState | bytes = JPEG, lenient: bool | None = None) -> Case:
    async def script(talk: Talk) -> None:
        await talk.say(answer)
        await talk.hold()

    return Case(name, script, expected, lenient)


def done(script: Script, expected: ErrorState | bytes, lenient: bool | None = None) -> Case:
    return Case(script.__name__, script, expected, lenient)


def head(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(*pieces: bytes, eol: bytes = b"\r\n", end: bool = True) -> bytes:
    sent = b"".join(b"%x" % len(piece) + eol + piece + eol for piece in pieces)
    return sent + (b"0" + eol + eol if end else b"")


async def silence(talk: Talk) -> None:
    await talk.hold()


async def closes_without_reply(talk: Talk) -> None:
    return


async def resets_after_the_request(talk: Talk) -> None:
    talk.reset()


async def resets_in_mid_body(talk: Talk) -> None:
    await talk.say(ok(JPEG)[:3000], pause=0.1)
    talk.reset()


async def resets_after_a_whole_body_without_length(talk: Talk) -> None:
    await talk.say(ok(JPEG, length=None), pause=0.1)
    talk.reset()


async def drips_the_head(talk: Talk) -> None:
    for byte in ok(JPEG):
        await talk.say(bytes([byte]), pause=0.1)


async def drips_the_body(talk: Talk) -> None:
    await talk.say(ok(JPEG)[:200])
    for byte in ok(JPEG)[200:]:
        await talk.say(bytes([byte]), pause=0.1)


async def stalls_in_mid_body(talk: Talk) -> None:
    await talk.say(ok(JPEG)[:3000])
    await talk.hold()


async def continues_for_ever(talk: Talk) -> None:
    while True:
        await talk.say(head("HTTP/1.1 100 Continue"), pause=0.05)


async def floods_with_continues(talk: Talk) -> None:
    while True:
        await talk.say(head("HTTP/1.1 100 Continue") * 100, pause=0.001)


async def sends_headers_for_ever(talk: Talk) -> None:
    await talk.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await talk.say(b"X-Filler: " + b"x" * 500 + b"\r\n")


async def sends_for_ever(talk: Talk) -> None:
    await talk.say(ok(b"", length=None, kind="application/octet-stream"))
    while True:
        await talk.say(bytes(65536))


async def sends_a_jpeg_that_never_ends(talk: Talk) -> None:
    await talk.say(ok(JPEG[:-2], length=None))
    while True:
        await talk.say(b"\x11" * 65536)


async def sends_an_endless_header_line(talk: Talk) -> None:
    await talk.say(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    while True:
        await talk.say(b"x" * 65536)


async def length_too_short_extra_bytes_later(talk: Talk) -> None:
    await talk.say(ok(JPEG[:-48], length=len(JPEG) - 48), pause=0.2)
    await talk.say(JPEG[-48:])


async def length_zero_then_a_jpeg_later(talk: Talk) -> None:
    await talk.say(ok(b"", length=0), pause=0.1)
    await talk.say(JPEG)
    await talk.hold()


async def streams_parts_for_ever(talk: Talk) -> None:
    await talk.say(ok(b"", length=None, kind="multipart/x-mixed-replace; boundary=foo"))
    while True:
        await talk.say(b"--foo" + PART + JPEG + b"\r\n", pause=0.02)


async def streams_bare_jpegs_for_ever(talk: Talk) -> None:
    await talk.say(ok(b"", length=None))
    while True:
        await talk.say(JPEG, pause=0.02)


async def streams_jpegs_under_the_first_ones_length(talk: Talk) -> None:
    await talk.say(ok(b"", length=len(JPEG)))
    while True:
        await talk.say(JPEG, pause=0.02)


async def two_answers_to_one_request(talk: Talk) -> None:
    await talk.say(ok(JPEG) + ok(JPEG))
    await talk.hold()


CASES = [
    done(silence, ErrorState.TIMEOUT),
    done(closes_without_reply, ErrorState.DISCONNECTED),
    done(resets_after_the_request, ErrorState.DISCONNECTED),
    done(resets_in_mid_body, ErrorState.DISCONNECTED),
    done(resets_after_a_whole_body_without_length, JPEG),
    done(drips_the_head, ErrorState.TIMEOUT),
    done(drips_the_body, ErrorState.TIMEOUT),
    done(stalls_in_mid_body, ErrorState.TIMEOUT),
    done(continues_for_ever, ErrorState.TIMEOUT),
    done(floods_with_continues, ErrorState.TIMEOUT),
    # bodies and their lengths
    said("plain", ok(JPEG), lenient=False),
    said("HTTP/1.0, no length, closes", head("HTTP/1.0 200 OK") + JPEG, lenient=False),
    said("HTTP/1.1, no length, closes", ok(JPEG, length=None), lenient=False),
    kept_open("no length, stays open", ok(JPEG, length=None), lenient=False),
    kept_open("whole body, stays open", ok(JPEG), lenient=False),
    said("no length, cut short", ok(JPEG[:4000], length=None), JPEG[:4000]),
    said("length too large, closes", ok(JPEG, length=len(JPEG) + 48)),
    kept_open("length too large, stays open", ok(JPEG, length=len(JPEG) + 48)),
    said("length too large, cut short", ok(JPEG[:4000], length=len(JPEG)), ErrorState.DISCONNECTED),
    said("length too small", ok(JPEG, length=len(JPEG) - 48), lenient=True),
    done(length_too_short_extra_bytes_later, JPEG, lenient=True),
    kept_open("length right, no end marker", ok(JPEG[:-2]), JPEG[:-2]),
    said("length twice, the same", ok(JPEG, f"Content-Length: {len(JPEG)}"), lenient=True),
    said("length twice, different", ok(JPEG, "Content-Length: 17"), lenient=True),
    kept_open("length twice, different, stays open", ok(JPEG, "Content-Length: 17"), lenient=True),
    said("length as a list", ok(JPEG, length=f"{len(JPEG)}, {len(JPEG)}"), lenient=True),
    said("length with a sign", ok(JPEG, length=f"+{len(JPEG)}"), lenient=True),
    said("length negative", ok(JPEG, length="-1"), lenient=True),
    said("length garbage", ok(JPEG, length="many"), lenient=True),
    said("length beyond 64 bits", ok(JPEG, length=str(1 << 70)), lenient=True),
    said("length zero, then a JPEG", ok(JPEG, length=0), lenient=True),
    done(length_zero_then_a_jpeg_later, JPEG, lenient=True),
    said("chunked", ok(chunked(JPEG[:500], JPEG[500:]), "Transfer-Encoding: chunked", length=None), lenient=False),
    said("chunked and length", ok(chunked(JPEG), "Transfer-Encoding: chunked"), lenient=True),
    said("chunked and length, but no chunks", ok(JPEG, "Transfer-Encoding: chunked"), lenient=True),
    said("chunked with LF only", ok(chunked(JPEG, eol=b"\n"), "Transfer-Encoding: chunked", length=None), lenient=True),
    said("chunked, no last chunk", ok(chunked(JPEG, end=False), "Transfer-Encoding: chunked", length=None)),
    kept_open("chunked, no last chunk, open", ok(chunked(JPEG, end=False), "Transfer-Encoding: chunked", length=None)),
    said(
        "chunked, cut short",
        ok(chunked(JPEG)[:4000], "Transfer-Encoding: chunked", length=None),
        ErrorState.DISCONNECTED,
    ),
    said(
        "chunk size garbage",
        ok(chunked(JPEG[:500], end=False) + b"zz\r\n" + JPEG, "Transfer-Encoding: chunked", length=None),
        ErrorState.BAD_RESPONSE,
    ),
    said(
        "chunk size overflow",
        ok(b"f" * 40 + b"\r\n" + JPEG, "Transfer-Encoding: chunked", length=None),
        ErrorState.BAD_RESPONSE,
    ),
    # heads
    said("bare LF", ok(JPEG).replace(b"\r\n", b"\n", 3), lenient=False),
    said("bare CR in a value", ok(JPEG, "X-Odd: a\rb"), lenient=True),
    said("NUL in a value", ok(JPEG, "X-Odd: a\0b"), lenient=True),
    said("escape sequence in a value", ok(JPEG, "Server: \x1b[31mred\x1b[0m")),
    said("lower-case protocol", ok(JPEG).replace(b"HTTP/1.1", b"http/1.1"), lenient=True),
    said("protocol without a minor version", ok(JPEG).replace(b"HTTP/1.1", b"HTTP/1"), lenient=True),
    said("HTTP/1.2", ok(JPEG).replace(b"HTTP/1.1", b"HTTP/1.2"), lenient=True),
    said("HTTP/2.0", ok(JPEG).replace(b"HTTP/1.1", b"HTTP/2.0")),
    said("no reason phrase", ok(JPEG).replace(b"200 OK", b"200"), lenient=False),
    said("empty line before the status line", b"\r\n" + ok(JPEG)),
    said("no head at all", JPEG, lenient=True),
    kept_open("no head at all, stays open", JPEG, lenient=True),
    said("no empty line after the head", b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n" + JPEG, lenient=True),
    said("a date without a name", ok(JPEG, "Tue, 12 Jun 2012 01:56:34 GMT"), lenient=True),
    said("a line without a colon", ok(JPEG, "nonsense"), lenient=True),
    said("a name with a blank", ok(JPEG, "X Odd: 1"), lenient=True),
    said("a blank before the colon", ok(JPEG, "X-Odd : 1"), lenient=True),
    said("an empty name", ok(JPEG, ": 1"), lenient=True),
    said("a name that is not ASCII", ok(JPEG, "X-Öd: 1"), lenient=True),
    said("a folded line", ok(JPEG, "X-Odd: a", " b")),
    said("odd cookies", ok(JPEG, "Set-Cookie: \x1b[31m=1; x", "Set-Cookie: =;;;", "Set-Cookie: a b=c")),
    said("Latin-1 in a value", ok(JPEG, "Server: Skåbu")),
    said("a line of 9 kB", ok(JPEG, "X-Long: " + "x" * 9000), lenient=True),
    said("200 lines", ok(JPEG, *(f"X-{n}: 1" for n in range(200))), lenient=True),
    done(sends_headers_for_ever, ErrorState.BAD_RESPONSE),
    done(sends_an_endless_header_line, ErrorState.BAD_RESPONSE),
    said("ICY", b"ICY 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG, ErrorState.BAD_RESPONSE),
    said("RTSP", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", ErrorState.BAD_RESPONSE),
    said("SSH", b"SSH-2.0-dropbear_2019.78\r\n", ErrorState.BAD_RESPONSE),
    said("HTML alone", b"<html><body>hello</body></html>", ErrorState.BAD_RESPONSE),
    said("status 20", ok(JPEG).replace(b"200 OK", b"20 OK"), ErrorState.BAD_RESPONSE),
    said("status 2000", ok(JPEG).replace(b"200 OK", b"2000 OK"), ErrorState.BAD_RESPONSE),
    said("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x16", ErrorState.TLS),
    done(two_answers_to_one_request, JPEG),
    # statuses
    *(
        said(f"status {status}", ok(JPEG).replace(b"200 OK", f"{status} Odd".encode()), state)
        for status, state in {
            101: ErrorState.HTTP_ERROR,
            203: ErrorState.HTTP_ERROR,
            204: ErrorState.HTTP_ERROR,
            206: ErrorState.HTTP_ERROR,
            302: ErrorState.HTTP_ERROR,
            304: ErrorState.HTTP_ERROR,
            400: ErrorState.HTTP_ERROR,
            401: ErrorState.AUTH,
            403: ErrorState.AUTH,
            404: ErrorState.NOT_FOUND,
            405: ErrorState.NOT_FOUND,
            408: ErrorState.HTTP_ERROR,
            410: ErrorState.NOT_FOUND,
            429: ErrorState.BUSY,
            490: ErrorState.HTTP_ERROR,
            500: ErrorState.HTTP_ERROR,
            503: ErrorState.BUSY,
            999: ErrorState.HTTP_ERROR,
        }.items()
    ),
    # sizes and compression
    done(sends_for_ever, ErrorState.TOO_LARGE),
    done(sends_a_jpeg_that_never_ends, ErrorState.TOO_LARGE),
    said("200 MB announced", ok(b"", length=200_000_000), ErrorState.TOO_LARGE),
    said("gzip unasked", ok(gzip.compress(JPEG), "Content-Encoding: gzip")),
    said("gzip unsaid", ok(gzip.compress(JPEG))),
    said("gzip cut short", ok(gzip.compress(JPEG)[:-3000], "Content-Encoding: gzip"), ErrorState.TRUNCATED),
    said("gzip bomb", ok(gzip.compress(bytes(100 << 20)), "Content-Encoding: gzip"), ErrorState.TOO_LARGE),
    said("gzip broken", ok(b"\x1f\x8b\x08" + b"\xff" * 900, "Content-Encoding: gzip"), ErrorState.NOT_AN_IMAGE),
    said("deflate", ok(zlib.compress(JPEG), "Content-Encoding: deflate")),
    said("deflate without its header", ok(zlib.compress(JPEG, wbits=-15), "Content-Encoding: deflate")),
    said("says gzip, is not", ok(JPEG, "Content-Encoding: gzip")),
    said("empty", ok(b""), b""),
    kept_open("a PNG without a length, stays open", ok(PNG, length=None), PNG),
    kept_open("a PNG with a length too large, stays open", ok(PNG, length=len(PNG) + 9), PNG),
    kept_open("a length beside a PNG, too small", ok(PNG, "no colon", length=len(PNG)), PNG),
    said("HTML that says it is a JPEG", ok(b"<html>login</html>"), b"<html>login</html>"),
    # streams
    done(streams_parts_for_ever, JPEG, lenient=False),
    done(streams_bare_jpegs_for_ever, JPEG, lenient=False),
    done(streams_jpegs_under_the_first_ones_length, JPEG),
]

STREAMS = {
    "boundary as it should be": ("multipart/x-mixed-replace; boundary=foo", b"--foo" + PART),
    "boundary announced with its dashes": ("multipart/x-mixed-replace; boundary=--foo", b"--foo" + PART),
    "boundary with four dashes": ("multipart/x-mixed-replace; boundary=--foo", b"----foo" + PART),
    "boundary without dashes": ("multipart/x-mixed-replace; boundary=foo", b"foo" + PART),
    "boundary quoted": ('multipart/x-mixed-replace; boundary="foo"', b"--foo" + PART),
    "no boundary": ("multipart/x-mixed-replace", b"--foo" + PART),
    "long boundary": ("multipart/x-mixed-replace; boundary=" + "x" * 90, b"--" + b"x" * 90 + PART),
    "CRLF first": ("multipart/x-mixed-replace; boundary=foo", b"\r\n--foo" + PART),
    "boundary twice": ("multipart/x-mixed-replace; boundary=foo", b"--foo\r\n--foo" + PART),
    "LF only": ("multipart/x-mixed-replace; boundary=foo", b"--foo\nContent-Type: image/jpeg\n\n"),
    "with a length": (
        "multipart/x-mixed-replace; boundary=foo",
        b"--foo\r\nContent-Length: %d" % len(JPEG) + PART,
    ),
    "a type that hides it": ("application/octet-stream", b"--ffmpeg" + PART),
    "a type that hides it, no dashes": ("application/octet-stream", b"ffmpeg" + PART),
    "no type": ("", b"--foo" + PART),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_camera_that_says_this_ends_as_that(case: Case, loop: str, caplog: pytest.LogCaptureFixture) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(ends_as_expected(case))
    assert caplog.records == []


async def ends_as_expected(case: Case) -> None:
    async with (
        raw_camera(case.script) as camera,
        acquirer(timeout_s=3.0 if case.expected in (JPEG, PNG) else 1.0) as fetcher,
    ):
        came = await outcome(fetcher, camera.camera())
        if isinstance(case.expected, ErrorState):
            assert not isinstance(came, Still), f"a picture of {len(came.data)} bytes"
            assert came.state is case.expected, came.detail
            assert came.detail
        else:
            assert isinstance(came, Still), f"{came.state}: {came.detail}"
            assert came.data == case.expected
            assert case.lenient in (None, came.lenient)
        assert len(camera.heads) <= 2
        assert fetcher._budget.used == 0


@pytest.mark.parametrize("name", STREAMS)
async def test_the_first_picture_of_a_stream_is_taken_and_the_connection_closed(name: str) -> None:
    kind, part = STREAMS[name]

    async def stream(talk: Talk) -> None:
        await talk.say(ok(b"", length=None, kind=kind))
        while True:
            await talk.say(part + JPEG + b"\r\n", pause=0.05)

    async with raw_camera(stream) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, Still), came.detail
        assert came.data == JPEG
        async with asyncio.timeout(2):
            while camera.open:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("30", 30, 30),
        ("99999999", 3600, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600, 3600),
        ("soon", None, None),
        ("-5", None, None),
        ("٣", None, None),
    ],
)
async def test_retry_after_is_understood_and_capped_at_an_hour(value: str, low: float | None, high: float) -> None:
    answer = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_camera(saying(answer)) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert not isinstance(came, Still)
        assert came.state is ErrorState.BUSY
        assert came.retry_after_s is None if low is None else low <= (came.retry_after_s or 0) <= high


@pytest.mark.parametrize("status", [b"200 OK", b"503 Service Unavailable"])
async def test_a_makes_own_words_decide_what_an_answer_means(status: bytes) -> None:
    xml = b"<ResponseStatus><statusCode>2</statusCode><statusString>Device Busy</statusString></ResponseStatus>"
    answer = ok(xml, kind="application/xml").replace(b"200 OK", status)
    async with raw_camera(saying(answer)) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera(recipe="hikvision"))
        assert not isinstance(came, Still)
        assert came.state is ErrorState.BUSY
        assert "Device Busy" in came.detail
