"""What both ways of reading share: where a request goes, and what an answer looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from multidict import MultiMapping
from yarl import URL

from cctv_images.acquire.trace import Trace
from cctv_images.errors import CameraError, ErrorState, plain

DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443, "rtsp": 554}

HEADERS = {"User-Agent": "cctv-images", "Accept": "*/*", "Accept-Encoding": "identity"}
"""Sent with every request. Compression is never asked for: pictures gain nothing and a bomb costs much."""


class ProtocolError(Exception):
    """The answer breaks HTTP's rules, in a way that a more tolerant reader may understand."""


class ClosedEarly(Exception):
    """The connection ended before the body that had been announced did."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes: an origin, and path and query exactly as they are sent and signed."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    """It may hold a login."""
    url: URL = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", URL(f"{self.scheme}://{self.authority}{self.target}", encoded=True))

    @property
    def authority(self) -> str:
        """host[:port] as it stands in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def takes_logins_for(self, home: Place) -> bool:
        """Whether the login of the camera at `home` may be offered here: its own origin, or the same host by TLS."""
        same = (self.scheme, self.host, self.port) == (home.scheme, home.host, home.port)
        return same or (self.host == home.host and home.scheme == "http" and self.scheme == "https")

    def redirected(self, location: str) -> Place:
        """The place a Location points to. Raises CameraError(REDIRECTED) unless it is this host by http or https."""
        try:
            url = urlsplit(urljoin(str(self.url), location.strip()))
            host, port = (url.hostname or "").rstrip("."), url.port
        except ValueError:
            raise CameraError(ErrorState.REDIRECTED, "redirected to an address that cannot be read") from None
        if url.scheme not in ("http", "https"):
            raise CameraError(ErrorState.REDIRECTED, f"redirected to the scheme {plain(url.scheme, 20)}; not followed")
        if host != self.host.rstrip("."):
            raise CameraError(ErrorState.REDIRECTED, f"redirected to another host, {plain(host, 80)}; not followed")
        target = wire_target((url.path or "/") + (f"?{url.query}" if url.query else ""))
        return Place(url.scheme, self.host, port or DEFAULT_PORTS[url.scheme], target)


class Reply(Protocol):
    """The head of an answer, and its body piece by piece."""

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def headers(self) -> MultiMapping[str]: ...

    @property
    def length(self) -> int | None:
        """Bytes of the body, where that is certain; else it ends by itself or by closing."""

    @property
    def enough(self) -> bool:
        """Whether a body that has fallen silent has all that its head announced."""

    async def read(self) -> bytes:
        """The next piece, empty at the end. Raises ClosedEarly, ProtocolError or CameraError."""

    def close(self) -> None:
        """Closes the connection at once."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request."""

    place: Place
    tls: str
    authorization: str | None = field(default=None, repr=False)
    trace: Trace | None = None
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside those that are always sent."""
    url: str | None = None
    """What is asked for, where the place does not say it (RTSP's tracks)."""


class Way(Protocol):
    """One way to send a request and read the answer."""

    async def ask(self, asking: Asking) -> Reply:
        """Raises ProtocolError, or CameraError for everything else."""


def wire_target(target: str) -> str:
    """A foreign path and query with whatever could end the request line escaped."""
    return "".join(c if "!" <= c <= "~" else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace")) for c in target)
