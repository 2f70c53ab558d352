"""What goes over the wire: an answer is a script of bytes, pauses and an end, and each fault is one short script."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from PIL import Image

from cctv_images.simulate import jpeg
from cctv_images.simulate.faults import Fault
from cctv_images.simulate.persona import Persona


class End(Enum):
    CLOSE = auto()
    RESET = auto()
    HOLD = auto()
    """Says no more and waits for the client to leave."""


Step = bytes | float | End
"""Bytes to send, seconds to wait, or the end. A script that runs out leaves the connection open for more."""

TRAP_HOST = "127.255.255.254"
"""Where redirects lead: nobody should ever come."""

MOVED = "/moved"
"""Prefix of the other path that a camera sends to."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as an answer depends on it."""

    persona: Persona
    target: str
    port: int
    keep_alive: bool
    picture: bytes = b""


def head(
    persona: Persona, status: str, *headers: str, length: int | None = None, content_type: str | None = None
) -> bytes:
    lines = [f"HTTP/{persona.http} {status}"]
    if persona.server is not None:
        lines.append(f"Server: {persona.server}")
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")


def still(asked: Asked) -> list[Step]:
    """The picture as that make sends it."""
    persona, picture = asked.persona, asked.picture
    closes = not persona.content_length or not asked.keep_alive
    return [
        head(
            persona,
            "200 OK",
            *(["Connection: close"] if closes else []),
            length=len(picture) if persona.content_length else None,
            content_type=persona.content_type,
        ),
        picture + persona.after_image if persona.after_image else picture,
        *([End.CLOSE] if closes else []),
    ]


def whole(
    asked: Asked, body: bytes, *headers: str, status: str = "200 OK", content_type: str | None = "image/jpeg"
) -> list[Step]:
    """A plain answer with a right length, closed behind."""
    closing = head(asked.persona, status, *headers, "Connection: close", length=len(body), content_type=content_type)
    return [closing + body, End.CLOSE]


def error(asked: Asked, status: str, *headers: str, detail: str = "") -> list[Step]:
    """An error in the make's own words."""
    code, _, reason = status.partition(" ")
    words = detail or reason
    match asked.persona.errors:
        case "xml":
            return whole(asked, response_status(asked.target, 4, words), *headers, status=status, content_type=_XML)
        case "json":
            known = {"401": (-6, "please login first"), "503": (-5, "max session")}
            number, words = known.get(code, (-int(code), words))
            said = json.dumps([{"cmd": "Snap", "code": 1, "error": {"detail": words, "rspCode": number}}]).encode()
            status = "200 OK" if code in known else status
            return whole(asked, said, *headers, status=status, content_type="text/html")
        case "acti" if code in ("401", "403"):
            return whole(asked, b"ERROR: account or password is wrong\r\n", content_type="text/plain")
        case "foscam" if code in ("401", "403"):
            said = b"<CGI_Result>\n    <result>-2</result>\n</CGI_Result>\n"
            return whole(asked, said, content_type="text/plain")
        case "text":
            said = f"Error\r\n{words}\r\n".encode()
            return whole(asked, said, *headers, status=status, content_type="text/plain;charset=utf-8")
    said = f"<html><head><title>{status}</title></head><body><h2>Document Error: {words}</h2></body></html>".encode()
    return whole(asked, said, *headers, status=status, content_type="text/html")


_XML = 'application/xml; charset="UTF-8"'


