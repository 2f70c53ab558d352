"""Pictures that are kept: through the spool into a real bucket and a real folder, each once, whatever goes wrong."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from program import until
from s3 import Weed
from structlog.testing import capture_logs
from test_publish_store import aws

from cctv_images.clock import RealClock
from cctv_images.errors import StoreError
from cctv_images.publish import Store
from cctv_images.publish.folder_archive import FolderArchive
from cctv_images.publish.s3 import S3Store
from cctv_images.publish.store import Publication, Receipt, Stat
from cctv_images.records import ArchiveRecord
from cctv_images.retain.archive import Archive
from cctv_images.retain.reasons import Kept
from cctv_images.retain.spool import Draft, Refused, Spool
from cctv_images.retain.spooled import Spooled

ADDRESS = "file:///kept"
NOON = 1_772_366_400.0


@dataclass
class Ledger:
    """Remembers what it is told."""

    told: list[tuple[str, Kept, str]] = field(default_factory=list)
    settled: int = 0

    def kept(
        self, camera_id: str, slot: float, state: Kept, reason: str = "", captured_at: float | None = None
    ) -> None:
        self.told.append((camera_id, state, reason))

    def settle(self, limit_s: float) -> bool:
        self.settled = len(self.told)
        return True

    def count(self, state: Kept, reason: str = "") -> int:
        return sum(told[1:] == (state, reason) for told in self.told)


@dataclass(frozen=True)
class Shot:
    """A picture as a cycle hands it over."""

    data: bytes

    @property
    def md5(self) -> str:
        return hashlib.md5(self.data).hexdigest()


class Kitchen:
    """A spool, a ledger and an archive that can be closed and opened again, as by a restart."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.ledger, self.record = Ledger(), ArchiveRecord()
        self.handed_over = 0

    @asynccontextmanager
    async def open(
        self,
        *,
        limit: int = 1 << 30,
        every: int = 1,
        cameras: tuple[str, ...] = (),
        when_full: Literal["newest", "oldest"] = "newest",
        rate: float = 1000,
        run: bool = True,
        kind: type[Spool] = Spool,
    ) -> AsyncIterator[Archive]:
        spool = kind(self.folder / "spool", ADDRESS, limit)
        spool.open()
        archive = Archive(
            spool, self.store, self.ledger, RealClock(), self.record,
            cameras=cameras, every=every, when_full=when_full, rate=rate, connections=4,
        )  # fmt: skip
        running = asyncio.create_task(archive.run()) if run else None
        try:
            yield archive
        finally:
            if running:
                running.cancel()
                await asyncio.wait([running])
            await asyncio.to_thread(archive._intake.close)
            await archive._drain.close()
            spool.close()

    def spooled(self) -> list[Spooled]:
        names = [path.name for path in (self.folder / "spool").glob("*/2*/*.jpg")]
        return [entry for name in sorted(names) if (entry := Spooled.of(name))]

    async def empty(self) -> None:
        """Until all that was handed over is archived, and gone from the spool."""
        await until(lambda: self._all_taken() and not self.spooled(), 20)

    def _all_taken(self) -> bool:
        return self.handed_over == self.ledger.count(Kept.ACCEPTED) + self.ledger.count(Kept.LOST, "spool_full")

    def keep(self, archive: Archive, camera_id: str, at: float, body: bytes) -> None:
        before = self.ledger.count(Kept.NOT_CHOSEN)
        archive.keep(camera_id, 300.0, at, at, Shot(body))
        self.handed_over += self.ledger.count(Kept.NOT_CHOSEN) == before

    def fill(self, *drafts: Draft) -> list[Spooled]:
        """Accepted in an earlier life."""
        spool = Spool(self.folder / "spool", ADDRESS, 1 << 30)
        spool.open()
        entries = spool.accept(drafts)
        spool.close()
        return [entry for entry in entries if isinstance(entry, Spooled)]


def draft(camera_id: str, at: float, body: bytes) -> Draft:
    return Draft(camera_id, at, at, body, hashlib.md5(body).hexdigest())


async def listing(store: Store) -> dict[str, bytes]:
    return {entry.key: (await store.get(entry.key)).body async for entry in store.list("")}


