"""A store as one side of a sync: what belongs to an object goes along, nothing is replaced unseen, nothing is half."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from s3 import Weed
from test_publish_s3_hostile import Seen, error, says, serving
from test_publish_store import aws, picture

from cctv_images.clock import RealClock
from cctv_images.errors import StoreError
from cctv_images.publish import AwsSettings
from cctv_images.publish.side import WHOLE, About, Body, Side
from cctv_images.publish.side_folder import FolderSide
from cctv_images.publish.side_s3 import S3Side

NOON = 1_772_366_400.0
LARGE = os.urandom(1 << 20) * 20 + b"end"
HEADERS = {
    "Content-Type": "image/webp",
    "Expires": "Sun, 01 Mar 2026 12:05:00 GMT",
    "Cache-Control": "max-age=60",
    "Content-Language": "de",
}
METADATA = {"captured-at": "2026-03-01T12:00:00Z", "kind": "picture", "expires": "never"}


class Given:
    """A reading of bytes that are here."""

    def __init__(self, body: bytes, said: int | None = None, md5: str | None = None) -> None:
        self.about = About(len(body) if said is None else said, NOON, None, md5, HEADERS, METADATA)
        self._rest = body

    async def read(self, size: int) -> bytes:
        some, self._rest = self._rest[: min(size, 100_000)], self._rest[min(size, 100_000) :]
        return some


async def unhurried(_: int) -> None:
    """No pace."""


def body(data: bytes, said: int | None = None, md5: str | None = None) -> Body:
    return Body(Given(data, said, md5), unhurried)


async def read(side: Side, key: str) -> tuple[bytes, About]:
    async with side.reading(key) as reading:
        arriving = Body(reading, unhurried)
        data = b""
        while part := await arriving.part(1 << 20):
            data += part
        arriving.verify()
        return data, reading.about


async def keys(side: Side) -> list[str]:
    return [entry.key async for entry in side.list()]


async def bucket_side(weed: Weed, prefix: str = "archive") -> S3Side:
    name = f"cctv-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(name)
    return await S3Side.open(name, prefix, aws=aws(weed))


async def folder_side(folder: Path) -> FolderSide:
    folder.mkdir(exist_ok=True)
    side = FolderSide(folder, RealClock())
    await side.begin(writable=True)
    return side


async def plain_side(port: int) -> S3Side:
    known = AwsSettings(
        access_key_id="k", secret_access_key=SecretStr("s"), region="r", endpoint_url=f"http://127.0.0.1:{port}"
    )
    return await S3Side.open("pictures", aws=known)


@pytest.fixture(params=["s3", "folder"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "folder":
        opened: Side = await folder_side(tmp_path / "there")
    else:
        opened = await bucket_side(request.getfixturevalue("weed"))
    yield opened
    await opened.close()


@pytest.mark.parametrize("data", [b"", b"small", LARGE[:WHOLE], LARGE], ids=["empty", "small", "whole", "parts"])
async def test_bytes_headers_and_metadata_are_carried_along(side: Side, data: bytes) -> None:
    await side.write("cam/1.jpg", body(data), None)
    found, about = await read(side, "cam/1.jpg")
    assert hashlib.md5(found).digest() == hashlib.md5(data).digest()
    assert (about.headers, about.metadata) == (HEADERS, METADATA)
    assert (about.size, about.captured_at, about.moment) == (len(data), NOON, NOON)
    assert about == await side.look("cam/1.jpg")


async def test_an_object_that_is_there_is_not_replaced_unseen(side: Side) -> None:
    await side.write("cam/1.jpg", body(b"newer"), None)
    for data in (b"older", LARGE):
        with pytest.raises(StoreError) as caught:
            await side.write("cam/1.jpg", body(data), None)
        assert caught.value.reason == "there"
    seen = await side.look("cam/1.jpg")
    await side.write("cam/1.jpg", body(b"third"), seen)
    if isinstance(side, FolderSide):
        os.utime(side.root / "cam/1.jpg", (NOON + 9, NOON + 9))
    else:
        await side.write("cam/1.jpg", body(b"fourth"), await side.look("cam/1.jpg"))
    with pytest.raises(StoreError) as caught:
        await side.write("cam/1.jpg", body(b"fifth"), seen)
    assert caught.value.reason == "changed"
    assert (await read(side, "cam/1.jpg"))[0] in (b"third", b"fourth")


async def test_of_many_that_create_one_object_one_does(side: Side) -> None:
    await side.write("first", body(b"x"), None)

    async def create(n: int) -> str:
        try:
            await side.write(f"{n // 5}", body(b"%d" % n), None)
        except StoreError as refused:
            return refused.reason
        return "created"

    done = await asyncio.gather(*(create(n) for n in range(100)))
    assert [sorted(done[n : n + 5]) for n in range(0, 100, 5)] == [["created", "there", "there", "there", "there"]] * 20


@pytest.mark.parametrize("data", [b"short", LARGE], ids=["small", "parts"])
async def test_what_changes_while_it_is_read_is_not_put(side: Side, data: bytes) -> None:
    for wrong in (body(data, said=len(data) + 1), body(data, md5="0" * 32)):
        with pytest.raises(StoreError) as caught:
            await side.write("cam/1.jpg", wrong, None)
        assert caught.value.reason == "changed"
    assert await side.look("cam/1.jpg") is None
    assert await keys(side) == []
    if isinstance(side, S3Side):
        answer = await side._wire.request("GET", "", query={"uploads": ""})
        assert b"<Upload>" not in answer.body


async def test_there_is_nothing_to_read_where_there_is_nothing(side: Side) -> None:
    assert await side.look("cam/1.jpg") is None
    with pytest.raises(StoreError) as caught:
        await read(side, "cam/1.jpg")
    assert caught.value.reason == "missing"


# --- folders ---


async def test_a_folder_shows_no_half_files_and_those_of_a_killed_run_go(tmp_path: Path) -> None:
    side = await folder_side(tmp_path)
    (tmp_path / ".0123456789abcdef.cctv-tmp").write_bytes(b"half")
    (tmp_path / "mine.cctv-tmp").write_bytes(b"a person's")
    (tmp_path / ".cctv-tmp").mkdir()  # where an archive begins its files
    task = asyncio.create_task(side.write("big", body(LARGE), None))
    while not any(tmp_path.glob(".*.cctv-tmp")) or await keys(side) != []:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert await keys(side) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cctv-tmp", "mine.cctv-tmp"]


async def test_what_a_killed_run_left_and_may_not_be_removed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = await folder_side(tmp_path)
    await side.write("1.jpg", body(b"x"), None)
    (tmp_path / ".0123456789abcdef.cctv-tmp").write_bytes(b"half")
    (tmp_path / ".1123456789abcdef.cctv-tmp").mkdir()

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        assert await keys(side) == ["1.jpg"]
    assert await keys(side) == ["1.jpg"]
    assert [*tmp_path.glob(".*.cctv-tmp")] == [tmp_path / ".1123456789abcdef.cctv-tmp"]


async def test_a_source_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / ".0123.cctv-tmp").write_bytes(b"half")
    before = tmp_path.stat().st_mtime_ns
    side = FolderSide(tmp_path, RealClock())
    await side.begin(writable=False)
    assert await keys(side) == []
    assert [path.name for path in tmp_path.iterdir()] == [".0123.cctv-tmp"]
    assert tmp_path.stat().st_mtime_ns == before


async def test_a_file_says_what_the_daemon_wrote_beside_it(tmp_path: Path) -> None:
    side = await folder_side(tmp_path)
    await side.put(picture(kind="fallback", error_state="auth"))
    _, about = await read(side, "image/17.jpg")
    assert about.headers["Content-Type"] == "image/jpeg"
    assert about.headers["Expires"].endswith(" GMT")
    assert about.metadata == {"captured-at": "2026-03-01T12:00:00Z", "kind": "fallback", "error-state": "auth"}
    (tmp_path / "bare.png").write_bytes(b"x")
    os.utime(tmp_path / "bare.png", (NOON, NOON))
    _, about = await read(side, "bare.png")
    assert (about.headers, about.metadata) == ({"Content-Type": "image/png"}, {"captured-at": "2026-03-01T12:00:00Z"})


async def test_what_others_wrote_beside_a_file_may_be_any_date(tmp_path: Path) -> None:
    side = await folder_side(tmp_path)
    for name, said in (("captured-at", "9999-12-31T23:59:59-14:00"), ("expires", "0001-01-01T00:00:00+14:00")):
        (tmp_path / name).write_bytes(b"x")
        os.setxattr(tmp_path / name, f"user.{name}", said.encode())
        found = await side.look(name)
        assert found is not None
        assert found.moment == (found.modified if name == "captured-at" else found.captured_at)
    (tmp_path / "early").touch()
    os.utime(tmp_path / "early", (-(1 << 31), -(1 << 31)))
    assert (await side.look("early")).captured_at == 0  # type: ignore[union-attr]


async def test_a_file_that_grows_while_it_is_read_is_told(tmp_path: Path) -> None:
    side = await folder_side(tmp_path)
    (tmp_path / "log").write_bytes(LARGE)
    async with side.reading("log") as reading:
        arriving = Body(reading, unhurried)
        await arriving.part(1 << 20)
        with (tmp_path / "log").open("ab") as log:
            log.write(b"more")
        with pytest.raises(StoreError, match="changed while it was read"):
            await arriving.part(2 * len(LARGE))


@pytest.mark.parametrize("key", ["../x", "a/../b", "a//b", "/a", "a/", "n\0l", "x" * 300, "taken/x", "dir"])
async def test_keys_that_cannot_be_files_are_refused(tmp_path: Path, key: str) -> None:
    side = await folder_side(tmp_path)
    (tmp_path / "taken").touch()
    (tmp_path / "dir").mkdir()
    with pytest.raises(StoreError) as caught:
        await side.write(key, body(b"x"), None)
    assert (caught.value.reason, caught.value.transient) == ("refused", False)


async def test_a_folder_that_was_exchanged_has_not_lost_its_files(tmp_path: Path) -> None:
    side = await folder_side(tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "away")
    (tmp_path / "there").mkdir()
    with pytest.raises(StoreError, match="not the one that it was"):
        await side.look("cam/1.jpg")


async def test_files_can_be_read_by_everybody_if_the_folder_can(tmp_path: Path) -> None:
    for mode, expected in ((0o755, 0o644), (0o750, 0o640)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        side = await folder_side(folder)
        await side.write("cam/1.jpg", body(b"x"), None)
        assert (folder / "cam").stat().st_mode & 0o777 == mode
        assert (folder / "cam" / "1.jpg").stat().st_mode & 0o777 == expected


async def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        await FolderSide(tmp_path / "none", RealClock()).begin(writable=True)
    assert not (tmp_path / "none").exists()


# --- buckets ---


async def test_one_server_copies_by_itself(weed: Weed) -> None:
    source, destination = await bucket_side(weed), await bucket_side(weed, "")
    for data in (b"small", LARGE):
        await source.write("a b+c.jpg", body(data), await source.look("a b+c.jpg"))
        assert await destination.copy(source, "a b+c.jpg", await destination.look("a b+c.jpg"))
        found, about = await read(destination, "a b+c.jpg")
        assert (found == data, about.headers, about.metadata) == (True, HEADERS, METADATA)
    with pytest.raises(StoreError) as caught:
        await destination.copy(source, "a b+c.jpg", None)
    assert caught.value.reason == "there"
    with pytest.raises(StoreError) as caught:
        await destination.copy(source, "none", None)
    assert caught.value.reason == "missing"
    assert not await destination.copy(await folder_side(Path(weed._folder)), "a", None)


async def test_what_has_come_while_the_parts_were_sent_is_not_replaced() -> None:
    """The server knows no conditions."""
    there: list[bytes] = []

    async def answer(seen: Seen) -> bytes | None:
        method, path, _ = seen.line.split()
        if method == "HEAD":
            said = {"ETag": "newer", "Last_Modified": "Sun, 01 Mar 2026 12:00:00 GMT"}
            return await (says("200 OK", **said) if there else says("404 Not Found"))(seen)
        if "partNumber" in path:
            there.append(b"newer")
            return await says("200 OK", ETag=hashlib.md5(seen.body).hexdigest())(seen)
        return await says("200 OK", b"<UploadId>u</UploadId>" if method == "POST" else b"")(seen)

    async with serving(answer) as server:
        side = await plain_side(server.port)
        with pytest.raises(StoreError, match="there already"):
            await side.write("1", body(LARGE), None)
        last = server.requests[-1].line
    assert last.startswith("DELETE /pictures/1?uploadId=u ")


async def test_one_server_is_one_however_its_address_is_written() -> None:
    for spellings in (
        ("http://s3.example", "http://S3.Example/", "http://s3.example:80", "http://s3.example."),
        ("http://127.0.0.1:8333", "http://localhost:8333", "http://[::1]:8333/"),
        ("https://s3.example/s3", "https://s3.example:443/s3/"),
    ):
        services = set()
        for spelling in spellings:
            known = AwsSettings(access_key_id="k", secret_access_key=SecretStr("s"), endpoint_url=spelling)
            side = await S3Side.open("pictures", aws=known)
            services.add(side.service)
            await side.close()
        assert len(services) == 1
        assert "pictures" not in str(services)


async def test_whether_the_server_holds_to_conditions_is_tried_on_what_was_just_created(weed: Weed) -> None:
    side = await bucket_side(weed)
    await side.write("1", body(b"x"), None)
    assert side.conditional is True
    assert await keys(side) == ["1"]


async def test_a_server_that_ignores_conditions_is_looked_at_before_each_put() -> None:
    objects: dict[str, bytes] = {}

    async def answer(seen: Seen) -> bytes | None:
        method, path, _ = seen.line.split()
        etag = hashlib.md5(objects.get(path, seen.body)).hexdigest()
        if method == "PUT":
            objects[path] = seen.body
        elif path not in objects:
            return await says("404 Not Found")(seen)
        said = {"ETag": f'"{etag}"', "Last_Modified": "Sun, 01 Mar 2026 12:00:00 GMT"}
        return await says("200 OK", **said)(seen)

    async with serving(answer) as server:
        side = await plain_side(server.port)
        await side.write("1", body(b"x"), None)
        assert side.conditional is False
        await side.write("2", body(b"y"), None)
        with pytest.raises(StoreError, match="there already"):
            await side.write("1", body(b"old"), None)
        methods = " ".join(seen.line.split()[0] for seen in server.requests)
    assert methods == "HEAD PUT PUT HEAD PUT HEAD"
    assert "if-none-match" not in server.requests[-2].headers


async def test_a_server_that_knows_no_conditions_is_asked_without() -> None:
    async def answer(seen: Seen) -> bytes | None:
        if seen.line.startswith("HEAD"):
            return await says("404 Not Found")(seen)
        if "if-none-match" in seen.headers:
            return await error("501 Not Implemented", "NotImplemented")(seen)
        return await says("200 OK", ETag=hashlib.md5(seen.body).hexdigest())(seen)

    async with serving(answer) as server:
        side = await plain_side(server.port)
        with pytest.raises(StoreError) as caught:
            await side.write("1", body(b"x"), None)
        assert caught.value.transient
        await side.write("1", body(b"x"), None)
