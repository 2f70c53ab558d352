"""A connection that hands over every byte that arrived, also those that arrived before it broke."""

from __future__ import annotations

import asyncio
from typing import cast

from cctv_images.acquire.exchange import ClosedEarly

HIGH_WATER = 262_144
SLICE = 32_768
"""Bytes handed over at a time; other cameras have their turn in between."""


class Wire(asyncio.Protocol):
    """asyncio's and aiohttp's readers drop what is buffered when the peer resets; small cameras reset habitually."""

    def __init__(self) -> None:
        self._pieces = bytearray()
        self._arrived = asyncio.Event()
        self._ended = False
        self._broken = False
        self._paused = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but class

    def data_received(self, data: bytes) -> None:
        self._pieces += data
        self._arrived.set()
        if len(self._pieces) > HIGH_WATER and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._broken = error is not None
        self._arrived.set()

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def between(self) -> tuple[str, str]:
        """The IP addresses of this side and of the other."""
        assert self._transport is not None
        local, peer = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        return str(local[0]), str(peer[0])

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def read(self) -> bytes:
        """What has arrived, empty at the end. Raises ClosedEarly when it was reset, once all is handed over."""
        await asyncio.sleep(0)
        while not self._pieces:
            if self._ended:
                if self._broken:
                    raise ClosedEarly
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        piece = bytes(self._pieces[:SLICE])
        del self._pieces[:SLICE]
        if self._paused and len(self._pieces) < HIGH_WATER and not self._ended and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return piece

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
