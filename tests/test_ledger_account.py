"""What `ledger` shows of a day, and whether a day of the ledger and the archive's listing agree."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from program import Program
from s3 import Weed
from structlog.testing import capture_logs

from cctv_images.clock import SimulatedClock
from cctv_images.errors import StoreError
from cctv_images.records import LedgerRecord
from cctv_images.retain.account import Account, Slot, Unreadable, begin_of, day_of
from cctv_images.retain.copies import Copy
from cctv_images.retain.ledger import Ledger
from cctv_images.retain.ledger_file import LedgerFile, Present
from cctv_images.retain.outcomes import Verified, leave, left
from cctv_images.retain.reasons import EXPIRED, SERVICE_DOWN, UNRECORDED, Kept
from cctv_images.retain.verify import Verdict, compare, verify

DAY = date(2026, 11, 20)
BEGIN = begin_of(DAY)
END = BEGIN + 86_399


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def ledger_with(path: Path, cameras: dict[str, float], until: float, begin: float = BEGIN) -> None:
    """A ledger in which every slot of these cameras was published and archived, until the service was switched off."""
    file = LedgerFile(path)
    file.roll_call({name: Present(interval) for name, interval in cameras.items()}, begin - 1, since=0, first=True)
    file.roll_call({name: Present(interval) for name, interval in cameras.items()}, until, since=0, first=True)
    file.close()
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE slot SET captured = 1, published = 1, kept = {Kept.ARCHIVED:d}, copy = 2, reason = NULL")
    db.close()


# --- the account of a day ---


def test_a_day_adds_up_camera_by_camera(path: Path) -> None:
    ledger_with(path, {"b": 300, "a": 60}, END)
    with sqlite3.connect(path) as db:
        some = "SELECT slot FROM slot WHERE camera = (SELECT id FROM camera WHERE name = 'b') LIMIT 5"
        found = [slot for (slot,) in db.execute(some)]
        of_b = "WHERE slot = ? AND camera = (SELECT id FROM camera WHERE name = 'b')"
        changes = [
            "captured = 0, published = 0, kept = 0, reason = 'timeout'",
            "published = 0, reason = 'store_full'",
            f"kept = {Kept.LOST:d}, lost = 'spool_full'",
            f"kept = {Kept.ACCEPTED:d}",
            f"kept = {Kept.NOT_CHOSEN:d}",
        ]
        for change, slot in zip(changes, found, strict=True):
            db.execute(f"UPDATE slot SET {change} {of_b}", (slot,))
    db.close()
    account = Account(path, END + 3600)
    figures = account.figures(DAY)
    assert list(figures) == ["a", "b"]
    assert (figures["a"].expected, figures["a"].archived, figures["a"].reasons) == (1440, 1440, {})
    b = figures["b"]
    assert (b.expected, b.captured, b.published, b.archived, b.waiting, b.lost, b.not_chosen) == (
        *(288, 287, 286, 284),
        *(1, 1, 1),
    )
    assert b.reasons == {"timeout": 1, "store_full": 1, "spool_full": 1}
    assert account.figures(DAY, "b") == {"b": b}
    account.close()


def test_a_day_on_which_the_service_was_off_has_its_row_before_anybody_has_written_one(path: Path) -> None:
    ledger_with(path, {"a": 300}, END)
    account = Account(path, END + 3 * 86_400 + 3600)
    assert account.days() == [DAY + timedelta(days=n) for n in range(5)]
    for day in account.days()[1:4]:
        a = account.figures(day)["a"]
        assert (a.expected, a.captured, a.reasons) == (288, 0, {SERVICE_DOWN: 288})
    account.close()


def test_what_is_filled_in_for_reading_is_what_the_next_start_writes(path: Path) -> None:
    ledger_with(path, {"a": 300, "b": 7.5}, BEGIN + 40_000)
    file = LedgerFile(path)  # some cycles that no roll call has followed, as before a kill
    for slot in (BEGIN + 40_100, BEGIN + 40_400):
        file.write([(slot, "c", True, True, Kept.NOT_CHOSEN, None, None, None)])
    now = END + 86_400
    account = Account(path, now + 1_000)
    before = [account.figures(day) for day in account.days()[:2]]
    file.close()
    file = LedgerFile(path)
    file.roll_call({}, now, since=0, first=True)
    file.close()
    assert [account.figures(day) for day in account.days()[:2]] == before
    account.close()


def test_slots_that_are_not_over_are_not_expected_yet(path: Path) -> None:
    ledger_with(path, {"a": 300}, END - 7200)
    account = Account(path, END - 7200 + 400)
    assert account.figures(DAY)["a"].reasons == {}
    account.close()


def test_reading_goes_on_while_the_service_writes(path: Path) -> None:
    ledger_with(path, {"a": 300}, END)
    file = LedgerFile(path)
    account = Account(path, END)
    for n in range(50):
        file.write([(END + n, "b", True, True, 0, None, None, None)])
        assert account.figures(DAY)["a"].expected == 288
    assert account.figures(DAY + timedelta(days=1))["b"].expected == 49
    account.close()
    file.close()


@pytest.mark.parametrize("content", [None, b"", b"rubbish" * 500])
def test_what_is_no_ledger_is_told_in_a_sentence(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable):
        Account(path, END)


def test_a_place_where_no_ledger_can_be_looked_for_is_told_in_a_sentence(path: Path) -> None:
    with pytest.raises(Unreadable, match="it cannot be read: File name too long"):
        Account(path.with_name("x" * 300), END)


# --- keys ---


@pytest.mark.parametrize(
    "key",
    [
        "a/2026/11/20/120000Z.png",
        "a/2026/11/20/120000.jpg",
        "a/2026/11/20/120000Z-1.jpg",
        "a/2026/11/20/120000Z-02.jpg",
        "a/2026/13/20/120000Z.jpg",
        "a/2026/11/20/120060Z.jpg",
        "a/2026/02/30/120000Z.jpg",
        "a/b/2026/11/20/120000Z.jpg",
        "/2026/11/20/120000Z.jpg",
        ".a/2026/11/20/120000Z.jpg",
        "a/2026/11/20/120000Z.jpg/x",
        "a/２０２６/11/20/120000Z.jpg",
        "a/2026/11/20/120000Z.jpg\n",
        "image/a.jpg",
        "",
    ],
)
def test_only_keys_of_exactly_our_form_are_copies(key: str) -> None:
    assert Copy.of(key) is None


@pytest.mark.parametrize("further", ["", "-2", "-10"])
def test_keys_of_our_form_are_read(further: str) -> None:
    assert Copy.of(f"CCTV-1.x_y/2026/11/20/010101Z{further}.jpg") == Copy("CCTV-1.x_y", BEGIN + 3661)


# --- ledger against listing ---


def slot(n: int, kept: Kept = Kept.ARCHIVED, *, captured: bool = True, copy: int | None = 2, **rest: str) -> Slot:
    at = BEGIN + 300 * n
    reason, lost = rest.get("reason"), rest.get("lost")
    return Slot(at, captured, captured and not reason, kept, copy if captured else None, reason, lost)


def at(n: int, late: int = 2) -> int:
    return BEGIN + 300 * n + late


def judged(slots: list[Slot], copies: list[int], expired: float = 0.0) -> Verdict:
    verdict = compare(slots, copies, BEGIN, END, 300, expired)
    assert verdict.expected == verdict.archived + verdict.reasons.total() + len(verdict.gaps)
    return verdict


def test_a_day_that_is_all_there_adds_up() -> None:
    verdict = judged([slot(n) for n in range(288)], [at(n) for n in range(288)])
    assert (verdict.expected, verdict.archived, verdict.gaps, verdict.further) == (288, 288, [], 0)


def test_reasons_fill_the_equation() -> None:
    slots = [
        slot(0),
        slot(1, Kept.NOTHING, captured=False, reason="timeout"),
        slot(2, Kept.LOST, lost="spool_full"),
        slot(3, Kept.ACCEPTED),
        slot(4, Kept.NOT_CHOSEN, copy=None),
        slot(5, reason="store_full"),
        slot(6, Kept.NOTHING, captured=False, reason=SERVICE_DOWN),
    ]
    verdict = judged(slots, [at(0), at(5)])
    assert verdict.archived == 2
    assert verdict.reasons == {"timeout": 1, "spool_full": 1, "waiting": 1, "not_chosen": 1, SERVICE_DOWN: 1}
    assert verdict.gaps == []


def test_a_copy_that_is_not_listed_is_a_gap() -> None:
    verdict = judged([slot(n) for n in range(3)], [at(0), at(2)])
    assert [gap.slot for gap in verdict.gaps] == [BEGIN + 300]


def test_a_captured_picture_of_which_nothing_is_known_is_a_gap() -> None:
    verdict = judged([slot(0, Kept.NOTHING, copy=None)], [])
    assert [gap.slot for gap in verdict.gaps] == [BEGIN]


def test_what_the_archive_lists_counts_although_the_ledger_has_not_heard_of_it() -> None:
    slots = [
        slot(0, Kept.ACCEPTED),
        slot(1, Kept.LOST, lost="spool_full"),
        slot(2, Kept.NOTHING, captured=False, reason=SERVICE_DOWN),
        slot(3, Kept.NOTHING, captured=False, reason=UNRECORDED),
        slot(4, Kept.NOTHING, copy=None),
    ]
    verdict = judged(slots, [at(n) for n in range(5)])
    assert (verdict.archived, verdict.gaps, verdict.further) == (5, [], 0)


def test_a_copy_is_not_given_to_a_slot_whose_camera_failed() -> None:
    verdict = judged([slot(0), slot(1, Kept.NOTHING, captured=False, reason="timeout")], [at(0), at(1)])
    assert (verdict.archived, verdict.reasons, verdict.further) == (1, {"timeout": 1}, 1)


def test_a_second_picture_in_a_slot_is_further_and_no_gap() -> None:
    verdict = judged([slot(0), slot(1)], [at(0), at(0, 90), at(1)])
    assert (verdict.archived, verdict.gaps, verdict.further) == (2, [], 1)


def test_the_days_edges_belong_to_their_slots() -> None:
    before, last, after = slot(-1, copy=310), slot(287, copy=305), slot(288)
    verdict = judged([before, slot(0), last, after], [at(-1, 310), at(0), at(287, 305), at(288)])
    assert (verdict.expected, verdict.archived, verdict.gaps, verdict.further) == (2, 2, [], 0)


def test_copies_that_have_had_their_day_are_no_gap() -> None:
    verdict = judged([slot(0), slot(1)], [at(1)], expired=at(1) - 1)
    assert (verdict.archived, verdict.reasons, verdict.gaps) == (1, {EXPIRED: 1}, [])


class Entry(NamedTuple):
    key: str
    size: int = 100


class Shelf:
    """An archive's listing."""

    def __init__(self, keys: list[str], *, fails: bool = False) -> None:
        self.keys, self.fails = keys, fails

    async def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]:
        for key in self.keys:
            if key.startswith(prefix):
                yield Entry(key)
        if self.fails:
            raise StoreError("timeout", "no answer")