@pytest.fixture(params=["folder", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "folder":
        opened: Store = await FolderArchive.open_archive(tmp_path / "kept", known=False)
    else:
        weed = request.getfixturevalue("weed")
        name = f"kept-{uuid.uuid4().hex[:8]}"
        await weed.make_bucket(name)
        opened = await S3Store.open(name, "copies", aws=aws(weed))
    yield opened
    await opened.close()


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    return Kitchen(tmp_path, store)


class Script(FolderArchive):
    """A folder whose verbs can be told to go wrong, before or after they have worked."""

    before: Callable[[str, str], Awaitable[None]] | None = None
    after: Callable[[str, str], Awaitable[None]] | None = None

    async def put(self, publication: Publication) -> Receipt:
        if self.before:
            await self.before("put", publication.key)
        receipt = await super().put(publication)
        if self.after:
            await self.after("put", publication.key)
        return receipt

    async def head(self, key: str) -> Stat | None:
        if self.before:
            await self.before("head", key)
        return await super().head(key)


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[Kitchen]:
    archive = await Script.open_archive(tmp_path / "kept", known=False)
    yield Kitchen(tmp_path, archive)
    await archive.close()


# --- what is there in the end -------------------------------------------------------------------------------------


async def test_a_copy_has_its_place_its_bytes_and_what_belongs_to_it(kitchen: Kitchen) -> None:
    async with kitchen.open() as archive:
        kitchen.keep(archive, "134", NOON, b"one")
        await kitchen.empty()
    stored = await kitchen.store.get("134/2026/03/01/120000Z.jpg")
    assert (stored.body, stored.content_type, stored.expires) == (b"one", "image/jpeg", None)
    md5 = hashlib.md5(b"one").hexdigest()
    assert stored.metadata == {"captured-at": "2026-03-01T12:00:00Z", "kind": "picture", "content-md5": md5}
    assert [told[1] for told in kitchen.ledger.told] == [Kept.ACCEPTED, Kept.ARCHIVED]
    assert (kitchen.record.archived, kitchen.record.lost) == (1, Counter())


async def test_what_was_accepted_before_a_restart_is_archived_after_it(kitchen: Kitchen) -> None:
    async with kitchen.open(run=False) as archive:
        for n in range(20):
            kitchen.keep(archive, f"c{n}", NOON + n, b"picture %d" % n)
    assert len(kitchen.spooled()) == 20
    async with kitchen.open():
        await kitchen.empty()
    assert sorted((await listing(kitchen.store)).values()) == sorted(b"picture %d" % n for n in range(20))


async def test_pictures_of_one_second_are_kept_apart_whenever_they_come(kitchen: Kitchen) -> None:
    async with kitchen.open() as archive:
        kitchen.keep(archive, "a", NOON, b"one")
        kitchen.keep(archive, "a", NOON, b"two")
        await kitchen.empty()
    async with kitchen.open() as archive:  # the clock was set back, and nobody remembers
        kitchen.keep(archive, "a", NOON, b"three")
        kitchen.keep(archive, "a", NOON, b"one")
        await kitchen.empty()
    assert await listing(kitchen.store) == {
        "a/2026/03/01/120000Z.jpg": b"one",
        "a/2026/03/01/120000Z-2.jpg": b"two",
        "a/2026/03/01/120000Z-3.jpg": b"three",
    }


async def test_a_copy_whose_entry_came_back_after_a_power_cut_keeps_its_name(kitchen: Kitchen) -> None:
    one, two = draft("a", NOON, b"one"), draft("a", NOON, b"two")
    for _ in range(3):
        kitchen.fill(one, two)
        async with kitchen.open():
            await kitchen.empty()
    assert set(await listing(kitchen.store)) == {"a/2026/03/01/120000Z.jpg", "a/2026/03/01/120000Z-2.jpg"}


async def test_a_put_that_has_worked_and_was_not_heard_of_makes_no_second_copy(scripted: Kitchen) -> None:
    failed = []

    async def deaf(verb: str, key: str) -> None:
        if len(failed) < 3:
            failed.append(key)
            raise StoreError("timeout", "the answer got lost")

    scripted.store.after = deaf  # type: ignore[attr-defined]
    scripted.fill(*(draft("a", NOON + n, b"%d" % n) for n in range(3)))
    async with scripted.open():
        await until(lambda: scripted.record.archived >= 1)
    async with scripted.open():
        await scripted.empty()
    assert len(await listing(scripted.store)) == 3


async def test_the_next_number_is_in_the_spool_before_it_is_in_the_archive(scripted: Kitchen) -> None:
    scripted.fill(draft("a", NOON, b"one"))
    async with scripted.open():
        await scripted.empty()
    seen = []

    async def look(verb: str, key: str) -> None:
        if verb == "put" and key.endswith("-2.jpg"):
            seen.append([entry.number for entry in scripted.spooled()])

    scripted.fill(draft("a", NOON, b"two"))
    scripted.store.before = look  # type: ignore[attr-defined]
    async with scripted.open():
        await scripted.empty()
    assert seen == [[2]]


async def test_a_copy_that_is_not_there_after_all_does_not_cost_the_entry(scripted: Kitchen) -> None:
    lying = True

    async def lie(verb: str, key: str) -> None:
        if lying:
            (scripted.folder / "kept" / key).unlink()

    scripted.store.after = lie  # type: ignore[attr-defined]
    scripted.fill(draft("a", NOON, b"one"))
    async with scripted.open():
        await until(lambda: not scripted.record.ok)
        assert len(scripted.spooled()) == 1
        lying = False
        await scripted.empty()
    assert list((await listing(scripted.store)).values()) == [b"one"]
    assert [told[1] for told in scripted.ledger.told] == [Kept.ARCHIVED]


async def test_an_entry_leaves_the_spool_only_when_the_ledger_has_it(scripted: Kitchen) -> None:
    still_there = []

    class Slow(Ledger):
        def settle(self, limit_s: float) -> bool:
            still_there.append((len(scripted.spooled()), self.count(Kept.ARCHIVED)))
            return super().settle(limit_s)

    scripted.ledger = Slow()
    scripted.fill(draft("a", NOON, b"one"))
    async with scripted.open():
        await scripted.empty()
    assert still_there[0] == (1, 1)


# --- outages ------------------------------------------------------------------------------------------------------


async def test_an_outage_is_told_once_and_waited_for_with_few_requests(scripted: Kitchen) -> None:
    down, asked = True, []

    async def fail(verb: str, key: str) -> None:
        asked.append(verb)
        if down:
            raise StoreError("unreachable", "nobody there")

    scripted.store.before = fail  # type: ignore[attr-defined]
    with capture_logs() as logs:
        async with scripted.open() as archive:
            for n in range(200):
                scripted.keep(archive, f"c{n}", NOON, b"%d" % n)
            await until(lambda: not scripted.record.ok)
            await asyncio.sleep(1)
            tried = len(asked)
            archive.look()
            assert (scripted.record.spooled, scripted.record.reason) == (200, "unreachable")
            down = False
            await scripted.empty()
    assert tried < 12
    events = [entry["event"] for entry in logs]
    assert events == ["archive_failed", "archive_recovered"]
    assert len(await listing(scripted.store)) == 200


async def test_a_server_that_is_killed_and_comes_back_has_every_picture_once(weed: Weed, tmp_path: Path) -> None:
    name = f"kept-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(name)
    kitchen = Kitchen(tmp_path, await S3Store.open(name, aws=aws(weed)))
    async with kitchen.open(rate=200) as archive:
        for n in range(150):
            kitchen.keep(archive, f"c{n}", NOON, os.urandom(20_000))
        await until(lambda: kitchen.record.archived > 30)
        weed.kill9()
        await until(lambda: not kitchen.record.ok)
        weed.start()
        await kitchen.empty()
    assert len(await listing(kitchen.store)) == 150
    await kitchen.store.close()


async def test_one_entry_that_the_archive_will_not_have_holds_up_nobody(scripted: Kitchen) -> None:
    async def refuse(verb: str, key: str) -> None:
        if key.startswith("odd/"):
            raise StoreError("refused", "not this one", transient=False)

    scripted.store.before = refuse  # type: ignore[attr-defined]
    scripted.fill(draft("odd", NOON, b"odd"), *(draft("a", NOON + n, b"%d" % n) for n in range(30)))
    with capture_logs() as logs:
        async with scripted.open():
            await until(lambda: len(scripted.spooled()) == 1, 20)
    assert [entry.camera_id for entry in scripted.spooled()] == ["odd"]
    assert logs == []


async def test_a_disk_that_is_not_mounted_is_not_written_to_and_waited_for(tmp_path: Path) -> None:
    first = await FolderArchive.open_archive(tmp_path / "kept", known=False)
    await first.close()
    (tmp_path / "kept").rename(tmp_path / "unmounted")
    (tmp_path / "kept").mkdir()
    again = await FolderArchive.open_archive(tmp_path / "kept", known=True)
    kitchen = Kitchen(tmp_path, again)
    kitchen.fill(draft("a", NOON, b"one"))
    async with kitchen.open():
        await until(lambda: not kitchen.record.ok)
        assert kitchen.record.reason == "unreachable"
        assert "not mounted" in kitchen.record.detail
        assert list((tmp_path / "kept").iterdir()) == []
        (tmp_path / "kept").rmdir()
        (tmp_path / "unmounted").rename(tmp_path / "kept")
        await kitchen.empty()
    assert list((await listing(again)).values()) == [b"one"]
    await again.close()


# --- order, number, rate ------------------------------------------------------------------------------------------


async def test_the_newest_are_not_starved_by_a_backlog(scripted: Kitchen) -> None:
    order = []

    async def note(verb: str, key: str) -> None:
        if verb == "put":
            order.append(key.split("/")[0])

    scripted.store.before = note  # type: ignore[attr-defined]
    scripted.fill(*(draft("old", NOON - 3600 + n, b"%d" % n) for n in range(300)))
    async with scripted.open(rate=100) as archive:
        await until(lambda: len(order) >= 10)
        for n in range(20):
            scripted.keep(archive, "new", NOON + n, b"new %d" % n)
        await until(lambda: order.count("new") == 20)
    share = order[order.index("new") : len(order) - order[::-1].index("new")]
    assert share.count("new") / len(share) >= 0.4
    assert order.count("old") > 25


async def test_requests_are_bounded_in_number_and_in_rate(scripted: Kitchen) -> None:
    now = most = 0

    async def count(verb: str, key: str) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.2)
        now -= 1

    scripted.store.before = count  # type: ignore[attr-defined]
    scripted.fill(*(draft("a", NOON + n, b"%d" % n) for n in range(40)))
    async with scripted.open():
        await scripted.empty()
    assert most <= 4
    scripted.store.before = None  # type: ignore[attr-defined]
    scripted.fill(*(draft("b", NOON + n, b"%d" % n) for n in range(20)))
    began = asyncio.get_running_loop().time()
    async with scripted.open(rate=10):
        await scripted.empty()
    assert asyncio.get_running_loop().time() - began >= 1.9


async def test_a_share_of_cameras_or_slots_is_kept_and_the_ledger_knows_of_the_others(scripted: Kitchen) -> None:
    async with scripted.open(cameras=("a", "b"), every=4) as archive:
        for camera_id in ("a", "b", "c"):
            for n in range(40):
                scripted.keep(archive, camera_id, NOON + 300 * n, b"%d" % n)
        await scripted.empty()
    kept = Counter(key.split("/")[0] for key in await listing(scripted.store))
    assert kept == {"a": 10, "b": 10}
    assert scripted.ledger.count(Kept.NOT_CHOSEN) == 100


# --- when there is no room ----------------------------------------------------------------------------------------


async def test_a_full_spool_takes_no_more_and_says_so_once(scripted: Kitchen) -> None:
    with capture_logs() as logs:
        async with scripted.open(limit=50, run=False) as archive:
            for n in range(9):
                scripted.keep(archive, "a", NOON + n, b"0123456789")
                await asyncio.sleep(0.02)
            assert scripted.record.spool_trouble == "spool_full"
        assert len(scripted.spooled()) == 5
        async with scripted.open(limit=50) as archive:
            await scripted.empty()
            scripted.keep(archive, "a", NOON + 99, b"0123456789")
            await until(lambda: scripted.record.archived == 6)
    assert scripted.ledger.count(Kept.LOST, "spool_full") == scripted.record.lost["spool_full"] == 4
    assert [entry["event"] for entry in logs] == ["spool_full"]


async def test_or_gives_up_the_oldest_once_the_ledger_has_them(scripted: Kitchen) -> None:
    with capture_logs() as logs:
        async with scripted.open(limit=50, when_full="oldest") as archive:
            stopped = asyncio.Event()

            async def hang(verb: str, key: str) -> None:
                await stopped.wait()

            scripted.store.before = hang  # type: ignore[attr-defined]
            for n in range(9):
                scripted.keep(archive, "a", NOON + n, b"0123456789")
                await asyncio.sleep(0.02)
            assert [entry.captured_at - NOON for entry in scripted.spooled()] == [4, 5, 6, 7, 8]
            assert scripted.ledger.count(Kept.LOST, "spool_full") == 4
            assert scripted.ledger.settled >= 4
            stopped.set()
            await until(lambda: not scripted.spooled())
            scripted.keep(archive, "a", NOON + 99, b"0123456789")
            await until(lambda: not scripted.record.spool_trouble)
    assert [entry["event"] for entry in logs] == ["spool_full", "spool_recovered"]
    assert logs[1]["lost"] == 4


async def test_what_the_disk_has_spoilt_is_set_aside_and_named(scripted: Kitchen) -> None:
    (entry, _) = scripted.fill(draft("a", NOON, b"whole"), draft("b", NOON, b"well"))
    path = next((scripted.folder / "spool").glob(f"*/2*/{entry.name}"))
    path.write_bytes(b"whol")
    async with scripted.open():
        await scripted.empty()
    assert ("a", Kept.LOST, "damaged") in scripted.ledger.told
    assert list((await listing(scripted.store)).values()) == [b"well"]
    assert len(list((scripted.folder / "spool").glob("*/damaged/*"))) == 1


class Ailing(Spool):
    """On a disk that has become read-only, or cannot be listed, at times."""

    trouble: tuple[str, ...] = ()

    def remove(self, entries: Iterable[Spooled]) -> None:
        self._suffer("remove")
        super().remove(entries)

    def set_aside(self, entry: Spooled) -> None:
        self._suffer("set_aside")
        super().set_aside(entry)

    def pages(self) -> Iterator[list[Spooled]]:
        self._suffer("pages")
        yield from super().pages()

    def _suffer(self, verb: str) -> None:
        if verb in Ailing.trouble:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))


