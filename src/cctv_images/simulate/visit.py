"""One connection to the zoo: reads requests, settles the login, plays the answer's script."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from cctv_images.simulate import control, onvif, rtsp
from cctv_images.simulate.answers import BEFORE_LOGIN, FORMS, MOVED, SCRIPTS, TRAP_HOST, Asked, End, Step, error
from cctv_images.simulate.faults import Fault
from cctv_images.simulate.login import Gatekeeper, Verdict

if TYPE_CHECKING:
    from cctv_images.simulate.server import Resident, Zoo

_MAX_REQUEST = 65_536
_HEADER = re.compile(rb"\r?\n(authorization|connection|content-length|cseq)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_UP, _DOWN = 3, 6
"""Faults in time: pictures before the trouble, and answers that it lasts (two cycles of three attempts)."""


class Visit(asyncio.Protocol):
    """Plays one script at a time; requests that come meanwhile wait in the buffer."""

    __slots__ = ("_buffer", "_host", "_paused", "_resident", "_script", "_timer", "_transport", "_working", "_zoo")

    def __init__(self, zoo: Zoo) -> None:
        self._zoo = zoo
        self._buffer = b""
        self._script: Iterator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._working = False
        self._resident: Resident | None = None
        self._host = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._host = str(transport.get_extra_info("sockname")[0])
        if not self._host.startswith("127."):
            self._transport.abort()
            return
        self._resident = self._zoo.at(self._host)
        self._zoo.entered(self)
        if self._resident is not None:
            self._resident.counts.connections += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MAX_REQUEST:
            self._transport.abort()
        elif not self._working:
            self._read_request()

    def connection_lost(self, error: Exception | None) -> None:
        self._done()
        if self._timer is not None:
            self._timer.cancel()
        self._script = None
        self._zoo.left(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None:
            # Not at once: asyncio's transport does not bear a close() from within this call (Python 3.11).
            self._timer = asyncio.get_running_loop().call_later(0, self._play)

    def cut(self) -> None:
        """Ends at once, as a router does that loses power."""
        self._transport.abort()

    def _read_request(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if self._buffer[:1] == b"\x16":  # a TLS greeting on the plain port
                self._transport.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                self._transport.close()
            return
        request = self._buffer[:end]
        headers = {k.lower(): v.decode("latin-1").strip() for k, v in _HEADER.findall(request)}
        length = headers.get(b"content-length", "")
        whole = end + 4 + (int(length) if length.isdecimal() else 0)
        if len(self._buffer) < whole:
            return
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        line = request.partition(b"\r\n")[0].decode("latin-1").split(" ")
        method, target, version = line if len(line) == 3 else ("", "", "")
        self._working = True
        if self._resident is None:
            self._elsewhere(method, target, request)
        else:
            self._answer(self._resident, method, target, version, headers, body)

    def _elsewhere(self, method: str, target: str, request: bytes) -> None:
        """No camera's address: the zoo's own desk at 127.0.0.1, or a redirect that should not have been followed."""
        if self._host == TRAP_HOST:
            self._zoo.trespassers.append(request.decode("latin-1"))
        said = control.answer(self._zoo, method, target) if self._host == "127.0.0.1" else control.NOBODY
        self._begin(iter((said, End.CLOSE)))

    def _answer(
        self, resident: Resident, method: str, target: str, version: str, headers: dict[bytes, str], body: bytes
    ) -> None:
        counts, persona = resident.counts, resident.camera.persona
        counts.requests += 1
        counts.last_request_at = self._zoo.clock()
        counts.open += 1
        counts.open_max = max(counts.open, counts.open_max)
        keep = headers.get(b"connection", "").lower() != "close" and version == "HTTP/1.1" == f"HTTP/{persona.http}"
        asked = Asked(persona, target, self._zoo.port, keep and not persona.close)
        if persona.onvif is not None and target.partition("?")[0] in onvif.PATHS:
            self._begin(iter(onvif.answer(persona.onvif, resident.gatekeeper, asked, self._host, body)))
            return
        if persona.rtsp and version == "RTSP/1.0":
            self._answer_rtsp(resident, method, target, headers)
            return
        if resident.gatekeeper is not None:
            resident.gatekeeper.caller = str(self._transport.get_extra_info("peername")[0])
        chosen = behave(resident, method, asked, headers.get(b"authorization"), body)
        if not isinstance(chosen, Fault):
            self._begin(iter(chosen))
            return
        picture = self._zoo.pictures.get(resident.camera, FORMS.get(chosen, "jpeg"))
        if chosen is Fault.STUCK:
            picture = resident.kept = resident.kept or picture
        if isinstance(picture, bytes):
            self._begin(iter(SCRIPTS[chosen](replace(asked, picture=picture))))
        else:
            picture.add_done_callback(lambda done: self._show(chosen, asked, done))

    def _answer_rtsp(self, resident: Resident, method: str, url: str, headers: dict[bytes, str]) -> None:
        gatekeeper, challenges = resident.gatekeeper, None
        if gatekeeper is not None:
            verdict = gatekeeper.check(method, url, headers.get(b"authorization"))
            challenges = (
                None if verdict is Verdict.GRANTED else gatekeeper.challenges(url, stale=verdict is Verdict.STALE)
            )

        def show(picture: bytes) -> None:
            resident.counts.pictures += method == "PLAY" and challenges is None
            self._begin(iter(rtsp.answer(method, headers.get(b"cseq", "1"), picture, challenges)))

        picture = self._zoo.pictures.get(resident.camera)
        if isinstance(picture, bytes):
            show(picture)
        else:
            picture.add_done_callback(lambda done: show(done.result()) if self._working else None)

    def _show(self, fault: Fault, asked: Asked, picture: asyncio.Future[bytes]) -> None:
        if self._working and not picture.cancelled():
            self._begin(iter(SCRIPTS[fault](replace(asked, picture=picture.result()))))

    def _begin(self, script: Iterator[Step]) -> None:
        self._script = script
        self._play()

    def _play(self) -> None:
        """Runs the script on until it waits, ends, or the client reads too slowly."""
        self._timer = None
        while self._script is not None and not self._paused and not self._transport.is_closing():
            step = next(self._script, None)
            if isinstance(step, bytes):
                self._transport.write(step)
            elif isinstance(step, float):
                self._timer = asyncio.get_running_loop().call_later(step, self._play)
                return
            else:
                self._end(step)

    def _end(self, how: End | None) -> None:
        self._script = None
        if how is End.HOLD:
            return
        if how is End.RESET:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
        elif how is End.CLOSE:
            self._transport.close()
        self._done()
        if how is None and self._buffer:
            self._read_request()

    def _done(self) -> None:
        if self._working and self._resident is not None:
            self._resident.counts.open -= 1
        self._working = False


def behave(
    resident: Resident, method: str, asked: Asked, offered: str | None, body: bytes = b""
) -> Fault | Iterable[Step]:
    """What a camera does with a request: the fault (or none) its picture goes through, or an answer without one."""
    fault, target = resident.fault, asked.target
    if fault is Fault.MOVED and target.startswith(MOVED):
        fault, target = Fault.NONE, target.removeprefix(MOVED)
    fault = _of_the_moment(fault, resident.turns)
    if fault in BEFORE_LOGIN:
        resident.turns += 1
        return SCRIPTS[fault](asked)
    if resident.gatekeeper is not None:
        refusal = _login(
            resident, resident.gatekeeper, method, replace(asked, target=target), offered, body, asked.target
        )
        if refusal is not None:
            return refusal
        target = resident.camera.seen(target)
    if method != "GET":
        return error(asked, "405 Method Not Allowed", "Allow: GET")
    if target in (others := dict(asked.persona.others)):
        return others[target]
    if target not in resident.camera.targets:
        resident.counts.strays += 1
        return error(asked, "404 Not Found", detail="badXmlContent" if asked.persona.errors == "xml" else "")
    viewers = asked.persona.viewers
    if viewers is not None and resident.counts.open > viewers:
        return error(asked, "503 Service Unavailable", "Retry-After: 5")
    if resident.unhurried_until > resident.now():
        return error(asked, "503 Service Unavailable")
    resident.unhurried_until = resident.now() + asked.persona.pause_s
    resident.counts.pictures += 1
    resident.turns += 1
    return asked.persona.usual if fault is Fault.NONE else fault


def _login(
    resident: Resident,
    gatekeeper: Gatekeeper,
    method: str,
    asked: Asked,
    offered: str | None,
    body: bytes,
    signed: str,
) -> Iterable[Step] | None:
    """The answer to a request that may not see a picture (yet). signed: the target as it was sent."""
    if resident.desk is not None or gatekeeper.style.query:
        if not resident.camera.has_path(asked.target):
            return None
        if resident.desk is not None:
            return resident.desk.answer(gatekeeper, asked, body)
        verdict = gatekeeper.check_query(resident.camera.template, asked.target)
    else:
        verdict = gatekeeper.check(method, signed, offered)
    if verdict is Verdict.GRANTED and resident.fault is Fault.FORBIDDEN:
        gatekeeper.refuse()
        return error(asked, "403 Forbidden")
    if verdict is Verdict.GRANTED and resident.fault is Fault.FICKLE_LOGIN and resident.turns % 4 == 3:
        resident.turns += 1
        verdict = gatekeeper.refuse()
    if verdict is Verdict.GRANTED:
        return None
    if verdict is Verdict.MUTE:
        return [End.CLOSE]
    if verdict is Verdict.LOCKED:
        return error(asked, "403 Forbidden", detail="The account is locked")
    stale = verdict is Verdict.STALE
    challenges = [] if resident.fault is Fault.NO_CHALLENGE else gatekeeper.challenges(signed, stale=stale)
    return error(asked, "401 Unauthorized", *(f"WWW-Authenticate: {c}" for c in challenges))


def _of_the_moment(fault: Fault, turn: int) -> Fault:
    """What a fault in time is at its turn-th answer."""
    match fault:
        case Fault.FLAPPING:
            return Fault.NONE if turn % (_UP + _DOWN) < _UP else Fault.HANG_UP
        case Fault.DYING:
            return Fault.NONE if turn < _UP else Fault.HANG_UP
        case Fault.RECOVERING:
            return Fault.HANG_UP if turn < _DOWN else Fault.NONE
        case Fault.DEVICE_ERROR_TWICE:
            return Fault.XML_200 if turn % 3 < 2 else Fault.NONE
        case f if f not in SCRIPTS:
            return Fault.NONE
    return fault
