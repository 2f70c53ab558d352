"""What a sync counts. All of it fits into a page, however many objects there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SAME, MISSING, EXTRA = "same", "missing_at_destination", "missing_at_source"
DIFFERENT, NEWER = "different", "newer_at_destination"
CLASSES = (SAME, MISSING, DIFFERENT, NEWER, EXTRA)
KINDS_SHOWN = 8
KINDS_KEPT = 1000
MAX_SUFFIX = 8
OTHER, NONE = "other", "no suffix"


@dataclass(slots=True)
class Count:
    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.objects += 1
        self.bytes += size

    def document(self) -> dict[str, int]:
        return {"objects": self.objects, "bytes": self.bytes}


@dataclass(slots=True)
class Kinds:
    """Counts by the suffix of the keys, e.g. jpg."""

    kinds: dict[str, Count] = field(default_factory=dict)

    def add(self, key: str, size: int) -> None:
        dot = key.rfind(".", -MAX_SUFFIX - 1)
        kind = key[dot + 1 :] if dot >= 0 else NONE
        count = self.kinds.get(kind)
        if count is None:
            if "/" in kind or not kind.isprintable():
                kind = NONE
            elif len(self.kinds) >= KINDS_KEPT:
                kind = OTHER
            count = self.kinds.setdefault(kind, Count())
        count.objects += 1
        count.bytes += size

    @property
    def total(self) -> Count:
        return _sum(self.kinds.values())

    def document(self) -> dict[str, Any]:
        by_size = sorted(self.kinds.items(), key=lambda item: item[1].objects, reverse=True)
        shown = {kind: count.document() for kind, count in by_size[:KINDS_SHOWN]}
        if rest := by_size[KINDS_SHOWN:]:
            shown[f"{len(rest)} more"] = _sum(count for _, count in rest).document()
        return self.total.document() | {"kinds": shown}


def _sum(counts: Iterable[Count]) -> Count:
    total = Count()
    for count in counts:
        total.objects += count.objects
        total.bytes += count.bytes
    return total


@dataclass(slots=True)
class Compared:
    """What a comparison has found so far, and what became of it; begun anew where a listing has to be sorted first."""

    sides: tuple[Kinds, Kinds] = field(default_factory=lambda: (Kinds(), Kinds()))
    classes: dict[str, Kinds] = field(default_factory=lambda: {name: Kinds() for name in CLASSES})
    done: bool = False
    open: int = 0
    """Objects that are neither settled nor given up yet."""
    open_bytes: int = 0
    arrived: int = 0
    """Were missing, and came from elsewhere meanwhile: the same object or a newer one."""
    vanished: int = 0
    """Were listed at the source and are not there any more."""
    left_different: int = 0
    """Differ and were not replaced."""
    errors: Counter[str] = field(default_factory=Counter)
    """Objects that failed, by reason."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason -> the first sentence."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """What is no object at the source, sockets for one, by reason."""

    def fail(self, reason: str, sentence: str) -> None:
        self.errors[reason] += 1
        self.examples.setdefault(reason, sentence)

    @property
    def complete(self) -> bool:
        """Whether the destination has everything, or something newer, once all that is open is settled."""
        return self.done and not self.open and not self.errors and not self.left_different


class Moved(NamedTuple):
    """What has been copied or replaced."""

    objects: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Tally:
    compared: Compared = field(default_factory=Compared)
    copied: Count = field(default_factory=Count)
    """Created at the destination."""
    updated: Count = field(default_factory=Count)
    """Replaced there."""
    by_server: Count = field(default_factory=Count)
    """Of both, those that the server copied by itself."""
    retries: int = 0

    @property
    def moved(self) -> Moved:
        return Moved(self.copied.objects + self.updated.objects, self.copied.bytes + self.updated.bytes)
