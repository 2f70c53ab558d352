"""One attempt with one camera, whichever way the bytes are read: ask, log in if it wants, follow it on its own host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from cctv_images.acquire import digest
from cctv_images.acquire.body import read_beginning, read_picture
from cctv_images.acquire.budget import Body
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.exchange import Asking, Place, Reply, Way
from cctv_images.acquire.logins import Login, LoginGuard, Offer
from cctv_images.acquire.picture_stream import is_picture
from cctv_images.acquire.trace import shown_headers, shown_target
from cctv_images.errors import CameraError, ErrorState, plain

MAX_REDIRECTS = 3
MAX_RETRY_AFTER_S = 3600.0
LOOK_AT, LOOK_S = 4096, 2.0
"""Bytes of an answer that is no picture which are looked at for the make's own words, and seconds they may take."""

REDIRECTS = frozenset((301, 302, 303, 307, 308))
MEANS = dict.fromkeys((404, 405, 410), ErrorState.NOT_FOUND) | dict.fromkeys((429, 503), ErrorState.BUSY)
"""What a status means where the make's own words say nothing more exact."""

Refine = Callable[[int, bytes], CameraError | None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a conversation needs to know of its camera."""

    camera_id: str
    place: Place
    tls: str
    login: Login | None
    no_login: str
    """Why there is no login, for people."""
    refine: Refine | None
    query: str | None = None
    """Path and query with places for the login, where the make wants it there."""
    token: bool = False
    """The make gives a token for the login."""


class Conversation:
    def __init__(self, way: Way, subject: Subject, guard: LoginGuard, cycle: FetchCycle, body: Body) -> None:
        self._way = way
        self._subject = subject
        self._guard = guard
        self._cycle = cycle
        self._trace = cycle.trace
        self._body = body
        self.stage = ""
        """What is being waited for, for people."""
        self.captured_at = 0.0
        self.content_type = ""
        self.length: int | None = None

    async def picture(self) -> bytes:
        """The bytes that the camera gives as its picture. Raises CameraError or ProtocolError."""
        place = self._subject.place
        been = {place}
        while True:
            reply = await self._answer(place)
            try:
                if reply.status == 200:
                    return await self._read(reply)
                if reply.status not in REDIRECTS:
                    raise await self._refused(reply)
                place = self._follow(place, reply, been)
            finally:
                reply.close()

    async def _ask(
        self,
        place: Place,
        authorization: str | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
        shown: str | None = None,
    ) -> Reply:
        """shown: the target as a trace may show it, where it holds a secret."""
        self.stage = "no answer"
        if self._trace:
            target = shown_target(place.target if shown is None else shown)
            self._trace.add("request", f"{method} {place.scheme}://{place.authority}{target}")
        reply = await self._way.ask(Asking(place, self._subject.tls, authorization, self._trace, method, body))
        if self._trace:
            self._trace.add("answer", f"{reply.status} {reply.reason}", shown_headers(reply.headers.items()))
        return reply

    async def _answer(self, place: Place) -> Reply:
        reply = await self._ask(place)
        if reply.status != 401:
            return reply
        reply.close()
        return await self._log_in(place, *await self._challenge(place, reply))

    async def _log_in(self, place: Place, challenge: digest.Challenge, login: Login) -> Reply:
        self._cycle.check_offer()
        self.stage = "waiting for another login to this device to be answered"
        host = self._subject.place.host
        async with self._guard.offer(host, login, row=self._subject.camera_id) as offer:
            reply = await self._offer(place, challenge, login)
            again = self._stale(reply)
            if again is not None:  # the login was right, only the nonce too old
                reply.close()
                reply = await self._offer(place, again, login)
            self._conclude(offer, reply)
        return reply

    async def _challenge(self, place: Place, reply: Reply) -> tuple[digest.Challenge, Login]:
        """What to answer and with which login. Raises CameraError(AUTH) where nothing may be offered."""
        challenges = digest.parse_challenges(reply.headers.getall("WWW-Authenticate", []))
        names = ", ".join(plain(challenge.scheme, 20) for challenge in challenges)
        if self._trace:
            self._trace.add("login", f"the camera asks for: {names or 'nothing that can be read'}")
        if not challenges:
            raise _auth("401 without saying how to log in")
        if self._subject.login is None:
            raise _auth(self._subject.no_login)
        if not place.takes_logins_for(self._subject.place):
            raise _auth("a login is wanted after a redirect to where the camera's login must not be sent")
        host = self._subject.place.host
        digest_only = await self._guard.scheme(host) == "digest"
        if not digest_only and any(challenge.scheme == "digest" for challenge in challenges):
            await self._guard.remember_scheme(host, "digest")
        chosen = digest.choose(challenges, digest_only=digest_only)
        if chosen is None:
            was = "; it has offered Digest before, and Basic would be a downgrade" if digest_only else ""
            raise _auth(f"no way to log in that can be used: {names}{was}")
        return chosen, self._subject.login

    async def _offer(self, place: Place, challenge: digest.Challenge, login: Login) -> Reply:
        if self._trace:
            self._trace.add("login", f"offering the login of {plain(login.username, 60)} by {challenge.scheme}")
        self._cycle.offered()
        reply = await self._ask(place, digest.authorization(challenge, login, "GET", place.target))
        self._cycle.answered()
        return reply

    def _stale(self, reply: Reply) -> digest.Challenge | None:
        if reply.status != 401:
            return None
        challenges = digest.parse_challenges(reply.headers.getall("WWW-Authenticate", []))
        chosen = digest.choose(challenges, digest_only=True)
        return chosen if chosen is not None and chosen.stale else None

    def _conclude(self, offer: Offer, reply: Reply) -> None:
        if reply.status in (401, 403):
            reply.close()
            self._cycle.refused()
            raise offer.refused()
        if reply.status in REDIRECTS or reply.status == 429 or reply.status >= 500:
            offer.answered()
        else:
            offer.accepted()

    def _follow(self, place: Place, reply: Reply, been: set[Place]) -> Place:
        location = reply.headers.get("Location", "").strip()
        if not location:
            raise CameraError(ErrorState.HTTP_ERROR, f"{reply.status} without saying where to")
        to = place.redirected(location)
        if self._trace:
            self._trace.add("redirect", f"to {to.scheme}://{to.authority}{shown_target(to.target)}")
        if to in been:
            raise CameraError(ErrorState.REDIRECTED, "redirected in a circle")
        if len(been) > MAX_REDIRECTS:
            raise CameraError(ErrorState.REDIRECTED, f"redirected more than {MAX_REDIRECTS} times")
        been.add(to)
        return to

    async def _read(self, reply: Reply) -> bytes:
        self.stage = ""
        self.captured_at = time.time()
        self.content_type = reply.headers.get("Content-Type", "")
        self.length = reply.length
        data = await read_picture(reply, self._body)
        if self._trace:
            self._trace.add("body", f"{len(data):,} bytes, {plain(self.content_type, 60) or 'no content type'}")
        refine = self._subject.refine
        if refine is not None and not is_picture(data) and (error := refine(200, data[:LOOK_AT])):
            raise error
        return data

    async def _beginning(self, reply: Reply) -> bytes:
        return await read_beginning(reply, LOOK_AT, LOOK_S)

    async def _refused(self, reply: Reply) -> CameraError:
        """The error that a status other than 200 and redirects means."""
        status = reply.status
        if status == 403:
            return _auth("403: forbidden without asking for a login")
        error: CameraError | None = None
        if self._subject.refine is not None:
            error = self._subject.refine(status, await self._beginning(reply))
        means = MEANS.get(status, ErrorState.HTTP_ERROR)
        state = error.state if error is not None and error.state is not ErrorState.HTTP_ERROR else means
        said = error.detail if error is not None else f"{status} {plain(reply.reason, 80)}".strip()
        return CameraError(state, said, retry_after_s=_retry_after(reply))


def _auth(detail: str) -> CameraError:
    return CameraError(ErrorState.AUTH, detail)


def _retry_after(reply: Reply) -> float | None:
    """Seconds, from a number or a date, at most an hour; None for neither."""
    value = reply.headers.get("Retry-After", "").strip()
    try:
        in_seconds = value.isascii() and value.isdigit()
        seconds = float(value) if in_seconds else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
