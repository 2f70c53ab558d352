"""A camera's pictures by RTSP: MJPEG over the connection itself, one picture a play (RFC 2326, RFC 2435)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cctv_images.simulate.answers import Step

_PIECE = 1400
_DESCRIPTION = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=zoo\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:trackID=0\r\n"
_SAYS = {
    "OPTIONS": ("Public: DESCRIBE, SETUP, PLAY, TEARDOWN",),
    "DESCRIBE": ("Content-Type: application/sdp", f"Content-Length: {len(_DESCRIPTION)}"),
    "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 26;timeout=60"),
    "PLAY": ("Session: 26",),
    "TEARDOWN": ("Session: 26",),
}


def answer(method: str, sequence: str, picture: bytes, challenges: Iterable[str] | None) -> Iterable[Step]:
    """sequence: the request's CSeq. challenges: WWW-Authenticate values, where a login is wanted."""
    if challenges is not None:
        yield _head("401 Unauthorized", sequence, *(f"WWW-Authenticate: {value}" for value in challenges))
    elif method not in _SAYS:
        yield _head("405 Method Not Allowed", sequence)
    else:
        yield _head("200 OK", sequence, *_SAYS[method])
        if method == "DESCRIBE":
            yield _DESCRIPTION.encode()
        if method == "PLAY":
            yield packets(picture)


def _head(status: str, sequence: str, *fields: str) -> bytes:
    return "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {sequence}", *fields, "", ""]).encode()


def packets(jpeg: bytes) -> bytes:
    """A baseline JPEG of 4:2:0 with the standard's Huffman tables, as Pillow writes it."""
    frame = jpeg.index(b"\xff\xc0")
    height, width = (int.from_bytes(jpeg[at : at + 2], "big") for at in (frame + 5, frame + 7))
    tables = b"".join(re.findall(rb"\xff\xdb\x00\x43.(.{64})", jpeg[:frame], re.DOTALL))
    scan = jpeg[jpeg.index(b"\xff\xda", frame) + 14 : jpeg.rindex(b"\xff\xd9")]
    sent = bytearray()
    for number, at in enumerate(range(0, len(scan), _PIECE)):
        last = at + _PIECE >= len(scan)
        head = b"\x80" + bytes([26 | last << 7]) + number.to_bytes(2, "big") + b"\0\0\0\1\0\0\0\x1a"
        head += b"\0" + at.to_bytes(3, "big") + bytes([1, 255, width // 8, height // 8])
        if at == 0:
            head += b"\0\0" + len(tables).to_bytes(2, "big") + tables
        payload = head + scan[at : at + _PIECE]
        sent += b"$\0" + len(payload).to_bytes(2, "big") + payload
    return bytes(sent)
