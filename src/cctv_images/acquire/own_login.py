"""Makes that have logins of their own: in the query of the request, or for a token.

To the guard they are login offers like any other. Nothing answers them as clearly as HTTP's own login does, so that
only a picture, or a token, counts as accepted, and whatever cannot be told from a refusal counts as one.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from cctv_images.acquire import digest
from cctv_images.acquire.conversation import MEANS, REDIRECTS, Conversation
from cctv_images.acquire.exchange import Asking, Place, ProtocolError, Reply, Way
from cctv_images.acquire.logins import Login, Offer
from cctv_images.acquire.picture_stream import is_picture
from cctv_images.acquire.quirks import reolink, reolink_error
from cctv_images.acquire.trace import shown_target, veiled
from cctv_images.errors import CameraError, ErrorState, plain

LOGIN_PLACE = re.compile(r"\{(?:username|password)\}")

GO_ON = frozenset((ErrorState.AUTH, ErrorState.NOT_AN_IMAGE, ErrorState.REDIRECTED, ErrorState.HTTP_ERROR))
"""What a camera may say to a request without a login that it wants."""


def without_login(target: str) -> str:
    """A target without the parameters that hold places for a login."""
    path, _, query = target.partition("?")
    kept = "&".join(part for part in query.split("&") if not LOGIN_PLACE.search(part))
    return f"{path}?{kept}" if kept else path


def with_login(target: str, login: Login) -> str:
    """The target with the login in its places."""
    values = {"{username}": login.username, "{password}": login.password.get_secret_value()}
    return LOGIN_PLACE.sub(lambda place: quote(values[place[0]], safe=""), target)


class OwnLogin(Conversation):
    """Asks without the login until the camera has shown once that it takes one this way: what stands open is given
    none, and a camera of another make never sees it. HTTP's own login goes before where the camera asks for it."""

    kind = ""

    async def picture(self) -> bytes:
        login, host = self._subject.login, self._subject.place.host
        if login is None:
            return await super().picture()
        if self._trace:
            self._trace.hide(login.password.get_secret_value())
        try:
            if await self._guard.scheme(host) != self.kind:
                data = await self._without()
                if data is not None:
                    return data
            data = await self._logged_in(login)
        except CameraError as error:
            raise _veiled(error, login) from None
        if is_picture(data):
            await self._guard.remember_scheme(host, self.kind)
        return data

    async def _without(self) -> bytes | None:
        """What there is without a login of the make's own; None where one is wanted."""
        failure: CameraError | None = None
        data, unanswered = b"", self._cycle.unanswered_offers
        try:
            data = await super().picture()
        except CameraError as error:
            offered = self._cycle.login_refused or self._cycle.unanswered_offers > unanswered
            if offered or error.state not in GO_ON:
                raise
            failure = error
        if is_picture(data):
            return data
        if await self._guard.scheme(self._subject.place.host) == "digest":  # anything else would be a downgrade
            if failure is not None:
                raise failure
            return data
        self._body.restart()
        return None

    async def _logged_in(self, login: Login) -> bytes:
        """The picture, by the login of the make."""
        raise NotImplementedError("each make has a login of its own")

    async def _remember(self, reply: Reply) -> None:
        """A camera that asks for Digest gets nothing else from then on."""
        challenges = digest.parse_challenges(reply.headers.getall("WWW-Authenticate", []))
        if any(challenge.scheme == "digest" for challenge in challenges):
            await self._guard.remember_scheme(self._subject.place.host, "digest")

    def _refused_own(self, offer: Offer) -> CameraError:
        self._cycle.refused()
        return offer.refused()


class QueryLogin(OwnLogin):
    """The login stands in the query."""

    kind = "query"

    async def _logged_in(self, login: Login) -> bytes:
        subject = self._subject
        assert subject.query is not None
        self._cycle.check_offer()
        self.stage = "waiting for another login to this device to be answered"
        async with self._guard.offer(subject.place.host, login, row=subject.camera_id) as offer:
            if self._trace:
                self._trace.add("login", f"offering the login of {plain(login.username, 60)} in the query")
            self._cycle.offered()
            place = replace(subject.place, target=with_login(subject.query, login))
            reply = await self._ask(place, shown=subject.query)
            self._cycle.answered()
            try:
                return await self._judged(offer, reply)
            finally:
                reply.close()

    async def _judged(self, offer: Offer, reply: Reply) -> bytes:
        if reply.status in REDIRECTS:
            self._refused_own(offer)
            raise CameraError(
                ErrorState.REDIRECTED, f"{reply.status} to a login in the query, which is never sent elsewhere"
            )
        try:
            if reply.status != 200:
                raise await self._refused(reply)
            data = await self._read(reply)
        except CameraError as error:
            told_apart = error.state is not ErrorState.AUTH and (
                reply.status == 200 or reply.status in MEANS or reply.status >= 500
            )
            if not told_apart:
                await self._remember(reply)
                raise self._refused_own(offer) from None
            offer.answered()
            raise
        if not is_picture(data):
            raise self._refused_own(offer)
        offer.accepted()
        return data


@dataclass(slots=True)
class Session:
    """A token of one account on one device."""

    place: Place
    tls: str
    token: str = field(default="", repr=False)
    ends: float = 0.0
    """Loop seconds."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One login serves all rows of a device."""


