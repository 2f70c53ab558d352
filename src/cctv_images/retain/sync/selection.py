"""Which keys a sync is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

SEPARATED = re.compile(r"(?<!\d)(\d{4})([/-])(\d\d)\2(\d\d)(?!\d)")
CAMERAS_SHOWN = 20
COMPACT = re.compile(r"(?<!\d)(\d{4})()(\d\d)(\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Selection:
    """By key alone, so that both sides are judged alike."""

    prefix: str = ""
    cameras: frozenset[str] = frozenset()
    """Ids: a folder in the key, or the file's name without its suffix."""
    first: date | None = None
    last: date | None = None
    """By the date in the key (2026/03/01, 2026-03-01, 20260301), both included; a key without one is not meant."""

    def filter(self) -> Callable[[str], bool] | None:
        """None where the prefix says it all."""
        tests = [test for test, asked in ((self._camera, self.cameras), (self._day, self.first or self.last)) if asked]
        if not tests:
            return None
        return tests[0] if len(tests) == 1 else lambda key: self._camera(key) and self._day(key)

    def document(self) -> dict[str, Any]:
        days = {"from": self.first and self.first.isoformat(), "to": self.last and self.last.isoformat()}
        cameras = sorted(self.cameras)
        more = [f"and {len(cameras) - CAMERAS_SHOWN} more"] if len(cameras) > CAMERAS_SHOWN else []
        return {"prefix": self.prefix, "cameras": cameras[:CAMERAS_SHOWN] + more, **days}

    def _camera(self, key: str) -> bool:
        *folders, name = key.split("/")
        return (name.rpartition(".")[0] or name) in self.cameras or not self.cameras.isdisjoint(folders)

    def _day(self, key: str) -> bool:
        day = day_of(key)
        return day is not None and (self.first or day) <= day <= (self.last or day)


def day_of(key: str) -> date | None:
    for match in (*SEPARATED.finditer(key), *COMPACT.finditer(key)):
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            continue
    return None