def copied(path: Path) -> list[str]:
    """The key of each copy that the ledger calls archived."""
    with sqlite3.connect(path) as db:
        rows = db.execute(
            "SELECT name, slot + copy FROM slot JOIN camera ON camera.id = slot.camera WHERE copy > 0"
        ).fetchall()
    db.close()
    return [f"{name}/{datetime.fromtimestamp(moment, UTC):%Y/%m/%d/%H%M%SZ}.jpg" for name, moment in rows]


@pytest.fixture
def account(path: Path) -> Iterator[Account]:
    ledger_with(path, {f"c{n}": 300 for n in range(20)}, END + 7200, BEGIN - 7200)
    account = Account(path, END + 7200)
    yield account
    account.close()


async def test_a_day_is_verified_camera_by_camera(account: Account, path: Path) -> None:
    keys = [key for key in copied(path) if key != f"c7/2026/11/20/{120:06d}Z.jpg"]
    gone = next(key for key in keys if key.startswith("c7/2026/11/20/12"))
    keys.remove(gone)
    verdicts = {camera: verdict async for camera, verdict in verify(account, Shelf(keys), DAY, 0.0)}
    assert len(verdicts) == 20
    assert {verdict.expected for verdict in verdicts.values()} == {288}
    assert {camera for camera, verdict in verdicts.items() if verdict.gaps} == {"c7"}
    assert sum(verdict.further for verdict in verdicts.values()) == 0


