"""A daemon in its own folder, as tests start it and look at it from outside."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from program import Program
from s3 import free_ports

from cctv_images.simulate.server import Zoo


class Service:
    """A daemon in its own folder, and what the outside sees of it."""

    def __init__(self, folder: Path, store: str) -> None:
        self.port = free_ports(1)[0]
        self.log = folder / "cctv.log"
        self.program = Program(
            folder,
            {
                "CCTV_INVENTORY": "cameras.csv",
                "CCTV_STORE": store,
                "CCTV_LISTEN": f"127.0.0.1:{self.port}",
                "CCTV_LOG_FILE": str(self.log),
                "CCTV_LOG_FORMAT": "json",
                "CCTV_INTERVAL": "6",
                "CCTV_STARTUP_SPREAD": "0",
                "CCTV_TIMEOUT": "4",
                "CCTV_ATTEMPTS": "1",
            },
        )
        self.folder = folder
        self.running = self.program.running

    def furnish(self, zoo: Zoo, **extra: str) -> None:
        (self.folder / "cameras.csv").write_text(zoo.inventory_csv())
        lines = [f"CCTV_CREDENTIALS={json.dumps(zoo.credentials())}", *(f"{k}={v}" for k, v in extra.items())]
        (self.folder / ".env").write_text("\n".join(lines) + "\n")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [event for event in map(json.loads, lines) if name in ("", event["event"])]

    async def get(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return await answer.text()

    async def cameras(self) -> dict[str, dict[str, Any]]:
        return {camera["id"]: camera for camera in json.loads(await self.get("/api/cameras"))["cameras"]}

    async def sees(self, true: Callable[[dict[str, dict[str, Any]]], bool], limit_s: float = 120.0) -> None:
        end, cameras = time.monotonic() + limit_s, {}
        while True:
            with suppress(aiohttp.ClientConnectorError):  # the page opens a moment after the control socket
                cameras = await self.cameras()
                if cameras and true(cameras):  # it opens before the inventory is read, too
                    return
            assert time.monotonic() < end, {i: (c["error_state"], c["kind"]) for i, c in cameras.items()}
            await asyncio.sleep(0.2)
