"""From the spool to the archive: some at a time, so many a second, the newest and the oldest in turn."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import StoreError
from cctv_images.publish.store import Publication, Stat, Store
from cctv_images.records import ArchiveRecord
from cctv_images.retain.intake import SETTLE_S, Account
from cctv_images.retain.reasons import DAMAGED, FAILED, Kept
from cctv_images.retain.spool import Damaged, Spool
from cctv_images.retain.spooled import Spooled

log = structlog.get_logger()
T = TypeVar("T")

KNOWN_BY_HEART = 1000
"""New entries that are not read from the disk again; the others wait for their turn there."""
FAILURES_TO_TELL = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
AGAIN_S = 60.0
"""After which an entry that failed is tried again while others succeed."""
LOOK_S = 2.0
REMOVE_S = 1.0
DISK_THREADS = 2


class Drain:
    """run() for ever. Two of its requests never concern one entry."""

    def __init__(
        self,
        spool: Spool,
        store: Store,
        account: Account,
        clock: Clock,
        record: ArchiveRecord,
        rate: float,
        at_once: int,
    ) -> None:
        self._spool, self.store, self._account, self._clock, self._record = spool, store, account, clock, record
        self._gap_s = 1 / rate
        self._at_once = at_once
        self._disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="archive-disk")
        self._loop = asyncio.get_running_loop()
        self._fresh: OrderedDict[str, Spooled] = OrderedDict()
        self._in_hand: dict[str, Spooled] = {}
        """Being archived, or archived and not yet removed."""
        self._failed: OrderedDict[str, float] = OrderedDict()
        """Entry -> when it is tried again."""
        self._archived: list[Spooled] = []
        self._stuck = False
        """What has been archived could not be removed the last time."""
        self._pages: Iterator[list[Spooled]] = iter(())
        self._page: list[Spooled] = []
        self._newest_next = True
        self._came = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held by who chooses the next entry; while the archive is in trouble, until that one is over."""
        self._next_at = 0.0
        self._failures = 0
        self._trouble: StoreError | None = None

    def on_accepted(self, entry: Spooled) -> None:
        """Called in the spool's thread."""
        self._loop.call_soon_threadsafe(self._take_in, entry)

    def _take_in(self, entry: Spooled) -> None:
        self._fresh[entry.name] = entry
        if len(self._fresh) > KNOWN_BY_HEART:
            self._fresh.popitem(last=False)
        self._came.set()

    def suspect(self, error: StoreError) -> None:
        """The archive is known to be in trouble: the next entry is a probe."""
        self._failures = FAILURES_TO_TELL - 1
        self._in_trouble(error, probe=True)

    def swap(self, store: Store) -> Store:
        """Uses another one (rotated credentials) from now on; returns the old one. What it has under way may fail, and
        is then tried again."""
        old, self.store = self.store, store
        self._next_at = 0.0
        return old

    @property
    def is_idle(self) -> bool:
        return not (self._spool.entries or self._in_hand)

    async def run(self) -> None:
        await asyncio.gather(self._keep_removing(), *(self._work() for _ in range(self._at_once)))

    async def close(self) -> None:
        """Removes what has been archived. The rest stays in the spool."""
        await self._remove()
        self._disk.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        while True:
            async with self._turn:
                entry = await self._next()
                self._in_hand[entry.name] = entry
                self._failed.pop(entry.name, None)
                if self._trouble:
                    await self._archive(entry)
                    continue
            await self._archive(entry)

    # --- which is next ---

    async def _next(self) -> Spooled:
        while True:
            await self._clock.sleep(self._next_at - self._clock.monotonic())
            try:
                entry = await self._choose()
            except OSError as exc:
                self._in_trouble(_unreadable(exc), probe=True)
                continue
            if entry:
                self._next_at = self._clock.monotonic() + self._gap_s
                return entry
            self._came.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._came.wait()

    async def _choose(self) -> Spooled | None:
        self._newest_next = not self._newest_next
        if self._newest_next and (newest := self._newest()):
            return newest
        return await self._oldest() or self._newest() or self._failed_one()

    def _newest(self) -> Spooled | None:
        while self._fresh:
            _, entry = self._fresh.popitem()
            if self._is_free(entry):
                return entry
        return None

    async def _oldest(self) -> Spooled | None:
        """Goes through the spool, again and again, while there is more in it than is known by heart."""
        laps = 0
        while self._is_behind and laps < 2:
            while self._page:
                entry = self._page.pop()
                if self._is_free(entry):
                    self._fresh.pop(entry.name, None)
                    return entry
            page = await self._in_thread(lambda: next(self._pages, None))
            if page is None:
                laps += 1
                self._pages = self._spool.pages()
                await self._in_thread(self._spool.sweep)
            else:
                self._page = page[::-1]
        return None

    def _failed_one(self) -> Spooled | None:
        """Before its time, where the archive is in trouble and there is no other to find out whether it still is."""
        if not self._trouble or not self._failed:
            return None
        return Spooled.of(self._failed.popitem(last=False)[0])

    @property
    def _is_behind(self) -> bool:
        return self._spool.entries > len(self._fresh) + len(self._in_hand)

    def _is_free(self, entry: Spooled) -> bool:
        return entry.name not in self._in_hand and self._failed.get(entry.name, 0.0) <= self._clock.monotonic()

    # --- one entry ---

    async def _archive(self, entry: Spooled) -> None:
        probe = self._trouble is not None
        try:
            body = await self._in_thread(partial(self._spool.read, entry))
            number = 0
            while not await self._is_archived(entry, number := number + 1, body):
                if number == entry.number:
                    entry = await self._renumber(entry)
        except FileNotFoundError:  # given up for a newer one
            self._in_hand.pop(entry.name, None)
        except Damaged:
            await self._lose(entry)
        except OSError as exc:
            self._fail(entry, _unreadable(exc), probe)
        except StoreError as error:
            self._fail(entry, error, probe)
        else:
            self._archived.append(entry)
            self._succeed(entry)

    async def _is_archived(self, entry: Spooled, number: int, body: bytes) -> bool:
        """Whether the archive says of the copy with that number that it has the entry's size and MD5. Under its own
        number the entry is put there if that is free; a smaller one may have the same picture from an earlier life."""
        store, key = self.store, replace(entry, number=number).key
        found = await store.head(key) if number < entry.number or not store.exclusive else None
        if number < entry.number and found is None:
            return False
        if found is None:
            found = await self._add(store, entry, body)
        return found == Stat(entry.size, entry.md5) or (await store.get(key)).body == body

    @staticmethod
    async def _add(store: Store, entry: Spooled, body: bytes) -> Stat | None:
        """What the archive then says of that key; a key that is taken is not written."""
        copy = Publication(entry.key, body, "picture", entry.captured_at, None, md5=entry.md5, new=True, hashed=True)
        try:
            await store.put(copy)
        except StoreError as error:
            if error.reason != "exists":
                raise
        return await store.head(entry.key)

    async def _renumber(self, entry: Spooled) -> Spooled:
        """In the spool first: after a crash it is looked for, or put, under that number again."""
        renumbered = await self._in_thread(partial(self._spool.renumber, entry))
        self._in_hand.pop(entry.name, None)
        self._in_hand[renumbered.name] = renumbered
        return renumbered

    def _succeed(self, entry: Spooled) -> None:
        self._account.kept(entry.camera_id, entry.slot, Kept.ARCHIVED, captured_at=entry.captured_at)
        record = self._record
        record.archived += 1
        self._failures, self._trouble = 0, None
        if not record.ok:
            self._failed.clear()
            seconds = round(self._clock.time() - record.since)
            log.info("archive_recovered", reason=record.reason, seconds=seconds, spooled=self._spool.entries)
            record.ok, record.reason, record.detail, record.since = True, "", "", self._clock.time()

    def _fail(self, entry: Spooled, error: StoreError, probe: bool) -> None:
        self._put_off(entry)
        self._in_trouble(error, probe)

    def _put_off(self, entry: Spooled) -> None:
        self._in_hand.pop(entry.name, None)
        self._failed[entry.name] = self._clock.monotonic() + AGAIN_S
        if len(self._failed) > KNOWN_BY_HEART:
            self._failed.popitem(last=False)

    def _in_trouble(self, error: StoreError, probe: bool) -> None:
        """probe: begun when the trouble was known already. What was under way when it began does not prolong it."""
        first, self._trouble = self._trouble is None, error
        self._failures += probe or first
        if probe or first:
            pause = min(FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)
            self._next_at = self._clock.monotonic() + pause * random.uniform(0.5, 1.0)
        record = self._record
        if self._failures >= FAILURES_TO_TELL:
            record.reason, record.detail = error.reason, error.detail
            if record.ok:
                record.ok, record.since = False, self._clock.time()
                log.error("archive_failed", reason=error.reason, detail=error.detail, spooled=self._spool.entries)

    async def _lose(self, entry: Spooled) -> None:
        log.error("spool_failed", reason=DAMAGED, camera_id=entry.camera_id, detail=f"set aside: {entry.name}")
        self._account.kept(entry.camera_id, entry.slot, Kept.LOST, DAMAGED)
        self._record.lost[DAMAGED] += 1
        try:
            await self._in_thread(lambda: self._spool.set_aside(entry))
        except OSError:
            self._put_off(entry)
        else:
            self._in_hand.pop(entry.name, None)

    # --- what has been archived leaves the spool ---

    async def _keep_removing(self) -> None:
        while True:
            await self._clock.sleep(REMOVE_S)
            await self._remove()

    async def _remove(self) -> None:
        """Once the ledger has it: a crash in between only shows the archive what it has already."""
        gone, self._archived = self._archived, []
        if not gone:
            return
        await self._in_thread(partial(self._account.settle, SETTLE_S))
        try:
            await self._in_thread(partial(self._spool.remove, gone))
        except OSError as exc:
            self._archived = gone + self._archived
            if not self._stuck:
                why = f"what has been archived cannot be removed: {exc.strerror}"
                log.error("spool_failed", reason=FAILED, detail=why)
            self._stuck = True
            return
        self._stuck = False
        for entry in gone:
            self._in_hand.pop(entry.name, None)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._disk, work)


def _unreadable(exc: OSError) -> StoreError:
    return StoreError("spool", f"the spool cannot be read: {exc.strerror}")
