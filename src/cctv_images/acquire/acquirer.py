"""One attempt at a time for any number of cameras: limits, logins and the two ways of reading put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from cctv_images.acquire.budget import MIB, Body, Budget
from cctv_images.acquire.classify import classify
from cctv_images.acquire.conversation import Conversation, Subject
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.exchange import DEFAULT_PORTS, Place, ProtocolError, Way, wire_target
from cctv_images.acquire.fence import Fence, Network
from cctv_images.acquire.http import StrictWay
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.acquire.onvif import KEEP_S, Device, Search
from cctv_images.acquire.own_login import LOGIN_PLACE, QueryLogin, Sessions, TokenLogin, without_login
from cctv_images.acquire.picture_stream import SOI, is_whole
from cctv_images.acquire.recipes import RECIPES
from cctv_images.acquire.resolver import Resolver, Unresolved
from cctv_images.acquire.rtsp import Decoder, RtspStill, RtspStills
from cctv_images.acquire.tls import TrustPolicies
from cctv_images.acquire.tolerant import TolerantWay
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera

MAX_CONNECT_S = 10.0
"""Connecting gets half of the time limit, at most this; resolving the name half of that."""

STILL = "-still"
"""Suffix of the name under which CCTV_CREDENTIALS may hold another login for the still than for ONVIF itself."""

MOVED_AWAY = frozenset((ErrorState.NOT_FOUND, ErrorState.UNREACHABLE, ErrorState.BAD_RESPONSE, ErrorState.REDIRECTED))
"""After these a device is asked anew by ONVIF where its still is."""


@dataclass(frozen=True, slots=True)
class Still:
    """What a camera gave as its picture; whether it is one is for verification to say."""

    data: bytes = field(repr=False)
    content_type: str
    """As sent, possibly empty: gossip."""
    lenient: bool
    """The tolerant way read it."""
    captured_at: float
    """Epoch seconds at which the answer began."""


@dataclass(slots=True)
class _Known:
    """What is remembered of a camera as long as its row does not change."""

    camera: Camera
    place: Place
    lenient: bool = False
    device: Device = field(default_factory=Device)
    """What is known of it by ONVIF."""


@dataclass(slots=True)
class _Turn:
    """One attempt, as far as it has come."""

    cycle: FetchCycle
    body: Body
    talk: Conversation | Search | RtspStill | None = None
    still: Still | None = None


class Acquirer:
    """Build it inside the loop that uses it; close it at the end.

    timeout_s: seconds of one attempt. credentials: by name; default_login: for cameras that name none.
    default_login_networks_only: the default login is offered only where networks are given (http inventories).
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        max_bytes: int,
        credentials: Mapping[str, Login],
        default_login: Login | None,
        networks: Sequence[Network],
        default_login_networks_only: bool,
        guard: LoginGuard,
        max_pixels: int = 50_000_000,
        budget_bytes: int = 96 * MIB,
        resolver: Resolver | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._guard = guard
        self._budget = Budget(budget_bytes)
        self._known: dict[str, _Known] = {}
        self._sessions = Sessions()
        self._networks_only = default_login_networks_only and not networks
        self.update_credentials(credentials, default_login)
        connect_s = min(MAX_CONNECT_S, timeout_s / 2)
        self._resolver = resolver or Resolver(connect_s / 2)
        shared = Fence(networks), self._resolver, TrustPolicies(), connect_s
        self._strict = StrictWay(*shared)
        self._tolerant = TolerantWay(*shared)
        self._rtsp = RtspStills(self._tolerant.connect, guard, Decoder(max_pixels=max_pixels, max_bytes=max_bytes))

    def update_credentials(self, credentials: Mapping[str, Login], default_login: Login | None) -> None:
        """For attempts that begin from now on."""
        self._credentials = dict(credentials)
        self._default_login = default_login

    async def close(self) -> None:
        await self._sessions.close(self._strict)
        await self._strict.close()
        await self._resolver.close()

    async def fetch(self, camera: Camera, cycle: FetchCycle) -> Still:
        """One attempt. Raises CameraError; what is raised keeps no frame and no byte of the attempt alive."""
        try:
            return await self._attempt(self._knowledge(camera), cycle)
        except Exception as error:  # noqa: BLE001 the one place where foreign exceptions become error_states
            failure = classify(error)
            if failure.state is ErrorState.INTERNAL:
                failure.__cause__ = error
            else:
                failure.__context__ = None
        cycle.why = failure.state
        if cycle.trace:
            cycle.trace.add("error", f"{failure.state}: {failure.detail}")
        raise failure.with_traceback(None)

    async def _attempt(self, known: _Known, cycle: FetchCycle) -> Still:
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(self._timeout_s)

        def wake() -> None:
            if not limit.expired():
                limit.reschedule(loop.time())

        with self._budget.body(self._max_bytes, wake) as body:
            turn = _Turn(cycle, body)
            try:
                async with limit:
                    if RECIPES[known.camera.recipe].interface == "onvif" and known.place.scheme != "rtsp":
                        return await self._by_onvif(known, turn)
                    return await self._at(self._subject(known), known, turn)
            except TimeoutError:
                if turn.still is not None and turn.still.data:
                    return turn.still
                raise self._late(turn) from None

    async def _at(self, subject: Subject, known: _Known, turn: _Turn) -> Still:
        if subject.place.scheme == "rtsp":
            turn.talk = attempt = self._rtsp.attempt(subject, turn.cycle, turn.body)
            data, captured_at = await attempt.picture()
            return Still(data, "", False, captured_at)
        return await self._by_http(subject, known, turn)

    async def _by_http(self, subject: Subject, known: _Known, turn: _Turn) -> Still:
        cycle, body = turn.cycle, turn.body
        if not known.lenient:
            turn.talk = talk = self._conversation(self._strict, subject, cycle, body)
            turn.still = still = await self._strictly(talk)
            if still is not None and not _short(still.data, talk.length):
                return still
            body.restart()
            if cycle.trace:
                cycle.trace.add("tolerant", "asking again the tolerant way")
        turn.talk = talk = self._conversation(self._tolerant, subject, cycle, body)
        return await self._tolerantly(talk, known, turn.still)

    async def _by_onvif(self, known: _Known, turn: _Turn) -> Still:
        """At the address that is remembered; at a new one where that has become wrong."""
        subject, device, loop = self._subject(known), known.device, asyncio.get_running_loop()
        remembered = device.still is not None and loop.time() < device.until
        if not remembered:
            await self._search(subject, known, turn)
        login, no_login = self._login(known.camera, RECIPES[known.camera.recipe].credentials, STILL)
        while True:
            assert device.still is not None
            try:
                return await self._at(replace(subject, place=device.still, login=login, no_login=no_login), known, turn)
            except CameraError as error:
                if error.state in MOVED_AWAY:
                    device.still = None
                if error.state is not ErrorState.NOT_FOUND or not remembered:
                    raise
            remembered = False
            await self._search(subject, known, turn)

    async def _search(self, subject: Subject, known: _Known, turn: _Turn) -> None:
        turn.talk = search = Search(
            self._tolerant, subject, self._guard, turn.cycle, turn.body, known.device, self._own_addresses
        )
        known.device.still = await search.still(known.camera.channel)
        known.device.until = asyncio.get_running_loop().time() + KEEP_S
        turn.body.restart()

    async def _own_addresses(self, host: str) -> set[str]:
        with suppress(Unresolved):
            return {host, *(found["host"] for found in await self._resolver.resolve(host))}
        return {host}

    def _conversation(self, way: Way, subject: Subject, cycle: FetchCycle, body: Body) -> Conversation:
        if subject.query is not None:
            return QueryLogin(way, subject, self._guard, cycle, body)
        if subject.token:
            talk = TokenLogin(way, subject, self._guard, cycle, body)
            talk.sessions = self._sessions
            return talk
        return Conversation(way, subject, self._guard, cycle, body)

    async def _strictly(self, talk: Conversation) -> Still | None:
        """None where the answer breaks the protocol."""
        try:
            data = await talk.picture()
        except ProtocolError:
            return None
        return Still(data, talk.content_type, False, talk.captured_at)

    async def _tolerantly(self, talk: Conversation, known: _Known, strict: Still | None) -> Still:
        try:
            data = await talk.picture()
        except ProtocolError:
            raise CameraError(ErrorState.BAD_RESPONSE, "the answer cannot be read as HTTP") from None
        except CameraError as error:
            # Some Dahua give a picture every seven seconds only: the next attempt will begin this way.
            known.lenient = error.state is ErrorState.BUSY
            if strict is None or not strict.data:
                raise
            return strict
        known.lenient = True
        return Still(data, talk.content_type, True, talk.captured_at)

    def _late(self, turn: _Turn) -> CameraError:
        if turn.body.evicted:
            return turn.body.spent()
        what = (turn.talk.stage if turn.talk else "") or f"only {len(turn.body.data):,} bytes"
        return CameraError(ErrorState.TIMEOUT, f"{what} within {self._timeout_s:g} s")

    def _knowledge(self, camera: Camera) -> _Known:
        known = self._known.get(camera.camera_id)
        if known is None or known.camera != camera:
            known = self._known[camera.camera_id] = _Known(camera, _place(camera))
        return known

    def _subject(self, known: _Known) -> Subject:
        camera = known.camera
        recipe = RECIPES[camera.recipe]
        login, no_login = self._login(camera, recipe.credentials)
        query = known.place.target if LOGIN_PLACE.search(known.place.target) else None
        place = known.place if query is None else replace(known.place, target=without_login(query))
        token = recipe.session is not None and query is None
        return Subject(camera.camera_id, place, camera.tls, login, no_login, recipe.refine, query, token)

    def _login(self, camera: Camera, recipes_name: str, purpose: str = "") -> tuple[Login | None, str]:
        """The login for a camera, or why there is none. purpose: a suffix under which there may be another."""
        special = self._credentials.get((camera.credentials or recipes_name) + purpose) if purpose else None
        if special is not None:
            return special, ""
        if camera.credentials is not None:
            name = camera.credentials
            return self._credentials.get(name), f"the camera wants a login; the credentials {name} are not configured"
        if recipes_name in self._credentials:
            return self._credentials[recipes_name], ""
        if self._networks_only and self._default_login is not None:
            return None, "the camera wants a login; the default one is only offered inside CCTV_CAMERA_NETWORKS"
        return self._default_login, "the camera wants a login and none is configured for it"


def _place(camera: Camera) -> Place:
    """Raises CameraError for a row that no request can be made of."""
    if camera.scheme not in DEFAULT_PORTS:
        raise CameraError(ErrorState.NOT_FOUND, f"an {camera.scheme} address gives no still")
    recipe = RECIPES[camera.recipe]
    try:
        host = camera.host if camera.host.isascii() else camera.host.encode("idna").decode()
        port = camera.port or recipe.port_of(camera.scheme) or DEFAULT_PORTS[camera.scheme]
        if not host:
            raise ValueError
        return Place(camera.scheme, host.lower(), port, wire_target(recipe.target(camera)))
    except ValueError:
        raise CameraError(ErrorState.DNS, "not a host name") from None


def _short(data: bytes, length: int | None) -> bool:
    """Whether a length may have been too small: nothing at all came, or a JPEG without its end."""
    return not data or (length is not None and data.startswith(SOI) and not is_whole(data))
