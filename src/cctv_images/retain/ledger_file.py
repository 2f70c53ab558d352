"""The ledger's file: one row a slot, in SQLite. Plain SQL; ledger.py says when, in a thread of its own.

Everything here can be said twice: a report that comes again, or after a row was filled in, ends in the same row.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cctv_images.retain.reasons import DISABLED, SERVICE_DOWN, UNRECORDED
from cctv_images.schedule import fraction

VERSION = 1
GONE, ASKED, NOT_ASKED = 0, 1, 2
"""A camera's state: none of its slots is expected; they are; they are, and it is disabled."""
JOURNAL_BYTES = 16 << 20
DAY_S = 86400
BUSY_S = 5.0
LATE_S = 120.0
"""A cycle ends within its interval and so many seconds: a fallback waits for the verdict on our network."""

SCHEMA = f"""
CREATE TABLE camera (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, interval REAL NOT NULL DEFAULT 0,
    through INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE slot (
    slot INTEGER NOT NULL, camera INTEGER NOT NULL, captured INTEGER NOT NULL, published INTEGER NOT NULL,
    kept INTEGER NOT NULL, copy INTEGER, reason TEXT, lost TEXT, PRIMARY KEY (slot, camera)) STRICT, WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
# camera.through: all slots up to this moment have their row.
# slot.slot: epoch seconds. slot.copy: seconds from there to captured-at of the picture that the archive has.
# slot.reason: why it is not published. slot.lost: why its picture is not archived.

REPORT = f"""
INSERT INTO slot VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    captured = max(captured, excluded.captured), published = max(published, excluded.published),
    kept = max(kept, excluded.kept), copy = coalesce(excluded.copy, copy), lost = coalesce(excluded.lost, lost),
    reason = CASE WHEN published OR excluded.published THEN NULL
        WHEN excluded.kept OR captured > excluded.captured AND reason IS NOT '{UNRECORDED}' THEN reason
        ELSE excluded.reason END
"""  # noqa: S608 - all of it ours
DUE = """
WITH RECURSIVE turn (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM turn WHERE n < :last),
    due (slot) AS (SELECT CAST(n * :interval + :phase AS INTEGER) FROM turn)
SELECT slot, :camera, 0, 0, 0, NULL, :reason, NULL FROM due
"""
FILL = f"INSERT OR IGNORE INTO slot {DUE}"
MISSING = f"""
INSERT INTO temp.missing {DUE}
WHERE NOT EXISTS (SELECT 1 FROM main.slot AS had WHERE had.slot = due.slot AND had.camera = :camera)
"""  # noqa: S608 - all of it ours

CUT_OFF = f"""
UPDATE slot SET lost = '{SERVICE_DOWN}' WHERE slot > ? AND captured AND kept = 0 AND lost IS NULL
"""  # noqa: S608 - all of it ours
# Captured before the service ended, and no word from the archive: unless the spool has it, it died with the process.

Report = tuple[int, str, bool, bool, int, int | None, str | None, str | None]
"""slot, camera's name, captured, published, kept, copy, reason, lost: a row with the name in the camera's place."""


def due(name: str, interval_s: float, after: int, until: int) -> dict[str, float]:
    """A camera's slots after one second and up to another, as DUE wants them; empty where there are none."""
    phase = fraction(name) * interval_s
    first, beyond = (math.ceil((moment + 1 - phase) / interval_s) for moment in (after, until))
    return {"first": first, "last": beyond - 1, "interval": interval_s, "phase": phase} if first < beyond else {}


class Unusable(Exception):
    """What stands in the file is no ledger of this version."""


@dataclass(frozen=True, slots=True)
class Present:
    """A camera that is run. Its slots are expected."""

    interval_s: float
    disabled: bool = False

    @property
    def state(self) -> int:
        return NOT_ASKED if self.disabled else ASKED


@dataclass(slots=True)
class _Camera:
    id: int
    name: str
    interval_s: float
    through: int
    state: int


