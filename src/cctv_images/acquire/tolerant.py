"""The tolerant way: reads what browsers and curl show although the strict parser refuses it.

Used only after a protocol error. Seen in the field: a date line without a name (GoAhead), a length sent twice
(libmicrohttpd, ESP8266), lengths that are off by 48 bytes (Dahua, Lorex), a length beside chunks, `http/1.1`, no head
at all. A length is a hint here: a JPEG ends where its end marker is, anything else where the length or the
connection ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl
import sys

from multidict import CIMultiDict

from cctv_images.acquire.chunks import Chunks
from cctv_images.acquire.classify import connecting, not_pinned, unanswered_connection
from cctv_images.acquire.exchange import HEADERS, Asking, ClosedEarly
from cctv_images.acquire.fence import Fence
from cctv_images.acquire.handler import MAX_INTERIM
from cctv_images.acquire.picture_stream import SOI, begins_stream
from cctv_images.acquire.resolver import Resolver
from cctv_images.acquire.tls import Trust, TrustPolicies
from cctv_images.acquire.wire import Wire
from cctv_images.errors import CameraError, ErrorState, plain

MAX_HEAD = 65_536
UNDECIDED = 512
"""Bytes within which an answer shows what it is."""
MAX_BLANKS = 12
"""Bytes of an empty line, blanks in it included."""

_HEAD_END = re.compile(rb"\r?\n[ \t]{0,8}\r?\n|\r\r|\n(?=\xff\xd8\xff)")
_STATUS = re.compile(r"HTTP(?:/\d*(?:\.\d*)?)?[ \t]+(\d{3})(?!\d)[ \t]*(.*)", re.IGNORECASE)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"\+?(\d{1,18})")
_TLS_RECORD = (b"\x15\x03", b"\x16\x03")


class TolerantWay:
    """connect_s: seconds for name, connection and TLS together."""

    def __init__(self, fence: Fence, resolver: Resolver, trust: TrustPolicies, connect_s: float) -> None:
        self._fence = fence
        self._resolver = resolver
        self._trust = trust
        self._connect_s = connect_s

    async def ask(self, asking: Asking) -> TolerantReply:
        wire = await self.connect(asking)
        try:
            wire.write(_request(asking))
            return await _read_head(wire)
        except ClosedEarly:
            wire.close()
            raise CameraError(ErrorState.DISCONNECTED, "closed without an answer") from None
        except BaseException:
            wire.close()
            raise

    async def connect(self, asking: Asking) -> Wire:
        """A connection to the asked place, within the fence. Raises CameraError."""
        place = asking.place
        trust = await self._trust.get(asking.tls) if place.scheme == "https" else None
        limit = asyncio.timeout(self._connect_s)
        try:
            async with limit:
                wire = await self._open(place.host, place.port, trust)
        except (OSError, ssl.SSLError) as error:
            known = unanswered_connection() if limit.expired() else connecting(error, secure=trust is not None)
            raise known from None
        if asking.trace:
            asking.trace.add("connect", "connected")
        return wire

    async def _open(self, host: str, port: int, trust: Trust | None) -> Wire:
        loop = asyncio.get_running_loop()
        sock = await self._reach(host, port)
        try:
            context = trust.context if trust else None
            transport, wire = await loop.create_connection(
                Wire, sock=sock, ssl=context, server_hostname=host.rstrip(".") if context else None
            )
        except BaseException:
            sock.close()
            raise
        if trust is not None and trust.pin is not None:
            shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
            fingerprint = hashlib.sha256(shown).digest()
            if fingerprint != trust.pin:
                wire.close()
                raise not_pinned(fingerprint)
        return wire

    async def _reach(self, host: str, port: int) -> socket.socket:
        """A socket connected to the first of the name's addresses that answers."""
        loop = asyncio.get_running_loop()
        failed: OSError | None = None
        for found in await self._resolver.resolve(host, port):
            address = (found["host"], found["port"])
            sock: socket.socket | None = None
            try:
                sock = self._fence.open_socket((found["family"], socket.SOCK_STREAM, found["proto"], "", address))
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
                return sock
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if not isinstance(error, OSError):
                    raise
                failed = failed or error
        raise failed or OSError("no address")


