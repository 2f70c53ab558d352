"""Each slot has its row: what became of it, or why nothing did, whatever happens to the service and to the file."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from test_worker import INTERVAL, World, error, world  # noqa: F401 - fixtures

from cctv_images.clock import SimulatedClock
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet, LedgerRecord
from cctv_images.retain.ledger import MAX_WAITING, Ledger, present
from cctv_images.retain.ledger_file import LedgerFile, Present
from cctv_images.retain.reasons import DISABLED, OVERRUN, SERVICE_DOWN, UNRECORDED, UPLINK, Kept
from cctv_images.schedule import Timetable
from cctv_images.states import CameraState, Health, Policy

NOON = 1_700_000_000.0
DAYS = 30
NEVER = Policy(failure_limit=0)
BATCH_S = 0.1


def rows(path: Path, *columns: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        named = "SELECT {} FROM slot JOIN camera ON camera.id = slot.camera ORDER BY slot, name"
        return db.execute(named.format(", ".join(columns))).fetchall()


def reasons(path: Path) -> list[object]:
    return [reason for (reason,) in rows(path, "reason")]


def slots(camera_id: str, interval: float, begin: float, end: float) -> list[int]:
    """All of them in (begin, end], by the timetable itself."""
    table, found, moment = Timetable.of(camera_id, interval, 0.0), [], begin
    while (moment := table.slot_after(moment)) <= end:
        found.append(int(moment))
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def open_ledger(path: Path) -> Iterator[Callable[..., Ledger]]:
    made: list[Ledger] = []

    def make(clock: SimulatedClock | None = None, record: LedgerRecord | None = None, days: int = DAYS) -> Ledger:
        made.append(Ledger(path, clock or SimulatedClock(), days, record or LedgerRecord(), BATCH_S))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


# --- one report ---


def test_a_slot_tells_what_became_of_it(path: Path, open_ledger) -> None:
    ledger = open_ledger()
    ledger.cycle("a", 300.7, captured=True, published=True, reason=None)
    ledger.cycle("b", 310.0, captured=False, published=False, reason="timeout")
    ledger.cycle("c", 320.0, captured=True, published=False, reason="store_unreachable")
    ledger.skipped("d", 330.0, OVERRUN)
    ledger.close()
    assert rows(path, "slot", "name", "captured", "published", "reason") == [
        (300, "a", 1, 1, None),
        (310, "b", 0, 0, "timeout"),
        (320, "c", 1, 0, "store_unreachable"),
        (330, "d", 0, 0, "overrun"),
    ]


@pytest.mark.parametrize("kept_first", [True, False])
def test_the_archives_report_may_come_before_the_cycles_or_after_it(path: Path, open_ledger, kept_first: bool) -> None:
    ledger = open_ledger()
    reports = [
        lambda: ledger.kept("a", 300.2, Kept.ACCEPTED, captured_at=303.9),
        lambda: ledger.cycle("a", 300.2, captured=True, published=False, reason="store_full"),
    ]
    for report in reports if kept_first else reversed(reports):
        report()
    ledger.kept("a", 300.2, Kept.ARCHIVED, captured_at=303.9)
    ledger.kept("a", 300.2, Kept.ACCEPTED, captured_at=303.9)  # said again after a restart
    ledger.close()
    assert rows(path, "captured", "published", "kept", "copy", "reason") == [(1, 0, 4, 3, "store_full")]


def test_a_second_cycle_in_a_slot_takes_nothing_away_from_it(path: Path, open_ledger) -> None:
    ledger = open_ledger()
    for slot, first, second in ((1, (True, True, None), (False, False, "timeout")),
                                (2, (False, False, "timeout"), (True, True, None)),
                                (3, (True, False, "store_full"), (False, False, "dns")),
                                (4, (False, False, "dns"), (False, False, "tls"))):  # fmt: skip
        for captured, published, reason in (first, second):
            ledger.cycle("a", slot, captured=captured, published=published, reason=reason)
    ledger.close()
    found = rows(path, "captured", "published", "reason")
    assert found == [(1, 1, None), (1, 1, None), (1, 0, "store_full"), (0, 0, "tls")]


def test_a_lost_picture_says_why(path: Path, open_ledger) -> None:
    ledger = open_ledger()
    ledger.cycle("a", 300, captured=True, published=True, reason=None)
    ledger.kept("a", 300, Kept.ACCEPTED)
    ledger.kept("a", 300, Kept.LOST, "spool_full")
    ledger.close()
    assert rows(path, "published", "kept", "reason", "lost") == [(1, Kept.LOST, None, "spool_full")]


# --- slots that nobody reports ---


def test_the_time_in_which_the_service_was_down_is_filled_in_from_the_timetable(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300), "b": Present(60)}, NOON, since=0, first=True)
    file.close()
    file = LedgerFile(path)
    later = NOON + 3 * 86_400
    file.roll_call({"a": Present(300), "b": Present(60)}, later, since=0, first=True)
    for name, interval in (("a", 300), ("b", 60)):
        found = [row for row in rows(path, "slot", "name", "captured", "reason") if row[1] == name]
        assert found == [(slot, name, 0, SERVICE_DOWN) for slot in slots(name, interval, NOON, later)]


def test_a_row_that_is_there_is_not_filled_over(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300)}, NOON, since=0, first=True)
    slot = slots("a", 300, NOON, NOON + 600)[0]
    file.write([(slot, "a", True, True, 0, None, None, None)])
    file.roll_call({"a": Present(300)}, NOON + 86_400, since=0, first=True)
    assert reasons(path) == [None] + [SERVICE_DOWN] * 287
    file.close()


def test_a_camera_is_expected_from_its_first_roll_call_until_it_is_missing_from_one(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({}, NOON, since=0, first=True)
    file.roll_call({"a": Present(300)}, NOON + 1000, since=0, first=False)
    file.roll_call({}, NOON + 2000, since=0, first=False)
    file.roll_call({"a": Present(300)}, NOON + 90_000, since=0, first=False)
    assert [slot for (slot,) in rows(path, "slot")] == slots("a", 300, NOON + 1000, NOON + 2000)
    assert set(reasons(path)) == {UNRECORDED}
    file.close()


def test_the_slots_of_a_disabled_camera_say_so_until_it_is_revived(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300)}, NOON, since=0, first=True)
    for minute in range(1, 61):
        file.roll_call({"a": Present(300, disabled=minute < 40)}, NOON + 60 * minute, since=0, first=False)
    expected = slots("a", 300, NOON, NOON + 40 * 60)
    assert [slot for (slot,) in rows(path, "slot")][: len(expected)] == expected
    assert reasons(path)[: len(expected)] == [DISABLED] * len(expected)
    assert set(reasons(path)[len(expected) :]) == {UNRECORDED}
    file.close()


def test_a_changed_interval_counts_from_the_moment_it_is_seen(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300)}, NOON, since=0, first=True)
    file.roll_call({"a": Present(60)}, NOON + 3000, since=0, first=False)
    file.roll_call({}, NOON + 6000, since=0, first=False)
    expected = slots("a", 300, NOON, NOON + 3000) + slots("a", 60, NOON + 3000, NOON + 6000)
    assert [slot for (slot,) in rows(path, "slot")] == expected
    file.close()


def test_a_camera_that_is_asked_has_time_to_report(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300)}, NOON, since=0, first=True)
    file.roll_call({"a": Present(300)}, NOON + 400, since=0, first=False)
    assert rows(path, "slot") == []
    file.roll_call({"a": Present(300)}, NOON + 900, since=0, first=False)
    assert set(reasons(path)) == {UNRECORDED}
    file.close()


def test_a_clock_that_is_set_back_makes_no_second_row_and_one_set_forward_leaves_no_hole(path: Path) -> None:
    file = LedgerFile(path)
    table, when = Timetable.of("a", 300, 0.0), NOON
    file.roll_call({"a": Present(300)}, when, since=0, first=True)
    for step in [0] * 20 + [-3600] + [0] * 20 + [7200] + [0] * 20:
        when += 300 + step
        file.write([(int(table.filled(when)), "a", True, True, 0, None, None, None)])
        file.roll_call({"a": Present(300)}, when, since=0, first=False)
    file.roll_call({}, when, since=0, first=False)
    found = [slot for (slot,) in rows(path, "slot")]
    assert found == slots("a", 300, found[0] - 1, found[-1] + 1)
    assert reasons(path).count(UNRECORDED) == 7200 / 300
    file.close()


def test_slots_older_than_its_days_are_deleted_and_never_filled_in(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300)}, NOON, since=0, first=True)
    file.write([(int(NOON), "a", True, True, 0, None, None, None)])
    since = NOON + 40 * 86_400
    file.roll_call({"a": Present(300)}, since + 3600, since=since, first=True)
    file.prune(since)
    assert [slot for (slot,) in rows(path, "slot")] == slots("a", 300, since, since + 3600)
    file.close()


def test_a_lot_that_is_too_old_goes_a_day_at_a_time(path: Path) -> None:
    file = LedgerFile(path)
    file.roll_call({"a": Present(300)}, NOON, since=0, first=True)
    file.roll_call({"a": Present(300)}, NOON + 10 * 86_400, since=0, first=True)
    file.prune(NOON + 9 * 86_400)
    assert len(rows(path, "slot")) == 9 * 288
    file.close()


# --- the worker reports ---


def report(w: World, path: Path) -> Ledger:
    ledger = Ledger(path, w.clock, DAYS, LedgerRecord(), BATCH_S)
    w.tools.account = ledger
    return ledger


async def test_a_day_of_a_camera_is_288_slots_each_accounted_for(world, path: Path) -> None:  # noqa: F811
    w = world(lambda camera, now: CameraError(ErrorState.TIMEOUT) if 30_000 < now < 40_000 else 1.0, policy=NEVER)
    ledger = report(w, path)
    w.start()
    await w.clock.advance(86_400)
    ledger.close()
    found = rows(path, "slot", "captured", "published", "reason")
    assert [row[0] for row in found] == slots("c0", INTERVAL, found[0][0] - 1, found[-1][0] + 1)
    assert 287 <= len(found) <= 289
    assert {row[1:] for row in found} == {(1, 1, None), (0, 0, "timeout")}
    assert 30 <= sum(row[3] == "timeout" for row in found) <= 35


async def test_skipped_slots_and_the_stores_trouble_have_their_reasons(world, path: Path) -> None:  # noqa: F811
    w = world(lambda camera, now: 700.0 if 20_000 < now < 30_000 else 1.0)
    ledger = report(w, path)
    w.start()
    await w.clock.advance(40_000)
    w.store_up = False
    await w.clock.advance(3_000)
    ledger.close()
    found = rows(path, "slot", "captured", "published", "reason")
    assert [row[0] for row in found] == slots("c0", INTERVAL, found[0][0] - 1, found[-1][0] + 1)
    assert sum(row[3] == OVERRUN for row in found) == w.fleet.slots_skipped > 10
    assert {row[1:] for row in found[-9:]} == {(1, 0, "store_unreachable")}


async def test_an_outage_of_our_own_network_is_not_written_on_the_cameras(world, path: Path) -> None:  # noqa: F811
    w = world(lambda camera, now: CameraError(ErrorState.CONNECT_TIMEOUT) if 3_000 < now < 3_600 else 1.0)
    ledger = report(w, path)
    w.start(40)
    await w.clock.advance(7_200)
    ledger.close()
    assert {reason for reason in reasons(path) if reason} <= {UPLINK, "connect_timeout"}
    assert reasons(path).count(UPLINK) >= 40


class Direct:
    """Reports that are written at once."""

    def __init__(self, file: LedgerFile) -> None:
        self.file = file

    def cycle(self, camera_id: str, slot: float, *, captured: bool, published: bool, reason: str | None) -> None:
        self.file.write([(int(slot), camera_id, captured, published, 0, None, reason, None)])

    def skipped(self, camera_id: str, slot: float, reason: str) -> None:
        raise AssertionError("no slot is skipped here")


async def test_a_camera_disabled_by_failures_stays_accounted_for(world, path: Path) -> None:  # noqa: F811
    w, file = world(error(ErrorState.NOT_FOUND), policy=Policy(failure_limit=3)), LedgerFile(path)
    w.tools.account = Direct(file)
    w.start()
    for minute in range(120):
        await w.clock.advance(60)
        file.roll_call(present(w.fleet), w.clock.time(), since=0, first=minute == 0)
    file.close()
    found = [slot for (slot,) in rows(path, "slot")]
    assert found == slots("c0", INTERVAL, found[0] - 1, w.clock.time())
    assert reasons(path)[:3] == ["not_found"] * 3
    assert set(reasons(path)[3:]) == {DISABLED}


async def test_paused_cameras_are_not_expected() -> None:
    fleet = Fleet(NOON)
    for camera_id, health in (("a", Health.OK), ("b", Health.PAUSED), ("c", Health.DISABLED), ("d", Health.NEW)):
        fleet.cameras[camera_id] = CameraRecord(Camera(camera_id, "generic"), 300, CameraState(health))
    assert present(fleet) == {"a": Present(300), "c": Present(300, disabled=True), "d": Present(300)}


# --- the file's trouble ---


def written(path: Path, count: int, limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        with contextlib.suppress(sqlite3.Error):
            if len(rows(path, "slot")) == count:
                return
        time.sleep(0.05)
    raise AssertionError(f"not {count} rows")


def tell(ledger: Ledger, slot: float) -> None:
    ledger.cycle("a", slot, captured=True, published=True, reason=None)


@pytest.mark.parametrize("bad", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_set_aside_and_said_once(path: Path, open_ledger, bad: bytes) -> None:
    path.write_bytes(bad)
    with capture_logs() as logs:
        ledger = open_ledger()
        tell(ledger, 1)
        written(path, 1)
    assert [entry["event"] for entry in logs] == ["ledger_set_aside"]
    assert path.with_name("ledger.sqlite.aside").read_bytes() == bad


def test_a_ledger_of_another_version_is_set_aside(path: Path, open_ledger) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    ledger = open_ledger()
    tell(ledger, 1)
    written(path, 1)
    assert path.with_name("ledger.sqlite.aside").exists()


def test_a_file_that_is_deleted_while_it_is_in_use_is_begun_anew(path: Path, open_ledger) -> None:
    ledger = open_ledger()
    tell(ledger, 1)
    written(path, 1)
    with capture_logs() as logs:
        path.unlink()
        tell(ledger, 2)
        written(path, 1)
    assert rows(path, "slot") == [(2,)]
    assert [entry["event"] for entry in logs] == ["ledger_set_aside"]


def test_while_it_cannot_be_written_reports_wait_and_it_is_said_once(path: Path, open_ledger) -> None:
    record = LedgerRecord()
    path.mkdir()
    with capture_logs() as logs:
        ledger = open_ledger(record=record)
        tell(ledger, 1)
        time.sleep(5 * BATCH_S)
        assert not record.ok
        tell(ledger, 2)
        path.rmdir()
        written(path, 2)
        ledger.close()
    assert [entry["event"] for entry in logs] == ["ledger_failed", "ledger_recovered"]
    assert record.ok


def test_a_locked_file_holds_up_nobody_who_reports(path: Path, open_ledger) -> None:
    ledger = open_ledger()
    tell(ledger, 1)
    written(path, 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    for slot in range(2, 1002):
        tell(ledger, slot)
    assert time.monotonic() - begin < 1
    other.execute("ROLLBACK")
    other.close()
    written(path, 1001)


def test_reports_that_find_no_room_are_counted(path: Path) -> None:
    record = LedgerRecord()
    path.mkdir()
    ledger = Ledger(path, SimulatedClock(), DAYS, record)
    for slot in range(MAX_WAITING + 7):
        tell(ledger, slot)
    assert record.dropped == 7
    ledger.close()


def test_what_is_settled_is_written(path: Path) -> None:
    ledger = Ledger(path, SimulatedClock(), DAYS, LedgerRecord(), batch_s=60)
    for slot in range(10):
        tell(ledger, slot)
        assert ledger.settle(20)
        assert len(rows(path, "slot")) == slot + 1
    ledger.close()


def test_what_cannot_be_written_is_not_settled(path: Path) -> None:
    path.mkdir()
    ledger = Ledger(path, SimulatedClock(), DAYS, LedgerRecord(), BATCH_S)
    tell(ledger, 1)
    assert not ledger.settle(0.5)
    ledger.close()


def test_two_processes_may_write_one_ledger(path: Path) -> None:
    files = [LedgerFile(path), LedgerFile(path)]
    for slot, file in enumerate(files):
        file.write([(slot, "a", True, True, 0, None, None, None)])
    assert rows(path, "slot", "name") == [(0, "a"), (1, "a")]
    for file in files:
        file.close()


def test_a_kill_leaves_the_file_whole_and_the_equation_true(path: Path) -> None:
    """The process ends between two batches, again and again."""
    script = """
import sys, time
from cctv_images.retain.ledger_file import LedgerFile, Present
from pathlib import Path
file = LedgerFile(Path(sys.argv[1]))
now = float(sys.argv[2])
file.roll_call({"a": Present(1)}, now, since=0, first=True)
print("on", flush=True)
while True:
    now += 1
    file.write([(int(now), "a", True, True, 0, None, None, None)])
"""
    now = NOON
    for turn in range(6):
        process = subprocess.Popen([sys.executable, "-c", script, path, str(now)], stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == b"on\n"
        time.sleep(0.01 * turn)
        process.kill()
        process.wait()
        now += 100_000
    file = LedgerFile(path)
    file.roll_call({}, now, since=0, first=True)
    file.close()
    found = rows(path, "slot", "captured", "reason")
    assert {row[1:] for row in found} == {(1, None), (0, SERVICE_DOWN)}
    assert len(found) == pytest.approx(now - NOON, abs=1)
