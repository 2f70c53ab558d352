"""What became of each slot: expected, captured, published, archived, or why not.

1. Reporting costs microseconds, waits for no disk and raises nothing; a thread writes, every BATCH_S seconds.
2. Each slot of a camera that is run gets a row, whoever forgot to report: those without a report are filled in with
   why (reasons.py), also for the time in which the service was down.
3. A kill -9 or a power cut loses the reports of the last BATCH_S seconds, and nothing that was settled: those slots
   then say service_down, unless the archive or the spool knows better. The file stays whole.
4. A file that is damaged or not ours is set aside, said once, and begun anew; one that cannot be written is tried
   again, and MAX_WAITING reports wait meanwhile. Pictures are published in any case.

Not promised: slots repeated because the clock was set back are one row. A cycle out of turn (start, reload, revive)
belongs to the slot that is nearest.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import plain
from cctv_images.records import Fleet, LedgerRecord
from cctv_images.retain.ledger_file import DAY_S, LedgerFile, Present, Report, Unusable
from cctv_images.retain.outcomes import Verified, left
from cctv_images.retain.reasons import UNRECORDED, Kept
from cctv_images.states import Health

log = structlog.get_logger()

BATCH_S = 2.0
ROLL_CALL_S = 60.0
PRUNE_S = 3600.0
"""A day at most goes each time: a clock that is wrong for an hour does not cost the whole account."""
MAX_WAITING = 200_000
"""Reports; some 30 MB. 1,000 cameras make as many in five hours."""
AT_ONCE = 2_000
CLOSE_S = 2.0
ASIDE = ".aside"
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Ledger:
    """Thread-safe. `days` bounds the file: older slots are deleted."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        days: int,
        record: LedgerRecord,
        batch_s: float = BATCH_S,
        archives: bool = True,
    ) -> None:
        """archives: whether anything is kept; else every picture counts as not chosen."""
        self._path = path
        self._clock = clock
        self._days = days
        self._record = record
        self._batch_s = batch_s
        self._unkept = Kept.NOTHING if archives else Kept.NOT_CHOSEN
        self._verified = left(path.parent, Verified)
        self._tell_verdict(log_it=False)
        self._file: LedgerFile | None = None
        self._reports: deque[Report | threading.Event] = deque()
        """An event is set as soon as all before it is written."""
        self._present: tuple[Mapping[str, Present], float] | None = None
        self._first = True
        self._prune_at = 0.0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def cycle(self, camera_id: str, slot: float, *, captured: bool, published: bool, reason: str | None) -> None:
        """A cycle is over. slot: epoch seconds, see Timetable.filled. reason: why nothing was published, or None."""
        kept = self._unkept if captured else Kept.NOTHING
        self._take((int(slot), camera_id, captured, published, kept, None, reason, None))

    def skipped(self, camera_id: str, slot: float, reason: str) -> None:
        self._take((int(slot), camera_id, False, False, Kept.NOTHING, None, reason, None))

    def kept(
        self, camera_id: str, slot: float, state: Kept, reason: str = "", captured_at: float | None = None
    ) -> None:
        """What the archive has done with a slot's picture. captured_at: epoch seconds, which its key is made of.
        May come before the cycle is over, or days later."""
        copy = None if captured_at is None else int(captured_at) - int(slot)
        lost = plain(reason, 40) if state is Kept.LOST else None
        self._take((int(slot), camera_id, True, False, state, copy, UNRECORDED, lost))

    def roll_call(self, present: Mapping[str, Present]) -> None:
        """Which cameras are run, by id: to be said every minute, from the first inventory on."""
        self._present = present, self._clock.time()

    async def follow(self, fleet: Fleet) -> None:
        """Calls the roll, for ever. Before the first inventory nobody knows who is expected."""
        while True:
            if fleet.inventory_loaded_at:
                self.roll_call(present(fleet))
            await self._clock.sleep(ROLL_CALL_S if fleet.inventory_loaded_at else 1.0)

    def settle(self, limit_s: float) -> bool:
        """Blocks until all that has been reported is written and flushed; False where that takes longer."""
        written = threading.Event()
        if not self._take(written):
            return False
        self._wake.set()
        return written.wait(limit_s)

    def close(self) -> None:
        """Writes what waits, unless the disk hangs."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_S)

    def _take(self, report: Report | threading.Event) -> bool:
        if has_room := len(self._reports) < MAX_WAITING:
            self._reports.append(report)
        else:
            self._record.dropped += 1
        return has_room

    # From here on: in the thread.

    def _work(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(self._batch_s)
            self._wake.clear()
            closing = self._closing
            self._write_all()
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write_all(self) -> None:
        try:
            self._write(self._opened())
        except Unusable as exc:
            self._set_aside(str(exc))
        except (sqlite3.OperationalError, OSError) as exc:
            self._forget(f"{self._path.name}: {_why(exc)}")
        except Exception as exc:  # noqa: BLE001 - a ledger that died in silence would be none
            if getattr(exc, "sqlite_errorname", "").startswith(DAMAGED):
                return self._set_aside(_why(exc))
            self._record.dropped += len(self._reports)
            self._reports.clear()
            self._forget(f"our fault: {type(exc).__name__}")
        else:
            if not self._record.ok:
                log.info("ledger_recovered", dropped=self._record.dropped)
            self._record.ok = True

    def _opened(self) -> LedgerFile:
        if self._file is not None and not self._file.is_there:
            self._close_file()
            log.error("ledger_set_aside", detail="the file was taken away while it was in use")
        if self._file is None:
            self._file = LedgerFile(self._path)
        return self._file

    def _write(self, file: LedgerFile) -> None:
        while self._reports:
            some = [self._reports[i] for i in range(min(AT_ONCE, len(self._reports)))]
            file.write([report for report in some if isinstance(report, tuple)])
            for report in some:
                self._reports.popleft()
                if isinstance(report, threading.Event):
                    report.set()
        if self._present is None:
            return
        (present, now), self._present = self._present, None
        since = now - self._days * DAY_S
        file.roll_call(present, now, since=since, first=self._first)
        self._first = False
        if self._clock.monotonic() >= self._prune_at:
            self._prune_at = self._clock.monotonic() + PRUNE_S
            file.prune(since)
        if (verified := left(self._path.parent, Verified)) != self._verified:
            self._verified = verified
            self._tell_verdict(log_it=True)

    def _tell_verdict(self, *, log_it: bool) -> None:
        """What the last `ledger verify` has found."""
        if not (verified := self._verified):
            return
        facts = {"date": verified.date, "expected": verified.expected, "archived": verified.archived}
        if verified.error:
            if log_it:
                log.error("ledger_unverified", date=verified.date, detail=verified.error)
            return
        self._record.verified_at, self._record.gaps = verified.at, verified.gaps
        self._record.verified_date = verified.date
        if log_it and verified.gaps:
            log.error("ledger_gaps", **facts, gaps=verified.gaps)
        elif log_it:
            log.info("ledger_verified", **facts)

    def _forget(self, why: str) -> None:
        """The file is opened anew for the next batch."""
        self._close_file()
        if self._record.ok:
            log.error("ledger_failed", detail=why)
        self._record.ok = False

    def _set_aside(self, why: str) -> None:
        """Keeps one such file, for whoever wants to look at it."""
        self._close_file()
        try:
            os.replace(self._path, f"{self._path}{ASIDE}")
            for rest in ("-wal", "-shm"):
                Path(f"{self._path}{rest}").unlink(missing_ok=True)
        except OSError as error:
            return self._forget(f"{self._path.name}: {why}; it cannot be set aside: {_why(error)}")
        log.error("ledger_set_aside", detail=f"{self._path.name}: {why}")


def _why(exc: Exception) -> str:
    """For the operator; SQLite's own words name no secrets."""
    return (exc.strerror if isinstance(exc, OSError) else None) or plain(exc)


def present(fleet: Fleet) -> dict[str, Present]:
    """The cameras whose slots are expected."""
    run = ((i, r, r.state.health) for i, r in fleet.cameras.items() if r.state.health is not Health.PAUSED)
    return {camera_id: Present(r.interval_s, health is Health.DISABLED) for camera_id, r, health in run}
