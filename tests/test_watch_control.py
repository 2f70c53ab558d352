"""The Unix socket behind status, revive and reload."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cctv_images.errors import ConfigError
from cctv_images.watch.control import ControlError, ControlServer, request


class Daemon:
    """Answers with what it was asked; refuses and hangs on demand."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.hangs = False

    async def status(self) -> dict[str, Any]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.refusal:
            raise self.refusal
        return {"cameras": []}

    async def revive(self, camera_ids: Sequence[str] | None, offer_login: bool) -> dict[str, Any]:
        return {"ids": camera_ids, "offer_login": offer_login}

    async def reload(self, force: bool) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        return {"forced": force}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def daemon(path: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon()
    server = ControlServer(path, daemon)
    await server.open()
    yield daemon
    await server.close()


async def test_commands_reach_the_daemon_and_its_answer_comes_back(path: Path, daemon: Daemon) -> None:
    assert await request(path, "status") == {"cameras": []}
    assert await request(path, "revive", {"ids": ["1", "2"]}) == {"ids": ["1", "2"], "offer_login": False}
    assert await request(path, "revive", {"all": True, "offer_login": True}) == {"ids": None, "offer_login": True}
    assert await request(path, "reload") == {"forced": False}
    assert await request(path, "reload", {"force": True}) == {"forced": True}


@pytest.mark.parametrize("refusal", [ControlError("a fifth would go"), ConfigError(["a fifth", "would go"])])
async def test_a_refusal_comes_back_as_its_sentences(path: Path, daemon: Daemon, refusal: Exception) -> None:
    daemon.refusal = refusal
    with pytest.raises(ControlError) as caught:
        await request(path, "reload")
    assert str(caught.value) == str(refusal)


@pytest.mark.parametrize("payload", [{}, {"ids": "134"}, {"ids": [134]}, {"all": "yes"}])
async def test_a_wish_that_is_not_understood_revives_nobody(
    path: Path, daemon: Daemon, payload: dict[str, Any]
) -> None:
    with pytest.raises(ControlError, match="did not understand: ids"):
        await request(path, "revive", payload)


async def test_a_fault_in_the_daemon_is_a_sentence_without_a_traceback(path: Path, daemon: Daemon) -> None:
    daemon.refusal = ZeroDivisionError("secret")
    with pytest.raises(ControlError, match=r"answered 500: its log says why$"):
        await request(path, "status")


async def test_a_daemon_that_does_not_answer_is_given_up(path: Path, daemon: Daemon) -> None:
    daemon.hangs = True
    with pytest.raises(ControlError, match="did not answer within"):
        await request(path, "status", timeout_s=0.1)


async def test_without_a_daemon_a_sentence_says_so(path: Path) -> None:
    with pytest.raises(ControlError, match="no daemon is running on"):
        await request(path, "status")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(ControlError, match="no daemon is running on"):
        await request(path, "status")


async def test_a_file_in_the_sockets_place_is_named(path: Path) -> None:
    path.write_text("not a socket")
    with pytest.raises(ControlError, match="is no socket"):
        await request(path, "status")
    with pytest.raises(ConfigError, match=r"CCTV_CONTROL: .* exists and is no socket"):
        await ControlServer(path, Daemon()).open()
    assert path.read_text() == "not a socket"


async def test_a_path_that_no_socket_can_have_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 150)
    with pytest.raises(ConfigError, match="CCTV_CONTROL"):
        await ControlServer(path, Daemon()).open()
    with pytest.raises(ControlError, match="no daemon is running"):
        await request(path, "status")


async def test_others_may_not_use_the_socket(path: Path, daemon: Daemon) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert path.stat().st_gid == os.getgid()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without permission")
async def test_without_permission_a_sentence_says_so(path: Path, daemon: Daemon) -> None:
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        folder.chmod(0o755)
    program = (
        "import asyncio, os, sys; from pathlib import Path; from cctv_images.watch.control import *\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: asyncio.run(request(Path(sys.argv[1]), 'status'))\n"
        "except ControlError as exc: print(exc)"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await child.communicate()
    assert b"no permission for the control socket" in said


async def test_a_second_instance_is_refused_and_the_first_keeps_its_socket(path: Path, daemon: Daemon) -> None:
    with pytest.raises(ConfigError, match=f"another instance is running on {path}"):
        await ControlServer(path, Daemon()).open()
    assert await request(path, "status") == {"cameras": []}


async def test_the_socket_of_a_killed_instance_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    server = ControlServer(path, Daemon())
    await server.open()
    assert await request(path, "status") == {"cameras": []}
    await server.close()
    assert not path.exists()


async def test_after_a_failed_start_the_place_is_free_again(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match="is no socket"):
        await ControlServer(path, Daemon()).open()
    path.rmdir()
    server = ControlServer(path, Daemon())
    await server.open()
    await server.close()


async def test_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CCTV_CONTROL.*No such file"):
        await ControlServer(tmp_path / "nowhere" / "control.sock", Daemon()).open()


async def test_other_verbs_and_bodies_are_refused(path: Path, daemon: Daemon) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        for method, route, body, expected in (
            ("GET", "/reload", b"", 405),
            ("POST", "/status", b"", 405),
            ("POST", "/stop", b"", 404),
            ("POST", "/reload", b"not json", 400),
            ("POST", "/reload", b"[]", 400),
        ):
            async with session.request(method, f"http://daemon{route}", data=body) as answer:
                assert answer.status == expected
