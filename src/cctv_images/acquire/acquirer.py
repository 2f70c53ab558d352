"""One attempt at a time for any number of cameras: limits, logins and the two ways of reading put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cctv_images.acquire.budget import MIB, Body, Budget
from cctv_images.acquire.classify import classify
from cctv_images.acquire.conversation import Conversation, Subject
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.exchange import DEFAULT_PORTS, Place, ProtocolError, Way, wire_target
from cctv_images.acquire.fence import Fence, Network
from cctv_images.acquire.http import StrictWay
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.acquire.own_login import LOGIN_PLACE, QueryLogin, Sessions, TokenLogin, without_login
from cctv_images.acquire.picture_stream import SOI, is_whole
from cctv_images.acquire.recipes import RECIPES
from cctv_images.acquire.resolver import Resolver
from cctv_images.acquire.tls import TrustPolicies
from cctv_images.acquire.tolerant import TolerantWay
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera

MAX_CONNECT_S = 10.0
"""Connecting gets half of the time limit, at most this; resolving the name half of that."""


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
        if cycle.trace:
            cycle.trace.add("error", f"{failure.state}: {failure.detail}")
        raise failure.with_traceback(None)

    async def _attempt(self, known: _Known, cycle: FetchCycle) -> Still:
        subject = self._subject(known)
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(self._timeout_s)

        def wake() -> None:
            if not limit.expired():
                limit.reschedule(loop.time())

        talk: Conversation | None = None
        still: Still | None = None
        with self._budget.body(self._max_bytes, wake) as body:
            try:
                async with limit:
                    if not known.lenient:
                        talk = self._conversation(self._strict, subject, cycle, body)
                        still = await self._strictly(talk)
                        if still is not None and not _short(still.data, talk.length):
                            return still
                        body.restart()
                        if cycle.trace:
                            cycle.trace.add("tolerant", "asking again the tolerant way")
                    talk = self._conversation(self._tolerant, subject, cycle, body)
                    return await self._tolerantly(talk, known, still)
            except TimeoutError:
                if still is not None and still.data:
                    return still
                raise self._late(body, talk) from None

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
        except CameraError:
            if strict is None or not strict.data:
                raise
            return strict
        known.lenient = True
        return Still(data, talk.content_type, True, talk.captured_at)

    def _late(self, body: Body, talk: Conversation | None) -> CameraError:
        if body.evicted:
            return body.spent()
        what = (talk.stage if talk else "") or f"only {len(body.data):,} bytes"
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

    def _login(self, camera: Camera, recipes_name: str) -> tuple[Login | None, str]:
        """The login for a camera, or why there is none."""
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
