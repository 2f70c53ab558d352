"""The stage's door: a body → all that is published of it, or the error_state that says why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.process.lane import Lane
from cctv_images.process.render import Order, Picture, Processed
from cctv_images.process.verify import Costly, glance

MIB = 1 << 20
AT_ONCE_BYTES = MIB
"""Larger ones hold the GIL for longer than others should wait while they are read through."""
BYTE_NS = 50
"""Per byte of a large body."""
QUICK_BYTES, COSTLY_BYTES = 64 * MIB, 64 * MIB
"""Of bodies that wait for a thread."""
CROWD_BYTES = 16 * MIB
"""From here on no further camera is asked before somebody's turn has come."""
CROWD_LOOK_S, CROWD_STEP_S = 0.02, 0.002


class Processor:
    """Works in threads of its own (the codecs release the GIL).

    What is costly has one thread to itself, so that a hundred cameras that send nothing else delay each other alone.
    """

    def __init__(self, max_pixels: int, workers: int = 2) -> None:
        self._max_pixels = max_pixels
        self._quick = Lane("pictures", workers, QUICK_BYTES)
        self._costly = Lane("pictures-costly", 1, COSTLY_BYTES)
        self._door = asyncio.Lock()

    async def room(self) -> None:
        """Waits while a crowd of pictures waits: whoever asks a camera comes here first. Each in turn, at a pace at
        which those who have been let in are seen to come back."""
        if not self._door.locked() and self._quick.waiting_bytes < CROWD_BYTES:
            return
        async with self._door:
            while self._quick.waiting_bytes >= CROWD_BYTES:  # noqa: ASYNC110 - the threads tell nobody
                await asyncio.sleep(CROWD_LOOK_S)
            await asyncio.sleep(CROWD_STEP_S)

    async def process(self, data: bytes, camera: Camera, captured_at: float) -> Processed:
        """captured_at: epoch seconds. Raises CameraError: TOO_LARGE, NOT_AN_IMAGE, TRUNCATED."""
        return await self._work(data, partial(Order.of, camera, captured_at))

    async def verify(self, data: bytes) -> Picture:
        """As it is published where nothing is asked for. Raises what `process` raises."""
        return (await self._work(data, Order)).picture

    async def _work(self, data: bytes, order: Callable[[], Order]) -> Processed:
        size, job = len(data), lambda: glance(data, self._max_pixels, order())
        try:
            if size > AT_ONCE_BYTES:
                return await self._costly.run(lambda: _whole(job), cost=BYTE_NS * size, size=size)
            seen = await self._quick.run(job, cost=size, size=size)
            return await self._costly.run(seen.finish, cost=seen.cost, size=size) if isinstance(seen, Costly) else seen
        except MemoryError:
            raise CameraError(ErrorState.TOO_LARGE, "a picture that takes more memory than there is") from None

    async def alive(self) -> None:
        """Returns once a thread for ordinary pictures has been free: what a watchdog asks."""
        await self._quick.alive()

    def close(self) -> None:
        self._quick.close()
        self._costly.close()


def _whole(job: Callable[[], Processed | Costly]) -> Processed:
    seen = job()
    return seen.finish() if isinstance(seen, Costly) else seen
