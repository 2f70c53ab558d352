"""What every store promises, over a real S3 server and a folder."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import pytest
from needs import needs, run_or_skip
from pydantic import SecretStr, ValidationError
from s3 import Weed

from cctv_images.clock import SimulatedClock
from cctv_images.errors import ConfigError, StoreError
from cctv_images.publish import AwsSettings, Publication, S3Options, Store, open_store
from cctv_images.publish.folder import FolderStore
from cctv_images.publish.s3 import S3Store

BODY = b"\xff\xd8" + bytes(range(256)) * 400 + b"\xff\xd9"
NOON = 1_772_366_400.0


def aws(weed: Weed, **changes: str | SecretStr | None) -> AwsSettings:
    known = AwsSettings(
        access_key_id=weed.access_key,
        secret_access_key=SecretStr(weed.secret_key),
        region=weed.region,
        endpoint_url=weed.endpoint,
    )
    return known.model_copy(update=changes)


def picture(key: str = "image/17.jpg", body: bytes = BODY, **changes: object) -> Publication:
    return dataclasses.replace(Publication(key, body, "picture", NOON, 300.0), **changes)


@pytest.fixture
async def bucket(weed: Weed) -> str:
    name = f"cctv-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(name, public=True)
    return name


@pytest.fixture(params=["s3", "folder"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "folder":
        opened: Store = await FolderStore.open(tmp_path / "store")
    else:
        weed = request.getfixturevalue("weed")
        name = f"cctv-{uuid.uuid4().hex[:8]}"
        await weed.make_bucket(name)
        opened = await S3Store.open(name, "live/austin", aws=aws(weed))
    yield opened
    await opened.close()


async def test_what_was_put_is_read_back_with_all_that_belongs_to_it(store: Store) -> None:
    before = time.time()
    receipt = await store.put(picture(kind="fallback", error_state="auth"))
    assert receipt.etag == hashlib.md5(BODY).hexdigest()
    assert before <= receipt.uploaded_at <= time.time()
    assert receipt.expires_at == pytest.approx(receipt.uploaded_at + 300)
    stored = await store.get("image/17.jpg")
    assert stored.body == BODY
    assert stored.content_type == "image/jpeg"
    assert stored.expires == pytest.approx(receipt.expires_at, abs=1)
    assert stored.metadata == {"captured-at": "2026-03-01T12:00:00Z", "kind": "fallback", "error-state": "auth"}


async def test_a_second_put_replaces_the_first_and_its_metadata(store: Store) -> None:
    await store.put(picture(kind="fallback", error_state="auth"))
    await store.put(picture(body=b"new", captured_at=NOON + 300))
    stored = await store.get("image/17.jpg")
    assert stored.body == b"new"
    assert stored.metadata == {"captured-at": "2026-03-01T12:05:00Z", "kind": "picture"}


async def test_a_deleted_object_is_missing_and_deleting_it_again_is_no_error(store: Store) -> None:
    await store.put(picture())
    await store.delete("image/17.jpg")
    await store.delete("image/17.jpg")
    with pytest.raises(StoreError) as caught:
        await store.get("image/17.jpg")
    assert caught.value.reason == "missing"


@pytest.mark.parametrize("key", ["image/a b+c~ü%41.jpg", "deep/er/and/deeper.jpg", "plain.jpg"])
async def test_any_printable_key_is_kept_as_it_is(store: Store, key: str) -> None:
    await store.put(picture(key))
    assert (await store.get(key)).body == BODY


async def test_a_large_picture_is_stored_whole(store: Store) -> None:
    body = os.urandom(8 << 20)
    await store.put(picture(body=body))
    assert (await store.get("image/17.jpg")).body == body


async def test_a_store_that_does_all_we_need_passes_the_canary_and_keeps_nothing_of_it(store: Store) -> None:
    assert await store.canary("image/canary.jpg") == []
    with pytest.raises(StoreError):
        await store.get("image/canary.jpg")


async def test_the_md5_that_the_verifier_has_computed_is_taken_as_it_is(store: Store) -> None:
    receipt = await store.put(picture(md5=hashlib.md5(BODY).hexdigest()))
    assert receipt.etag == hashlib.md5(BODY).hexdigest()


# S3 alone


async def test_a_plain_get_of_the_picture_shows_expires_and_type_and_no_cache_control(weed: Weed, bucket: str) -> None:
    store = await S3Store.open(bucket, aws=aws(weed))
    receipt = await store.put(picture())
    async with aiohttp.ClientSession() as http, http.get(f"{weed.endpoint}/{bucket}/image/17.jpg") as answer:
        assert answer.status == 200
        assert await answer.read() == BODY
        assert answer.headers["Content-Type"] == "image/jpeg"
        shown = parsedate_to_datetime(answer.headers["Expires"]).timestamp()
        assert shown == pytest.approx(receipt.uploaded_at + 300, abs=1)
        assert "Cache-Control" not in answer.headers
        assert answer.headers["x-amz-meta-captured-at"] == "2026-03-01T12:00:00Z"
    await store.close()


async def test_a_cache_control_is_sent_when_it_is_set(weed: Weed, bucket: str) -> None:
    store = await S3Store.open(bucket, aws=aws(weed), cache_control="public, max-age=60")
    await store.put(picture())
    async with aiohttp.ClientSession() as http, http.get(f"{weed.endpoint}/{bucket}/image/17.jpg") as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=60"
    await store.close()


@pytest.mark.parametrize("checksum", ["crc32", "sha1", "sha256"])
async def test_a_checksum_is_taken_by_a_store_that_checks_it(weed: Weed, bucket: str, checksum: str) -> None:
    store = await S3Store.open(bucket, aws=aws(weed), options=S3Options(checksum=checksum, storage_class="STANDARD_IA"))
    await store.put(picture())
    assert (await store.get("image/17.jpg")).body == BODY
    await store.close()


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        ({"secret_access_key": SecretStr("wrong")}, "keys", "AWS_SECRET_ACCESS_KEY"),
        ({"access_key_id": "nobody"}, "keys", "AWS_ACCESS_KEY_ID"),
    ],
)
async def test_wrong_keys_are_told_by_the_variable_that_is_wrong(
    weed: Weed, bucket: str, changes: dict[str, str], reason: str, says: str
) -> None:
    store = await S3Store.open(bucket, aws=aws(weed, **changes))
    with pytest.raises(StoreError) as caught:
        await store.put(picture())
    assert (caught.value.reason, caught.value.transient) == (reason, False)
    assert says in caught.value.detail
    assert "wrong" not in str(caught.value)
    assert any(says in lack.sentence for lack in await store.canary("image/canary.jpg"))
    await store.close()


async def test_an_archive_that_may_not_be_listed_fails_the_canary(weed: Weed, bucket: str) -> None:
    store = await S3Store.open(bucket, aws=aws(weed, access_key_id="no-list"))
    assert await store.canary("image/canary.jpg") == []
    (lack,) = await store.canary("image/canary.jpg", archive=True)
    assert "listing the canary failed (denied)" in lack.sentence
    assert f"s3:ListBucket on arn:aws:s3:::{bucket}" in lack.sentence
    await store.close()


async def test_a_missing_bucket_is_named_and_not_created(weed: Weed) -> None:
    store = await S3Store.open("cctv-not-there", aws=aws(weed))
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            await store.put(picture())
        assert (caught.value.reason, caught.value.transient) == ("no_bucket", False)
        assert "cctv-not-there" in caught.value.detail
    await store.close()


@needs("faketime")
async def test_a_clock_that_is_an_hour_off_is_explained(weed: Weed, bucket: str) -> None:
    script = (
        "import asyncio,sys;sys.path.insert(0,'tests')\n"
        "from test_publish_store import *\n"
        "async def main():\n"
        f"    store = await S3Store.open({bucket!r}, aws=AwsSettings(access_key_id={weed.access_key!r},"
        f" secret_access_key=SecretStr({weed.secret_key!r}), region='us-east-1', endpoint_url={weed.endpoint!r}))\n"
        "    try: await store.put(picture())\n"
        "    except StoreError as error: print(error)\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    faked = ["faketime", "-f", "+3700s", sys.executable, "-c", script]
    done = subprocess.run(faked, capture_output=True, text=True, cwd=Path(__file__).parent.parent, timeout=60)
    assert done.stdout.startswith("clock: this machine's clock is 62 minutes ahead of the store's"), done.stderr


async def test_rotated_keys_in_the_shared_file_are_seen_by_a_new_store(
    weed: Weed, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    settings = AwsSettings(region=weed.region, endpoint_url=weed.endpoint, profile="cctv")
    text = "[cctv]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
    shared.write_text(text.format(weed.access_key, "old"))
    first = await S3Store.open(bucket, aws=settings)
    with pytest.raises(StoreError) as caught:
        await first.put(picture())
    assert caught.value.reason == "keys"
    assert "profile cctv" in caught.value.detail
    shared.write_text(text.format(weed.access_key, weed.secret_key))
    second = await S3Store.open(bucket, aws=settings)
    assert await second.put(picture())
    await first.close()
    await second.close()


async def test_no_keys_at_all_are_told_at_the_put(weed: Weed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = await S3Store.open("cctv", aws=AwsSettings(endpoint_url=weed.endpoint))
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID") as caught:
        await store.put(picture())
    assert caught.value.reason == "keys"
    await store.close()


async def test_a_shared_file_with_a_typing_error_is_named(
    weed: Weed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "config"
    shared.write_text("profile cctv]\nregion = x\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(shared))
    with pytest.raises(ConfigError, match=str(shared)):
        await S3Store.open("cctv", aws=AwsSettings(endpoint_url=weed.endpoint, profile="cctv"))


async def test_an_unknown_profile_is_a_mistake_in_the_configuration(weed: Weed) -> None:
    with pytest.raises(ConfigError, match="AWS_PROFILE names 'nobody'"):
        await S3Store.open("cctv", aws=AwsSettings(endpoint_url=weed.endpoint, profile="nobody"))


@pytest.mark.parametrize(
    ("address", "options", "base"),
    [
        ({"region": "eu-central-1"}, {}, "https://pictures.s3.eu-central-1.amazonaws.com/"),
        ({"region": "us-east-1"}, {}, "https://pictures.s3.us-east-1.amazonaws.com/"),
        ({"region": "us-east-1"}, {"addressing": "path"}, "https://s3.us-east-1.amazonaws.com/pictures/"),
        ({"region": "cn-north-1"}, {}, "https://pictures.s3.cn-north-1.amazonaws.com.cn/"),
        ({"endpoint_url": "http://127.0.0.1:9000"}, {}, "http://127.0.0.1:9000/pictures/"),
        ({"endpoint_url": "https://s3.example"}, {"addressing": "virtual"}, "https://pictures.s3.example/"),
    ],
)
async def test_the_bucket_is_found_by_region_endpoint_and_addressing(
    address: dict[str, str], options: dict[str, str], base: str
) -> None:
    store = await S3Store.open("pictures", aws=AwsSettings(**address), options=S3Options(**options))
    assert store.address == base
    await store.close()


def test_a_typing_error_in_the_s3_options_is_named() -> None:
    with pytest.raises(ValidationError, match="storage_clas"):
        S3Options.model_validate_json(json.dumps({"storage_clas": "STANDARD_IA"}))
    with pytest.raises(ValidationError, match="kms_key_id needs"):
        S3Options(kms_key_id="k")


# a folder alone


async def test_a_file_is_dated_readable_and_carries_the_rest_in_attributes(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        store = await FolderStore.open(tmp_path / "store")
        receipt = await store.put(picture(kind="fallback", error_state="dns"))
    finally:
        os.umask(umask)
    file = tmp_path / "store/image/17.jpg"
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.parent.stat().st_mode & 0o777 == file.parent.parent.stat().st_mode & 0o777 == 0o755
    assert file.stat().st_mtime == NOON
    attributes = {name: os.getxattr(file, name).decode() for name in os.listxattr(file)}
    assert attributes.pop("user.expires").endswith("Z")
    assert receipt.expires_at > NOON
    assert attributes == {
        "user.kind": "fallback",
        "user.captured-at": "2026-03-01T12:00:00Z",
        "user.error-state": "dns",
        "user.content-type": "image/jpeg",
    }
    await store.close()


@pytest.mark.parametrize("key", ["../out.jpg", "image/../../out.jpg", "/out.jpg", "image//17.jpg", "a\0b", "", "."])
async def test_no_key_leaves_the_folder(tmp_path: Path, key: str) -> None:
    store = await FolderStore.open(tmp_path / "store")
    for verb in (store.put(picture(key)), store.get(key), store.delete(key)):
        with pytest.raises(StoreError) as caught:
            await verb
        assert caught.value.reason == "refused"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    await store.close()


async def test_what_a_crash_left_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path)
    await store.put(picture())
    await store.close()
    (tmp_path / "image/.0123.cctv-tmp").write_bytes(b"half")
    (tmp_path / ".htaccess").write_bytes(b"theirs")
    store = await FolderStore.open(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [".htaccess", "image", "image/17.jpg"]
    await store.close()


async def test_a_store_that_is_opened_anew_takes_no_file_from_under_a_put(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path)
    puts = [asyncio.create_task(store.put(picture(f"{n}.jpg", b"x" * 4_000_000))) for n in range(20)]
    while not all(put.done() for put in puts):
        await (await FolderStore.open(tmp_path)).close()
    assert all(len(receipt.etag) == 32 for receipt in await asyncio.gather(*puts))
    assert sorted(path.suffix for path in tmp_path.rglob("*")) == [".jpg"] * 20
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    run_or_skip("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk)
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_is_told_leaves_no_rest_and_heals(small_disk: Path) -> None:
    store = await FolderStore.open(small_disk)
    await store.put(picture("a.jpg", b"old"))
    with pytest.raises(StoreError) as caught:
        await store.put(picture("a.jpg", os.urandom(400_000)))
    assert (caught.value.reason, caught.value.transient) == ("full", True)
    assert [path.name for path in small_disk.iterdir()] == ["a.jpg"]
    assert (await store.get("a.jpg")).body == b"old"
    await store.put(picture("a.jpg", b"new"))
    await store.close()


@pytest.mark.parametrize(("number", "reason"), [(errno.E2BIG, "refused"), (errno.ENOSPC, "refused"), (errno.EIO, "io")])
async def test_attributes_that_a_disk_does_not_take_are_told(
    tmp_path: Path, number: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 says of those that are too long that there is no space left."""

    def refuse(fd: int, name: str, value: bytes) -> None:
        if len(value) > 4096:
            raise OSError(number, "no", fd)

    monkeypatch.setattr(os, "setxattr", refuse)
    store = await FolderStore.open(tmp_path)
    with pytest.raises(StoreError) as caught:
        await store.put(picture(error_state="x" * 5000))
    assert (caught.value.reason, caught.value.transient) == (reason, reason == "io")
    assert [*tmp_path.rglob("*.*")] == []
    await store.put(picture())
    await store.close()


