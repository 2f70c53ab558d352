"""One SOAP conversation with a device: asked without a login first, and held to the guard's account of offers."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from cctv_images.acquire import digest
from cctv_images.acquire.conversation import MEANS, REDIRECTS, Conversation
from cctv_images.acquire.exchange import Asking, ClosedEarly, Place, ProtocolError, Reply
from cctv_images.acquire.logins import Login
from cctv_images.acquire.onvif import soap
from cctv_images.acquire.trace import shown_headers
from cctv_images.errors import CameraError, ErrorState, plain

Kind = Literal["token", "digest"]
"""How to log in: the token in the message, or HTTP's digest. Never both: a device would have to check both."""


class Fault(Exception):
    """The device understood, and says that it cannot."""


@dataclass(slots=True)
class Habits:
    """What is remembered of a device as long as its row does not change."""

    kind: Kind = "token"
    clock_ahead_s: float = 0.0
    """By how much the device's clock is ahead of ours."""


@dataclass(frozen=True, slots=True)
class _Said:
    reply: Reply
    envelope: ET.Element | None
    fault: str | None

    @property
    def refuses(self) -> bool:
        return self.reply.status in (401, 403) or (self.fault is not None and soap.refuses(self.fault))


class SoapTalk(Conversation):
    habits: Habits
    _logged_in = False

    async def call(self, path: str, message: soap.Message) -> ET.Element:
        """The answer's envelope. Raises Fault and CameraError."""
        said, place = await self._followed(path, message)
        if said.refuses and not self._logged_in:
            said = await self._logging_in(place, said)
        return self._understood(said)

    async def learn_the_time(self, path: str) -> None:
        """The device's clock, which the token depends on: as it says, or as HTTP's Date says where it wants a login
        even for that, which a wrong clock would make it refuse. Raises CameraError."""
        said, _ = await self._followed(path, soap.CLOCK)
        device = None if said.envelope is None else soap.device_time(said.envelope)
        if device is None:
            device = _date(said.reply)
        if device is not None:
            self.habits.clock_ahead_s = device - time.time()
        if said.envelope is None and not said.refuses:
            self._understood(said)

    async def _followed(self, path: str, message: soap.Message) -> tuple[_Said, Place]:
        """What is said in the end, and where."""
        home = self._subject.place
        place = Place(home.scheme, home.host, home.port, path)
        been = {place}
        self._message = message
        while True:
            said = await (self._logging_in(place, None) if self._logged_in else self._post(place))
            if said.reply.status not in REDIRECTS:
                return said, place
            place = self._follow(place, said.reply, been)

    async def _post(self, place: Place, *, token: str = "", authorization: str | None = None) -> _Said:
        message = self._message
        self.stage = f"no answer to ONVIF's {message.name}"
        kind = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{message.action}"'}
        if self._trace:
            self._trace.add("request", f"POST {place.scheme}://{place.authority}{place.target} {message.name}")
        asking = Asking(
            place, self._subject.tls, authorization, self._trace, "POST", message.envelope(token), headers=kind
        )
        reply = await self._way.ask(asking)
        try:
            if self._trace:
                self._trace.add("answer", f"{reply.status} {reply.reason}", shown_headers(reply.headers.items()))
            envelope = await self._envelope(reply)
        finally:
            reply.close()
        fault = None if envelope is None else soap.fault(envelope)
        if self._trace and fault is not None:
            self._trace.add("answer", f"fault: {fault}")
        return _Said(reply, envelope, fault)

    async def _envelope(self, reply: Reply) -> ET.Element | None:
        """None where the answer is no SOAP."""
        self._body.restart()
        try:
            while piece := await reply.read():
                self._body.add(piece)
                if len(self._body.data) > soap.MAX_ANSWER:
                    raise CameraError(ErrorState.TOO_LARGE, f"an ONVIF answer of more than {soap.MAX_ANSWER:,} bytes")
                if b"Envelope>" in self._body.data[-64:]:
                    break
        except (ClosedEarly, ProtocolError):
            pass
        data = bytes(self._body.data)
        self._body.restart()
        try:
            return await soap.read(data.strip())
        except soap.Unreadable:
            return None

    async def _logging_in(self, place: Place, asked: _Said | None) -> _Said:
        """asked: what asked for the login; None where it has been accepted in this conversation."""
        login, challenge = self._subject.login, None
        if asked is not None or self.habits.kind == "digest":
            asked = asked or await self._post(place)
            if not asked.refuses:
                return asked
            challenge = self._digest_of(asked.reply)
        if login is None:
            raise CameraError(ErrorState.AUTH, self._subject.no_login)
        if not place.takes_logins_for(self._subject.place):
            raise CameraError(ErrorState.AUTH, "a login is wanted after a redirect to where it must not be sent")
        if not self._logged_in:
            self._cycle.check_offer()
        self.stage = "waiting for another login to this device to be answered"
        host = self._subject.place.host
        async with self._guard.offer(host, login, row=self._subject.camera_id) as offer:
            said = await self._offered(place, login, challenge)
            again = self._digest_of(said.reply)
            if challenge is not None and said.refuses and again is not None and again.stale:
                said = await self._offered(place, login, again)
            if said.refuses:
                self._cycle.refused()
                if challenge is not None or again is not None:
                    self.habits.kind = "token" if self.habits.kind == "digest" else "digest"
                raise offer.refused()
            if said.fault is None and said.reply.status == 200:
                offer.accepted()
                self._logged_in = True
            else:
                offer.answered()
        return said

    async def _offered(self, place: Place, login: Login, challenge: digest.Challenge | None) -> _Said:
        by_digest = self.habits.kind == "digest" and challenge is not None
        if self._trace and not self._logged_in:
            how = "digest" if by_digest else "token"
            self._trace.add("login", f"offering the login of {plain(login.username, 60)} by {how}")
        self._cycle.offered()
        if by_digest:
            assert challenge is not None
            signed = digest.authorization(challenge, login, "POST", place.target)
            said = await self._post(place, authorization=signed)
        else:
            token = soap.username_token(login, time.time() + self.habits.clock_ahead_s)
            said = await self._post(place, token=token)
        self._cycle.answered()
        return said

    @staticmethod
    def _digest_of(reply: Reply) -> digest.Challenge | None:
        if reply.status != 401:
            return None
        challenges = digest.parse_challenges(reply.headers.getall("WWW-Authenticate", []))
        return digest.choose(challenges, digest_only=True)

    def _understood(self, said: _Said) -> ET.Element:
        status = said.reply.status
        if said.fault is not None:
            raise Fault(said.fault)
        if said.envelope is not None and status == 200:
            return said.envelope
        what = f"{status} {plain(said.reply.reason, 80)} to ONVIF's {self._message.name}"
        if status == 200:
            raise CameraError(ErrorState.NOT_FOUND, f"no ONVIF: an answer to {self._message.name} that is no SOAP")
        raise CameraError(MEANS.get(status, ErrorState.HTTP_ERROR), what)


def _date(reply: Reply) -> float | None:
    try:
        return parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