async def test_a_disk_that_turns_bad_ends_nothing_and_is_told_once(
    scripted: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = scripted.fill(*(draft("a", NOON + n, b"%d" % n) for n in range(4)))
    next((scripted.folder / "spool").glob(f"*/2*/{entries[0].name}")).write_bytes(b"?")
    monkeypatch.setattr(Ailing, "trouble", ("remove", "set_aside"))
    with capture_logs() as logs:
        async with scripted.open(kind=Ailing):
            await until(lambda: scripted.record.archived == 3)
            await asyncio.sleep(2.2)
            assert len(scripted.spooled()) == 4
            monkeypatch.setattr(Ailing, "trouble", ("pages",))
            await until(lambda: len(scripted.spooled()) == 1)
            monkeypatch.setattr(Ailing, "trouble", ())
    assert scripted.record.archived == 3
    assert [entry.get("reason") for entry in logs if entry["event"] == "spool_failed"] == ["damaged", "spool_failed"]


async def test_what_the_ledger_cannot_write_down_is_neither_removed_nor_counted_twice(scripted: Kitchen) -> None:
    scripted.ledger.settle = lambda limit_s: False  # type: ignore[method-assign]
    async with scripted.open(limit=50, when_full="oldest", run=False) as archive:
        for n in range(9):
            scripted.keep(archive, "a", NOON + n, b"0123456789")
            await asyncio.sleep(0.02)
        del scripted.ledger.settle
        scripted.keep(archive, "a", NOON + 9, b"0123456789")
        await until(lambda: scripted.spooled()[-1].captured_at == NOON + 9)
    assert [entry.captured_at - NOON for entry in scripted.spooled()] == [1, 2, 3, 4, 9]
    assert scripted.record.lost["spool_full"] == 5


async def test_a_picture_that_never_fits_does_not_cost_the_oldest(scripted: Kitchen) -> None:
    async with scripted.open(limit=50, when_full="oldest", run=False) as archive:
        scripted.keep(archive, "a", NOON, b"0123456789")
        scripted.keep(archive, "a", NOON + 1, b"0" * 51)
    assert [entry.size for entry in scripted.spooled()] == [10]
    assert scripted.ledger.count(Kept.LOST, "spool_full") == 1


async def test_a_stop_writes_down_what_is_in_memory(scripted: Kitchen) -> None:
    async with scripted.open(run=False) as archive:
        for n in range(50):
            scripted.keep(archive, "a", NOON + n, b"%d" % n)
    assert len(scripted.spooled()) == scripted.ledger.count(Kept.ACCEPTED) == 50


async def test_keeping_waits_for_no_disk_and_what_finds_no_room_is_lost_with_a_reason(scripted: Kitchen) -> None:
    disk = threading.Event()

    class Hung(Spool):
        def accept(self, drafts: Sequence[Draft]) -> list[Spooled | Refused]:
            disk.wait()
            return super().accept(drafts)

    big = Shot(os.urandom(4 << 20))
    async with scripted.open(run=False, kind=Hung) as archive:
        for n in range(12):
            archive.keep("a", 300.0, NOON + n, NOON + n, big)
        assert scripted.ledger.count(Kept.LOST, "spool_slow") == 4
        disk.set()
    assert scripted.ledger.count(Kept.ACCEPTED) == len(scripted.spooled()) == 8
