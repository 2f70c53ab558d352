"""One day of the ledger against the archive's listing: expected = archived + reasons, for every camera, or a gap.

The listing is believed, not the ledger: a copy counts where the ledger has not heard of it (a kill -9 between the two),
and what the ledger calls archived and the listing does not have is a gap.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from typing import NamedTuple, Protocol

from cctv_images.retain.account import Account, Slot, begin_of
from cctv_images.retain.copies import Copy, folder
from cctv_images.retain.ledger_file import DAY_S
from cctv_images.retain.reasons import EXPIRED, SERVICE_DOWN, UNRECORDED, Kept

AT_ONCE = 8
"""Listings under way together."""

VAGUE = frozenset({SERVICE_DOWN, UNRECORDED})
"""Reasons of slots that may have had a picture for all the ledger knows."""


class Gap(NamedTuple):
    slot: int
    """Epoch seconds."""
    what: str


@dataclass(slots=True)
class Verdict:
    """Of one camera's day. expected = archived + reasons + gaps."""

    expected: int = 0
    archived: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    gaps: list[Gap] = field(default_factory=list)
    further: int = 0
    """Copies beyond one a slot: a camera that was asked out of turn has two in one."""


def compare(
    slots: Sequence[Slot], copies: Iterable[int], begin: int, end: int, interval_s: float, expired: float = 0.0
) -> Verdict:
    """slots: in order, also some before `begin` and after `end`, which take away what is theirs of the copies.
    copies: captured-at in epoch seconds, one for each copy that the archive lists. expired: until when copies have had
    their day and are gone."""
    verdict, left = Verdict(), Counter(copies)
    listed = {slot.slot for slot in slots if _take(left, slot)}
    times = sorted(left.elements())
    for slot in slots:
        if slot.slot not in listed and slot.kept is not Kept.ARCHIVED and (slot.captured or slot.reason in VAGUE):
            found = bisect_left(times, slot.slot - interval_s / 2)
            if found < len(times) and times[found] < slot.slot + 1.5 * interval_s:
                listed.add(slot.slot)
                del times[found]
        if begin <= slot.slot <= end:
            _count(verdict, slot, slot.slot in listed, expired)
    verdict.further = sum(begin <= moment <= end for moment in times)
    return verdict


def _take(left: Counter[int], slot: Slot) -> bool:
    """The slot's own copy, by its name."""
    if slot.captured_at is None or not left[slot.captured_at]:
        return False
    left[slot.captured_at] -= 1
    return True


def _count(verdict: Verdict, slot: Slot, is_listed: bool, expired: float) -> None:
    verdict.expected += 1
    if is_listed:
        verdict.archived += 1
    elif slot.kept is Kept.ARCHIVED and (slot.captured_at or slot.slot) < expired:
        verdict.reasons[EXPIRED] += 1
    elif slot.kept is Kept.ARCHIVED:
        verdict.gaps.append(Gap(slot.slot, "archived, but the archive does not list it"))
    elif why := slot.gap:
        verdict.reasons[why] += 1
    else:
        verdict.gaps.append(Gap(slot.slot, "captured, but nothing says what became of it"))


class Lists(Protocol):
    def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]: ...


class Nothing:
    """What is listed where nothing is kept."""

    async def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]:
        return
        yield


class Entry(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...


async def verify(account: Account, archive: Lists, day: date, expired: float) -> AsyncIterator[tuple[str, Verdict]]:
    """Camera by camera. Raises Unreadable, and what the archive's listing raises."""
    begin, end = begin_of(day), begin_of(day) + DAY_S - 1
    longest = max((known.interval_s for known in account.cameras.values()), default=0.0)
    cameras = account.slots(int(begin - longest), int(end + longest))
    while some := list(islice(cameras, AT_ONCE)):
        listings = [_copies(archive, camera_id, day, end + 1.5 * longest) for camera_id, _ in some]
        for (camera_id, slots), copies in zip(some, await asyncio.gather(*listings), strict=True):
            verdict = compare(slots, copies, begin, end, account.cameras[camera_id].interval_s, expired)
            if verdict.expected or verdict.further:
                yield camera_id, verdict


async def _copies(archive: Lists, camera_id: str, day: date, until: float) -> list[int]:
    """Of that day, and those of the next morning that may belong to its last slot."""
    found = []
    for prefix in (folder(camera_id, day), folder(camera_id, day + timedelta(days=1))):
        async for entry in archive.list(prefix):
            copy = Copy.of(entry.key)
            if copy is not None and entry.size and copy.captured_at <= until:
                found.append(copy.captured_at)
    return found