class LedgerFile:
    """Raises sqlite3.Error, OSError or Unusable; the object is of no use after that."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        self._path = path
        self._inode = path.stat().st_ino
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
            rows = self._db.execute("SELECT id, name, interval, through, state FROM camera").fetchall()
        except BaseException:
            self._db.close()
            raise
        self._cameras = {row[1]: _Camera(*row) for row in rows}

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", f"journal_size_limit = {JOURNAL_BYTES}"):
            self._db.execute(f"PRAGMA {pragma}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            with self._transaction():
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
        elif version != VERSION:
            raise Unusable(f"of version {version}, expected {VERSION}")

    @property
    def is_there(self) -> bool:
        """False once somebody has deleted or replaced it."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def write(self, reports: Sequence[Report]) -> None:
        """All of them, or none."""
        with self._transaction():
            self._db.executemany(REPORT, [(slot, self._camera(name).id, *rest) for slot, name, *rest in reports])

    def roll_call(self, present: Mapping[str, Present], now: float, *, since: float, first: bool) -> None:
        """Gives each slot that is over its row, and takes down which cameras' slots are expected from now on.

        first: since the start of the service; what has no row until now was missed because it was down. What is older
        than `since` gets no row any more. A long absence, or a clock that was set forward, is written day by day.
        """
        expected = [camera for camera in self._cameras.values() if camera.state != GONE]
        now, since = int(now), int(since)
        for camera in expected:
            camera.through = max(min(camera.through, now), since)
        edge = min((camera.through for camera in expected), default=now)
        while (edge := edge + DAY_S) < now or (first and edge < now + DAY_S):
            with self._transaction():
                for camera in expected:
                    self._fill(camera, min(edge, now), SERVICE_DOWN if first else UNRECORDED)
        with self._transaction():
            if first:
                self._db.execute(CUT_OFF, (now - 2 * DAY_S,))
            for camera in expected:
                self._settle(camera, present.get(camera.name), now)
            for name, found in present.items():
                self._enter(name, found, now)

    def prune(self, before: float) -> None:
        """Deletes slots before that moment, no more than a day's at a time."""
        (oldest,) = self._db.execute("SELECT min(slot) FROM slot").fetchone()
        if oldest is not None and oldest < before:
            self._db.execute("DELETE FROM slot WHERE slot < ?", (min(before, oldest + DAY_S),))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        yield
        self._db.execute("COMMIT")

    def _settle(self, camera: _Camera, found: Present | None, now: int) -> None:
        """What is over of a camera that was expected until now, before it becomes what it is found to be."""
        if found is not None and (found.interval_s, found.state, camera.state) == (camera.interval_s, ASKED, ASKED):
            return self._fill(camera, int(now - camera.interval_s - LATE_S), UNRECORDED)  # a cycle may be under way
        disabled = NOT_ASKED in (camera.state, found and found.state)
        self._fill(camera, now, DISABLED if disabled else UNRECORDED)
        if found is None:
            camera.state = GONE
            self._db.execute("UPDATE camera SET state = ? WHERE id = ?", (GONE, camera.id))

    def _enter(self, name: str, found: Present, now: int) -> None:
        camera = self._camera(name)
        if (camera.interval_s, camera.state) == (found.interval_s, found.state):
            return
        if camera.state == GONE or camera.interval_s != found.interval_s:
            camera.through = now
        camera.interval_s, camera.state = found.interval_s, found.state
        values = (camera.interval_s, camera.through, camera.state, camera.id)
        self._db.execute("UPDATE camera SET interval = ?, through = ?, state = ? WHERE id = ?", values)

    def _fill(self, camera: _Camera, until: int, reason: str) -> None:
        if slots := due(camera.name, camera.interval_s, camera.through, until):
            self._db.execute(FILL, {"camera": camera.id, "reason": reason, **slots})
            camera.through = until
            self._db.execute("UPDATE camera SET through = ? WHERE id = ?", (until, camera.id))

    def _camera(self, name: str) -> _Camera:
        if name not in self._cameras:
            # `run --once` beside the service may have been faster.
            self._db.execute("INSERT OR IGNORE INTO camera (name) VALUES (?)", (name,))
            row = self._db.execute("SELECT id FROM camera WHERE name = ?", (name,)).fetchone()
            self._cameras[name] = _Camera(row[0], name, 0.0, 0, GONE)
        return self._cameras[name]