def response_status(target: str, code: int, text: str, sub: str = "") -> bytes:
    """Hikvision's ResponseStatus document."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ResponseStatus version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">\n'
        f"<requestURL>{target.partition('?')[0]}</requestURL>\n"
        f"<statusCode>{code}</statusCode>\n<statusString>{text}</statusString>\n"
        f"<subStatusCode>{sub or text.lower()}</subStatusCode>\n</ResponseStatus>\n"
    ).encode()


def _length_off(asked: Asked, by: int) -> Iterable[Step]:
    picture = asked.picture
    yield (
        head(asked.persona, "200 OK", "Connection: close", length=len(picture) + by, content_type="image/jpeg")
        + picture
    )
    yield End.CLOSE


def _drip(data: bytes, first: int = 0) -> Iterable[Step]:
    if first:
        yield data[:first]
    for at in range(first, len(data)):
        yield data[at : at + 1]
        yield 1.0
    yield End.CLOSE


def _as_sent(asked: Asked) -> bytes:
    return head(asked.persona, "200 OK", length=len(asked.picture), content_type="image/jpeg") + asked.picture


def _drip_body(asked: Asked) -> Iterable[Step]:
    return _drip(_as_sent(asked), len(_as_sent(asked)) - len(asked.picture))


def _half_then(*then: Step) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: [_as_sent(asked)[: len(asked.picture) // 2], *then]


def _endless(first: bytes, more: bytes, pause_s: float = 0.0) -> Iterable[Step]:
    yield first
    while True:
        yield more
        yield pause_s


def _chunks(body: bytes, size: int = 16_384) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join([*(b"%x\r\n%s\r\n" % (len(p), p) for p in parts), b"0\r\n\r\n"])


def _chunked(asked: Asked, *headers: str) -> list[Step]:
    opening = head(asked.persona, "200 OK", "Transfer-Encoding: chunked", *headers, content_type="image/jpeg")
    return [opening + _chunks(asked.picture), End.CLOSE]


def _raw(*lines: str) -> Callable[[Asked], Iterable[Step]]:
    """An answer from header lines as they stand; {n} is the picture's length."""

    def script(asked: Asked) -> list[Step]:
        said = "\r\n".join([*lines, "", ""]).replace("{n}", str(len(asked.picture)))
        return [said.encode("latin-1") + asked.picture, End.CLOSE]

    return script


def _stream(asked: Asked, boundary: str, *, lengths: bool = True) -> Iterable[Step]:
    shown = boundary.removeprefix("--")
    part = f"--{shown}\r\nContent-Type: image/jpeg\r\n"
    part += f"Content-Length: {len(asked.picture)}\r\n\r\n" if lengths else "\r\n"
    kind = f"multipart/x-mixed-replace;boundary={boundary}"
    frame = part.encode() + asked.picture + b"\r\n"
    return _endless(head(asked.persona, "200 OK", "Connection: close", content_type=kind) + frame, frame, 0.2)


def _redirect(location: str) -> Callable[[Asked], Iterable[Step]]:
    def script(asked: Asked) -> list[Step]:
        where = location.format(target=asked.target, port=asked.port, trap=TRAP_HOST)
        return whole(asked, b"", f"Location: {where}", status="302 Found", content_type=None)

    return script


def _busy_xml(status: str) -> Callable[[Asked], Iterable[Step]]:
    def script(asked: Asked) -> list[Step]:
        said = response_status(asked.target, 2, "Device Busy", "deviceBusy")
        return whole(asked, said, status=status, content_type=_XML)

    return script


def _xml_200(asked: Asked) -> list[Step]:
    said = response_status(asked.target, 3, "Device Error", "deviceError")
    return whole(asked, said, content_type=_XML)


def _other_path_xml(asked: Asked) -> list[Step]:
    said = response_status(asked.target, 6, "Invalid XML Content", "badXmlContent")
    return whole(asked, said, content_type=_XML)


def _body(
    change: Callable[[bytes], bytes], content_type: str | None = "image/jpeg"
) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: whole(asked, change(asked.picture), content_type=content_type)


def _said(text: bytes, content_type: str) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: whole(asked, text, content_type=content_type)


def _status(status: str, *headers: str) -> Callable[[Asked], Iterable[Step]]:
    return lambda asked: error(asked, status, *headers)


@functools.cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(32 << 20), 1)


@functools.cache
def _png_bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    return out.getvalue()


_LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Login</title></head><body><form>User <input></form></body></html>"
_NOISE = random.Random(1).randbytes(4096)
_OK = "HTTP/1.1 200 OK"
_JPEG = "Content-Type: image/jpeg"
_CLOSE = "Connection: close"
_LENGTH = "Content-Length: {n}"

