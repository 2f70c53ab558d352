"""The bytes of one body, read within their limits and only as far as there is a picture."""

from __future__ import annotations

import asyncio
import zlib

from cctv_images.acquire.budget import Body
from cctv_images.acquire.exchange import ClosedEarly, ProtocolError, Reply
from cctv_images.acquire.picture_stream import FirstJpeg, begins_stream, is_picture, is_whole
from cctv_images.errors import CameraError, ErrorState

SILENCE_S = 1.0
"""A body that is a whole picture is waited for at most twice as long, whatever length it has announced."""

UNDECIDED = 512
"""Bytes within which a body of unknown length shows whether it is a stream."""

GZIP, ZLIB, RAW_DEFLATE = 31, 15, -15
_STEP = 262_144


async def read_picture(reply: Reply, body: Body) -> bytes:
    """Reads until the picture is there. Raises CameraError (TOO_LARGE, DISCONNECTED, TRUNCATED …) or ProtocolError."""
    multipart = _kind(reply).startswith("multipart/")
    if reply.length is not None and reply.length > body.max_bytes and not multipart:
        raise CameraError(ErrorState.TOO_LARGE, f"{reply.length:,} bytes announced, {body.max_bytes:,} allowed")
    filling = _Filling(body, multipart=multipart, certain=reply.length is not None)
    await _fill(reply, body, filling)
    if body.evicted:
        raise body.spent()
    first = filling.first
    if first is None and is_picture(body.data):
        return bytes(body.data)
    await _unpack(body, reply.headers.get("Content-Encoding", ""))
    if first is None and begins_stream(body.data):
        first = FirstJpeg()
        first.advance(body.data)
    if first is None or first.start < 0:
        return bytes(body.data)
    with memoryview(body.data) as view:
        return bytes(view[first.start : first.end if first.end > 0 else None])


async def read_beginning(reply: Reply, count: int, limit_s: float) -> bytes:
    """What an answer that is no picture begins with; whatever goes wrong meanwhile does not matter."""
    beginning = b""
    try:
        async with asyncio.timeout(limit_s):
            while len(beginning) < count and (piece := await reply.read()):
                beginning += piece
    except (TimeoutError, ClosedEarly, ProtocolError, CameraError):
        pass
    return beginning[:count]


class _Filling:
    """Takes a body's pieces; knows when the first picture of one that may go on for ever is complete."""

    def __init__(self, body: Body, *, multipart: bool, certain: bool) -> None:
        self.first = FirstJpeg() if multipart else None
        self._body = body
        self._undecided = not multipart and not certain

    def take(self, piece: bytes) -> bool:
        """True when no more is needed."""
        data = self._body.add(piece)
        if self._undecided:
            self.first = FirstJpeg() if begins_stream(data) else None
            self._undecided = self.first is None and len(data) < UNDECIDED
        return self.first is not None and self.first.advance(data)


async def _fill(reply: Reply, body: Body, filling: _Filling) -> None:
    """Reads to the end of the body, or to what serves as one because a whole picture is there by then."""
    while True:
        before = len(body.data)
        try:
            async with asyncio.timeout(SILENCE_S):
                while (piece := await reply.read()) and not filling.take(piece):
                    pass
            return
        except TimeoutError:
            if len(body.data) == before and (is_whole(body.data) or reply.enough):
                return
        except ClosedEarly:
            if is_whole(body.data):
                return
            of = f" of {reply.length:,}" if reply.length else ""
            raise CameraError(ErrorState.DISCONNECTED, f"closed after {len(body.data):,} bytes{of}") from None
        except ProtocolError:
            if is_whole(body.data):
                return
            raise


async def _unpack(body: Body, encoding: str) -> None:
    """Undoes gzip, which some cameras send unasked, and deflate where it is named. Nothing grows beyond the limits."""
    if body.data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(GZIP)
    elif "deflate" in encoding.lower():
        unpacker = zlib.decompressobj(ZLIB if body.data[:1] == b"\x78" else RAW_DEFLATE)
    else:
        return
    packed = bytes(body.data)
    body.restart()
    try:
        while packed and not unpacker.eof:
            body.add(unpacker.decompress(packed, _STEP))
            packed = unpacker.unconsumed_tail
            await asyncio.sleep(0)
    except zlib.error:
        raise CameraError(ErrorState.NOT_AN_IMAGE, "compressed in a way that cannot be unpacked") from None
    if not unpacker.eof:
        raise CameraError(ErrorState.TRUNCATED, "the compressed answer was cut short")


def _kind(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "").strip().lower()
