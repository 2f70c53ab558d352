"""One row of the make table: how a make of camera is asked for a still. A make is a row; code is the exception.

Every path and login stands in the sources named by its row. Marks of confidence: D documented by the vendor or a
standard, C seen in working code, F reported from the field, H in third-party lists, not checked against a device.
What no source says is left empty: never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from cctv_images.acquire import quirks
from cctv_images.inventory.camera import Camera

LoginKind = Literal["none", "basic", "digest", "query", "token"]

SENT_AS_IS = "%/?:@!$&'()*+,;=-._~[]{}|^`"
"""What stands in a request target as it is; blanks, controls, quotes, backslashes, # and non-ASCII are escaped."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one make is asked."""

    name: str
    """Slug; also the name under which CCTV_CREDENTIALS may hold the make's login."""
    title: str
    brands: tuple[str, ...]
    """Names of the maker or of its re-labels, as inventories spell them."""
    path: str
    """Path and query, with {channel} where the make needs one, {username} and {password} where it wants the login."""
    source: str
    """Public sources of path, names and logins."""
    confidence: str
    lines: tuple[str, ...] = ()
    """Product lines and models that stand in inventories alone or after a brand."""
    channel_path: str | None = None
    """Used instead of path when a row names a channel, for makes whose path is complete without one."""
    default_channel: int | None = None
    first_channel: int = 1
    """Where the make begins to count."""
    port: int | None = None
    """None = the scheme's own."""
    tls_port: int | None = None
    """The same for https."""
    logins: tuple[LoginKind, ...] = ()
    """Kinds of login seen with this make, the usual one first; empty = unknown. For people and the simulator: what is
    sent is decided by the camera's challenge alone."""
    refine: quirks.Refine | None = None
    notes: str = ""
    interface: Literal["http", "onvif"] = "http"
    """onvif: the path is the device service's, which is asked where the still is."""
    rtsp_path: str | None = None
    """Path of an rtsp address that names none (visioforge camera-brands, H; ZoneMinder zm_create.sql.in, C).
    None = such a row must name it."""
    session: Literal["reolink"] | None = None
    """Logs in for a token instead of answering challenges."""
    parameters: tuple[str, ...] = ()
    """Further parameters with their legal values, for people: a row that wants them brings its own path."""

    @property
    def credentials(self) -> str:
        """The name in CCTV_CREDENTIALS that is used when a row names none."""
        return self.name

    @property
    def aliases(self) -> tuple[str, ...]:
        return self.brands + self.lines

    def target(self, camera: Camera) -> str:
        """Path and query as they are sent and signed, but for the places of a login in the query."""
        channel = self.default_channel if camera.channel is None else camera.channel
        path = self.path if camera.channel is None or self.channel_path is None else self.channel_path
        if camera.scheme == "rtsp":
            path = self.rtsp_path or path
        path = path if camera.path is None else camera.path
        return _escaped(path if channel is None else path.replace("{channel}", str(channel)))

    def port_of(self, scheme: str) -> int | None:
        """The make's own port; None = the scheme's."""
        return {"http": self.port, "https": self.tls_port}.get(scheme)

    def base_url(self, camera: Camera) -> str:
        """Scheme, host and port, without a slash at the end."""
        host = f"[{camera.host}]" if ":" in camera.host else camera.host
        port = camera.port or self.port_of(camera.scheme)
        return f"{camera.scheme}://{host}" + (f":{port}" if port else "")


def _escaped(path: str) -> str:
    escaped = quote(path.strip(), safe=SENT_AS_IS)
    return escaped if escaped.startswith("/") else f"/{escaped}"


AUSTIN = "github.com/cityofaustin/atd-cctv-images cctv/camera.py"
ISPY = "github.com/ispysoftware/iSpy XML/Sources.xml"
BRANDS = "github.com/visioforge/help dotnet/camera-brands"
UNATTRIBUTED = "several public projects without a name"
ZONEMINDER = "github.com/ZoneMinder/zoneminder db/zm_create.sql.in"
