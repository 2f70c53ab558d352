"""A sync from beginning to end: the comparison, the copies beside it, and the report meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any

from cctv_images.clock import Clock
from cctv_images.errors import StoreError, plain
from cctv_images.publish.side import NAME, Side
from cctv_images.publish.store import Entry
from cctv_images.retain.sync.backlog import Backlog, Item
from cctv_images.retain.sync.compare import Disordered, ascending, compare, sorted_first
from cctv_images.retain.sync.copier import Copier, Hopeless, Pace
from cctv_images.retain.sync.records import Run
from cctv_images.retain.sync.selection import Selection
from cctv_images.retain.sync.tally import EXTRA, MISSING, SAME, Compared, Tally

SIDES = ("source", "destination")


class Failed(Exception):
    """The sync could not go on; the text is a sentence that says why. reason: a slug."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Options:
    selection: Selection = field(default_factory=Selection)
    report_only: bool = False
    update: bool = False
    checksum: bool = False
    concurrency: int = 16
    max_bytes_per_second: int = 0

    def document(self) -> dict[str, Any]:
        names = ("report_only", "update", "checksum", "concurrency", "max_bytes_per_second")
        return {name: getattr(self, name) for name in names}


class Sync:
    def __init__(self, source: Side, destination: Side, options: Options, run: Run, clock: Clock) -> None:
        self.tally = Tally()
        self._sides = (source, destination)
        self._options = options
        self._run = run
        self._clock = clock
        self._sort_first = False

    def pass_over(self, path: str, why: str) -> None:
        """Told of what is no object, by its path below the source. One whose name is no text cannot have a copy.

        A folder's name does not say whether something is in it that was asked for.
        """
        wanted = self._options.selection.filter()
        if wanted and not path.endswith("/") and not wanted(os.fsencode(path).decode(errors="replace")):
            return
        if why == NAME:
            self.tally.compared.fail("name", f"{plain(path)}: {why}")
            self._run.lists["failed"].add({"key": path, "reason": "name", "detail": why})
        else:
            self.tally.compared.passed_over[why] += 1

    async def go(self) -> None:
        """Raises Failed, OSError where the run's folder cannot be written."""
        while True:
            try:
                await self._once()
                break
            except Disordered:
                self._sort_first = True
        if not self.tally.compared.sides[0].kinds:
            raise Failed("nothing", "the source lists nothing that was asked for: there is nothing to compare")

    async def _once(self) -> None:
        """The whole, from an empty comparison. What an earlier one has copied stays copied."""
        tally, options = self.tally, self._options
        tally.compared = Compared()
        self._run.begin_lists()
        backlog = Backlog(self._run.folder)
        copier = Copier(
            *self._sides,
            tally=tally,
            pace=Pace(options.max_bytes_per_second, self._clock),
            clock=self._clock,
            concurrency=options.concurrency,
            report_only=options.report_only,
            update=options.update,
            checksum=options.checksum,
            different=self._run.lists["different"],
            failed=self._run.lists["failed"],
        )
        try:
            await _all(self._compare(backlog), *(_work(backlog, copier) for _ in range(options.concurrency)))
        finally:
            backlog.close()

    async def _compare(self, backlog: Backlog) -> None:
        compared, options = self.tally.compared, self._options
        missing, classes = self._run.lists["missing"], compared.classes

        def found(ours: Entry | None, theirs: Entry | None) -> None:
            if ours is None:
                assert theirs is not None
                classes[EXTRA].add(theirs.key, theirs.size)
                return
            if theirs is None:
                classes[MISSING].add(ours.key, ours.size)
                missing.add({"key": ours.key, "size": ours.size})
                if options.report_only:
                    return
            elif _alike(ours, theirs, options.checksum):
                classes[SAME].add(ours.key, ours.size)
                return
            compared.open += 1
            compared.open_bytes += ours.size
            backlog.add(Item(ours, theirs))

        await compare(self._listing(0), self._listing(1), found)
        compared.done = True
        backlog.end()

    async def _listing(self, side: int) -> AsyncIterator[Entry]:
        selection = self._options.selection
        entries = self._sides[side].list(selection.prefix)
        if self._sort_first:
            entries = sorted_first(entries)
        try:
            async for entry in ascending(entries, selection.filter(), self.tally.compared.sides[side]):
                yield entry
        except StoreError as error:
            sentence = f"the {SIDES[side]} cannot be listed to its end ({error.reason}): {error.detail}"
            raise Failed(error.reason, sentence) from None


def _alike(ours: Entry, theirs: Entry, checksum: bool) -> bool:
    if ours.size != theirs.size:
        return False
    if _md5(ours) and _md5(theirs):
        return ours.etag == theirs.etag
    return not checksum


def _md5(entry: Entry) -> bool:
    return entry.etag is not None and len(entry.etag) == 32


async def _work(backlog: Backlog, copier: Copier) -> None:
    while (item := await backlog.next()) is not None:
        try:
            await copier.settle(item)
        except Hopeless as exc:
            raise Failed("hopeless", str(exc)) from None


async def _all(*work: Awaitable[None]) -> None:
    """Until all are done, or one fails: then none is left running."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