async def test_a_listing_that_fails_is_no_empty_archive(account: Account, path: Path) -> None:
    with pytest.raises(StoreError):
        _ = [verdict async for verdict in verify(account, Shelf(copied(path), fails=True), DAY, 0.0)]


# --- the command ---


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path, {"CCTV_STATE_DIR": str(tmp_path)})


async def test_the_command_shows_a_table_json_and_csv_of_the_same_days(program: Program, path: Path) -> None:
    today = begin_of(day_of(time.time()))
    ledger_with(path, {"a": 300, "b": 600}, today, today - 2 * 86_400)
    table = (await program("ledger")).out.splitlines()
    yesterday = day_of(today - 1)
    assert table[0].split() == ["day", "camera", "expected", "captured", "published", "archived", "lost", "why", "not"]
    assert [line.split()[:3] for line in table if line.startswith(str(yesterday))] == [
        [str(yesterday), "a", "288"],
        [str(yesterday), "b", "144"],
        [str(yesterday), "all", "2"],
    ]
    document = json.loads((await program("ledger", "--date", "yesterday", "--json")).out)
    assert [day["date"] for day in document["days"]] == [str(yesterday)]
    assert document["days"][0]["total"]["archived"] == 432
    rows = list(csv.DictReader(io.StringIO((await program("ledger", "--csv", "--camera", "b")).out)))
    assert {row["camera_id"] for row in rows} == {"b"}
    assert [row["expected"] for row in rows[:2]] == ["144", "144"]


