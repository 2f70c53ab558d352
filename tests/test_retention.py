"""Copies that have had their day go; nothing else ever does, and nothing after an error."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import Program
from s3 import Weed
from test_ledger_account import archived_to

from cctv_images.errors import StoreError
from cctv_images.publish import AwsSettings
from cctv_images.publish.folder_archive import FolderArchive
from cctv_images.publish.s3 import S3Store
from cctv_images.publish.store import Publication, Store
from cctv_images.retain.outcomes import Retired, left
from cctv_images.retain.retention import AT_ONCE, Share, Tally, carry_out, count, plan

DAY, HOUR = 86_400, 3600
NOW = 1_800_000_000 + 1234


def key(camera_id: str, moment: float, further: str = "") -> str:
    return f"{camera_id}/{datetime.fromtimestamp(moment, UTC):%Y/%m/%d/%H%M%SZ}{further}.jpg"


class Entry(NamedTuple):
    key: str
    size: int = 1000


class Shelf:
    """An archive in memory that can fail at any point."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = list(keys)
        self.listing_fails_at: int | None = None
        self.deleting_fails_at: int | None = None
        self.batches = 0

    async def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]:
        for n, name in enumerate([*self.keys]):
            if n == self.listing_fails_at:
                raise StoreError("timeout", "no answer")
            yield Entry(name)

    async def delete_many(self, keys: Sequence[str]) -> None:
        if self.batches == self.deleting_fails_at:
            raise StoreError("denied", "not allowed")
        self.batches += 1
        gone = {*keys}
        self.keys = [name for name in self.keys if name not in gone]


def month(days: int = 30, cameras: int = 4, every: int = HOUR) -> list[str]:
    """Copies up to now."""
    moments = range(NOW - days * DAY, NOW, every)
    return [key(f"c{n}", moment) for n in range(cameras) for moment in moments]


async def planned(keys: Sequence[str], days: int = 0, max_bytes: int = 0, *, force: bool = False, now: float = NOW):
    return plan(await count(Shelf(keys)), now, days, max_bytes, force=force)


# --- the plan ---


async def test_a_usual_night_takes_what_has_become_too_old_since_the_last() -> None:
    made = await planned(month(31), days=30)
    assert not made.is_cut
    assert 23 * 4 <= made.goes.copies <= 25 * 4
    assert made.before <= NOW - 30 * DAY


async def test_nothing_is_due_where_nothing_is_too_old_or_no_limit_is_set() -> None:
    assert (await planned(month(29), days=30)).goes.copies == 0
    assert (await planned(month(300))).goes.copies == 0
    assert (await planned([], days=1, max_bytes=1)).goes.copies == 0


async def test_by_bytes_the_oldest_go_until_the_rest_fits() -> None:
    keys = month(3)
    made = await planned(keys, max_bytes=len(keys) * 1000 - 4500)
    assert made.goes == Share(8, 8000)
    assert (await planned(keys, max_bytes=len(keys) * 1000)).goes.copies == 0


async def test_both_limits_hold_together() -> None:
    keys = month(4)
    by_days, by_bytes = await planned(keys, days=3), await planned(keys, max_bytes=300_000)
    both = await planned(keys, days=3, max_bytes=300_000)
    assert both.before == max(by_days.before, by_bytes.before)


@pytest.mark.parametrize(
    ("days", "max_bytes", "now"), [(30, 0, NOW + 400 * DAY), (1, 0, NOW), (0, 1, NOW)], ids=["clock", "days", "bytes"]
)
async def test_a_wrong_clock_or_setting_costs_two_days_at_most_unless_forced(
    days: int, max_bytes: int, now: float
) -> None:
    keys = month(60)
    made = await planned(keys, days, max_bytes, now=now)
    assert made.is_cut
    assert made.goes.copies <= 2 * 24 * 4
    forced = await planned(keys, days, max_bytes, force=True, now=now)
    assert not forced.is_cut
    assert forced.goes == made.due


