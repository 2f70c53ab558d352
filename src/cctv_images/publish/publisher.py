"""Between the cameras and the store: one lane per key, one layer of retries, one breaker for the store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from cctv_images.clock import Clock
from cctv_images.errors import StoreError
from cctv_images.publish.gate import Gate, GaveUp
from cctv_images.publish.store import Publication, Receipt, Store

T = TypeVar("T")

MAX_WAITING_BYTES = 64 << 20
LAST_PUTS_S = 5.0
"""What puts under way get when the service stops."""
FAIR_TRY_S = 3.0
"""A try that had less time than this until its deadline says nothing about the store."""
NEVER = float("-inf")

FIRST_BACKOFF_S = 1.0
BACKOFF = wait_random_exponential(multiplier=2 * FIRST_BACKOFF_S, max=30)
"""Full jitter: the whole fleet meets a store's trouble at once and must not come back at once."""


@dataclass(slots=True, eq=False)
class _Lane:
    """All that concerns one key. Only who holds the lock talks to the store."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    newest: _Job | None = None
    landed: float = NEVER
    """captured_at of the newest object that the store has proven."""


@dataclass(slots=True, eq=False)
class _Job:
    key: str
    captured_at: float
    size: int
    deadline_s: float
    scope: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    in_store: bool = False
    dropped: StoreError | None = None

    def drop(self, why: StoreError) -> None:
        """Ends the job's waiting. A request under way is let finish; it is not repeated."""
        self.dropped = self.dropped or why
        if not self.in_store:
            self.scope.reschedule(asyncio.get_running_loop().time())


