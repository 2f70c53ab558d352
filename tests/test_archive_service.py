"""The real daemon with an archive: what it keeps, what stops its start, what an outage does, what other nodes say."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import uuid
from collections import Counter
from pathlib import Path

import pytest
from program import stop, until
from s3 import Weed, free_ports
from service import Service
from test_publish_store import aws
from test_service import local  # noqa: F401 - a fixture
from zoo import zoo_of

from cctv_images.publish import S3Options
from cctv_images.publish.s3 import S3Store
from cctv_images.retain.reasons import Kept

KEY = re.compile(r"[\w.-]+/\d{4}/\d\d/\d\d/\d{6}Z(-\d+)?\.jpg")
HEALTHY = {"a": ("pelco-open", "none"), "b": ("pelco-open", "none")}


def kept(service: Service) -> Path:
    return service.folder / "kept"


def copies(folder: Path) -> dict[str, bytes]:
    """Key -> body of all that an archive's folder holds but for our own small files, half-written or not."""
    ours = {".cctv-images", ".cctv-tmp"}
    files = [path for path in folder.rglob("*") if path.is_file() and ours.isdisjoint(path.parts)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def spooled(service: Service) -> list[Path]:
    return list((service.folder / "state" / "spool").glob("*/2*/*.jpg"))


@pytest.fixture
def keeping(local: Service) -> Service:  # noqa: F811
    local.program.env |= {"CCTV_ARCHIVE": f"file://{kept(local)}", "CCTV_INTERVAL": "5"}
    return local


def on_weed(weed: Weed, archive: str) -> dict[str, str]:
    """The environment of an archive in a bucket; pictures are published in a folder."""
    return {
        "CCTV_ARCHIVE": archive,
        "AWS_ACCESS_KEY_ID": weed.access_key,
        "AWS_SECRET_ACCESS_KEY": weed.secret_key,
        "AWS_REGION": weed.region,
        "AWS_ENDPOINT_URL_S3": weed.endpoint,
        "CCTV_S3_OPTIONS": '{"addressing": "path"}',
    }


async def test_each_verified_picture_is_kept_as_it_is_published_and_no_fallback(keeping: Service) -> None:
    async with zoo_of(HEALTHY | {"sick": ("wisenet", "truncated")}) as zoo:
        keeping.furnish(zoo)
        async with keeping.running("run") as daemon:
            await until(lambda: len(copies(kept(keeping))) >= 4)
            shown = json.loads(await keeping.get("/api/cameras"))["fleet"]["archive"]
            metrics = await keeping.get("/metrics")
            assert await stop(daemon) == 0
    assert shown["address"] == f"file://{kept(keeping)}"
    assert "cctv_images_archive_enabled 1" in metrics
    found = copies(kept(keeping))
    assert all(KEY.fullmatch(key) for key in found), found.keys()
    assert {key.split("/")[0] for key in found} == {"a", "b"}
    public = (keeping.folder / "store/image/a.jpg").read_bytes()
    newest = kept(keeping) / max(key for key in found if key.startswith("a/"))
    assert newest.read_bytes() == public or spooled(keeping)
    assert os.getxattr(newest, "user.content-md5").decode() == hashlib.md5(newest.read_bytes()).hexdigest()
    assert newest.stat().st_mode & 0o777 == 0o640
    assert keeping.events("service_started")[0]["archive"] == f"file://{kept(keeping)}"


async def test_nothing_is_kept_unless_it_is_asked_for_and_page_and_check_say_so(local: Service) -> None:  # noqa: F811
    async with zoo_of(HEALTHY) as zoo:
        local.furnish(zoo)
        checked = await local.program("check")
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["kind"] == "picture" for c in cameras.values()))
            shown = json.loads(await local.get("/api/cameras"))["fleet"]["archive"]
            assert await stop(daemon) == 0
    assert "archive    none: feeds are not archived" in checked.out
    assert shown["address"] is None
    assert not (local.folder / "state" / "spool").exists()
    assert local.events("service_started")[0]["archive"] == "none"


async def test_check_says_what_is_kept_and_how_long_the_spool_lasts(keeping: Service) -> None:
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        env = {"CCTV_INTERVAL": "300", "CCTV_SPOOL_BYTES": "24000000", "CCTV_ARCHIVE_CAMERAS": "a, nobody"}
        done = await keeping.program("check", **env, CCTV_ARCHIVE_EVERY="4", CCTV_ARCHIVE_DAYS="30")
        online = await keeping.program("check", "--online", "--json")
    assert "pictures of 1 of 2 cameras, every 4th slot are kept, for 30 days" in done.out
    assert "bears an outage of 3.3 days (3 pictures an hour, 100 kB a picture, assumed)" in done.out
    assert "CCTV_ARCHIVE_CAMERAS names nobody: no such cameras are run" in done.out
    assert json.loads(online.out)["online"]["archive"] == {"ok": True, "problems": []}


