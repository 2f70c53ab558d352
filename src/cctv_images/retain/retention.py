"""Which copies have had their day: pure planning, and carrying it out.

1. Only keys of exactly a copy's form are ever deleted, and only those captured before what the plan says.
2. Nothing is planned by a listing that failed or broke off; nothing is deleted after any error.
3. A run deletes no more than the two oldest days that there are copies of, whatever is due: a clock or a setting that
   is wrong costs a day more than a usual night, not the archive. `force` lifts that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cctv_images.retain.copies import Copy
from cctv_images.retain.ledger_file import DAY_S
from cctv_images.retain.verify import Entry

HOUR_S = 3600
DAYS_A_RUN = 2
AT_ONCE = 1000


class Share(NamedTuple):
    copies: int = 0
    bytes: int = 0

    def __add__(self, other: object) -> Share:
        assert isinstance(other, Share)
        return Share(self.copies + other.copies, self.bytes + other.bytes)


@dataclass(slots=True)
class Tally:
    """What an archive holds, hour by hour of captured-at."""

    hours: dict[int, Share] = field(default_factory=dict)
    """By the hour's begin, in epoch seconds."""
    others: int = 0
    """Keys that are no copies. They are left alone."""

    def add(self, key: str, size: int) -> None:
        copy = Copy.of(key)
        if copy is None:
            self.others += 1
            return
        hour = copy.captured_at // HOUR_S * HOUR_S
        self.hours[hour] = self.hours.get(hour, Share()) + Share(1, size)

    def before(self, moment: int) -> Share:
        return sum((share for hour, share in self.hours.items() if hour < moment), Share())


@dataclass(frozen=True, slots=True)
class Plan:
    before: int
    """Copies captured before this moment go; epoch seconds, a full hour."""
    goes: Share
    due: Share
    """More than goes where the run would be too large."""
    held: Share
    """All there is."""

    @property
    def is_cut(self) -> bool:
        return self.due.copies > self.goes.copies


def plan(tally: Tally, now: float, days: int, max_bytes: int, *, force: bool) -> Plan:
    """days: copies older than that are due; max_bytes: then the oldest, until the rest is no more. 0 = no limit."""
    hours, held = sorted(tally.hours), tally.before(2**62)
    due = int((now - days * DAY_S) // HOUR_S * HOUR_S) if days else 0
    left = held.bytes
    for hour in hours if max_bytes else ():
        if left <= max_bytes:
            break
        left -= tally.hours[hour].bytes
        due = max(due, hour + HOUR_S)
    before = due
    if hours and not force:
        before = min(due, hours[0] // DAY_S * DAY_S + DAYS_A_RUN * DAY_S)
    return Plan(before, tally.before(before), tally.before(due), held)


class Shelf(Protocol):
    """The archive."""

    def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]: ...

    async def delete_many(self, keys: Sequence[str]) -> None: ...


async def count(shelf: Shelf) -> Tally:
    """Raises what the listing raises: then nothing is known."""
    tally = Tally()
    async for entry in shelf.list():
        tally.add(entry.key, entry.size)
    return tally


async def carry_out(made: Plan, shelf: Shelf, on_deleted: Callable[[int], None]) -> None:
    """Deletes what the plan says, in batches, and no more than it counted; stops at the first error, which it raises.

    on_deleted is called with the number of copies of each batch that is gone.
    """
    left, batch = made.goes.copies, list[str]()
    async for entry in shelf.list():
        copy = Copy.of(entry.key)
        if copy is not None and copy.captured_at < made.before and left:
            batch.append(entry.key)
            left -= 1
            if len(batch) == AT_ONCE or not left:
                await shelf.delete_many(batch)
                on_deleted(len(batch))
                batch = []
    if batch:
        await shelf.delete_many(batch)
        on_deleted(len(batch))