async def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    store = await FolderStore.open(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match="read-only") as caught:
        await store.put(picture())
    assert caught.value.reason == "denied"
    assert "write permission" in (await store.canary("image/canary.jpg"))[0].sentence
    await store.close()


async def test_a_file_system_without_attributes_keeps_the_picture_and_the_canary_says_what_is_lost(
    small_disk: Path,
) -> None:
    subprocess.run(["mount", "-t", "ramfs", "ramfs", small_disk], check=True)
    try:
        store = await FolderStore.open(small_disk)
        await store.put(picture())
        stored = await store.get("image/17.jpg")
        assert (stored.body, stored.content_type, stored.expires, stored.metadata) == (BODY, "image/jpeg", None, {})
        (lack,) = await store.canary("image/canary.jpg")
        assert "no extended attributes" in lack.sentence
        await store.close()
    finally:
        subprocess.run(["umount", small_disk], check=True)


async def test_a_folder_that_vanished_is_not_made_anew(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path / "store")
    (tmp_path / "store").rmdir()
    with pytest.raises(StoreError) as caught:
        await store.put(picture())
    assert caught.value.reason == "unreachable"
    assert not (tmp_path / "store").exists()
    await store.close()


@pytest.mark.parametrize("made", [lambda path: None, lambda path: path.parent.write_text("a file")])
async def test_a_folder_that_cannot_be_is_a_mistake_in_the_configuration(tmp_path: Path, made: object) -> None:
    made(tmp_path / "typo/store")
    with pytest.raises(ConfigError, match="typo/store"):
        await FolderStore.open(tmp_path / "typo/store")


