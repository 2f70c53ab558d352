"""Threads for work of one kind, which take what costs least first and let no crowd of bytes wait for them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cctv_images.errors import CameraError, ErrorState

T = TypeVar("T")

PATIENCE_S = 30.0
"""How long work may wait for a thread. Only a crowd of costly pictures makes anybody wait for seconds."""


@dataclass(slots=True, order=True)
class _Job:
    cost: float
    number: int
    size: int = field(compare=False)
    work: Callable[[], Any] = field(compare=False)
    done: Future[Any] = field(compare=False, default_factory=Future)


class Lane:
    """At most `threads` pieces of work are under way, the rest wait in line, as at most `limit` bytes.

    The threads choose by themselves: a busy event loop would keep them idle between one piece and the next.
    """

    def __init__(self, name: str, threads: int, limit: int, patience_s: float = PATIENCE_S) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limit = limit
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._line: list[_Job] = []
        self._bytes = 0
        self._numbers = itertools.count()

    async def run(self, work: Callable[[], T], *, cost: float, size: int) -> T:
        """cost: in any unit. size: bytes that are held while waiting. Raises CameraError(TOO_LARGE) at the limits."""
        job = _Job(cost, next(self._numbers), size, work)
        with self._lock:
            heapq.heappush(self._line, job)
            self._bytes += size
            surplus = self._surplus()
        for largest in surplus:
            _end(largest, "the memory for waiting pictures was spent, this one the largest")
        self._threads.submit(self._work)
        patience = asyncio.get_running_loop().call_later(self._patience_s, self._give_up, job)
        try:
            result: T = await asyncio.wrap_future(job.done)
            return result
        finally:
            patience.cancel()
            del job  # where it ends in an exception, that holds this frame and the job the exception

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    async def alive(self) -> None:
        """Returns once a thread has been free."""
        await self.run(int, cost=0, size=0)

    def close(self) -> None:
        """What is under way goes on, what waits is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for job in self._line:
            job.done.cancel()

    def _work(self) -> None:
        """Does what is cheapest: called once for each job, but for none in particular."""
        with self._lock:
            if not self._line:
                return
            job = heapq.heappop(self._line)
            self._bytes -= job.size
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            job.done.set_result(job.work())
        except CameraError as error:  # its traceback would keep the bytes
            job.done.set_exception(error.with_traceback(None))
        except BaseException as error:  # noqa: BLE001 it is the asker's
            job.done.set_exception(error)

    def _give_up(self, job: _Job) -> None:
        with self._lock:
            waits = job in self._line
            if waits:
                self._leave(job)
        if waits:
            _end(job, f"no time was found within {self._patience_s:g} s for a picture that takes so much")

    def _surplus(self) -> list[_Job]:
        ended: list[_Job] = []
        while self._bytes > self._limit and len(self._line) > 1:
            ended.append(max(self._line, key=lambda job: job.size))
            self._leave(ended[-1])
        return ended

    def _leave(self, job: _Job) -> None:
        self._line.remove(job)
        heapq.heapify(self._line)
        self._bytes -= job.size


def _end(job: _Job, why: str) -> None:
    if job.done.set_running_or_notify_cancel():
        job.done.set_exception(CameraError(ErrorState.TOO_LARGE, why))
