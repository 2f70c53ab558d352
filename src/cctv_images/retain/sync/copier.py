"""One object from here to there, whole and proven, and never an older one over a newer one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from cctv_images.clock import Clock, iso
from cctv_images.errors import StoreError
from cctv_images.publish.side import CHANGED, THERE, About, Body, Side
from cctv_images.retain.sync.backlog import Item
from cctv_images.retain.sync.records import KeyList
from cctv_images.retain.sync.tally import DIFFERENT, NEWER, SAME, Tally

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Before another try of the same object, with jitter."""
LARGE = 1 << 20
LARGE_AT_ONCE = 2
"""Objects of more than LARGE bytes on their way at the same time: what bounds the memory."""
COPIED_BY_SERVER = 256 << 20
"""Bytes of an object that a server can be trusted to copy before its answer counts as overdue."""
OF_ONE_OBJECT = {"refused", "missing", CHANGED, THERE, "lied"}
"""Reasons that say nothing about the next object."""
IN_A_ROW = 3
"""Times the concurrency: after so many failures in a row for other reasons there is no use in going on."""


class Hopeless(Exception):
    """A side takes or gives nothing any more; the text says why."""


class Pace:
    """At most so many bytes a second, over all copies together. 0: as fast as it goes."""

    def __init__(self, bytes_per_s: int, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._free = 0.0
        """When the last one may go on."""

    async def __call__(self, size: int) -> None:
        if self._bytes_per_s:
            now = self._clock.monotonic()
            self._free = max(self._free, now) + size / self._bytes_per_s
            await self._clock.sleep(self._free - now)


@dataclass(slots=True)
class Copier:
    source: Side
    destination: Side
    tally: Tally
    pace: Callable[[int], Awaitable[None]]
    clock: Clock
    concurrency: int
    report_only: bool
    update: bool
    checksum: bool
    different: KeyList
    failed: KeyList
    _server_copies: bool = True
    _failures: int = 0
    """In a row."""
    _large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))

    async def settle(self, item: Item) -> None:
        """Brings one item to an end, in several tries, and counts which. Raises Hopeless."""
        pauses, doubt = iter(PAUSES_S), False
        while True:
            try:
                await (self._differs(item, doubt) if item.theirs else self._missing(item))
            except StoreError as error:
                pause = next(pauses, None)
                if pause is None or not error.transient:
                    self._fail(item.ours.key, error)
                    break
            else:
                self._failures = 0
                break
            doubt = True
            self.tally.retries += 1
            await self.clock.sleep(pause * random.uniform(0.5, 1.5))
        self.tally.compared.open -= 1
        self.tally.compared.open_bytes -= item.ours.size

    async def _missing(self, item: Item) -> None:
        try:
            await self._write(item, None)
        except StoreError as error:
            if error.reason != THERE:
                raise
            if await self._differs(item, doubt=True):
                self.tally.compared.arrived += 1

    async def _differs(self, item: Item, doubt: bool) -> bool:
        """Looks at both and says whether the destination has the same or a newer one. doubt: what is there may be what
        an earlier try has put, and could not prove: its size alone says nothing."""
        key = item.ours.key
        ours, theirs = await self.source.look(key), await self.destination.look(key)
        if ours is None:
            await self._check_gone(key)
        elif theirs is None:
            await self._write(item, None)
        else:
            return await self._apply(item, await self._judge(key, ours, theirs, doubt), ours, theirs)
        return False

    async def _apply(self, item: Item, verdict: str, ours: About, theirs: About) -> bool:
        compared, key = self.tally.compared, item.ours.key
        if replaced := verdict == DIFFERENT and self.update and not self.report_only:
            await self._write(item, theirs)
        if item.theirs is not None or verdict == DIFFERENT:
            compared.classes[verdict].add(key, ours.size)
        if verdict == DIFFERENT:
            compared.left_different += not replaced
            captured = [iso(about.moment) for about in (ours, theirs)]
            self.different.add({"key": key, "sizes": [ours.size, theirs.size], "captured_at": captured})
        return verdict != DIFFERENT

    async def _judge(self, key: str, ours: About, theirs: About, doubt: bool) -> str:
        hashes = [ours.md5, theirs.md5]
        if ours.size == theirs.size:
            if self.checksum or doubt:
                sides = (self.source, self.destination)
                hashes = [known or await self._read(side, key) for side, known in zip(sides, hashes, strict=True)]
            same_moment = None in (ours.captured_at, theirs.captured_at) or ours.captured_at == theirs.captured_at
            if hashes[0] == hashes[1] if None not in hashes else same_moment:
                return SAME
        return NEWER if theirs.moment > ours.moment else DIFFERENT

    async def _read(self, side: Side, key: str) -> str:
        async with side.reading(key) as reading:
            body = Body(reading, self.pace)
            while await body.part(LARGE):
                pass
            return body.verify()

    async def _write(self, item: Item, over: About | None) -> None:
        """Copies; an object that has gone from the source meanwhile is none to copy."""
        key, size = item.ours.key, item.ours.size
        try:
            if not await self._copied_by_server(key, size, over):
                async with self._large if size > LARGE else nullcontext(), self.source.reading(key) as reading:
                    size = reading.about.size
                    await self.destination.write(key, Body(reading, self.pace), over)
        except StoreError as error:
            if error.reason != "missing":
                raise
            await self._check_gone(key)
        else:
            (self.tally.copied if over is None else self.tally.updated).add(size)

    async def _copied_by_server(self, key: str, size: int, over: About | None) -> bool:
        if not self._server_copies or size > COPIED_BY_SERVER:
            return False
        try:
            done = await self.destination.copy(self.source, key, over)
        except StoreError as error:
            if error.reason not in ("denied", "refused", "lied"):
                raise
            done = False
        self._server_copies = self._server_copies and done
        if done:
            self.tally.by_server.add(size)
            await self.pace(size)
        return done

    async def _check_gone(self, key: str) -> None:
        """Counts it as vanished. Raises StoreError unless the source says so plainly."""
        try:
            async with self.source.reading(key):
                raise StoreError(CHANGED, "it was gone and is there again")
        except StoreError as error:
            if error.reason != "missing" or await self.source.look(key) is not None:
                raise
        self.tally.compared.vanished += 1

    def _fail(self, key: str, error: StoreError) -> None:
        self.tally.compared.fail(error.reason, error.detail)
        self.failed.add({"key": key, "reason": error.reason, "detail": error.detail})
        if error.reason in OF_ONE_OBJECT:
            return
        self._failures += 1
        if self._failures >= IN_A_ROW * self.concurrency:
            raise Hopeless(
                f"{self._failures} objects in a row failed, the last one so ({error.reason}): {error.detail}"
            )