async def test_the_command_says_what_it_misses(program: Program, path: Path) -> None:
    done = await program("ledger")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("ledger.sqlite: there is none yet: the service makes it when it runs.\n")
    ledger_with(path, {"a": 300}, END)
    assert (await program("ledger", "--camera", "x")).code == 1
    assert (await program("ledger", "--date", "20.11.2026")).code == 2


# --- verify as a command, and what the service makes of it ---


def archived_to(folder: Path, keys: list[str]) -> None:
    (folder / ".cctv-tmp").mkdir(parents=True, exist_ok=True)
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(b"picture")


async def test_verify_says_that_a_day_adds_up_or_names_the_gaps(program: Program, path: Path, tmp_path: Path) -> None:
    ledger_with(path, {"a": 300, "b": 600}, END + 7200, BEGIN - 7200)
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE slot SET captured=0, kept=0, copy=NULL, reason='timeout' WHERE slot > {END - 3600}")
    db.close()
    archive, day = tmp_path / "archive", ("ledger", "verify", "--date", str(DAY))
    archived_to(archive, [key for key in copied(path) if f"{DAY:%Y/%m/%d}" in key])
    program.env["CCTV_ARCHIVE"] = f"file://{archive}"
    done = await program("ledger", "verify", "--date", "2020-01-01")
    assert (done.code, "nothing to verify yet on 2020-01-01" in done.out) == (0, True)
    assert left(tmp_path, Verified) is None
    done = await program(*day)
    assert done.out == f"{DAY}: 432 slots expected = 414 archived + 18 with a reason (timeout 18).\n"
    assert done.code == 0
    for gone in sorted((archive / "b" / f"{DAY:%Y/%m/%d}").iterdir())[30:33]:
        gone.unlink()
    done = await program(*day)
    assert done.code == 1
    assert done.out.startswith("b: 3 slots, 05:")
    assert "archived, but the archive does not list it\n" in done.out
    assert done.out.endswith("= 411 archived + 18 with a reason (timeout 18) + 3 gaps.\n")
    document = json.loads((await program(*day, "--json")).out)
    assert (document["ok"], len(document["cameras"][1]["gaps"])) == (False, 3)
    assert left(tmp_path, Verified).gaps == 3
    for unknown in ("2020-01-01", "2090-01-01"):
        done = await program("ledger", "verify", "--date", unknown)
        assert (done.code, f"the ledger knows of no slot on {unknown}: there is nothing to verify." in done.err) == (
            1,
            True,
        )
    before = str(DAY - timedelta(days=1))
    archived_to(archive, [key for key in copied(path) if before.replace("-", "/") in key])
    assert (await program("ledger", "verify", "--date", before)).code == 0
    assert left(tmp_path, Verified).gaps == 3


