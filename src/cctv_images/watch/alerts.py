"""Whom to tell what, and when: a pure function of what is wrong, what has been told, and a time.

Trouble is told when it has lasted, as over when it has been over for as long, and in between once in a while. What is
told together is one message, grouped by cause: a segment with 32 cameras behind it is one line. Whatever comes back
needs four times the patience each time, so that a camera that flaps is told once. Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from cctv_images.watch.troubles import Snapshot, Trouble

FORGET_S = 86400.0
"""What has been well for so long begins anew."""
IMPATIENT_S = 60.0
"""Our own trouble is told after so long."""

Kind = Literal["new", "still", "recovered"]


@dataclass(frozen=True, slots=True)
class Policy:
    pause_s: float
    """Between two messages, at least; and how long a camera's trouble lasts, or is over, before it is told."""
    repeat_s: float
    """Between reminders; 0 = none."""


@dataclass(frozen=True, slots=True)
class Item:
    """What is remembered of a camera, or of a part of the service, that is or was in trouble."""

    trouble: Trouble
    """The latest."""
    since: float
    over: float | None = None
    """Since when it is well; None = it is not."""
    told: float | None = None
    """When people have heard of it last; None = they have not."""
    relapses: int = 0
    calm: bool = False
    """It was over for so long that it has been called so: what comes next is another trouble."""


@dataclass(frozen=True, slots=True)
class Memory:
    items: Mapping[str, Item]
    sent: float = 0.0
    """When the last message was sent."""


@dataclass(frozen=True, slots=True)
class Told:
    """One line's worth: items of one cause."""

    kind: Kind
    items: Mapping[str, Item]

    @property
    def is_of_segment(self) -> bool:
        return all(item.trouble.segment for item in self.items.values())


def observe(memory: Memory, snapshot: Snapshot, now: float, policy: Policy) -> Memory:
    """What is true now, added to what was. What is no longer run is forgotten."""
    items = {}
    for name in {**memory.items, **snapshot.troubles}:
        item, trouble = _not_later(memory.items.get(name), now), snapshot.troubles.get(name)
        if trouble is not None:
            items[name] = _bad(item, trouble, now)
        elif item is not None and name in snapshot.unknown:
            items[name] = item
        elif item is not None and name in snapshot.well and (kept := _well(item, now, policy)):
            items[name] = kept
    return replace(memory, items=items)


def _not_later(item: Item | None, now: float) -> Item | None:
    """A clock that is set back does not put anything off."""
    if item is None or max(item.since, item.over or 0.0, item.told or 0.0) <= now:
        return item
    over, told = (moment if moment is None else min(moment, now) for moment in (item.over, item.told))
    return replace(item, since=min(item.since, now), over=over, told=told)


def _bad(item: Item | None, trouble: Trouble, now: float) -> Item:
    if item is None:
        return Item(trouble, now)
    if item.calm:
        return Item(trouble, now, relapses=item.relapses + 1)
    return replace(item, trouble=trouble, over=None)


def _well(item: Item, now: float, policy: Policy) -> Item | None:
    if item.over is None:
        return replace(item, over=now)
    if item.calm:
        return item if now - item.over < FORGET_S else None
    if item.told is None and now - item.over >= _patience(item, policy.pause_s):
        return replace(item, calm=True) if item.relapses else None
    return item


def _patience(item: Item, seconds: float) -> float:
    return min(seconds * 4.0 ** min(item.relapses, 20), FORGET_S)


def decide(memory: Memory, now: float, policy: Policy) -> tuple[list[Told], Memory]:
    """What to send now, and what is remembered once it is sent. Nothing while the last message is too recent.

    As soon as one of a cause has had its time the others of that cause are told with it.
    """
    if memory.sent <= now < memory.sent + policy.pause_s:
        return [], memory
    bad = {name: item for name, item in memory.items.items() if item.over is None}
    new = _ripe({n: i for n, i in bad.items() if i.told is None}, lambda item: _has_lasted(item, now, policy))
    over = {n: i for n, i in memory.items.items() if i.told is not None and i.over is not None}
    recovered = _ripe(over, lambda item: now - (item.over or now) >= _patience(item, policy.pause_s))
    due = any(i.told is not None and 0 < policy.repeat_s <= now - i.told for i in bad.values())
    still = {n: i for n, i in bad.items() if i.told is not None} if due else {}
    told = [*_grouped("new", new), *_grouped("still", still), *_grouped("recovered", recovered)]
    if not told:
        return [], memory
    heard = {name: replace(item, told=now) for name, item in (new | still).items()}
    done = {name: replace(item, told=None, calm=True) for name, item in recovered.items()}
    return told, Memory({**memory.items, **heard, **done}, now)


def _has_lasted(item: Item, now: float, policy: Policy) -> bool:
    patience = min(IMPATIENT_S, policy.pause_s) if item.trouble.ours else policy.pause_s
    return now - item.since >= _patience(item, patience)


def _ripe(items: Mapping[str, Item], is_ripe: Callable[[Item], bool]) -> dict[str, Item]:
    causes = {item.trouble.cause for item in items.values() if is_ripe(item)}
    return {name: item for name, item in items.items() if item.trouble.cause in causes}


def _grouped(kind: Kind, items: Mapping[str, Item]) -> list[Told]:
    """The largest first."""
    causes: dict[str, dict[str, Item]] = {}
    for name, item in items.items():
        causes.setdefault(item.trouble.cause, {})[name] = item
    return [Told(kind, group) for group in sorted(causes.values(), key=len, reverse=True)]