async def test_check_says_when_the_disk_has_no_room_for_the_spool(keeping: Service) -> None:
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        done = await keeping.program("check", CCTV_SPOOL_BYTES=str(1 << 50))
    assert done.code == 0
    assert "CCTV_SPOOL_BYTES is more than its disk has room for: " in done.out


async def test_check_leaves_a_folder_as_it_is_that_no_service_uses_yet(keeping: Service) -> None:
    """It may be the mount point of a disk that is not mounted, and another node's service would take it for its own."""
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        for begun in (False, True):
            done = await keeping.program("check", "--online")
            assert (done.code, "archive    takes, gives back and deletes a canary" in done.out) == (0, True)
            assert not begun or [*kept(keeping).iterdir()] == []
            kept(keeping).mkdir(exist_ok=True)
        keeping.program.env["CCTV_ARCHIVE"] = f"file://{kept(keeping)}/none/kept"
        done = await keeping.program("check", "--online")
        assert (done.code, "none/kept" in done.out + done.err) == (78, True)


async def test_cameras_to_keep_that_there_are_none_of_are_told_at_the_start(keeping: Service) -> None:
    keeping.program.env["CCTV_ARCHIVE_CAMERAS"] = "a, c"
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        done = await keeping.program("run", "--once")
    assert (done.code, [event["cameras"] for event in keeping.events("archive_cameras_missing")]) == (0, ["c"])
    keeping.program.env["CCTV_ARCHIVE_CAMERAS"] = "a;c"
    done = await keeping.program("check")
    assert (done.code, "expected ids of cameras, separated by commas or spaces" in done.out + done.err) == (78, True)


async def test_run_once_archives_before_it_ends(keeping: Service) -> None:
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        assert (await keeping.program("run", "--once")).code == 0
    assert {key.split("/")[0] for key in copies(kept(keeping))} == {"a", "b"}
    assert spooled(keeping) == []


# --- what stops the start -----------------------------------------------------------------------------------------


async def test_a_start_that_would_orphan_entries_exits_78_with_their_number(keeping: Service) -> None:
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        async with keeping.running("run") as daemon:
            await until(lambda: len(copies(kept(keeping))) >= 2)
            kept(keeping).rename(keeping.folder / "away")
            await until(lambda: len(spooled(keeping)) >= 3)
            await stop(daemon)
        number = len(spooled(keeping))
        for archive in ("", f"file://{keeping.folder}/other"):
            for command in (("run",), ("run", "--once"), ("check",)):
                done = await keeping.program(*command, CCTV_ARCHIVE=archive)
                assert done.code == 78
                assert f"CCTV_ARCHIVE {'is file' if archive else 'is not set'}" in done.err
                assert f"{number} pictures wait in " in done.err
        assert zoo.stats()["a"]["requests"] > 0
        shutil.rmtree(kept(keeping), ignore_errors=True)  # what was under way has made a temporary folder anew
        (keeping.folder / "away").rename(kept(keeping))
        async with keeping.running("run") as daemon:
            await until(lambda: not spooled(keeping) or len(copies(kept(keeping))) >= number + 4)
            await stop(daemon)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"CCTV_ARCHIVE": "s3://cctv-not-there/kept"}, "CCTV_ARCHIVE = s3://cctv-not-there/kept"),
        ({"CCTV_STORE": "s3://cctv-not-there/live"}, "CCTV_STORE = s3://cctv-not-there/live"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
    ],
)
async def test_a_wrong_bucket_or_key_is_found_before_a_camera_is_asked(
    keeping: Service, weed: Weed, changes: dict[str, str], names: str
) -> None:
    bucket = f"kept-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(bucket)
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        done = await keeping.program("run", **on_weed(weed, f"s3://{bucket}/kept") | changes)
        asked = sum(camera["requests"] for camera in zoo.stats().values())
    assert (done.code, asked) == (78, 0)
    assert names in done.err


async def test_a_folder_without_the_right_is_found_at_the_start(keeping: Service) -> None:
    kept(keeping).write_text("a file")
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        done = await keeping.program("run")
    assert done.code == 78
    assert "CCTV_ARCHIVE = " in done.err