class _Held:
    """A store and how many requests are under way in it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.users = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def __enter__(self) -> Store:
        self.users += 1
        self.idle.clear()
        return self.store

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if not self.users:
            self.idle.set()

    async def retire(self) -> None:
        """Closes it after its last request, or now when cancelled."""
        try:
            await self.idle.wait()
        finally:
            await self.store.close()


class Publisher:
    """on_sick(reason, detail) is called once when the store falls ill, on_well() once when it takes objects again."""

    def __init__(
        self, store: Store, clock: Clock, *, on_sick: Callable[[str, str], None], on_well: Callable[[], None]
    ) -> None:
        self._held = _Held(store)
        self._clock = clock
        self._gate = Gate(clock, on_sick, on_well)
        self._lanes: dict[str, _Lane] = {}
        self._jobs: dict[_Job, None] = {}  # in order of arrival
        self._bytes = 0
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def put(self, camera_id: str, publication: Publication, deadline_s: float, behind: int = 0) -> Receipt:
        """Returns when the store has proven the object. deadline_s is in the clock's monotonic seconds; behind: bytes
        that the caller holds until then, to be put next: they wait as well.

        Raises StoreError; its reason is "superseded" where a newer object of the same key was put meanwhile, "no_room"
        where too many bytes wait for a sick store, "stopping" while the service ends. A transient failure is repeated
        until the deadline, any other is raised at once; while the store is sick all wait for it.
        """
        size = len(publication.body) + behind
        job = _Job(publication.key, publication.captured_at, size, deadline_s)
        return await self._run(job, lambda store: store.put(publication))

    async def delete(self, camera_id: str, key: str, deadline_s: float) -> None:
        """Removes an object in its key's lane, so that no late put brings it back. Raises StoreError."""
        await self._run(_Job(key, self._clock.time(), 0, deadline_s), lambda store: store.delete(key))

    async def swap(self, store: Store) -> None:
        """Uses another store (rotated credentials) from now on; the old one is closed after its last request."""
        old, self._held = self._held, _Held(store)
        task = asyncio.create_task(old.retire(), name="old store retires")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self._gate.nudge()

    async def close(self) -> None:
        """Ends what waits, gives what is under way some seconds, then closes the store."""
        self._stopping = True
        for job in list(self._jobs):
            job.drop(StoreError("stopping", "the service is stopping", transient=False))
        self._gate.close()
        last = {*self._retiring, asyncio.create_task(self._held.retire(), name="store retires")}
        _, late = await asyncio.wait(last, timeout=LAST_PUTS_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def be_impatient(self, patience_s: float) -> None:
        """Puts wait for a sick store no longer than this from its falling ill, and not at all for a lasting trouble:
        for one who wants to know now (run --once)."""
        self._gate.patience_s = patience_s

    def suspect(self, error: StoreError) -> None:
        """The store is known to be sick: on_sick is called, and the next put is a probe."""
        self._gate.suspect(error)

    @property
    def waiting(self) -> int:
        """Objects that the store has not been able to take yet."""
        return sum(not job.in_store for job in self._jobs)

    async def _run(self, job: _Job, action: Callable[[Store], Awaitable[T]]) -> T:
        lane = self._lanes.setdefault(job.key, _Lane())
        self._admit(job, lane)
        try:
            async with job.scope:
                return await self._keep_trying(job, lane, action)
        except (StoreError, TimeoutError):
            if job.dropped:
                raise job.dropped from None
            raise
        finally:
            del self._jobs[job]
            self._bytes -= job.size
            if lane.newest is job:
                lane.newest = None

    def _admit(self, job: _Job, lane: _Lane) -> None:
        if self._stopping:
            raise StoreError("stopping", "the service is stopping", transient=False)
        newest = max(lane.landed, lane.newest.captured_at if lane.newest else NEVER)
        # A moment that is still to come was taken before the clock was set back: it says nothing.
        if job.captured_at < newest <= self._clock.time():
            raise StoreError("superseded", "the store has got a newer one", transient=False)
        if lane.newest:
            lane.newest.drop(StoreError("superseded", "a newer one is on its way", transient=False))
        lane.newest = job
        self._jobs[job] = None
        self._bytes += job.size
        self._make_room(job)

    def _make_room(self, latest: _Job) -> None:
        if self._bytes <= MAX_WAITING_BYTES:
            return
        excess = sum(job.size for job in self._jobs if not job.dropped) - MAX_WAITING_BYTES
        for job in self._jobs:
            if excess <= 0:
                break
            if not job.in_store and not job.dropped and job is not latest:
                job.drop(StoreError("no_room", "too many pictures wait for the store", transient=False))
                excess -= job.size

    async def _keep_trying(self, job: _Job, lane: _Lane, action: Callable[[Store], Awaitable[T]]) -> T:
        def again(error: BaseException) -> bool:
            if not isinstance(error, StoreError) or isinstance(error, GaveUp) or job.dropped or self._left(job) <= 0:
                return False
            return self._gate.worth_waiting if self._gate.trouble else error.transient

        try:  # Few need a second try, and building an AsyncRetrying costs a third of a put.
            return await self._try(job, lane, action)
        except StoreError as error:
            if not again(error):
                raise
        await self._clock.sleep(min(random.uniform(0, FIRST_BACKOFF_S), self._left(job)))
        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=lambda state: min(BACKOFF(state), self._left(job)),
            retry=retry_if_exception(again),
            reraise=True,
        )
        return await retrying(self._try, job, lane, action)

    async def _try(self, job: _Job, lane: _Lane, action: Callable[[Store], Awaitable[T]]) -> T:
        async with lane.lock:
            probe = await self._gate.enter(job.key, job.deadline_s)
            left = self._left(job)
            outcome: StoreError | bool | None = None
            job.in_store = True
            try:
                with self._held as store:
                    async with asyncio.timeout(left):
                        result = await action(store)
                outcome = True
                lane.landed = job.captured_at
                return result
            except TimeoutError:
                late = StoreError("timeout", f"not taken in the {left:.0f} s that were left for it", transient=False)
                outcome = late if left >= FAIR_TRY_S else None
                raise late from None
            except StoreError as error:
                outcome = error
                raise
            finally:
                job.in_store = False
                self._gate.leave(job.key, outcome, probe=probe)

    def _left(self, job: _Job) -> float:
        return max(0.0, job.deadline_s - self._clock.monotonic())