SCRIPTS: dict[Fault, Callable[[Asked], Iterable[Step]]] = {
    Fault.NONE: still,
    Fault.SILENT: lambda _: [End.HOLD],
    Fault.DRIP: lambda a: _drip(_as_sent(a)),
    Fault.DRIP_BODY: _drip_body,
    Fault.STALLED: _half_then(End.HOLD),
    Fault.ENDLESS_CONTINUE: lambda _: _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.2),
    Fault.HANG_UP: lambda _: [End.CLOSE],
    Fault.RESET: lambda _: [End.RESET],
    Fault.CUT: _half_then(End.CLOSE),
    Fault.RESET_IN_BODY: _half_then(0.1, End.RESET),
    Fault.GARBAGE: lambda _: [_NOISE, End.CLOSE],
    Fault.BANNER: lambda _: [b"SSH-2.0-dropbear_2012.55\r\n", End.CLOSE],
    Fault.ICY: _raw("ICY 200 OK", "icy-name: camera"),
    Fault.ENDLESS_HEADERS: lambda _: _endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 4000 + b"\r\n", 0.005),
    Fault.CHUNK_GARBAGE: lambda a: [
        head(a.persona, "200 OK", "Transfer-Encoding: chunked", content_type="image/jpeg") + b"zz\r\n" + _NOISE,
        End.CLOSE,
    ],
    Fault.RTSP: lambda _: [b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 0\r\n\r\n", End.CLOSE],
    Fault.NOT_FOUND: _status("404 Not Found"),
    Fault.GONE: _status("410 Gone"),
    Fault.WRONG_METHOD: _status("405 Method Not Allowed", "Allow: POST"),
    Fault.BUSY: _status("503 Service Unavailable", "Retry-After: 2"),
    Fault.TOO_MANY: _status("429 Too Many Requests", "Retry-After: 2"),
    Fault.BUSY_XML: _busy_xml("503 Service Unavailable"),
    Fault.BUSY_XML_200: _busy_xml("200 OK"),
    Fault.SERVER_ERROR: _status("500 Internal Server Error"),
    Fault.SCRIPT_IN_REASON: lambda a: whole(a, b"", status="500 \x1b[31m<script>alert(1)</script>\x1b]0;x\x07"),
    Fault.NO_CONTENT: lambda a: [head(a.persona, "204 No Content", _CLOSE), End.CLOSE],
    Fault.REDIRECTED: _redirect("http://{trap}:{port}/login?from=camera"),
    Fault.REDIRECTED_METADATA: _redirect("http://169.254.169.254/latest/meta-data/iam/security-credentials/"),
    Fault.REDIRECTED_SCHEME: _redirect("file:///etc/passwd"),
    Fault.REDIRECT_LOOP: _redirect("{target}"),
    Fault.TOO_LARGE: lambda a: _endless(
        head(a.persona, "200 OK", length=200_000_000, content_type="image/jpeg") + a.picture, bytes(65_536)
    ),
    Fault.ENDLESS: lambda a: _endless(
        head(a.persona, "200 OK", _CLOSE, content_type="image/jpeg") + jpeg.half(a.picture), b"\x5a" * 65_536
    ),
    Fault.GZIP_BOMB: lambda a: whole(a, _gzip_bomb(), "Content-Encoding: gzip"),
    Fault.HUGE_PIXELS: _body(lambda p: jpeg.claiming(p, 65_500, 65_500)),
    Fault.PNG_BOMB: lambda a: whole(a, _png_bomb(), content_type="image/png"),
    Fault.LOGIN_PAGE: _said(_LOGIN_PAGE, "text/html"),
    Fault.XML_200: _xml_200,
    Fault.OTHER_PATH_XML: _other_path_xml,
    Fault.EMPTY: _said(b"", "image/jpeg"),
    Fault.HTML_AS_JPEG: _said(_LOGIN_PAGE, "image/jpeg"),
    Fault.TRUNCATED: _body(jpeg.half),
    Fault.FORGED_END: _body(lambda p: jpeg.half(p) + jpeg.EOI),
    Fault.ZEROS: _body(lambda p: jpeg.half(p) + bytes(len(p) - len(p) // 2)),
    Fault.NO_LENGTH_CUT: lambda a: [
        head(a.persona, "200 OK", _CLOSE, content_type="image/jpeg") + jpeg.half(a.picture),
        End.CLOSE,
    ],
    Fault.DOUBLE_LENGTH: _raw(_OK, _JPEG, _LENGTH, _LENGTH, _CLOSE),
    Fault.CHUNKED_AND_LENGTH: lambda a: _chunked(a, f"Content-Length: {len(a.picture)}", _CLOSE),
    Fault.NAMELESS_HEADER: _raw(_OK, "Server: GoAhead-Webs", "Tue, 12 Jun 2012 01:56:34 GMT", _JPEG, _LENGTH, _CLOSE),
    Fault.SPACED_HEADER: _raw(_OK, "Content-Type : image/jpeg", _LENGTH, "X Odd Name: 1", _CLOSE),
    Fault.LENGTH_SHORT: lambda a: _length_off(a, -48),
    Fault.LENGTH_LONG: lambda a: _length_off(a, 48),
    Fault.LENGTH_ZERO: _raw(_OK, _JPEG, "Content-Length: 0", _CLOSE),
    Fault.LF_ONLY: lambda a: [
        b"HTTP/1.1 200 OK\nContent-Type: image/jpeg\nConnection: close\n\n" + a.picture,
        End.CLOSE,
    ],
    Fault.LOWER_CASE: _raw("http/1.1 200 ok", _JPEG.lower(), _LENGTH.lower(), _CLOSE.lower()),
    Fault.NO_REASON: _raw("HTTP/1.1 200", _JPEG, _LENGTH, _CLOSE),
    Fault.NO_LENGTH: _raw(_OK, _JPEG, _CLOSE),
    Fault.NO_HEADER: lambda a: [a.picture, End.CLOSE],
    Fault.TWO_ANSWERS: lambda a: [_as_sent(a) * 2, End.CLOSE],
    Fault.CHUNKED: lambda a: _chunked(a, _CLOSE),
    Fault.GZIP: lambda a: whole(a, gzip.compress(a.picture, 1), "Content-Encoding: gzip"),
    Fault.FALSE_GZIP: lambda a: whole(a, a.picture, "Content-Encoding: gzip"),
    Fault.MJPEG: lambda a: _stream(a, "zoo"),
    Fault.MJPEG_DASHES: lambda a: _stream(a, "--myboundary", lengths=False),
    Fault.BACK_TO_BACK: lambda a: _endless(_as_sent(a), a.picture, 0.2),
    Fault.PNG: _body(bytes, "image/png"),
    Fault.WEBP: _body(bytes, "image/webp"),
    Fault.PROGRESSIVE: _body(bytes),
    Fault.GREY: _body(bytes),
    Fault.TRAILING: _body(lambda p: p + b"\x00" * 16 + b"DHAV" + b"\x17" * 300),
    Fault.NO_END: _body(lambda p: p.removesuffix(jpeg.EOI)),
    Fault.CHARSET: _body(bytes, "image/jpeg;charset=utf-8"),
    Fault.NO_TYPE: _body(bytes, None),
    Fault.ODD_TYPE: _body(bytes, "jpeg"),
    Fault.JPG_TYPE: _body(bytes, "image/jpg"),
    Fault.BLACK: _body(bytes),
    Fault.BARS: _body(bytes),
    Fault.NO_SIGNAL: _body(bytes),
    Fault.CLOCK_ONLY: _body(bytes),
    Fault.STUCK: still,
    Fault.MOVED: _redirect(MOVED + "{target}"),
    Fault.SLOW: lambda a: [2.0, *still(a)],
}

BEFORE_LOGIN = frozenset({
    Fault.SILENT, Fault.DRIP, Fault.ENDLESS_CONTINUE, Fault.HANG_UP, Fault.RESET, Fault.GARBAGE, Fault.BANNER,
    Fault.ICY, Fault.ENDLESS_HEADERS, Fault.REDIRECTED, Fault.REDIRECTED_METADATA, Fault.REDIRECTED_SCHEME,
    Fault.REDIRECT_LOOP, Fault.LOGIN_PAGE, Fault.BUSY, Fault.TOO_MANY, Fault.MOVED,
})  # fmt: skip
"""Faults that show before the camera looks at a login."""

FORMS = {
    Fault.PNG: "png",
    Fault.WEBP: "webp",
    Fault.PROGRESSIVE: "progressive",
    Fault.GREY: "grey",
    Fault.BLACK: "black",
    Fault.BARS: "bars",
    Fault.NO_SIGNAL: "no_signal",
    Fault.CLOCK_ONLY: "clock",
}
"""Faults that are another form of the same picture."""