async def test_an_outage_at_the_start_is_told_and_waited_for_while_pictures_are_published(keeping: Service) -> None:
    gone = f"http://127.0.0.1:{free_ports(1)[0]}"
    env = {
        "CCTV_ARCHIVE": "s3://kept",
        "AWS_ENDPOINT_URL_S3": gone,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_REGION": "us-east-1",
    }
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        async with keeping.running("run", **env) as daemon:
            await until(lambda: len(spooled(keeping)) >= 2)
            await keeping.sees(lambda cameras: all(c["kind"] == "picture" for c in cameras.values()))
            shown = json.loads(await keeping.get("/api/cameras"))["fleet"]["archive"]
            assert await stop(daemon) == 0
    assert (shown["ok"], shown["reason"]) == (False, "unreachable")
    assert len(keeping.events("archive_failed")) == 1
    assert not keeping.events("store_failed")


# --- crashes ------------------------------------------------------------------------------------------------------


async def test_kill_9_loses_nothing_that_was_accepted(keeping: Service, weed: Weed) -> None:
    bucket = f"kept-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(bucket)
    keeping.program.env |= on_weed(weed, f"s3://{bucket}/kept") | {"CCTV_INTERVAL": "1", "CCTV_TIMEOUT": "1"}
    async with zoo_of({f"c{n}": ("pelco-open", "none") for n in range(10)}, unique=True) as zoo:
        keeping.furnish(zoo, CCTV_INTERVAL="1", CCTV_TIMEOUT="1")
        for wait_s in (0.9, 1.2, 1.5):
            async with keeping.running("run") as daemon:
                await asyncio.sleep(wait_s)
                daemon.send_signal(signal.SIGKILL)
                await daemon.wait()
        assert (await keeping.program("run", "--once")).code == 0
    store = await S3Store.open(bucket, "kept", aws=aws(weed), options=S3Options(addressing="path"))
    found = [entry.key async for entry in store.list("") if KEY.fullmatch(entry.key)]
    await store.close()
    with sqlite3.connect(keeping.folder / "state" / "ledger.sqlite") as db:
        told = Counter(kept for (kept,) in db.execute("SELECT kept FROM slot"))
    assert spooled(keeping) == []
    assert told[Kept.ACCEPTED] == told[Kept.LOST] == 0
    assert told[Kept.ARCHIVED] == len(found) > 10


# --- several nodes ------------------------------------------------------------------------------------------------


async def test_a_node_with_other_settings_is_told_of_before_the_first_picture(keeping: Service) -> None:
    other = keeping.folder / "state-of-another"
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        fingerprint = json.loads((await keeping.program("check", "--json")).out)["fingerprint"]
        async with keeping.running("run") as daemon:
            await until(lambda: (kept(keeping) / ".cctv-images" / "nodes").exists())
            await stop(daemon)
        keeping.log.unlink()
        wrong = {"CCTV_STATE_DIR": str(other), "CCTV_KEY": "img/{camera_id}.jpg", "CCTV_ARCHIVE_EVERY": "2"}
        async with keeping.running("run", **wrong) as daemon:
            await until(lambda: keeping.events("service_started"))
            await stop(daemon)
        done = await keeping.program("run", **wrong, CCTV_EXPECT_FINGERPRINT=fingerprint)
    names = [event["event"] for event in keeping.events()]
    assert names.index("settings_differ") < names.index("inventory_loaded")
    (told,) = keeping.events("settings_differ")[:1]
    assert "CCTV_KEY is img/{camera_id}.jpg here and image/{camera_id}.jpg there" in told["detail"]
    assert "CCTV_ARCHIVE_EVERY is 2 here and 1 there" in told["detail"]
    assert done.code == 78
    assert "CCTV_EXPECT_FINGERPRINT" in done.err


async def test_what_a_node_said_more_than_a_day_ago_is_ignored(keeping: Service) -> None:
    async with zoo_of(HEALTHY) as zoo:
        keeping.furnish(zoo)
        async with keeping.running("run") as daemon:
            await until(lambda: list((kept(keeping) / ".cctv-images" / "nodes").glob("*.json")))
            await stop(daemon)
        nodes = kept(keeping) / ".cctv-images" / "nodes"
        (mine,) = nodes.iterdir()
        old = json.loads(mine.read_text()) | {"at": "2026-01-01T00:00:00Z"}
        old["settings"]["CCTV_KEY"] = "other/{camera_id}.jpg"
        (nodes / "retired.json").write_text(json.dumps(old))
        (nodes / "rubbish.json").write_text("no JSON")
        (nodes / "deep.json").write_text("[" * 9000)
        keeping.log.unlink()
        async with keeping.running("run") as daemon:
            await until(lambda: keeping.events("service_started"))
            await stop(daemon)
    assert not keeping.events("settings_differ")