# CCTV_STORE


@dataclasses.dataclass
class Chosen:
    store: str
    s3_options: S3Options = dataclasses.field(default_factory=S3Options)
    cache_control: str | None = None
    aws: AwsSettings = dataclasses.field(default_factory=AwsSettings)


async def test_the_address_chooses_the_store(tmp_path: Path) -> None:
    folder = await open_store(Chosen(f"file://{tmp_path}/a%20b"))
    assert isinstance(folder, FolderStore)
    assert (tmp_path / "a b").is_dir()
    bucket = await open_store(Chosen("s3://pictures/live/", aws=AwsSettings(region="eu-west-1")), SimulatedClock())
    assert isinstance(bucket, S3Store)
    assert bucket.address == "https://pictures.s3.eu-west-1.amazonaws.com/live/"
    await folder.close()
    await bucket.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3//bucket", "did you mean s3://bucket?"),
        ("s3:/bucket/live", "did you mean s3://bucket/live?"),
        ("S3:bucket", "did you mean s3://bucket?"),
        ("file:pictures", "did you mean file:///pictures?"),
        ("file://srv/pictures", "did you mean file:///srv/pictures?"),
        ("/srv/pictures", "did you mean file:///srv/pictures?"),
        ("s3://My_Bucket", "did you mean s3://my-bucket?"),
        ("s3://", "3 to 63"),
        ("s3://192.168.0.1", "3 to 63"),
        ("s3://pictures--use1-az4--x-s3", "directory bucket"),
        ("s3://bucket/a//b", "empty parts"),
        ("https://bucket.s3.amazonaws.com", "expected s3://bucket"),
        ("", "expected s3://bucket"),
    ],
)
async def test_an_address_with_a_typing_error_is_answered_with_the_nearest_right_one(address: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await open_store(Chosen(address))
    assert says in str(caught.value)