async def test_an_archive_that_is_not_mounted_is_no_empty_one(program: Program, path: Path, tmp_path: Path) -> None:
    ledger_with(path, {"a": 300}, END + 7200, BEGIN - 7200)
    (tmp_path / "kept").mkdir()
    program.env |= {"CCTV_ARCHIVE": f"file://{tmp_path}/kept", "CCTV_ARCHIVE_DAYS": "30"}
    for command in (("ledger", "verify", "--date", str(DAY)), ("retention",)):
        done = await program(*command)
        assert (done.code, "is not the folder that it was (a disk that is not mounted?)" in done.err) == (1, True)
    assert [*(tmp_path / "kept").iterdir()] == []


async def test_verify_without_an_archive_or_with_one_that_is_away(
    program: Program, path: Path, tmp_path: Path, weed: Weed
) -> None:
    ledger_with(path, {"a": 300}, END + 7200, BEGIN - 7200)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE slot SET kept = 1, copy = NULL")
    db.close()
    day = ("ledger", "verify", "--date", str(DAY))
    done = await program(*day)
    assert (done.code, done.out.split(" = ")[1]) == (
        0,
        "0 archived + 288 with a reason (not_chosen 288). CCTV_ARCHIVE is not set: nothing is kept.\n",
    )
    env = {"AWS_ENDPOINT_URL_S3": weed.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtest"}
    done = await program(*day, CCTV_ARCHIVE="s3://no-such-bucket/kept", **env)
    assert done.code == 1
    assert "the archive s3://no-such-bucket/kept cannot be looked at: no_bucket" in done.err
    assert left(tmp_path, Verified).error
    assert (await program("ledger", "verify")).code == 2


def test_the_service_logs_and_shows_what_verify_has_found(path: Path, tmp_path: Path) -> None:
    leave(tmp_path, Verified("2026-11-18", 1.0, 10, 10, 0))
    record = LedgerRecord()
    with capture_logs() as logs:
        ledger = Ledger(path, SimulatedClock(), 30, record, 0.05)
        assert (record.verified_at, record.gaps) == (1.0, 0)
        for outcome in (
            Verified("2026-11-19", 2.0, 10, 7, 3),
            Verified("2026-11-20", 3.0, error="timeout: no answer"),
            Verified("2026-11-21", 4.0, 10, 10, 0),
        ):
            leave(tmp_path, outcome)
            seen = len(logs)
            ledger.roll_call({})
            while len(logs) == seen:
                time.sleep(0.05)
            assert record.gaps == (0 if outcome.date == "2026-11-21" else 3)
        ledger.close()
    assert [entry["event"] for entry in logs] == ["ledger_gaps", "ledger_unverified", "ledger_verified"]
    assert record.verified_at == 4.0
