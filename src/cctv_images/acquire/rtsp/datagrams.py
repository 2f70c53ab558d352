"""Packets by UDP: two ports side by side, open for one camera alone."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from types import TracebackType
from typing import Self

from cctv_images.errors import CameraError, ErrorState

MAX_WAITING = 2 << 20
"""Bytes; what comes beyond them before they are looked at is dropped."""
RECEIVE_BUFFER = 1 << 20
TRIES = 16
_OPENING = b"\x80\0\0\0\0\0\0\0\0\0\0\0"
"""An empty RTP packet."""


class Datagrams(asyncio.DatagramProtocol):
    """local: the address that the camera was reached from; peer: the camera's, which has passed the fence."""

    def __init__(self, local: str, peer: str) -> None:
        self._local = local
        self._peer = peer
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._rtp: asyncio.DatagramTransport | None = None
        self._rtcp: socket.socket | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        rtp, self._rtcp = _pair(self._local)
        self.port = rtp.getsockname()[1]
        self._rtp, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=rtp)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rtp is not None:
            self._rtp.abort()
        if self._rtcp is not None:
            self._rtcp.close()

    def open_the_way(self, server_port: int) -> None:
        """Lets the answers through firewalls that expect somebody to ask first."""
        if self._rtp is not None and 1024 <= server_port <= 65535:
            self._rtp.sendto(_OPENING, (self._peer, server_port))

    async def packet(self) -> bytes:
        await asyncio.sleep(0)
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        data = self._waiting.popleft()
        self._bytes -= len(data)
        return data

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[0] == self._peer and self._bytes + len(data) <= MAX_WAITING:
            self._waiting.append(data)
            self._bytes += len(data)
            self._arrived.set()


def _pair(local: str) -> tuple[socket.socket, socket.socket]:
    """Sockets on an even port and the next one, as RTP wants them. Raises CameraError(INTERNAL)."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    for _ in range(TRIES):
        rtp, rtcp = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        try:
            rtp.bind((local, 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((local, port + 1))
                rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                rtp.setblocking(False)
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()
    raise CameraError(ErrorState.INTERNAL, "this machine's limit, not the camera: no two UDP ports side by side")
