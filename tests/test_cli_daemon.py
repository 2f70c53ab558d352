"""The daemon and the commands that talk to it, as an operator meets them."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import aiohttp
import pytest
from program import Program, finished, stop, until
from zoo import zoo_of

from cctv_images.simulate.server import Zoo

FAST = {
    "CCTV_INTERVAL": "5",
    "CCTV_STARTUP_SPREAD": "0",
    "CCTV_TIMEOUT": "3",
    "CCTV_ATTEMPTS": "1",
    "CCTV_FAILURE_LIMIT": "1",
}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    env = {"CCTV_INVENTORY": "cameras.csv", "CCTV_STORE": f"file://{tmp_path}/store", "CCTV_LISTEN": ""}
    return Program(tmp_path, env | FAST)


def furnish(program: Program, zoo: Zoo) -> None:
    (program.folder / "cameras.csv").write_text(zoo.inventory_csv())
    (program.folder / ".env").write_text(f"CCTV_CREDENTIALS={json.dumps(zoo.credentials())}\n")


def picture(program: Program, camera_id: str) -> Path:
    return program.folder / "store" / "image" / f"{camera_id}.jpg"


async def test_once_publishes_every_camera_and_ends(program: Program) -> None:
    async with zoo_of(
        {"a": ("pelco-open", "none"), "b": ("axis-new", "none"), "c": ("pelco-open", "not_found")}
    ) as zoo:
        furnish(program, zoo)
        done = await program("run", "--once")
    assert (done.code, done.err) == (0, "")
    assert all(picture(program, camera).read_bytes().startswith(b"\xff\xd8") for camera in "abc")
    assert "camera_disabled" in done.out
    assert "error_state=not_found" in done.out


async def test_once_fails_when_the_store_does_not_take_everything(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        (program.folder / "store" / "image" / "a.jpg").mkdir(parents=True)
        done = await program("run", "--once")
    assert done.code == 1


async def test_a_daemon_is_watched_revived_reloaded_and_stopped(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none"), "b": ("pelco-open", "not_found")}) as zoo:
        furnish(program, zoo)
        async with program.running("run") as daemon:
            await until(lambda: picture(program, "a").exists() and picture(program, "b").exists())
            table = await program("status")
            assert (table.code, table.err) == (0, "")
            assert [line.split()[:2] for line in table.out.splitlines()[1:3]] == [["b", "disabled"], ["a", "ok"]]
            assert "2 cameras: 1 ok, 1 disabled · store ok" in table.out
            document = json.loads((await program("status", "--json")).out)
            assert {c["id"]: c["health"] for c in document["cameras"]} == {"a": "ok", "b": "disabled"}

            unknown = await program("revive", "a", "nobody")
            assert unknown.code == 1
            assert "nobody" in unknown.err
            zoo.set_fault("b", "none")
            assert (await program("revive", "b")).code == 0
            await until(lambda: zoo.counts("b").pictures)

            assert (await program("reload")).code == 0
            (program.folder / ".env").write_text("CCTV_INTERVAL=soon\nCCTV_STOER=x\n")
            refused = await program("reload")
            assert refused.code != 0
            assert "CCTV_STOER" in refused.err
            (program.folder / ".env").unlink()
            assert await stop(daemon) == 0
        gone = await program("status")
        assert (gone.code, gone.out) == (1, "")
        assert "no daemon is running on control.sock" in gone.err


async def test_a_reload_with_a_typing_error_only_the_daemon_sees_is_refused_with_the_reason(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        async with program.running("run", "--env-file", ".env"):
            (program.folder / ".env").write_text("CCTV_KEYS=x\n")
            (program.folder / "other.env").write_text("")
            refused = await program("reload", "--env-file", "other.env")
            assert refused.code == 1
            assert "CCTV_KEYS" in refused.err
            (program.folder / ".env").write_text("CCTV_REMOVED=keep\n")
            refused = await program("reload", "--env-file", "other.env")
            assert refused.code == 1
            assert "CCTV_REMOVED" in refused.err


async def test_a_second_instance_on_one_control_socket_ends_with_78_and_the_first_goes_on(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        async with program.running("run"):
            second = await program("run")
            assert second.code == 78
            assert "another instance is running" in second.err
            assert (await program("status")).code == 0
            assert (await program("check")).code == 0


async def test_a_killed_daemons_socket_is_no_obstacle(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        async with program.running("run") as daemon:
            daemon.kill()
            await daemon.wait()
        assert (program.folder / "control.sock").exists()
        assert "no daemon is running" in (await program("status")).err
        async with program.running("run") as daemon:
            await until(lambda: picture(program, "a").exists())
            assert await stop(daemon, signal.SIGINT) == 0


async def test_commands_without_a_daemon_say_so(tmp_path: Path) -> None:
    program = Program(tmp_path)
    for words in (["status"], ["status", "--json"], ["revive", "--all"], ["reload"]):
        done = await program(*words, CCTV_CONTROL="/tmp/no-such/control.sock")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("cctv-images: no daemon is running on /tmp/no-such/control.sock")


async def test_simulated_cameras_are_written_out_for_the_daemon(program: Program) -> None:
    process = await program.start("simulate", "--cameras", "5", "--sick", "0", "--static", "-o", "cameras.csv")
    await until(lambda: (program.folder / "cameras.csv").exists())
    assert len((program.folder / "cameras.csv").read_text().splitlines()) == 6
    process.terminate()
    done = await finished(process)
    assert done.code == 0
    assert "5 cameras answer on the loopback" in done.out


async def test_a_list_that_cannot_be_played_is_told(program: Program) -> None:
    done = await program("simulate", "--inventory", "missing.csv")
    assert (done.code, done.out) == (78, "")
    assert "missing.csv cannot be read" in done.err


async def test_the_demo_needs_nothing_and_leaves_real_settings_alone(tmp_path: Path) -> None:
    program = Program(tmp_path, {"CCTV_STORE": "s3://the-real-bucket", "AWS_PROFILE": "real", "CCTV_TYPO": "x"})
    (tmp_path / ".env").write_text("CCTV_INVENTORY=the-real-one.csv\n")
    port = await _free_port()
    process = await program.start("demo", "--cameras", "8", CCTV_LISTEN=f"127.0.0.1:{port}")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            first = (await process.stdout.readline()).decode()
        assert first == f"Page: http://127.0.0.1:{port}/   Pictures: file://{tmp_path}/demo/store   End: Ctrl-C\n"
        await until(lambda: list((tmp_path / "demo" / "store" / "image").glob("*.jpg")))
        async with aiohttp.ClientSession() as visitor, visitor.get(f"http://127.0.0.1:{port}/api/cameras") as answer:
            assert len((await answer.json())["cameras"]) == 8
        (tmp_path / ".env").unlink()
        status = await Program(tmp_path)("status")
        assert "8 cameras" in status.out
    finally:
        process.send_signal(signal.SIGINT)
        done = await finished(process)
    assert (done.code, done.err) == (0, "")
    assert not _children(process.pid)


async def test_a_demo_whose_port_is_taken_says_which_setting_helps(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        done = await Program(tmp_path)("demo", "--cameras", "3", CCTV_LISTEN=address)
    assert done.code == 78
    assert "CCTV_LISTEN" in done.err


async def _free_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        return int(server.sockets[0].getsockname()[1])


def _children(pid: int) -> list[str]:
    """Command lines of processes that the demo has left behind (they keep its pid as session or parent)."""
    left = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            left.append(str(stat))
    return left
