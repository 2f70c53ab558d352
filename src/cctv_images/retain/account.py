"""Reads the ledger: the account of a day, camera by camera. Read-only, beside a running service or without one.

What no service has written down yet, because none is running, is filled in here as it will be at the next start.
Memory grows with the number of cameras, not of slots. No read lasts longer than a query: the service's own log of what
it writes can be cut meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cctv_images.retain.ledger_file import DAY_S, GONE, LATE_S, MISSING, VERSION, due
from cctv_images.retain.reasons import NOT_CHOSEN, SERVICE_DOWN, WAITING, Kept

ROLL_S = 240.0
"""A running service has written down what was due this long, and an interval, ago."""
WITHIN = "slot BETWEEN :begin AND :end AND (:only IS NULL OR camera = :only)"
ROWS = f"SELECT * FROM main.slot WHERE {WITHIN} UNION ALL SELECT * FROM temp.missing WHERE {WITHIN}"  # noqa: S608
COLUMNS = "captured, published, kept, copy, reason, lost"


class Unreadable(Exception):
    """Why there is no account, as half a sentence."""


class Slot(NamedTuple):
    slot: int
    """Epoch seconds."""
    captured: bool
    published: bool
    kept: Kept
    copy: int | None
    """Seconds from the slot to captured-at of the picture that the archive has been given."""
    reason: str | None
    lost: str | None

    @property
    def captured_at(self) -> int | None:
        """Of the picture that the archive has been given, in epoch seconds."""
        return None if self.copy is None else self.slot + self.copy

    @property
    def is_lost(self) -> bool:
        """To the archive, for a reason."""
        return self.lost is not None and self.kept in (Kept.NOTHING, Kept.LOST)

    @property
    def gap(self) -> str | None:
        """Why its picture is not in the archive, by the ledger; None: it is there, or nobody knows why it is not."""
        if self.kept is Kept.ARCHIVED:
            return None
        if not self.captured:
            return self.reason
        words = {Kept.ACCEPTED: WAITING, Kept.NOT_CHOSEN: NOT_CHOSEN}
        return words.get(self.kept) or self.lost


@dataclass(slots=True)
class Figures:
    """Slots of one camera, or of all, on one day."""

    expected: int = 0
    captured: int = 0
    published: int = 0
    archived: int = 0
    waiting: int = 0
    lost: int = 0
    not_chosen: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why slots have no published picture, or none in the archive."""

    def add(self, slot: Slot, count: int = 1) -> None:
        self.expected += count
        self.captured += count * slot.captured
        self.published += count * slot.published
        self.archived += count * (slot.kept is Kept.ARCHIVED)
        self.waiting += count * (slot.kept is Kept.ACCEPTED)
        self.lost += count * slot.is_lost
        self.not_chosen += count * (slot.kept is Kept.NOT_CHOSEN)
        for reason in (slot.reason, slot.lost if slot.is_lost else None):
            if reason:
                self.reasons[reason] += count

    def join(self, other: Figures) -> None:
        for name in ("expected", "captured", "published", "archived", "waiting", "lost", "not_chosen"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons += other.reasons


def day_of(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


def begin_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


class Account:
    """One reader. Raises Unreadable, also from its methods."""

    def __init__(self, path: Path, now: float) -> None:
        self._path, self._now = path, int(now)
        with self._sentences():
            if not path.exists():
                raise Unreadable("there is none yet: the service makes it when it runs")
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise Unreadable(f"it is of version {version}, expected {VERSION}")
        self._db.execute("CREATE TEMP TABLE missing AS SELECT * FROM main.slot LIMIT 0")
        self._look_who_is_known()

    def _look_who_is_known(self) -> None:
        rows = self._db.execute("SELECT name, id, interval, through, state FROM camera ORDER BY name")
        self.cameras = {name: _Known(id_, every, through, state != GONE) for name, id_, every, through, state in rows}

    def close(self) -> None:
        self._db.close()

    def days(self, camera: str | None = None) -> list[date]:
        """All that it knows something of, up to today."""
        of_one = "" if camera is None else "WHERE camera = :only"
        with self._sentences():
            query = f"SELECT slot FROM slot {of_one} ORDER BY slot LIMIT 1"  # noqa: S608 - all of it ours
            found = self._db.execute(query, self._only(camera)).fetchone() or (0,)
        begins = [moment for moment in (found[0], *(c.through for c in self._expected(camera).values())) if moment]
        first = day_of(min(begins)) if begins else day_of(self._now)
        return [first + timedelta(days=n) for n in range((day_of(self._now) - first).days + 1)]

    def figures(self, day: date, camera: str | None = None) -> dict[str, Figures]:
        """Of each camera that was expected on that day, by id."""
        found: dict[str, Figures] = {}
        grouped = f"SELECT camera, {COLUMNS}, count(*) FROM ({ROWS}) GROUP BY camera, {COLUMNS}"  # noqa: S608
        with self._sentences(), self._read(begin_of(day), begin_of(day) + DAY_S - 1, camera) as bounds:
            names = {known.id: name for name, known in self.cameras.items()}
            for id_, *rest, count in self._db.execute(grouped, bounds):
                found.setdefault(names[id_], Figures()).add(_slot(0, rest), count)
        return dict(sorted(found.items()))

    def slots(self, begin: int, end: int) -> Iterator[tuple[str, list[Slot]]]:
        """Camera by camera, those from `begin` up to and including `end`. They are copied to a temporary file first."""
        with self._sentences():
            with self._read(begin, end, None) as bounds:
                ordered = f"SELECT camera, slot, {COLUMNS} FROM ({ROWS}) ORDER BY camera, slot"  # noqa: S608
                self._db.execute(f"CREATE TEMP TABLE chosen AS {ordered}", bounds)
            self._db.execute("CREATE INDEX temp.of_camera ON chosen (camera)")
            for name, known in self.cameras.items():
                rows = self._db.execute("SELECT * FROM chosen WHERE camera = ? ORDER BY slot", (known.id,))
                if slots := [_slot(slot, rest) for _, slot, *rest in rows]:
                    yield name, slots
            self._db.execute("DROP TABLE chosen")

    def _only(self, camera: str | None) -> dict[str, int | None]:
        if camera is None:
            return {"only": None}
        if camera not in self.cameras:
            raise Unreadable(f"it knows no camera {camera}")
        return {"only": self.cameras[camera].id}

    def _expected(self, camera: str | None) -> dict[str, _Known]:
        return {n: known for n, known in self.cameras.items() if known.expected and camera in (None, n)}

    @contextmanager
    def _read(self, begin: int, end: int, camera: str | None) -> Iterator[dict[str, int | None]]:
        """Within it, temp.missing has the slots between these moments that no service has written down."""
        self._db.execute("BEGIN")
        self._look_who_is_known()
        bounds = self._only(camera) | {"begin": begin, "end": end}
        self._db.execute("DELETE FROM temp.missing")
        for name, known in self._expected(camera).items():
            until = min(end, int(self._now - known.interval_s - LATE_S - ROLL_S))
            if slots := due(name, known.interval_s, max(known.through, begin - 1), until):
                self._db.execute(MISSING, {"camera": known.id, "reason": SERVICE_DOWN, **slots})
        yield bounds
        self._db.execute("COMMIT")

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            why = (isinstance(exc, OSError) and exc.strerror) or exc
            raise Unreadable(f"it cannot be read: {why}") from None


class _Known(NamedTuple):
    id: int
    interval_s: float
    through: int
    expected: bool


def _slot(slot: int, rest: list[Any]) -> Slot:
    captured, published, kept, copy, reason, lost = rest
    return Slot(slot, bool(captured), bool(published), Kept(kept), copy, reason, lost)
