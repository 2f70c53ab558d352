"""The Unix socket behind `status`, `revive` and `reload`: a fixed set of verbs, one sentence for what went wrong."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import socket
import stat
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from cctv_images.errors import ConfigError, plain

SOCKET_MODE = 0o660


class ControlError(Exception):
    """Why a command had no effect, as a sentence. Raised by Control's methods to refuse, and by `request`."""


class Control(Protocol):
    """What the service does for the commands. Refuses with ControlError or ConfigError."""

    async def status(self) -> dict[str, Any]: ...

    async def revive(self, camera_ids: Sequence[str] | None, offer_login: bool) -> dict[str, Any]:
        """None = all disabled cameras."""

    async def reload(self, force: bool) -> dict[str, Any]: ...


class ControlServer:
    """Listens while it is open. One daemon per socket: a lock beside it, not the socket, says who lives."""

    def __init__(self, path: Path, control: Control) -> None:
        self._path = path
        self._control = control
        self._lock: int | None = None
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Raises ConfigError naming CCTV_CONTROL, also when another instance is running."""
        self._lock = _lock(self._path)
        try:
            listener = _listen(self._path)
        except ConfigError:
            self._unlock()
            raise
        self._runner = web.AppRunner(_app(self._control), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def close(self) -> None:
        if self._runner:
            self._path.unlink(missing_ok=True)
            await self._runner.cleanup()
            self._runner = None
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock(path: Path) -> int:
    lock = path.with_name(path.name + ".lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise ConfigError(f"CCTV_CONTROL: {lock} cannot be written: {exc.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise ConfigError(f"CCTV_CONTROL: another instance is running on {path}") from None
    return fd


def _listen(path: Path) -> socket.socket:
    """Whoever holds the lock may remove a socket that a killed instance has left."""
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise ConfigError(f"CCTV_CONTROL: {path} exists and is no socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), SOCKET_MODE)  # never open to others, not even between bind and chmod
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
    except OSError as exc:
        listener.close()
        raise ConfigError(f"CCTV_CONTROL: {path} cannot be a socket: {exc.strerror or exc}") from None
    return listener


def _app(control: Control) -> web.Application:
    async def status(_: web.Request) -> web.Response:
        return await _answer(control.status())

    async def revive(request: web.Request) -> web.Response:
        wish = await _wish(request)
        ids = None if wish.get("all") is True else wish.get("ids")
        if wish.get("all") is not True and not (isinstance(ids, list) and all(isinstance(i, str) for i in ids)):
            raise web.HTTPBadRequest(text="ids: a list of camera ids, or all: true")
        return await _answer(control.revive(ids, wish.get("offer_login") is True))

    async def reload(request: web.Request) -> web.Response:
        return await _answer(control.reload((await _wish(request)).get("force") is True))

    app = web.Application()
    app.router.add_get("/status", status)
    app.router.add_post("/revive", revive)
    app.router.add_post("/reload", reload)
    return app


async def _wish(request: web.Request) -> dict[str, Any]:
    try:
        wish = await request.json()
    except (ValueError, RecursionError):
        wish = None
    if not isinstance(wish, dict):
        raise web.HTTPBadRequest(text="a JSON object is expected")
    return wish


async def _answer(work: Awaitable[dict[str, Any]]) -> web.Response:
    try:
        return web.json_response(await work)
    except (ControlError, ConfigError) as exc:
        return web.json_response({"error": str(exc)}, status=409)


async def request(
    path: Path, command: str, payload: dict[str, Any] | None = None, *, timeout_s: float = 120.0
) -> dict[str, Any]:
    """Asks the daemon on the socket `path`: command is "status", "revive" or "reload". Raises ControlError.

    revive takes {"ids": [...]} or {"all": true}, and {"offer_login": bool}; reload takes {"force": bool}.
    """
    method = "GET" if command == "status" else "POST"
    connector = aiohttp.UnixConnector(str(path))
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as session,
            session.request(method, f"http://daemon/{command}", json=payload or {}) as answer,
        ):
            body, status = await answer.read(), answer.status
    except TimeoutError:
        raise ControlError(f"the daemon on {path} did not answer within {timeout_s:.0f} s") from None
    except aiohttp.ClientConnectorError as exc:
        raise ControlError(_no_connection(path, exc.errno)) from None
    except (aiohttp.ClientError, OSError):
        raise ControlError(f"the daemon on {path} broke off the connection") from None
    return _understood(path, status, body)


def _no_connection(path: Path, number: int | None) -> str:
    if number == errno.EACCES:
        return f"no permission for the control socket {path}: use sudo, or join the service's group"
    if number == errno.ENOTSOCK or (path.exists() and not path.is_socket()):
        return f"{path} is no socket"
    return f"no daemon is running on {path} (CCTV_CONTROL says where it listens)"


def _understood(path: Path, status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    if status == 409 and isinstance(answer, dict):
        raise ControlError(str(answer.get("error")))
    if status == 400:
        raise ControlError(f"the daemon did not understand: {plain(body.decode(errors='replace'))}")
    raise ControlError(f"the daemon on {path} answered {status}: its log says why")
