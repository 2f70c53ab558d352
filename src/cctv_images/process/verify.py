"""Bytes → a picture that may be published. The bytes are judged, never the content type."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.convert import kind_of, pixels_of, to_jpeg
from cctv_images.process.describe import describe
from cctv_images.process.jpeg import Jpeg, find_start, read_jpeg
from cctv_images.process.lane import Lane
from cctv_images.process.whole import check_whole, first_look

T = TypeVar("T")

MIB = 1 << 20
AT_ONCE_BYTES = MIB
"""Larger ones hold the GIL for longer than others should wait while they are read through."""
AT_ONCE_NS = 25_000_000
"""Pixels × scans, each about a nanosecond: 4K in one scan, or 1080p in ten."""
BYTE_NS, CONVERTED_NS = 50, 50
"""Per byte of a large body, and per pixel of a PNG or WebP."""
LOOKS = 10
"""What a second look costs in first ones, roughly."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG that decoded to its end."""

    data: bytes
    width: int
    height: int
    md5: str
    """Hex digest of data, with which a store's ETag is compared."""


@dataclass(frozen=True, slots=True)
class Costly:
    """A body that takes more than some 50 ms to judge."""

    cost: int
    """Of the order of nanoseconds."""
    finish: Callable[[], Picture] = field(repr=False)


class Verifier:
    """Judges bodies in threads of its own (the decoders release the GIL).

    What is costly has one thread to itself, so that a hundred cameras that send nothing else delay each other alone.
    """

    def __init__(self, max_pixels: int, workers: int = 2) -> None:
        self._max_pixels = max_pixels
        self._quick = Lane("verify", workers, 32 * MIB)
        self._costly = Lane("verify-costly", 1, 64 * MIB)

    async def verify(self, data: bytes) -> Picture:
        """Raises CameraError: TOO_LARGE, NOT_AN_IMAGE, TRUNCATED."""
        size = len(data)
        try:
            if size > AT_ONCE_BYTES:
                return await self._costly.run(partial(examine, data, self._max_pixels), cost=BYTE_NS * size, size=size)
            seen = await self._quick.run(partial(glance, data, self._max_pixels), cost=size, size=size)
            return await self._costly.run(seen.finish, cost=seen.cost, size=size) if isinstance(seen, Costly) else seen
        except MemoryError:
            raise CameraError(ErrorState.TOO_LARGE, "a picture that takes more memory than there is") from None

    async def work(self, work: Callable[[], T], cost: int, picture: Picture) -> T:
        """Something more with a picture. cost: of the order of nanoseconds. Raises CameraError(TOO_LARGE)."""
        lane = self._costly if cost > AT_ONCE_NS else self._quick
        return await lane.run(work, cost=cost, size=len(picture.data))

    async def alive(self) -> None:
        """Returns once a thread for ordinary pictures has been free: what a watchdog asks."""
        await self._quick.alive()

    def close(self) -> None:
        self._quick.close()
        self._costly.close()


def examine(data: bytes, max_pixels: int) -> Picture:
    """What `Verifier.verify` does, in the calling thread."""
    seen = glance(data, max_pixels)
    return seen.finish() if isinstance(seen, Costly) else seen


def glance(data: bytes, max_pixels: int) -> Picture | Costly:
    """The judgement where it can be had at once. Raises what `Verifier.verify` raises."""
    if kind := kind_of(data):
        return Costly(CONVERTED_NS * pixels_of(data, kind, max_pixels), partial(_converted, data, kind))
    start = find_start(data)
    if start < 0:
        raise CameraError(ErrorState.NOT_AN_IMAGE, describe(data))
    jpeg = read_jpeg(data, start, max_pixels)
    cost = jpeg.frame.pixels * len(jpeg.scans)
    if cost > AT_ONCE_NS:
        return Costly(cost, partial(_judged, jpeg, partial(check_whole, jpeg)))
    again = first_look(jpeg)
    if again is not None and cost * LOOKS > AT_ONCE_NS:
        return Costly(cost * LOOKS, partial(_judged, jpeg, again))
    return _judged(jpeg, again)


def _converted(data: bytes, kind: str) -> Picture:
    return _picture(*to_jpeg(data, kind))


def _judged(jpeg: Jpeg, judge: Callable[[], None] | None) -> Picture:
    if judge:
        judge()
    return _picture(jpeg.data, jpeg.frame.width, jpeg.frame.height)


def _picture(data: bytes, width: int, height: int) -> Picture:
    return Picture(data, width, height, hashlib.md5(data, usedforsecurity=False).hexdigest())
