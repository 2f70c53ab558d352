"""Threads for work of one kind, which take what costs least first and let no crowd of bytes wait for them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from cctv_images.errors import CameraError, ErrorState

T = TypeVar("T")

PATIENCE_S = 30.0
"""How long work may wait for a thread. Only a crowd of costly pictures makes anybody wait for seconds."""


@dataclass(slots=True, order=True)
class _Place:
    cost: float
    number: int
    size: int = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


class Lane:
    """At most `threads` pieces of work hold pixels at a time, the rest wait in line, as at most `limit` bytes."""

    def __init__(self, name: str, threads: int, limit: int, patience_s: float = PATIENCE_S) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._limit = limit
        self._patience_s = patience_s
        self._bytes = 0
        self._line: list[_Place] = []
        self._numbers = itertools.count()

    async def run(self, work: Callable[[], T], *, cost: float, size: int) -> T:
        """cost: in any unit. size: bytes that are held while waiting. Raises CameraError(TOO_LARGE) at the limits."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(cost, size)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pass_on()

    async def alive(self) -> None:
        """Returns once a thread has been free."""
        await asyncio.get_running_loop().run_in_executor(self._threads, int)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for place in self._line:
            place.turn.cancel()

    async def _wait(self, cost: float, size: int) -> None:
        place = _Place(cost, next(self._numbers), size, asyncio.get_running_loop().create_future())
        heapq.heappush(self._line, place)
        self._bytes += size
        self._bound()
        try:
            async with asyncio.timeout(self._patience_s):
                await place.turn
        except BaseException as error:
            if place in self._line:
                self._leave(place)
            elif place.turn.done() and not place.turn.cancelled() and place.turn.exception() is None:
                self._pass_on()
            if isinstance(error, TimeoutError):
                what = f"no time was found within {self._patience_s:g} s for a picture that takes so much"
                raise CameraError(ErrorState.TOO_LARGE, what) from None
            raise

    def _pass_on(self) -> None:
        if not self._line:
            self._free += 1
            return
        place = heapq.heappop(self._line)
        self._bytes -= place.size
        if place.turn.done():
            self._pass_on()
        else:
            place.turn.set_result(None)

    def _bound(self) -> None:
        while self._bytes > self._limit:
            largest = max(self._line, key=lambda place: place.size)
            self._leave(largest)
            if not largest.turn.done():
                largest.turn.set_exception(
                    CameraError(ErrorState.TOO_LARGE, "the memory for waiting pictures was spent, this one the largest")
                )

    def _leave(self, place: _Place) -> None:
        self._line.remove(place)
        heapq.heapify(self._line)
        self._bytes -= place.size
