"""A camera of raw sockets: says the bytes it is told to, when it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from PIL import Image

from cctv_images.acquire import Acquirer, FetchCycle, Login, LoginGuard, Still
from cctv_images.clock import RealClock
from cctv_images.errors import CameraError
from cctv_images.inventory.camera import Camera


@cache
def jpeg(width: int = 320, height: int = 180, **options: Any) -> bytes:
    """A JPEG with enough in it to take several segments."""
    out = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(out, "JPEG", quality=80, **options)
    return out.getvalue()


def ok(body: bytes, *fields: str, length: int | str | None = "right", kind: str = "image/jpeg") -> bytes:
    """A well-formed 200 with the given body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", *fields]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == 'right' else length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


@dataclass
class Talk:
    """One connection to the camera, as its script sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    number: int = 0
    """Counts the requests of all connections from 1."""

    async def say(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def hold(self) -> None:
        """Keeps the connection open until the other side closes it."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def authorization(self) -> str:
        found = re.search(rb"\r\nAuthorization: (.*)\r\n", self.head)
        return found[1].decode("latin-1") if found else ""


Script = Callable[[Talk], Awaitable[None]]


@dataclass
class RawCamera:
    port: int
    host: str
    heads: list[bytes] = field(default_factory=list)
    open: int = 0

    def camera(self, **more: Any) -> Camera:
        return Camera(
            **{"camera_id": "c1", "recipe": "generic", "host": self.host, "port": self.port, "path": "/still.jpg"}
            | more
        )

    @property
    def offers(self) -> list[bytes]:
        return [head for head in self.heads if b"\r\nAuthorization:" in head]


def saying(*pieces: bytes) -> Script:
    async def script(talk: Talk) -> None:
        await talk.say(*pieces)

    return script


@asynccontextmanager
async def raw_camera(script: Script, *, host: str = "127.0.0.1", ssl: Any = None) -> AsyncIterator[RawCamera]:
    """Runs the script once per connection, after the request's head (closing is the script's end)."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        camera.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            camera.heads.append(head)
            await script(Talk(reader, writer, head, len(camera.heads)))
        except (OSError, RuntimeError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            camera.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=ssl)
    camera = RawCamera(server.sockets[0].getsockname()[1], host)
    try:
        yield camera
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def acquirer(**more: Any) -> AsyncIterator[Acquirer]:
    guard = more.pop("guard", None) or LoginGuard(more.pop("state", None), RealClock())
    settings: dict[str, Any] = {
        "timeout_s": 2.0,
        "max_bytes": 1 << 20,
        "credentials": {},
        "default_login": None,
        "networks": (),
        "default_login_networks_only": False,
    }
    fetcher = Acquirer(**settings | more, guard=guard)
    try:
        yield fetcher
    finally:
        await fetcher.close()
        await guard.close()


async def outcome(fetcher: Acquirer, camera: Camera, cycle: FetchCycle | None = None) -> Still | CameraError:
    """What one attempt came to; anything but a Still or a CameraError escapes and fails the test."""
    try:
        return await fetcher.fetch(camera, cycle or FetchCycle())
    except CameraError as error:
        return error


def login(username: str = "viewer", password: str = "secret") -> Login:
    from pydantic import SecretStr

    return Login(username, SecretStr(password))
