"""Reading an inventory: files and web addresses, whole or not at all, and the last good one."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cctv_images.clock import SimulatedClock
from cctv_images.errors import ConfigError
from cctv_images.inventory.rows import Rules
from cctv_images.inventory.source import InventorySource, InventoryUnavailable

RULES = Rules(find_recipe=lambda model: "axis" if model == "Axis" else None, nearest=lambda model: [])
CSV = b"camera_id,address,model\n1,10.0.0.1,Axis\n2,10.0.0.2,Axis\n"

Answer = Callable[[web.Request], web.StreamResponse]


def source(place: str | Path, state_dir: Path, **changes: Any) -> InventorySource:
    return InventorySource(str(place), RULES, state_dir, SimulatedClock(), **changes)


async def refusal(place: str | Path, state_dir: Path, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        await source(place, state_dir, **changes).load()
    [problem] = caught.value.problems
    return problem


async def outage(place: str | Path, state_dir: Path, **changes: Any) -> str:
    with pytest.raises(InventoryUnavailable) as caught:
        await source(place, state_dir, **changes).load()
    return str(caught.value)


class Site:
    """A web server that answers every request by one function and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request: web.Response(body=CSV)
        self.asked: list[web.Request] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return self.answer(request)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


@contextlib.asynccontextmanager
async def raw_server(*pieces: bytes, hang: bool = False) -> AsyncIterator[str]:
    """Says these bytes to whoever connects, a moment apart, then closes or holds the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            if hang:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cameras.csv"
    server.close()


# Files


async def test_a_file_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "cameras.csv"
    path.write_bytes(CSV)
    loaded = await source(path, tmp_path).load()
    assert list(loaded.inventory.cameras) == ["1", "2"]
    assert (loaded.document, loaded.saved_at) == (CSV, None)


async def test_paths_that_hold_no_inventory_are_refused_in_a_sentence(tmp_path: Path) -> None:
    empty, pipe, loop = tmp_path / "empty.csv", tmp_path / "pipe", tmp_path / "loop"
    empty.touch()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    assert await refusal(tmp_path / "none.csv", tmp_path) == f"{tmp_path}/none.csv does not exist."
    assert "does not exist" in await refusal(empty / "below", tmp_path)
    assert "is a folder" in await refusal(tmp_path, tmp_path)
    assert "is empty" in await refusal(empty, tmp_path)
    assert "is no file" in await refusal(pipe, tmp_path)
    assert "is no file" in await refusal("/dev/zero", tmp_path)
    assert "circles" in await refusal(loop, tmp_path)
    assert "too long" in await refusal(tmp_path / ("x" * 300), tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.csv"
    path.touch(mode=0)
    assert "may not be read" in await refusal(path, tmp_path)


async def test_a_file_of_a_hundred_megabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    assert "larger than 32 MiB" in await refusal(path, tmp_path)


async def test_a_file_that_lies_about_its_size_is_refused_while_it_is_read(tmp_path: Path) -> None:
    assert "larger" in await refusal("/proc/kallsyms", tmp_path, max_bytes=1000)


# The web


async def test_an_inventory_is_read_over_http_with_its_headers(site: Site, tmp_path: Path) -> None:
    place = f"{site.url}/cameras.csv?token=abc"
    loaded = await source(place, tmp_path, headers={"X-Api-Key": "secret"}).load()
    assert list(loaded.inventory.cameras) == ["1", "2"]
    assert site.asked[0].headers["X-Api-Key"] == "secret"
    assert site.asked[0].query["token"] == "abc"


async def test_a_packed_answer_is_unpacked(site: Site, tmp_path: Path) -> None:
    site.answer = lambda request: web.Response(body=gzip.compress(CSV), headers={"Content-Encoding": "gzip"})
    assert len((await source(f"{site.url}/c", tmp_path).load()).inventory.cameras) == 2


async def test_a_packed_answer_may_not_unpack_beyond_the_limit(site: Site, tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * 4 * 2**20)
    site.answer = lambda request: web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
    assert "larger than 1 MiB" in await refusal(f"{site.url}/c", tmp_path, max_bytes=2**20)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusal_is_a_mistake_and_is_told_without_the_query(site: Site, tmp_path: Path, status: int) -> None:
    site.answer = lambda request: web.Response(status=status, text="token abc is wrong")
    sentence = await refusal(f"{site.url}/cameras.csv?token=abc", tmp_path)
    assert f"{site.url}/cameras.csv answers {status}" in sentence
    assert "abc" not in sentence


@pytest.mark.parametrize("status", [204, 408, 429, 500, 502, 503, 504])
async def test_trouble_at_the_other_end_is_an_outage(site: Site, tmp_path: Path, status: int) -> None:
    site.answer = lambda request: web.Response(status=status)
    assert f"answers {status}" in await outage(f"{site.url}/c", tmp_path)


async def test_nobody_listening_is_an_outage(tmp_path: Path) -> None:
    assert "no connection" in await outage("http://127.0.0.1:1/c?token=abc", tmp_path)


async def test_a_name_that_does_not_resolve_is_an_outage(tmp_path: Path) -> None:
    assert "cannot be read" in await outage("http://cameras.invalid/c", tmp_path)


@pytest.mark.parametrize("place", ["http://u:hunter2@h/c", "http://a..b/c", "http://h:0/c", "http://169.254.169.254/"])
async def test_an_address_that_cannot_be_asked_is_a_mistake(tmp_path: Path, place: str) -> None:
    sentence = await refusal(place, tmp_path)
    assert sentence.startswith("CCTV_INVENTORY cannot be asked")
    assert "hunter2" not in sentence


async def test_an_answer_that_never_ends_ends_at_the_time_limit(tmp_path: Path) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\ncamera_id,", hang=True) as url:
        assert "within 0.3 s" in await outage(url, tmp_path, time_limit_s=0.3)


async def test_an_answer_that_breaks_off_is_an_outage(tmp_path: Path) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + CSV) as url:
        assert "broke off" in await outage(url, tmp_path)
    async with raw_server(b"") as url:
        assert "broke off" in await outage(url, tmp_path)
    async with raw_server(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        assert "cannot be read" in await outage(url, tmp_path)


async def test_an_answer_that_announces_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", hang=True) as url:
        assert "larger than 32 MiB" in await refusal(url, tmp_path)


async def test_an_endless_answer_is_refused_while_it_is_read(tmp_path: Path) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 2**18] * 8) as url:
        assert "larger than 1 MiB" in await refusal(url, tmp_path, max_bytes=2**20)


async def test_redirects_are_followed_on_the_same_host_only(site: Site, tmp_path: Path) -> None:
    site.answer = lambda request: (
        web.Response(body=CSV)
        if request.path == "/new"
        else web.Response(status=302, headers={"Location": f"{site.url}/new"})
    )
    assert len((await source(f"{site.url}/old", tmp_path, headers={"X-Api-Key": "s"}).load()).inventory.cameras) == 2

    elsewhere = site.url.replace("127.0.0.1", "localhost")
    for location in (f"{elsewhere}/new", "ftp://127.0.0.1/x", "//evil.invalid/x", "http://[", ""):
        site.asked.clear()
        site.answer = lambda request, location=location: web.Response(status=302, headers={"Location": location})
        assert "redirects" in await refusal(f"{site.url}/old", tmp_path)
    assert len(site.asked) == 4


# Socrata


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"camera_id": i, "address": f"10.0.{i // 250}.{i % 250 + 1}", "model": "Axis"} for i in ids]


def socrata(table: list[dict[str, Any]]) -> Answer:
    def answer(request: web.Request) -> web.Response:
        offset, limit = int(request.query.get("$offset", 0)), int(request.query.get("$limit", 1000))
        return web.json_response(table[offset : offset + limit])

    return answer


async def test_all_of_socratas_pages_are_read_in_a_stable_order(site: Site, tmp_path: Path) -> None:
    site.answer = socrata(rows(*range(2500)))
    loaded = await source(f"{site.url}/resource/b4k4-adkb.json?$where=x=1", tmp_path).load()
    assert len(loaded.inventory.cameras) == 2500
    assert [request.query["$offset"] for request in site.asked] == ["0", "1000", "2000"]
    assert {(request.query["$order"], request.query["$where"]) for request in site.asked} == {(":id", "x=1")}


async def test_a_full_last_page_is_followed_by_an_empty_one(site: Site, tmp_path: Path) -> None:
    site.answer = socrata(rows(*range(20)))
    loaded = await source(f"{site.url}/resource/x.json?$limit=10", tmp_path).load()
    assert (len(loaded.inventory.cameras), len(site.asked)) == (20, 3)


async def test_a_server_that_gives_the_same_page_for_ever_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.answer = lambda request: web.json_response(rows(*range(1000)))
    assert "changed" in await outage(f"{site.url}/resource/x.json", tmp_path)


async def test_a_server_that_does_not_page_is_taken_at_its_word(site: Site, tmp_path: Path) -> None:
    site.answer = lambda request: web.json_response(rows(*range(1200)))
    assert len((await source(f"{site.url}/resource/x.json", tmp_path).load()).inventory.cameras) == 1200


async def test_a_dataset_that_changes_between_pages_is_not_believed(site: Site, tmp_path: Path) -> None:
    pages = socrata(rows(*range(1500)))

    def answer(request: web.Request) -> web.StreamResponse:
        response = pages(request)
        response.headers["X-SODA2-Truth-Last-Modified"] = f"Mon, 02 Mar 2026 12:00:0{len(site.asked)} GMT"
        return response

    site.answer = answer
    assert "changed" in await outage(f"{site.url}/resource/x.json", tmp_path)


async def test_a_page_that_fails_takes_the_others_with_it(site: Site, tmp_path: Path) -> None:
    pages = socrata(rows(*range(2500)))
    site.answer = lambda request: web.Response(status=503) if len(site.asked) == 2 else pages(request)
    assert "503" in await outage(f"{site.url}/resource/x.json", tmp_path)
    site.asked.clear()
    site.answer = lambda request: web.Response(text="sorry") if len(site.asked) == 2 else pages(request)
    assert "changed" in await outage(f"{site.url}/resource/x.json", tmp_path)


async def test_socratas_other_forms_cannot_be_read_whole(site: Site, tmp_path: Path) -> None:
    assert ".json" in await refusal(f"{site.url}/resource/x.csv", tmp_path)
    assert site.asked == []


async def test_a_socrata_answer_that_is_no_json_is_named(site: Site, tmp_path: Path) -> None:
    site.answer = lambda request: web.Response(text="<html>maintenance</html>")
    assert "HTML" in await refusal(f"{site.url}/resource/x.json", tmp_path)


# Knack


def record(number: int) -> dict[str, Any]:
    return {"id": f"r{number}", "field_947": number, "field_638": f"10.0.0.{number}", "field_639": "Axis"}


def knack(table: list[dict[str, Any]], changes: dict[str, Any] | None = None, rows_at_most: int = 3) -> Answer:
    """Pages as Knack gives them; here it allows few rows per page."""

    def answer(request: web.Request) -> web.Response:
        size = min(int(request.query.get("rows_per_page", 2)), rows_at_most)
        page = int(request.query.get("page", 1))
        envelope = {
            "total_pages": -(-len(table) // size),
            "current_page": page,
            "total_records": len(table),
            "records": table[(page - 1) * size : page * size],
        }
        return web.json_response(envelope | (changes if changes and page > 1 else {}))

    return answer


VIEW = "/v1/pages/scene_144/views/view_395/records?format=raw"


async def test_all_of_knacks_pages_are_read(site: Site, tmp_path: Path) -> None:
    site.answer = knack([record(n) for n in range(1, 9)])
    headers = {"X-Knack-Application-Id": "app", "X-Knack-REST-API-KEY": "key"}
    loaded = await source(site.url + VIEW, tmp_path, headers=headers).load()
    assert list(loaded.inventory.cameras) == [str(n) for n in range(1, 9)]
    assert [request.query.get("page") for request in site.asked] == [None, "1", "2", "3"]
    assert {request.query.get("rows_per_page") for request in site.asked[1:]} == {"1000"}
    assert {(r.headers["X-Knack-REST-API-KEY"], r.query["format"]) for r in site.asked} == {("key", "raw")}


async def test_pages_without_record_ids_and_page_numbers_are_read_too(site: Site, tmp_path: Path) -> None:
    bare = [{key: value for key, value in record(n).items() if key != "id"} for n in range(1, 9)]
    site.answer = knack(bare, {"current_page": None})
    assert len((await source(site.url + VIEW, tmp_path).load()).inventory.cameras) == 8


async def test_one_page_of_knack_is_read_with_one_request(site: Site, tmp_path: Path) -> None:
    site.answer = knack([record(1), record(2)])
    assert len((await source(site.url + VIEW, tmp_path).load()).inventory.cameras) == 2
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"total_records": 9},
        {"total_pages": 4},
        {"current_page": 1},
        {"records": []},
        {"records": [record(1), record(2), record(3)]},
        {"records": [record(9)]},
        {"records": "none"},
        {"total_pages": None},
    ],
)
async def test_knacks_pages_that_do_not_agree_are_not_believed(
    site: Site, tmp_path: Path, changed: dict[str, Any]
) -> None:
    site.answer = knack([record(n) for n in range(1, 9)], changed)
    assert "changed" in await outage(site.url + VIEW, tmp_path)


# The last good one


async def test_the_last_good_inventory_serves_when_the_source_is_out(site: Site, tmp_path: Path) -> None:
    here = source(f"{site.url}/c?token=abc", tmp_path)
    assert await here.last_good() is None
    loaded = await here.load()
    assert await here.keep(loaded) is None
    old = await here.last_good()
    assert old is not None
    assert old.inventory == loaded.inventory
    assert old.saved_at == here.clock.time()
    kept = tmp_path / "inventory.last-good.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert b"abc" not in kept.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


async def test_the_last_good_inventory_of_another_source_is_not_used(site: Site, tmp_path: Path) -> None:
    here = source(f"{site.url}/a", tmp_path)
    await here.keep(await here.load())
    assert await source(f"{site.url}/b", tmp_path).last_good() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"source": 1}', b"\xff\xfe", b"null"])
async def test_a_damaged_last_good_inventory_is_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "inventory.last-good.json").write_bytes(damage)
    assert await source(tmp_path / "c", tmp_path).last_good() is None


async def test_a_state_folder_that_takes_nothing_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cameras.csv"
    path.write_bytes(CSV)
    here = source(path, tmp_path / "cameras.csv" / "state")
    problem = await here.keep(await here.load())
    assert problem is not None
    assert problem.startswith("the last good inventory cannot be kept in ")


async def test_secrets_do_not_show_in_the_sources_repr(tmp_path: Path) -> None:
    assert "hunter2" not in repr(source("http://h/c", tmp_path, headers={"X-Api-Key": "hunter2"}))


async def test_whole_pages_are_kept_as_one_document(site: Site, tmp_path: Path) -> None:
    site.answer = knack([record(n) for n in range(1, 9)])
    loaded = await source(site.url + VIEW, tmp_path).load()
    whole = json.loads(loaded.document)
    assert (whole["total_pages"], whole["total_records"], len(whole["records"])) == (1, 8, 8)
