"""Stills out of RTSP streams: one key picture, over TCP, else over UDP.

The connection is ours, so that the fence, logins, limits and redirects are those of every camera; a picture that has to
be decoded is decoded by PyAV in a process of its own.
"""

from __future__ import annotations

from cctv_images.acquire.budget import Body
from cctv_images.acquire.conversation import Subject
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.exchange import Place
from cctv_images.acquire.logins import LoginGuard
from cctv_images.acquire.recipes import RECIPES
from cctv_images.acquire.rtsp.connection import Connect, RtspConnection
from cctv_images.acquire.rtsp.conversation import Frame, OtherTransport, RtspConversation, Transport
from cctv_images.acquire.rtsp.decode import MISSING, Decoder, can_decode
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera

__all__ = ["Decoder", "RtspStill", "RtspStills", "objection"]


def objection(camera: Camera) -> str | None:
    """Why a row with an rtsp address cannot be asked, as a part of a sentence; None where it can."""
    if camera.scheme != "rtsp":
        return None
    if camera.path in (None, "/") and RECIPES[camera.recipe].rtsp_path is None:
        return "the rtsp address names no path, and none is known for the make"
    return None if can_decode() else f"an rtsp address: {MISSING}"


class RtspStills:
    """What the attempts of all cameras share. connect: how to reach a camera, within the fence."""

    def __init__(self, connect: Connect, guard: LoginGuard, decoder: Decoder) -> None:
        self.connect = connect
        self.guard = guard
        self.decoder = decoder
        self.by_udp: set[Place] = set()
        """Streams that came by UDP alone: tried so first."""

    def attempt(self, subject: Subject, cycle: FetchCycle, body: Body) -> RtspStill:
        return RtspStill(self, subject, cycle, body)


class RtspStill:
    """One attempt."""

    def __init__(self, shared: RtspStills, subject: Subject, cycle: FetchCycle, body: Body) -> None:
        self._shared = shared
        self._subject = subject
        self._cycle = cycle
        self._body = body
        self._talk: RtspConversation | None = None

    @property
    def stage(self) -> str:
        """What is being waited for, for people."""
        return self._talk.stage if self._talk else "no connection"

    async def picture(self) -> tuple[bytes, float]:
        """(JPEG, epoch seconds of its coming). Raises CameraError."""
        frame = await self._frame()
        if frame.codec == "mjpeg":
            return frame.data, frame.captured_at
        return await self._shared.decoder.jpeg(frame.codec, frame.data), frame.captured_at

    async def _frame(self) -> Frame:
        by_udp, place = self._shared.by_udp, self._subject.place
        order: tuple[Transport, ...] = ("udp", "tcp") if place in by_udp else ("tcp", "udp")
        for transport in order:
            try:
                frame = await self._by(transport)
            except OtherTransport:
                continue
            by_udp.add(place) if transport == "udp" else by_udp.discard(place)
            return frame
        raise CameraError(ErrorState.TIMEOUT, "no video, neither by TCP nor by UDP")

    async def _by(self, transport: Transport) -> Frame:
        connection = RtspConnection(self._shared.connect)
        self._body.restart()
        self._talk = RtspConversation(connection, self._subject, self._shared.guard, self._cycle, self._body)
        try:
            return await self._talk.frame(transport)
        finally:
            connection.close()
