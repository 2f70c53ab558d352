"""What is at a place: every object, in order, or an error."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from s3 import Weed
from test_publish_s3_hostile import error, says, serving, store_at
from test_publish_store import aws, picture

from cctv_images.clock import SimulatedClock
from cctv_images.errors import StoreError
from cctv_images.publish import Entry, Store, folder_listing
from cctv_images.publish.folder import FolderStore
from cctv_images.publish.s3 import S3Store
from cctv_images.sorting import DiskSort

ODD_KEYS = [
    "a b+c%20d.jpg",
    "cam-1/1.jpg",
    "cam.x/1.jpg",
    "cam/1.jpg",
    "cam0/1.jpg",
    "quote\"<&>'.jpg",
    "tab\tnew\nline\x01.jpg",
    "é/ß.jpg",
    "\uffff.jpg",
    "😀.jpg",
]


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


async def fill(store: Store, keys: list[str], body: bytes = b"x") -> None:
    for some in range(0, len(keys), 16):
        await asyncio.gather(*(store.put(picture(key, body)) for key in keys[some : some + 16]))


async def listed(store: Store, prefix: str = "", start_after: str = "") -> list[str]:
    return [entry.key async for entry in store.list(prefix, start_after)]


async def refusal(store: Store) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await listed(store)
    return caught.value


async def test_every_key_is_listed_as_it_was_put(store: Store) -> None:
    await fill(store, ODD_KEYS)
    assert sorted(await listed(store)) == sorted(ODD_KEYS)
    assert sorted(await listed(store, "cam")) == ["cam-1/1.jpg", "cam.x/1.jpg", "cam/1.jpg", "cam0/1.jpg"]
    assert await listed(store, "cam/") == ["cam/1.jpg"]
    assert await listed(store, "none/of/them") == []


async def test_an_entry_has_size_time_and_hash_where_the_store_knows_it(store: Store) -> None:
    await store.put(picture("empty.jpg", b""))
    receipt = await store.put(picture("image/17.jpg"))
    empty, entry = [e async for e in store.list()]
    assert (empty.key, empty.size, entry.key, entry.size) == ("empty.jpg", 0, "image/17.jpg", len(picture().body))
    assert entry.etag in (receipt.etag, None)
    assert entry.etag or isinstance(store, FolderStore)
    assert entry.modified > 1_700_000_000


async def test_a_listing_goes_on_from_page_to_page_and_begins_where_it_is_told(store: Store) -> None:
    keys = [f"{camera}/{n:04}.jpg" for camera in ("cam-1", "cam-2") for n in range(501)]
    await fill(store, keys)
    assert await listed(store) == keys
    assert await listed(store, "cam-2/", "cam-2/0498.jpg") == keys[-2:]
    assert await listed(store, start_after="cam-1/0499.jpg") == keys[500:]


# --- a folder ---


async def test_a_folder_is_listed_in_the_order_of_s3(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path / "store")
    await fill(store, ODD_KEYS)
    assert await listed(store) == sorted(ODD_KEYS, key=str.encode)


async def test_a_folder_with_more_names_than_memory_should_hold_is_sorted_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_listing, "MAX_NAMES", 3)
    store = await FolderStore.open(tmp_path / "store")
    await fill(store, ODD_KEYS)
    assert await listed(store) == sorted(ODD_KEYS, key=str.encode)


async def test_what_is_no_object_is_told_and_left_out(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path)
    await fill(store, ["cam/1.jpg"])
    (tmp_path / "cam" / ".00ff.cctv-tmp").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "cam" / "back").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to("cam/1.jpg")
    os.mkfifo(tmp_path / "pipe")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))).touch()
    seen: dict[str, str] = {}
    keys = [entry.key async for entry in store.list(passed_over=lambda path, why: seen.update({Path(path).name: why}))]
    assert keys == ["cam/1.jpg", "linked"]
    assert seen == {
        ".00ff.cctv-tmp": "temporary file",
        "self": "link in a circle",
        "back": "link in a circle",
        "pipe": "not a file",
        "\udcff.jpg": "name is not UTF-8",
    }


async def test_a_folder_that_is_not_there_any_more_is_an_error_and_no_empty_listing(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path / "store")
    (tmp_path / "store").rmdir()
    assert (await refusal(store)).reason == "missing"


async def test_a_folder_that_is_exchanged_while_it_is_listed_is_an_error(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path / "store")
    await fill(store, [f"{n:04}.jpg" for n in range(1001)])
    entries = store.list()
    assert (await anext(entries)).key == "0000.jpg"
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").mkdir()
    with pytest.raises(StoreError, match="another one than before"):
        assert [entry async for entry in entries]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path)
    (tmp_path / "secret").mkdir(mode=0)
    assert (await refusal(store)).reason == "denied"


def test_rows_are_sorted_on_disk_by_the_bytes_of_their_first_column() -> None:
    rows = [(key, n) for n, key in enumerate(ODD_KEYS[::-1])]
    with closing(DiskSort(2)) as sort:
        sort.add(rows[:3])
        sort.add(rows[3:])
        assert list(sort.sorted()) == sorted(rows, key=lambda row: row[0].encode())


# --- a bucket whose server is not what it should be ---


def page(*keys: str, more: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    contents = "".join(
        f"<Contents><Key>{quote_plus(key)}</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-03-01T12:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    name_space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    more += "<EncodingType>url</EncodingType>"
    return f"<ListBucketResult {name_space}>{more}{contents}</ListBucketResult>".encode()


NEXT = "<IsTruncated>true</IsTruncated><NextContinuationToken>+/=</NextContinuationToken>"


async def test_pages_are_asked_for_by_their_token_and_the_query_is_signed_in_order() -> None:
    answers = [page("a", "b c", more=NEXT), page("d")]

    async def answer(_: object) -> bytes | None:
        return await says("200 OK", answers.pop(0))(_)  # type: ignore[arg-type]

    async with serving(answer) as server, store_at(server) as store:
        found = [entry async for entry in store.list("", "A z")]
    assert found == [Entry(key, 3, "e", 1_772_366_400.0) for key in ("a", "b c", "d")]
    first, second = (seen.line for seen in server.requests)
    assert first == "GET /pictures/?encoding-type=url&list-type=2&prefix=&start-after=A%20z HTTP/1.1"
    assert second == "GET /pictures/?continuation-token=%2B%2F%3D&encoding-type=url&list-type=2&prefix= HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no element found"),
        (b"<html><body>Please log in</body></html>", "<html>"),
        (page("a", "b")[:-30], "no element|not well|unclosed|mismatched"),
        (page("a", more=""), "whether it is the last"),
        (page("a", more="<IsTruncated>true</IsTruncated>"), "names no next one"),
        (page("a", more="<IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>"), "names no next one"),
        (page("a", more="<KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>"), "2 keys and has 1"),
        (page("a").replace(b"<Size>3</Size>", b""), "Size"),
        (page("a").replace(b"<Size>3</Size>", b"<Size>many</Size>"), "many"),
        (page("a").replace(b"2026-03", b"yesterday"), "yesterday"),
        (page("a").replace(b"<Key>a", b"<Key>%FF"), "decode"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>' + page("a"), "document type"),
    ],
)
async def test_what_is_no_whole_page_is_never_taken_for_an_empty_one(body: bytes, why: str) -> None:
    async with serving(says("200 OK", body)) as server, store_at(server) as store:
        refused = await refusal(store)
    assert refused.reason == "lied"
    assert re.search(why, refused.detail), refused.detail
    assert len(server.requests) == 1


async def test_a_key_that_was_not_asked_for_is_an_error() -> None:
    async with serving(says("200 OK", page("image/1.jpg"))) as server, store_at(server) as store:
        with pytest.raises(StoreError, match="not what was asked for"):
            await listed(store, "archive/")


async def test_a_listing_that_goes_in_circles_is_an_error() -> None:
    async with serving(says("200 OK", page("a", more=NEXT))) as server, store_at(server) as store:
        assert "circles" in (await refusal(store)).detail


async def test_a_page_is_asked_for_again_when_the_server_is_busy_and_an_outage_is_an_error() -> None:
    async with serving(error("503 Slow Down", "SlowDown")) as server, store_at(server) as store:
        clock = store._clock
        assert isinstance(clock, SimulatedClock)
        task = asyncio.create_task(refusal(store))
        while not task.done():
            await clock.advance(10)
            await asyncio.sleep(0.01)
    assert (await task).reason == "busy"
    assert len(server.requests) == 8


async def test_a_missing_bucket_and_a_missing_right_are_errors_at_once(weed: Weed) -> None:
    store = await S3Store.open("no-such-bucket", aws=aws(weed))
    assert (await refusal(store)).reason == "no_bucket"
    await store.close()
    async with serving(error("403 Forbidden", "AccessDenied")) as server, store_at(server) as denied:
        assert (await refusal(denied)).reason == "denied"
    assert len(server.requests) == 1