async def test_what_was_left_lying_is_caught_up_with_night_by_night() -> None:
    shelf = Shelf(month(40))
    for _ in range(12):
        await carry_out(plan(await count(shelf), NOW, 30, 0, force=False), shelf, lambda n: None)
    assert (await planned(shelf.keys, days=30)).due.copies == 0
    assert len(shelf.keys) >= 30 * 24 * 4


moments = st.integers(NOW - 50 * DAY, NOW)


@given(
    st.lists(moments, max_size=60),
    st.integers(0, 60),
    st.integers(0, 60_000),
    st.booleans(),
)
def test_a_plan_takes_only_what_is_due_and_the_oldest(
    captured: list[int], days: int, max_bytes: int, force: bool
) -> None:
    tally = Tally()
    for moment in captured:
        tally.add(key("c", moment), 1000)
    made = plan(tally, NOW, days, max_bytes, force=force)
    gone = [moment for moment in captured if moment < made.before]
    rest = [moment for moment in captured if moment >= made.before]
    assert made.goes == Share(len(gone), 1000 * len(gone))
    too_old = [moment for moment in captured if days and moment < NOW - days * DAY]
    if max_bytes == 0:
        assert {*gone} <= {*too_old}
    elif gone and not ({*gone} <= {*too_old}):  # the newest hour of them was needed to come below the limit
        newest = max(gone) // HOUR * HOUR
        assert 1000 * (len(rest) + sum(moment >= newest for moment in gone)) > max_bytes
    if not force and gone:
        assert made.before - min(gone) // DAY * DAY <= 2 * DAY
    if force and max_bytes:
        assert 1000 * len(rest) <= max_bytes


# --- carrying it out ---


FOREIGN = [
    "image/c0.jpg",
    "c0/2001/01/01/000000Z.png",
    "c0/2001/01/01/notes.jpg",
    "c0/2001/1/1/000000Z.jpg",
    "backup/c0/2001/01/01/000000Z.jpg",
    ".cctv-images/nodes/a.json",
    "c0/2001/02/30/000000Z.jpg",
]


async def test_only_copies_go_and_each_that_is_due_does() -> None:
    shelf, done = Shelf([*FOREIGN, *month(31, every=120)]), list[int]()
    made = plan(await count(shelf), NOW, 30, 0, force=False)
    await carry_out(made, shelf, done.append)
    assert sum(done) == made.goes.copies > 2 * AT_ONCE
    assert shelf.keys[: len(FOREIGN)] == FOREIGN
    assert (await count(shelf)).before(made.before) == Share()
    assert len(shelf.keys) == len(FOREIGN) + made.held.copies - made.goes.copies


@pytest.mark.parametrize("at", [0, 1, 500, 2_000])
async def test_a_listing_that_fails_plans_nothing(at: int) -> None:
    shelf = Shelf(month(31))
    shelf.listing_fails_at = at
    with pytest.raises(StoreError):
        await count(shelf)


async def test_after_an_error_nothing_more_is_deleted() -> None:
    shelf, done = Shelf(month(31, every=120)), list[int]()
    made = plan(await count(shelf), NOW, 30, 0, force=False)
    shelf.deleting_fails_at = 1
    with pytest.raises(StoreError):
        await carry_out(made, shelf, done.append)
    assert done == [AT_ONCE]
    shelf.deleting_fails_at, shelf.listing_fails_at = None, 1500
    before = len(shelf.keys)
    with pytest.raises(StoreError):
        await carry_out(made, shelf, done.append)
    assert before - len(shelf.keys) <= 1500


async def test_old_copies_that_arrive_meanwhile_do_not_make_a_run_larger() -> None:
    shelf, done = Shelf(month(31)), list[int]()
    made = plan(await count(shelf), NOW, 30, 0, force=False)
    shelf.keys = [key("late", NOW - 40 * DAY + n) for n in range(500)] + shelf.keys
    await carry_out(made, shelf, done.append)
    assert sum(done) == made.goes.copies


# --- stores ---


