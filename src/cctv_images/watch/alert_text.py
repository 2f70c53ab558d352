"""An alert in words. No address of a camera appears in it, and nothing from a camera that is not made plain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cctv_images.errors import plain
from cctv_images.watch.alerts import Item, Kind, Told
from cctv_images.watch.troubles import is_camera

NAMED = 8
"""Cameras of one line that are named; chat services cut long messages."""
LINES = 12
HEADINGS: dict[Kind, str] = {"new": "New", "still": "Still", "recovered": "Recovered"}
SUBJECTS: dict[Kind, str] = {"new": "trouble: {}", "still": "still: {}", "recovered": "recovered: {}"}


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str
    good: bool
    """It has good news alone."""


def message(told: Sequence[Told], node: str, now: float) -> Message:
    """node: which service this is."""
    kinds = [kind for kind in HEADINGS if any(t.kind == kind for t in told)]
    sections = [[t for t in told if t.kind == kind] for kind in kinds]
    subject = "; ".join(SUBJECTS[s[0].kind].format(_summary(s)) for s in sections)
    body = "\n\n".join("\n".join([f"{HEADINGS[s[0].kind]}:", *_lines(s, now)]) for s in sections)
    return Message(f"cctv-images on {plain(node, 60)}: {subject}", body, kinds == ["recovered"])


def _summary(told: Iterable[Told]) -> str:
    items = {name: item for t in told for name, item in t.items.items()}
    parts = [item.trouble.reason for name, item in items.items() if not is_camera(name)]
    count = sum(is_camera(name) for name in items)
    cameras = [f"{count} camera{'s' * (count > 1)}"] if count else []
    return ", ".join([*(plain(part, 60) for part in parts), *cameras])


def _lines(told: Sequence[Told], now: float) -> list[str]:
    lines = [_line(t, now) for t in told[:LINES]]
    if rest := told[LINES:]:
        lines.append(f"- and {_summary(rest)} for {len(rest)} other causes")
    return lines


def _line(told: Told, now: float) -> str:
    parts = [plain(item.trouble.reason) for name, item in told.items.items() if not is_camera(name)]
    cameras = {name: item for name, item in told.items.items() if is_camera(name)}
    if cameras:
        count, shared = len(cameras), " of one segment" * (len(cameras) > 1 and told.is_of_segment)
        parts.append(f"{count} camera{'s' * (count > 1)}{shared}{_reasons(told.kind, cameras.values())}")
    times = [_since(told, now)]
    if cameras and told.kind != "recovered":
        times.append(_last_pictures(cameras.values()))
        times += sorted({item.trouble.remedy for item in cameras.values()})
    named = ", ".join(f"{name} {plain(item.trouble.name, 60)}".strip() for name, item in list(cameras.items())[:NAMED])
    more = f" and {len(cameras) - NAMED} more" if len(cameras) > NAMED else ""
    return f"- {'; '.join(parts)}, {'; '.join(times)}{': ' if named else ''}{named}{more}"


def _reasons(kind: Kind, items: Collection[Item]) -> str:
    plight = next(item.trouble.plight for item in items)
    counts = Counter(item.trouble.reason for item in items).most_common()
    reasons = ", ".join(reason if len(counts) == 1 else f"{reason} {count}" for reason, count in counts)
    return f" after {reasons}" if kind == "recovered" else f" {plight}: {reasons}"


def _since(told: Told, now: float) -> str:
    begin = min(item.since for item in told.items.values())
    if told.kind != "recovered":
        return f"since {_moment(begin)}"
    end = max(item.over or now for item in told.items.values())
    return f"from {_moment(begin)} to {_moment(end)}"


def _last_pictures(items: Iterable[Item]) -> str:
    found = sorted({_moment(t) for item in items if (t := item.trouble.last_picture_at)})
    if not found:
        return "no picture since the service started"
    return f"last picture {found[0]}" if len(found) == 1 else f"last pictures {found[0]} to {found[-1]}"


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
