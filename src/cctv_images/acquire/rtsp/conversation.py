"""One attempt for a picture by RTSP: describe, set up, play until a key picture is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from cctv_images.acquire import digest
from cctv_images.acquire.budget import Body
from cctv_images.acquire.conversation import Conversation, Subject
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.exchange import Asking, Place, Reply, wire_target
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.acquire.rtsp.connection import RtspConnection, RtspReply
from cctv_images.acquire.rtsp.datagrams import Datagrams
from cctv_images.acquire.rtsp.rtp import Frames, frames_of, parse_packet
from cctv_images.acquire.rtsp.sdp import Codec, Video, video_of
from cctv_images.acquire.trace import shown_headers, shown_target
from cctv_images.errors import CameraError, ErrorState, plain

Transport = Literal["tcp", "udp"]

SILENCE_S = 8.0
"""A stream that sends nothing for so long by TCP is tried by UDP, and the other way round."""

MEANS = dict.fromkeys((404, 405, 410), ErrorState.NOT_FOUND) | dict.fromkeys((429, 453, 503), ErrorState.BUSY)
"""453: not enough bandwidth."""
UNSUPPORTED_TRANSPORT = 461


class OtherTransport(Exception):
    """The camera does not send in this way; it may in the other."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A key picture as it was sent: Annex B, or a JPEG file."""

    codec: Codec
    data: bytes = field(repr=False)
    captured_at: float
    """Epoch seconds."""