LEASE_S, MARGIN_S = 3600.0, 60.0
LOGOUT_S = 2.0
COMMAND = "/cgi-bin/api.cgi?cmd={}"


class Sessions:
    """The sessions that this process holds. Devices hold few, so that they are logged out at the end."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[Place, Login], Session] = {}

    def of(self, place: Place, tls: str, login: Login) -> Session:
        device = replace(place, target="/")
        session = self._sessions.setdefault((device, login), Session(device, tls))
        session.tls = tls
        return session

    async def close(self, way: Way) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOGOUT_S):
                await asyncio.gather(*(_log_out(way, session) for session in self._sessions.values() if session.token))
        self._sessions.clear()


async def _log_out(way: Way, session: Session) -> None:
    target = f"{COMMAND.format('Logout')}&token={quote(session.token, safe='')}"
    body = json.dumps([{"cmd": "Logout", "action": 0, "param": {}}]).encode()
    with suppress(CameraError, ProtocolError):
        place = replace(session.place, target=target)
        (await way.ask(Asking(place, session.tls, method="POST", body=body))).close()


class TokenLogin(OwnLogin):
    """Reolink's: a token for a login, good for a while (github.com/starkillerOG/reolink_aio api.py)."""

    kind = "token"
    sessions: Sessions

    async def _logged_in(self, login: Login) -> bytes:
        session = self.sessions.of(self._subject.place, self._subject.tls, login)
        for renewed in (False, True):
            fresh = await self._token(session, login)
            place = self._subject.place
            shown = place.target + ("&" if "?" in place.target else "?") + "token="
            reply = await self._ask(replace(place, target=shown + quote(session.token, safe="")), shown=shown)
            try:
                if reply.status != 200:
                    raise await self._refused(reply)
                return await self._read(reply)
            except CameraError as error:
                if error.state is not ErrorState.AUTH:
                    raise
                session.token = ""
                if fresh or renewed:
                    raise
                self._body.restart()
            finally:
                reply.close()
        raise AssertionError("a renewed token is fresh")

    async def _token(self, session: Session, login: Login) -> bool:
        """Makes sure that there is a token; True if it is a new one."""
        loop = asyncio.get_running_loop()
        self.stage = "waiting for another login to this device to be answered"
        async with session.lock:
            if session.token and loop.time() < session.ends:
                return False
            self._cycle.check_offer()
            async with self._guard.offer(self._subject.place.host, login, row=self._subject.camera_id) as offer:
                session.token, lease_s = await self._ask_token(offer, login)
                session.ends = loop.time() + lease_s - MARGIN_S
        return True

    async def _ask_token(self, offer: Offer, login: Login) -> tuple[str, float]:
        if self._trace:
            self._trace.add("login", f"offering the login of {plain(login.username, 60)} for a token")
        self._cycle.offered()
        place = replace(self._subject.place, target=COMMAND.format("Login"))
        reply = await self._ask(place, method="POST", body=_login_body(login))
        self._cycle.answered()
        try:
            said = await self._login_answer(offer, reply)
        finally:
            reply.close()
        token, lease_s = _token_in(said)
        if token:
            if self._trace:
                self._trace.hide(token)
            offer.accepted()
            return token, lease_s
        error = reolink(200, said)
        if error is None or error.state is ErrorState.AUTH:
            refused = self._refused_own(offer)
            detail = f"{refused.detail}: {reolink_error(said)[0]}" if error is not None else refused.detail
            raise CameraError(ErrorState.AUTH, detail, counts=refused.counts, final=refused.final)
        offer.answered()
        raise error

    async def _login_answer(self, offer: Offer, reply: Reply) -> bytes:
        if reply.status == 200:
            return await self._beginning(reply)
        if reply.status == 300 or reply.status in REDIRECTS:
            offer.answered()
            raise CameraError(ErrorState.REDIRECTED, f"{reply.status} to the login: the camera may want https")
        error = await self._refused(reply)
        if reply.status in MEANS or reply.status >= 500:
            offer.answered()
            raise error
        await self._remember(reply)
        raise self._refused_own(offer)


def _login_body(login: Login) -> bytes:
    user = {"userName": login.username, "password": login.password.get_secret_value()[:31]}
    return json.dumps([{"cmd": "Login", "action": 0, "param": {"User": user}}]).encode()


def _token_in(said: bytes) -> tuple[str, float]:
    """The token and its lease in seconds; "" where there is none."""
    try:
        token: Any = json.loads(said)[0]["value"]["Token"]
        name, lease = token["name"], token.get("leaseTime", LEASE_S)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "", 0.0
    fits = isinstance(name, str) and 0 < len(name) <= 512
    lasts = isinstance(lease, int | float) and not isinstance(lease, bool) and 0 < lease < 1e9
    return (name if fits else ""), float(lease if lasts else LEASE_S)


def _veiled(error: CameraError, login: Login) -> CameraError:
    """The same error without the password, should the camera have echoed it."""
    detail = shown_target(veiled(error.detail, login.password.get_secret_value()))
    if detail == error.detail:
        return error
    return CameraError(error.state, detail, retry_after_s=error.retry_after_s, counts=error.counts, final=error.final)
