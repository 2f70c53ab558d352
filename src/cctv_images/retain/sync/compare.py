"""Two listings, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing
from itertools import islice
from typing import Protocol

from cctv_images.errors import StoreError
from cctv_images.publish.store import Entry
from cctv_images.retain.sync.tally import Kinds
from cctv_images.sorting import DiskSort

BATCH = 1000


class Disordered(Exception):
    """A listing does not ascend: it has to be sorted first."""


class Found(Protocol):
    """Told of every key once, in order: what the source has, what the destination has."""

    def __call__(self, ours: Entry | None, theirs: Entry | None) -> None: ...


async def compare(source: AsyncIterator[Entry], destination: AsyncIterator[Entry], found: Found) -> None:
    """Both ascend. Whatever they raise is raised."""
    async with aclosing(source), aclosing(destination):  # type: ignore[type-var]
        ours, theirs = await anext(source, None), await anext(destination, None)
        while ours is not None or theirs is not None:
            if theirs is None or (ours is not None and ours.key < theirs.key):
                found(ours, None)
                ours = await anext(source, None)
            elif ours is None or theirs.key < ours.key:
                found(None, theirs)
                theirs = await anext(destination, None)
            else:
                found(ours, theirs)
                ours, theirs = await anext(source, None), await anext(destination, None)


async def ascending(
    entries: AsyncIterator[Entry], wanted: Callable[[str], bool] | None, kinds: Kinds
) -> AsyncIterator[Entry]:
    """Those that are wanted, counted. Raises Disordered."""
    last = ""
    async with aclosing(entries):  # type: ignore[type-var]
        async for entry in entries:
            if entry.key <= last:
                raise Disordered
            last = entry.key
            if wanted is None or wanted(last):
                kinds.add(last, entry.size)
                yield entry


async def sorted_first(entries: AsyncIterator[Entry]) -> AsyncIterator[Entry]:
    """Nothing before the last has come. Raises StoreError, also for a key that comes twice."""
    with closing(DiskSort(4)) as sort:
        batch: list[Entry] = []
        async with aclosing(entries):  # type: ignore[type-var]
            async for entry in entries:
                batch.append(entry)
                if len(batch) == BATCH:
                    await asyncio.to_thread(sort.add, batch)
                    batch = []
        sort.add(batch)
        rows, last = sort.sorted(), ""
        while some := await asyncio.to_thread(lambda: [*islice(rows, BATCH)]):
            for row in some:
                if row[0] == last:
                    raise StoreError("lied", "the listing names a key twice", transient=False)
                last = row[0]
                yield Entry(*row)