class RtspConversation(Conversation):
    """Login, redirects and traces as with HTTP; only what is asked differs. place: the stream's."""

    def __init__(self, way: RtspConnection, subject: Subject, guard: LoginGuard, cycle: FetchCycle, body: Body) -> None:
        super().__init__(way, subject, guard, cycle, body)
        self._connection = way
        self._request = ("DESCRIBE", str(subject.place.url), {"Accept": "application/sdp"})
        self._granted: tuple[digest.Challenge, Login] | None = None

    async def frame(self, transport: Transport) -> Frame:
        """Raises CameraError, or OtherTransport."""
        described = await self._asked(*self._request)
        video = video_of(described.body)
        base = _base(described, self._subject.place)
        return await (self._by_tcp if transport == "tcp" else self._by_udp)(video, base)

    async def _by_tcp(self, video: Video, base: str) -> Frame:
        setup = await self._set_up(video, base, "RTP/AVP/TCP;unicast;interleaved=0-1")
        channel = int(_parameter(setup, "interleaved") or 0)

        async def packet() -> bytes:
            while True:
                came_by, data = await self._connection.packet()
                if came_by == channel:
                    return data

        return await self._play(video, base, setup, packet)

    async def _by_udp(self, video: Video, base: str) -> Frame:
        local, peer = self._connection.wire.between
        async with Datagrams(local, peer) as datagrams:
            port = datagrams.port
            setup = await self._set_up(video, base, f"RTP/AVP;unicast;client_port={port}-{port + 1}")
            datagrams.open_the_way(int(_parameter(setup, "server_port") or 0))
            return await self._play(video, base, setup, datagrams.packet)

    async def _set_up(self, video: Video, base: str, transport: str) -> RtspReply:
        setup = await self._asked("SETUP", _control(video, base), {"Transport": transport})
        if "TCP" in transport and "TCP" not in setup.headers.get("Transport", "TCP").upper():
            raise OtherTransport
        return setup

    async def _play(
        self,
        video: Video,
        base: str,
        setup: RtspReply,
        packet: Callable[[], Awaitable[bytes]],
    ) -> Frame:
        session = {"Session": setup.headers.get("Session", "").partition(";")[0].strip()}
        try:
            await self._asked("PLAY", base, session | {"Range": "npt=0.000-"})
            data = await self._first(frames_of(video, self._body), packet)
        finally:
            await self._tear_down(base, session)
        if self._trace:
            self._trace.add("body", f"a key picture of {len(data):,} bytes, {video.codec}")
        return Frame(video.codec, data, time.time())

    async def _first(self, frames: Frames, packet: Callable[[], Awaitable[bytes]]) -> bytes:
        """The first whole key picture. Raises OtherTransport where nothing comes at all."""
        self.stage = "no video"
        loop, came = asyncio.get_running_loop(), False
        try:
            async with asyncio.timeout(SILENCE_S) as silence:
                while True:
                    received = parse_packet(await packet())
                    if received is None:
                        continue
                    silence.reschedule(loop.time() + SILENCE_S)
                    came, self.stage = True, "no key picture"
                    if data := frames.push(received):
                        return data
        except TimeoutError:
            if silence.expired() and not came:
                raise OtherTransport from None
            if silence.expired():
                raise CameraError(ErrorState.TIMEOUT, "the video stopped before a key picture came") from None
            raise

    async def _tear_down(self, base: str, session: dict[str, str]) -> None:
        """Without it a camera would go on sending by UDP for a minute. Its answer is not waited for."""
        self._request = ("TEARDOWN", base, session)
        challenge, login = self._granted or (None, None)
        signed = digest.authorization(challenge, login, "TEARDOWN", base) if challenge and login else None
        self._connection.tell(self._asking(signed))
        await asyncio.sleep(0)  # uvloop sends what is written at the end of its turn

    async def _asked(self, method: str, url: str, headers: dict[str, str]) -> RtspReply:
        """The answer 200. Raises CameraError, or OtherTransport."""
        self._request = (method, wire_target(url).replace('"', "%22"), headers)
        place = self._subject.place
        if self._granted is None:
            reply = await self._answer(place)
        else:
            reply = await self._log_in(place, *self._granted)
        assert isinstance(reply, RtspReply)
        if reply.status == 200:
            return reply
        said = f"RTSP {reply.status} {plain(reply.reason, 80)} to {method}".strip()
        if method == "SETUP" and reply.status == UNSUPPORTED_TRANSPORT:
            raise OtherTransport
        if reply.status == 403:
            raise CameraError(ErrorState.AUTH, said)
        if 300 <= reply.status < 400:
            raise CameraError(ErrorState.REDIRECTED, f"{said}; not followed")
        raise CameraError(MEANS.get(reply.status, ErrorState.HTTP_ERROR), said)

    async def _ask(self, place: Place, authorization: str | None = None, **more: Any) -> Reply:
        method, url, _ = self._request
        self.stage = "no answer"
        if self._trace:
            self._trace.add("request", f"{method} {shown_target(url)}")
        reply = await self._way.ask(self._asking(authorization))
        if self._trace:
            self._trace.add("answer", f"{reply.status} {reply.reason}", shown_headers(reply.headers.items()))
        return reply

    async def _offer(self, place: Place, challenge: digest.Challenge, login: Login) -> Reply:
        """What the camera took is offered with each further request of the connection, as all RTSP clients do."""
        method, url, _ = self._request
        if self._trace and self._granted is None:
            self._trace.add("login", f"offering the login of {plain(login.username, 60)} by {challenge.scheme}")
        self._cycle.offered()
        reply = await self._ask(place, digest.authorization(challenge, login, method, url))
        self._cycle.answered()
        self._granted = None if reply.status in (401, 403) else (challenge, login)
        return reply

    def _asking(self, authorization: str | None = None) -> Asking:
        method, url, headers = self._request
        subject = self._subject
        return Asking(subject.place, subject.tls, authorization, self._trace, method, headers=headers, url=url)


def _base(described: RtspReply, place: Place) -> str:
    """What the session's URLs are relative to; never connected to."""
    for name in ("Content-Base", "Content-Location"):
        if described.headers.get(name, "").lower().startswith("rtsp"):
            return described.headers[name].strip()
    return str(place.url)


def _control(video: Video, base: str) -> str:
    if "://" in video.control:
        return video.control
    if video.control in ("", "*"):
        return base
    return base.rstrip("/") + "/" + video.control.lstrip("/")


def _parameter(setup: RtspReply, name: str) -> str:
    """The first number of a Transport's parameter, e.g. interleaved=0-1."""
    for item in setup.headers.get("Transport", "").split(";"):
        key, _, value = item.strip().partition("=")
        first = value.partition("-")[0].strip()
        if key.strip().lower() == name and first.isascii() and first.isdigit() and len(first) < 6:
            return first
    return ""
