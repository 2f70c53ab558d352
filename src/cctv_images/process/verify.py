"""Bytes → a picture that may be published. The bytes are judged, never the content type."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.convert import kind_of, to_jpeg
from cctv_images.process.describe import describe
from cctv_images.process.jpeg import find_start, read_jpeg
from cctv_images.process.whole import check_whole


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG that decoded to its end."""

    data: bytes
    width: int
    height: int
    md5: str
    """Hex digest of data, with which a store's ETag is compared."""


class Verifier:
    """Judges bodies in threads of its own (the decoders release the GIL).

    At most `workers` pictures hold pixels at a time; the rest wait in line, as bytes only.
    """

    def __init__(self, max_pixels: int, workers: int = 2) -> None:
        self._max_pixels = max_pixels
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="verify")

    async def verify(self, data: bytes) -> Picture:
        """Raises CameraError: TOO_LARGE, NOT_AN_IMAGE, TRUNCATED."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, examine, data, self._max_pixels)

    async def alive(self) -> None:
        """Returns once a thread has been free: what a watchdog asks."""
        await asyncio.get_running_loop().run_in_executor(self._threads, int)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def examine(data: bytes, max_pixels: int) -> Picture:
    """What `Verifier.verify` does, in the calling thread."""
    try:
        if kind := kind_of(data):
            return _picture(*to_jpeg(data, kind, max_pixels))
        start = find_start(data)
        if start < 0:
            raise CameraError(ErrorState.NOT_AN_IMAGE, describe(data))
        jpeg = read_jpeg(data, start, max_pixels)
        check_whole(jpeg)
    except MemoryError:
        raise CameraError(ErrorState.TOO_LARGE, "a picture that takes more memory than there is") from None
    return _picture(jpeg.data, jpeg.frame.width, jpeg.frame.height)


def _picture(data: bytes, width: int, height: int) -> Picture:
    return Picture(data, width, height, hashlib.md5(data, usedforsecurity=False).hexdigest())
