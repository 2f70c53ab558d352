"""The whole service as a process, and what operators and machines do to it: signals, reloads, rights, clocks, disks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from needs import needs
from program import BARE, COMMAND, Done, Program, finished, stop, until
from zoo import zoo_of

from cctv_images.simulate.server import Zoo

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
"""(the how manieth request, where to write)"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    env = {
        "CCTV_INVENTORY": "cameras.csv",
        "CCTV_STORE": f"file://{tmp_path}/store",
        "CCTV_LISTEN": "",
        "CCTV_LOG_FILE": str(tmp_path / "cctv.log"),
        "CCTV_LOG_FORMAT": "json",
        "CCTV_INTERVAL": "5",
        "CCTV_STARTUP_SPREAD": "0",
        "CCTV_TIMEOUT": "4",
        "CCTV_ATTEMPTS": "1",
    }
    return Program(tmp_path, env)


def events(program: Program, name: str) -> list[dict[str, Any]]:
    log = program.folder / "cctv.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == name]


def healthy(count: int) -> Zoo:
    return zoo_of({f"c{n}": ("pelco-open", "none") for n in range(count)})


@asynccontextmanager
async def web(answer: Answer) -> AsyncIterator[str]:
    """An inventory's address."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(asked, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cameras.csv"


def say(writer: asyncio.StreamWriter, body: str, status: str = "200 OK") -> None:
    writer.write(f"HTTP/1.0 {status}\r\nContent-Type: text/csv\r\n\r\n{body}".encode())


async def without_rights(program: Program, *words: str, **env: str) -> Done:
    """The program as a user for whom file permissions count, also where the tests run as root."""
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        *prefix,
        *COMMAND,
        *words,
        cwd=program.folder,
        env=BARE | program.env | env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return await finished(process)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_the_inventory_hangs_is_clean_and_quick_and_a_hangup_then_ends_nothing(
    program: Program, how: signal.Signals
) -> None:
    async def hang(_: int, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with web(hang) as address, program.running("run", CCTV_INVENTORY=address) as daemon:
        daemon.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)
        assert daemon.returncode is None
        begin = time.monotonic()
        assert await stop(daemon, how) == 0
        assert time.monotonic() - begin < 10
    assert not (program.folder / "control.sock").exists()


async def test_a_reload_that_is_faster_than_the_start_leaves_one_task_to_a_camera(program: Program) -> None:
    async with healthy(3) as zoo:
        reloaded = asyncio.Event()

        async def late_at_first(asked: int, writer: asyncio.StreamWriter) -> None:
            if asked == 1:
                await reloaded.wait()
            say(writer, zoo.inventory_csv())

        async with web(late_at_first) as address, program.running("run", CCTV_INVENTORY=address):
            done = await program("reload", CCTV_INVENTORY=address)
            assert (done.code, done.out.split(",")[:2]) == (0, ["cameras 3", " started 3"]), done
            reloaded.set()
            await until(lambda: events(program, "service_started"))
            before = zoo.counts("c0").requests
            await asyncio.sleep(12)
            assert zoo.counts("c0").requests - before <= 3


async def test_an_awaited_inventory_that_comes_as_nonsense_ends_nothing_and_each_new_reason_is_told(
    program: Program,
) -> None:
    now = {"body": "", "status": "500 Sorry"}

    async def moody(_: int, writer: asyncio.StreamWriter) -> None:
        say(writer, now["body"], now["status"])

    def reasons() -> str:
        return " ".join(event["detail"] for event in events(program, "inventory_stale"))

    async with healthy(1) as zoo, web(moody) as address:
        env = {"CCTV_INVENTORY": address, "CCTV_INVENTORY_REFRESH": "1"}
        async with program.running("run", **env) as daemon:
            await until(lambda: "answers 500" in reasons())
            now.update(body="<html>Log in, please</html>", status="200 OK")
            await until(lambda: "is HTML" in reasons())
            now.update(body="", status="404 Not Found")
            await until(lambda: "answers 404" in reasons())
            assert daemon.returncode is None
            now.update(body=zoo.inventory_csv(), status="200 OK")
            await until(lambda: zoo.counts("c0").pictures)
            now.update(body="[]")
            await until(lambda: "no cameras" in reasons())
            assert await stop(daemon) == 0
    told = events(program, "inventory_stale")
    assert len(told) == len({event["detail"] for event in told}) == 4
    assert [event["using"] for event in told] == ["none until it comes"] * 3 + ["the one in force"]


async def test_a_storm_of_hangups_is_a_handful_of_reloads(program: Program) -> None:
    async with healthy(2) as zoo:

        async def slow(_: int, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.5)
            say(writer, zoo.inventory_csv())

        async with web(slow) as address, program.running("run", CCTV_INVENTORY=address) as daemon:
            await until(lambda: zoo.counts("c0").pictures)
            for _ in range(100):
                daemon.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.01)
            await asyncio.sleep(4)
            assert 2 <= len(events(program, "inventory_loaded")) <= 8
            assert (await program("reload", CCTV_INVENTORY=address)).code == 0
            assert await stop(daemon) == 0


async def test_once_with_an_inventory_out_of_reach_is_no_mistake_in_the_configuration(program: Program) -> None:
    async def refuse(_: int, writer: asyncio.StreamWriter) -> None:
        say(writer, "", "503 Later")

    async with web(refuse) as address:
        done = await program("run", "--once", CCTV_INVENTORY=address)
    assert (done.code, done.err) == (1, "")
    assert [event["using"] for event in events(program, "inventory_stale")] == ["none until it comes"]


@needs("setpriv")
async def test_a_state_folder_without_permission_is_refused_before_the_first_request(program: Program) -> None:
    async with healthy(1) as zoo:
        (program.folder / "cameras.csv").write_text(zoo.inventory_csv())
        (program.folder / "closed").mkdir(mode=0o555)
        done = await without_rights(program, "run", CCTV_STATE_DIR="closed")
        assert zoo.counts("c0").requests == 0
    assert done.code == 78
    assert done.lines == ["cctv-images: CCTV_STATE_DIR = closed: this user may not read and write there."]


@needs("setpriv")
async def test_a_store_folder_without_permission_is_named_by_check(program: Program) -> None:
    (program.folder / "cameras.csv").write_text("camera_id,address\na,http://127.0.0.1:9/x.jpg\n")
    store = program.folder / "store"
    store.mkdir(mode=0o555)
    done = await without_rights(program, "check")
    assert done.code == 78
    assert done.lines == [f"cctv-images: CCTV_STORE = {store}: this user may not write in {store}."]


@pytest.mark.parametrize("command", ["run", "check"])
async def test_a_store_folder_that_cannot_be_made_is_named_with_its_setting(program: Program, command: str) -> None:
    (program.folder / "cameras.csv").write_text("camera_id,address\na,http://127.0.0.1:9/x.jpg\n")
    done = await program(command, CCTV_STORE="file:///no/such/place/store")
    assert done.code == 78
    assert done.err.startswith("cctv-images: CCTV_STORE = file:///no/such/place/store: ")


async def test_a_policy_of_keeping_pictures_forgets_what_an_older_one_still_owed(program: Program) -> None:
    async with healthy(1) as zoo:
        (program.folder / "cameras.csv").write_text(zoo.inventory_csv())
        (program.folder / "state").mkdir()
        (program.folder / "state" / "removed.json").write_text('["gone"]')
        async with program.running("run", CCTV_REMOVED="keep") as daemon:
            await until(lambda: zoo.counts("c0").pictures >= 2)
            assert await stop(daemon) == 0
    assert not (program.folder / "store" / "image" / "gone.jpg").exists()


async def test_a_log_that_is_a_pipe_nobody_reads_is_told_and_not_waited_for(program: Program) -> None:
    os.mkfifo(program.folder / "pipe")
    (program.folder / "cameras.csv").write_text("camera_id,address\na,http://127.0.0.1:9/x.jpg\n")
    done = await program("run", CCTV_LOG_FILE="pipe")
    assert done.code == 78
    assert "CCTV_LOG_FILE" in done.err
