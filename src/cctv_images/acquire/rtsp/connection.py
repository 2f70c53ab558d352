"""One RTSP 1.0 connection (RFC 2326): requests, answers, and the packets that come between them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable

from multidict import CIMultiDict

from cctv_images.acquire.exchange import Asking, ClosedEarly
from cctv_images.acquire.wire import Wire
from cctv_images.errors import CameraError, ErrorState, plain

MAX_HEAD = 65_536
MAX_BODY = 1 << 18
MAX_EARLY = 1 << 20
"""Bytes of packets that are kept when they come before the answer to PLAY."""
MESSAGES_AT_A_TIME = 32
"""Answers and packets that are read before other cameras have their turn: the smallest has four bytes."""

_STATUS = re.compile(r"RTSP/\d+\.\d+[ \t]+(\d{3})[ \t]*(.*)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")

Connect = Callable[[Asking], Awaitable[Wire]]


class RtspReply:
    """An answer with all of its body; closing it leaves the connection open."""

    enough = True

    def __init__(self, status: int, reason: str, headers: CIMultiDict[str], body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.length = len(body)

    async def read(self) -> bytes:
        body, self.body = self.body, b""
        return body

    def close(self) -> None:
        """Nothing to end."""


class RtspConnection:
    """A Way: connects when first asked, and anew where the camera closes after refusing."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._wire: Wire | None = None
        self._data = bytearray()
        self._requests = 0
        self._early: deque[tuple[int, bytes]] = deque()
        self._early_bytes = 0
        self._messages = 0

    @property
    def wire(self) -> Wire:
        assert self._wire is not None
        return self._wire

    async def ask(self, asking: Asking) -> RtspReply:
        if self._wire is None or self._wire.ended:
            self.close()
            self._wire = await self._connect(asking)
        self._send(asking)
        try:
            while True:
                said = await self._message()
                if isinstance(said, RtspReply):
                    break
                if self._early_bytes < MAX_EARLY:
                    self._early.append(said)
                    self._early_bytes += len(said[1]) + 64
        except ClosedEarly:
            raise CameraError(ErrorState.DISCONNECTED, "closed without an answer") from None
        if said.headers.get("Connection", "").lower() == "close":
            self.close()
        return said

    def tell(self, asking: Asking) -> None:
        """A request whose answer nobody waits for."""
        if self._wire is not None:
            self._send(asking)

    async def packet(self) -> tuple[int, bytes]:
        """(channel, data) of the next interleaved packet. Raises CameraError(DISCONNECTED)."""
        if self._early:
            return self._early.popleft()
        try:
            while True:
                said = await self._message()
                if not isinstance(said, RtspReply):
                    return said
        except ClosedEarly:
            raise CameraError(ErrorState.DISCONNECTED, "closed before a key picture came") from None

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = None
        self._data.clear()

    def _send(self, asking: Asking) -> None:
        self._requests += 1
        fields = {"CSeq": str(self._requests), "User-Agent": "cctv-images", **asking.headers}
        if asking.authorization is not None:
            fields["Authorization"] = asking.authorization
        target = asking.url or str(asking.place.url)
        lines = [f"{asking.method} {target} RTSP/1.0", *(f"{name}: {value}" for name, value in fields.items())]
        self.wire.write(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))

    async def _message(self) -> RtspReply | tuple[int, bytes]:
        """An answer, or a packet. What the camera asks of us is passed over. Raises ClosedEarly and CameraError."""
        while True:
            self._messages += 1
            if self._messages % MESSAGES_AT_A_TIME == 0:
                await asyncio.sleep(0)
            await self._need(1)
            if self._data[0] == 0x24:
                await self._need(4)
                size = int.from_bytes(self._data[2:4], "big")
                await self._need(4 + size)
                channel, data = self._data[1], bytes(self._data[4 : 4 + size])
                del self._data[: 4 + size]
                return channel, data
            if self._data[0] in b"\r\n":
                self._data = self._data.lstrip(b"\r\n")
                continue
            if reply := await self._reply():
                return reply

    async def _reply(self) -> RtspReply | None:
        first, *lines = re.split(r"\r?\n", (await self._head()).decode("utf-8", "surrogateescape"))
        headers: CIMultiDict[str] = CIMultiDict()
        for line in lines:
            name, _, value = line.partition(":")
            headers.add(name.strip(), value.strip())
        status = _STATUS.match(first)
        if status is None and not first.rstrip().upper().endswith("RTSP/1.0"):
            raise CameraError(ErrorState.BAD_RESPONSE, f"no RTSP: {plain(first, 60)}")
        length = headers.get("Content-Length", "0")
        size = int(length) if re.fullmatch(r"[0-9]{1,9}", length) else 0
        if size > MAX_BODY:
            raise CameraError(ErrorState.BAD_RESPONSE, f"an RTSP answer of more than {MAX_BODY:,} bytes")
        await self._need(size)
        body = bytes(self._data[:size])
        del self._data[:size]
        return RtspReply(int(status[1]), status[2], headers, body) if status else None

    async def _head(self) -> bytes:
        searched = 0
        while (found := _HEAD_END.search(self._data, max(0, searched - 3))) is None:
            searched = len(self._data)
            if searched > MAX_HEAD or (searched > 8 and not self._data[:64].isascii()):
                raise CameraError(ErrorState.BAD_RESPONSE, "no RTSP: the answer's head cannot be read")
            await self._need(searched + 1)
        head = bytes(self._data[: found.start()])
        del self._data[: found.end()]
        return head

    async def _need(self, count: int) -> None:
        while len(self._data) < count:
            piece = await self.wire.read()
            if not piece:
                raise ClosedEarly
            self._data += piece