@pytest.fixture(params=["folder", "s3"])
async def store(request, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "folder":
        opened: Store = await FolderArchive.open_archive(tmp_path / "archive", known=False)
    else:
        weed: Weed = request.getfixturevalue("weed")
        bucket = f"kept-{time.time_ns()}"
        await weed.make_bucket(bucket)
        aws = AwsSettings(
            access_key_id=weed.access_key,
            secret_access_key=weed.secret_key,
            region=weed.region,
            endpoint_url=weed.endpoint,
        )
        opened = await S3Store.open(bucket, "kept & safe", aws=aws)
    yield opened
    await opened.close()


async def test_a_store_deletes_many_at_once(store: Store) -> None:
    keys = [key(f"c{n}", NOW - n * DAY) for n in range(40)] + [key("c0", NOW, "-2")]
    for name in keys:
        await store.put(Publication(name, b"picture", "picture", NOW, None))
    await store.delete_many([*keys[:30], "c0/2001/01/01/000000Z.jpg"])  # what is not there is gone, too
    assert sorted([entry.key async for entry in store.list()]) == sorted(keys[30:])
    await store.delete_many(keys[30:])
    assert [entry.key async for entry in store.list()] == []
    await store.delete_many([])
    if isinstance(store, FolderArchive):
        assert [path.name for path in store.root.iterdir()] == [".cctv-tmp"]


async def test_a_bucket_that_does_not_allow_it_says_so(weed: Weed) -> None:
    aws = AwsSettings(access_key_id="test", secret_access_key="wrong", region="us-east-1", endpoint_url=weed.endpoint)
    store = await S3Store.open("no-such-bucket", aws=aws)
    with pytest.raises(StoreError):
        await store.delete_many([key("c", NOW)])
    await store.close()


# --- the command ---


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path, {"CCTV_STATE_DIR": str(tmp_path), "CCTV_ARCHIVE": f"file://{tmp_path}/archive"})


def today_and(days: int) -> list[str]:
    now = int(time.time())
    return [key("c0", now - n * DAY + 60) for n in range(days)]


async def test_the_command_says_what_it_does_and_does_it(program: Program, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / ".cctv-tmp").mkdir(parents=True)
    archived_to(archive, [*today_and(32), "notes/readme.txt"])
    dry = await program("retention", "--dry-run", CCTV_ARCHIVE_DAYS="30")
    assert dry.code == 0
    assert "1 keys are no copies of ours" in dry.out
    assert "Have had their day: 1 copies (7 bytes), captured before" in dry.out
    assert len([*archive.rglob("*.jpg")]) == 32
    done = await program("retention", CCTV_ARCHIVE_DAYS="30")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Deleted: 1 copies.")
    assert len([*archive.rglob("*.jpg")]) == 31
    assert left(tmp_path, Retired).before > time.time() - 31 * DAY
    cut = await program("retention", CCTV_ARCHIVE_DAYS="10")
    assert cut.code == 1
    assert "Deleted: 2 copies.\nDue as well: 18 copies" in cut.out
    forced = await program("retention", "--force", CCTV_ARCHIVE_DAYS="10")
    assert (forced.code, len([*archive.rglob("*.jpg")])) == (0, 11)
    assert (archive / "notes" / "readme.txt").exists()


async def test_by_default_nothing_is_deleted(program: Program, tmp_path: Path) -> None:
    archived_to(tmp_path / "archive", today_and(40))
    done = await program("retention")
    assert (done.code, done.out) == (
        0,
        "Copies are kept for ever: neither CCTV_ARCHIVE_DAYS nor CCTV_ARCHIVE_BYTES is set.\n",
    )
    assert (await program("retention", CCTV_ARCHIVE="")).out == "CCTV_ARCHIVE is not set: nothing is kept.\n"


async def test_an_archive_that_cannot_be_listed_is_a_sentence(program: Program, weed: Weed) -> None:
    env = {"AWS_ENDPOINT_URL_S3": weed.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtest"}
    done = await program("retention", CCTV_ARCHIVE="s3://no-such-bucket", CCTV_ARCHIVE_DAYS="3", **env)
    assert done.code == 1
    assert done.err.startswith("cctv-images: the archive s3://no-such-bucket: no_bucket")
    assert done.err.endswith("Nothing more is deleted.\n")
