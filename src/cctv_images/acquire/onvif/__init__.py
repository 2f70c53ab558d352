"""ONVIF: asks a device where its stills are. The still itself is then fetched as any other.

Five messages (clock, services, profiles, address of the still) against a library of a hundred: why it is not used
stands in docs/decisions.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from cctv_images.acquire.budget import Body
from cctv_images.acquire.conversation import Subject
from cctv_images.acquire.cycle import FetchCycle
from cctv_images.acquire.exchange import DEFAULT_PORTS, Place, Way, wire_target
from cctv_images.acquire.logins import LoginGuard
from cctv_images.acquire.onvif import soap
from cctv_images.acquire.onvif.talk import Fault, Habits, SoapTalk
from cctv_images.errors import CameraError, ErrorState, plain

__all__ = ["Device", "Search"]

KEEP_S = 3 * 86400.0
"""How long an address is used before the device is asked again; by the standard it is good for ever."""
MAX_PROFILES = 4
"""Profiles of one source that are asked for the address of their still: some are configured by halves."""

_AMPERSAND = re.compile(r"&(?:amp|#38|#x26);", re.IGNORECASE)
"""Escaped twice; no other entity is undone, or `&region=1` would lose its beginning."""
_URI = re.compile(r"(https?|rtsp)://([^/?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Device:
    """What is remembered of a device as long as its row does not change."""

    habits: Habits = field(default_factory=Habits)
    still: Place | None = None
    until: float = 0.0
    """Monotonic seconds to which `still` is used."""


class Search:
    """One search. own_addresses: host -> its addresses, in which devices name themselves."""

    def __init__(
        self,
        way: Way,
        subject: Subject,
        guard: LoginGuard,
        cycle: FetchCycle,
        body: Body,
        device: Device,
        own_addresses: Callable[[str], Awaitable[set[str]]],
    ) -> None:
        self._talk = SoapTalk(way, subject, guard, cycle, body)
        self._talk.habits = device.habits
        self._home = subject.place
        self._own_addresses = own_addresses
        self._trace = cycle.trace

    @property
    def stage(self) -> str:
        return self._talk.stage

    async def still(self, channel: int | None) -> Place:
        """Where the still of a channel is, counted from 1. Raises CameraError."""
        await self._talk.learn_the_time(self._home.target)
        said = ""
        for media, path in (await self._media()).items():
            try:
                uri = await self._uri(media, path, channel)
            except Fault as fault:
                said = said or f"; it says {fault}"
                continue
            if uri:
                return await self._placed(uri)
        raise CameraError(ErrorState.NOT_FOUND, f"the device names no address of a still by ONVIF{said}")

    async def _media(self) -> dict[str, str]:
        """Namespace -> path of the media services, the older one first. Only paths are used: devices name hosts and
        ports that nobody can reach (0.0.0.0, a port twice, addresses behind a router)."""
        found: dict[str, str] = {}
        for message in (soap.SERVICES, soap.CAPABILITIES):
            with suppress(Fault):
                found = soap.media_services(await self._talk.call(self._home.target, message))
            if found:
                break
        paths = {media: _path(found[media]) for media in (soap.MEDIA, soap.MEDIA2) if media in found}
        if not paths:
            raise CameraError(ErrorState.NOT_FOUND, "the device has no media service by ONVIF")
        return paths

    async def _uri(self, media: str, path: str, channel: int | None) -> str:
        """Raises Fault where every profile's address is refused."""
        tokens = _of_channel(soap.profile_tokens(await self._talk.call(path, soap.profiles(media))), channel)
        refused: Fault | None = None
        for token in tokens[:MAX_PROFILES]:
            try:
                envelope = await self._talk.call(path, soap.snapshot_uri(media, token))
            except Fault as fault:
                refused = refused or fault
                continue
            if uri := soap.text(envelope, "Uri"):
                return uri
        if refused is not None:
            raise refused
        return ""

    async def _placed(self, uri: str) -> Place:
        place = placed(uri, self._home, await self._own_addresses(self._home.host))
        if self._trace:
            self._trace.add("onvif", f"the still is said to be at {plain(_shown(uri))}: asked at {place.authority}")
        return place


def placed(uri: str, home: Place, own: set[str]) -> Place:
    """Where a device's address of its still is really asked: always at its own host. own: names and IP literals of it.

    Raises CameraError(NOT_FOUND). Port and scheme are the address's where it names the device as we know it, else the
    device's own; those of rtsp stay.
    """
    found = _URI.fullmatch(_undone(uri))
    if found is None:
        raise CameraError(
            ErrorState.NOT_FOUND, f"an address of the still that cannot be asked: {plain(_shown(uri), 80)}"
        )
    scheme, (host, port) = found[1].lower(), _host_and_port(found[2])
    target = wire_target(found[3] if found[3].startswith("/") else f"/{found[3]}")
    if scheme == "rtsp" or host in own:
        return Place(scheme, home.host, port or DEFAULT_PORTS[scheme], target)
    return replace(home, target=target)


def _undone(uri: str) -> str:
    """An address without what XML has done to it: line ends inside, ampersands escaped twice."""
    return _AMPERSAND.sub("&", re.sub(r"[\r\n\t]", "", uri)).strip()


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """Of a port that stands twice, the first."""
    rest = authority.rpartition("@")[2].lower()
    host, _, ports = rest[1:].partition("]") if rest.startswith("[") else rest.partition(":")
    first = ports.lstrip(":").partition(":")[0]
    port = int(first) if first.isascii() and first.isdigit() and len(first) < 6 else 0
    return host, port if 0 < port < 65536 else None


def _path(address: str) -> str:
    found = _URI.fullmatch(_undone(address))
    path = found[3] if found else address
    return wire_target(path if path.startswith("/") else f"/{path}")


def _of_channel(profiles: list[tuple[str, str]], channel: int | None) -> list[str]:
    """Tokens of the profiles of the channel-th video source, counted from 1; without a channel, of the first."""
    sources = list(dict.fromkeys(source for _, source in profiles))
    wanted = 0 if channel is None else channel - 1
    if not 0 <= wanted < len(sources):
        raise CameraError(ErrorState.NOT_FOUND, f"the device has no channel {channel}: it has {len(sources)} by ONVIF")
    return [token for token, source in profiles if source == sources[wanted]]


def _shown(uri: str) -> str:
    """Without a login."""
    return re.sub(r"//[^/@]*@", "//***@", uri)