class TolerantReply:
    """An answer of which as much was understood as possible."""

    length = None

    def __init__(self, wire: Wire, status: int, reason: str, headers: CIMultiDict[str], beginning: bytes) -> None:
        self._wire = wire
        self.status = status
        self.reason = reason
        self.headers = headers
        self._ahead = beginning
        self._beginning = b""
        self._came = 0
        chunked = "chunked" in ",".join(headers.getall("Transfer-Encoding", [])).lower()
        self._chunks = Chunks() if chunked else None
        self._announced = None if chunked else _announced(headers)

    @property
    def enough(self) -> bool:
        return self._announced is not None and self._came >= self._announced

    async def read(self) -> bytes:
        if self._came and self.enough and not begins_stream(self._beginning):
            return b""
        piece = await self._payload()
        if len(self._beginning) < UNDECIDED:
            self._beginning += piece[:UNDECIDED]
        excess = self._came + len(piece) - (self._announced or sys.maxsize)
        self._came += len(piece)
        return piece[:-excess] if excess > 0 and not begins_stream(self._beginning) else piece

    async def _payload(self) -> bytes:
        while not (self._chunks and self._chunks.ended):
            piece, self._ahead = self._ahead or await self._wire.read(), b""
            if not piece:
                if self._chunks and not self._chunks.complete:
                    raise ClosedEarly
                return b""
            if self._chunks:
                piece = self._chunks.feed(piece)
            if piece:
                return piece
        return b""

    def close(self) -> None:
        self._wire.close()


def _request(asking: Asking) -> bytes:
    fields = {"Host": asking.place.authority, **HEADERS, "Connection": "close"}
    if asking.authorization is not None:
        fields["Authorization"] = asking.authorization
    fields.update(asking.headers)
    if asking.body:
        fields["Content-Length"] = str(len(asking.body))
    lines = [f"{asking.method} {asking.place.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + asking.body


async def _read_head(wire: Wire) -> TolerantReply:
    """Reads heads until one is final: any number of 1xx may come before it, as long as there is time."""
    data, searched, interim = b"", 0, 0
    while True:
        found = _HEAD_END.search(data, max(0, searched - MAX_BLANKS))
        if found is not None:
            head, data, searched = data[: found.start()].lstrip(), data[found.end() :], 0
            interim += 1
            if interim > MAX_INTERIM:
                await asyncio.Event().wait()  # not read any further: it ends at the time limit
            if not head:
                continue
            status, reason, headers = _parse_head(head)
            if status == 101 or not 100 <= status < 200:
                return TolerantReply(wire, status, reason, headers, data)
            continue
        if len(data) > MAX_HEAD:
            raise _unreadable(f"a head of more than {MAX_HEAD:,} bytes")
        searched = len(data)
        piece = await wire.read()
        if not piece:
            raise _unreadable(_shown(data)) if data else ClosedEarly
        data += piece
        said = data.lstrip()[:4].upper()
        if said != b"HTTP"[: len(said)] and (bare := _without_head(wire, data)):
            return bare


def _without_head(wire: Wire, data: bytes) -> TolerantReply | None:
    """The picture alone, as HTTP/0.9 had it. Raises CameraError once it is clear that this is nothing of the kind."""
    if data.lstrip().startswith((SOI, b"--")):
        return TolerantReply(wire, 200, "", CIMultiDict(), data)
    if data.startswith(_TLS_RECORD):
        raise CameraError(ErrorState.TLS, "the port speaks TLS: the address should begin with https")
    if b"\n" in data or len(data) > UNDECIDED:
        raise _unreadable(_shown(data))
    return None


def _parse_head(head: bytes) -> tuple[int, str, CIMultiDict[str]]:
    first, *lines = re.split(r"\r\n|\n|\r", head.decode("utf-8", "surrogateescape"))
    status = _STATUS.match(first)
    if status is None:
        raise _unreadable(plain(first, 60))
    fields: list[list[str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and fields:
            fields[-1][1] += " " + line.strip()
        elif colon and _NAME.fullmatch(name.strip()):
            fields.append([name.strip(), value.strip()])
    return int(status[1]), status[2], CIMultiDict([(name, value) for name, value in fields])


def _announced(headers: CIMultiDict[str]) -> int | None:
    """The length, where all lengths that are given agree and one can be read."""
    values = {value.strip() for field in headers.getall("Content-Length", []) for value in field.split(",")}
    if len(values) != 1 or not (length := _LENGTH.fullmatch(values.pop())):
        return None
    return int(length[1])


def _unreadable(what: str) -> CameraError:
    return CameraError(ErrorState.BAD_RESPONSE, f"not an HTTP answer: {what}")


def _shown(data: bytes) -> str:
    return plain(data[:60].decode("latin-1"), 60)
