"""The make table: how each make of camera is asked for a still. A make is a row; code is the exception.

Every path and login stands in the sources named by its row. Marks of confidence: D documented by the vendor or a
standard, C seen in working code, F reported from the field, H in third-party lists, not checked against a device.
What no source says is left empty: never guessed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from cctv_images.acquire import quirks
from cctv_images.inventory.camera import Camera

LoginKind = Literal["none", "basic", "digest"]

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
    """Path and query, with {channel} where the make needs one."""
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
    logins: tuple[LoginKind, ...] = ()
    """Kinds of login seen with this make, the usual one first; empty = unknown. For people and the simulator: what is
    sent is decided by the camera's challenge alone."""
    refine: quirks.Refine | None = None
    notes: str = ""

    @property
    def credentials(self) -> str:
        """The name in CCTV_CREDENTIALS that is used when a row names none."""
        return self.name

    @property
    def aliases(self) -> tuple[str, ...]:
        return self.brands + self.lines

    def target(self, camera: Camera) -> str:
        """Path and query exactly as they are sent and signed."""
        return _escaped(camera.path if camera.path is not None else self._own_path(camera))

    def _own_path(self, camera: Camera) -> str:
        if camera.channel is not None and self.channel_path is not None:
            return self.channel_path.replace("{channel}", str(camera.channel))
        channel = self.default_channel if camera.channel is None else camera.channel
        return self.path.replace("{channel}", str(channel))

    def base_url(self, camera: Camera) -> str:
        """Scheme, host and port, without a slash at the end."""
        host = f"[{camera.host}]" if ":" in camera.host else camera.host
        port = camera.port or (self.port if camera.scheme == "http" else None)
        return f"{camera.scheme}://{host}" + (f":{port}" if port else "")


def _escaped(path: str) -> str:
    escaped = quote(path.strip(), safe=SENT_AS_IS)
    return escaped if escaped.startswith("/") else f"/{escaped}"


AUSTIN = "github.com/cityofaustin/atd-cctv-images cctv/camera.py"
ISPY = "github.com/ispysoftware/iSpy XML/Sources.xml"
BRANDS = "github.com/visioforge/help dotnet/camera-brands"
UNATTRIBUTED = "several public projects without a name"
ZONEMINDER = "github.com/ZoneMinder/zoneminder db/zm_create.sql.in"

_ROWS = (
    Recipe(
        name="pelco",
        title="Pelco Sarix, Spectra",
        brands=("Pelco",),
        lines=(
            "Sarix",
            "Sarix Enhanced",
            "Sarix Professional",
            "Spectra",
            "Spectra Enhanced",
            "Spectra HD",
            "Spectra Pro",
            "Spectra Professional",
            "IXE53",
            "D6230",
            "D6230L",
            "D7230L",
        ),
        path="/jpeg?id={channel}",
        default_channel=2,
        logins=("none",),
        source=f"{AUSTIN} (id=2, no login); {ISPY}; City of Austin open data b4k4-adkb (names)",
        confidence="C",
        notes="The channel is the id, taken to be the number of the stream. Others answer path=/jpeg or /jpeg/pull "
        "(H). Newer firmware can ask for a login.",
    ),
    Recipe(
        name="advidia",
        title="Advidia",
        brands=("Advidia",),
        path="/ISAPI/Streaming/channels/{channel}01/picture",
        default_channel=1,
        logins=("basic", "digest"),
        refine=quirks.hikvision,
        source=AUSTIN,
        confidence="C",
        notes="Answers like Hikvision; which series do is unknown.",
    ),
    Recipe(
        name="hikvision",
        title="Hikvision and its re-labels",
        brands=("Hikvision", "HiWatch", "LTS", "Prama"),
        path="/ISAPI/Streaming/channels/{channel}01/picture",
        default_channel=1,
        logins=("digest", "basic"),
        refine=quirks.hikvision,
        source="github.com/maciej-or/hikvision_next isapi.py; github.com/JoshADC/hikvision_isapi; "
        "github.com/AlexxIT/go2rtc pull 2344 (SHA-256); Hikvision SDK guide 2022 (codes)",
        confidence="C",
        notes="Locks the caller's address for 30 minutes after 5 wrong logins (7 for admin) (D). Firmware of 2014 "
        "knows Basic only, the newest SHA-256 only. Old firmware: path=/Streaming/channels/1/picture (H).",
    ),
    Recipe(
        name="hikvision-nvr",
        title="Hikvision recorder",
        brands=("Hikvision NVR", "Hikvision recorder"),
        path="/ISAPI/ContentMgmt/StreamingProxy/channels/{channel}01/picture",
        default_channel=1,
        logins=("digest",),
        refine=quirks.hikvision,
        source="github.com/maciej-or/hikvision_next isapi.py and pull 183",
        confidence="C",
        notes="For recorders that answer code 6 to the ordinary path.",
    ),
    Recipe(
        name="wisenet",
        title="Hanwha Vision, Wisenet, Samsung Techwin",
        brands=("Wisenet", "Hanwha", "Hanwha Vision", "Hanwha Techwin", "Samsung", "Samsung Techwin"),
        lines=("Wisenet", "XNP-6400RW", "XNV-8081Z"),
        path="/stw-cgi/video.cgi?msubmenu=snapshot&action=view&Profile=1&Channel={channel}",
        default_channel=0,
        first_channel=0,
        logins=("digest",),
        source=f"{AUSTIN}; github.com/cityofaustin/atd-data-tech issues 9594, 13474; {BRANDS} (names)",
        confidence="C",
        notes="Channels count from 0. Older Samsung: path=/cgi-bin/video.cgi?msubmenu=jpg (H).",
    ),
    Recipe(
        name="axis",
        title="Axis",
        brands=("Axis", "Axis Communications"),
        lines=("Q6225-LE",),
        path="/axis-cgi/jpg/image.cgi",
        channel_path="/axis-cgi/jpg/image.cgi?camera={channel}",
        logins=("digest", "basic", "none"),
        source="developer.axis.com/vapix/network-video/video-streaming; developer.axis.com/vapix/authentication",
        confidence="D",
        notes="Name a channel only where the product has several sources or views. Old units answer HTTP/1.0 without a "
        "length and end the picture with CRLF; 20 viewers at most.",
    ),
    Recipe(
        name="bosch",
        title="Bosch DINION, FLEXIDOME, AUTODOME, MIC, VIP",
        brands=("Bosch",),
        lines=("DINION", "FLEXIDOME", "AUTODOME", "MIC", "MIC IP", "MIC IP Starlight 7100i", "VIP", "VideoJet"),
        path="/snap.jpg?JpegSize=XL&JpegCam={channel}",
        default_channel=1,
        logins=("digest", "basic", "none"),
        source=f"{UNATTRIBUTED}; {BRANDS}/bosch.md; {ISPY}; Bosch FW 5.50 software manual (snapshot settings)",
        confidence="C",
        notes="The accounts are fixed levels: service, user, live. Whether MIC inteox answers this path is unknown.",
    ),
    Recipe(
        name="cohu",
        title="CohuHD, Costar",
        brands=("Cohu", "CohuHD", "Costar", "CohuHD Costar"),
        lines=("4260HD", "4221-1000"),
        path="/jpegpull/snapshot",
        channel_path="/jpegpull/{channel}",
        first_channel=0,
        logins=("basic", "none"),
        source="github.com/mnit-rtmc/iris honeybee/src/honey.rs (/jpegpull/0); two traffic projects without a name",
        confidence="C",
        notes="A channel is the number of the stream, 0 to 9; which ones answer must be tried.",
    ),
    Recipe(
        name="dahua",
        title="Dahua, Amcrest, Lorex, EmpireTech",
        brands=("Dahua", "Amcrest", "Lorex", "EmpireTech", "Empire Tech"),
        path="/cgi-bin/snapshot.cgi?channel={channel}",
        default_channel=1,
        logins=("digest", "basic"),
        refine=quirks.dahua,
        source="github.com/tchellomello/python-amcrest snapshot.py; github.com/rroller/dahua client.py",
        confidence="C",
        notes="Locks the account for 30 minutes after too many wrong logins (D). Refuses now and then although the "
        "password is right (F). Some lengths are off by a few bytes (F). Some old firmware counts channels from 0.",
    ),
    Recipe(
        name="vivotek",
        title="Vivotek, ABUS, LevelOne, 4XEM",
        brands=("Vivotek", "ABUS", "LevelOne", "4XEM"),
        path="/cgi-bin/viewer/video.jpg?channel={channel}",
        default_channel=0,
        first_channel=0,
        source="Vivotek FE9380-HV manual p. 313; VS8102 manual p. 126; ABUS TVIP41550 p. 327; LevelOne FCS-5030 p. 99",
        confidence="D",
        notes="Answers HTTP/1.0. A size larger than every stream fails, so none is asked for.",
    ),
    Recipe(
        name="panasonic",
        title="Panasonic WV, i-PRO",
        brands=("Panasonic", "i-PRO", "Panasonic i-PRO"),
        lines=("WV",),
        path="/cgi-bin/camera",
        source=f"{ZONEMINDER}; {BRANDS}/panasonic.md",
        confidence="C",
        notes="The older generation is panasonic-old.",
    ),
    Recipe(
        name="panasonic-old",
        title="Panasonic BB, BL, KX (older)",
        brands=("Panasonic old", "Panasonic BB", "Panasonic BL", "Panasonic KX"),
        path="/SnapshotJPEG?Resolution=640x480&Quality=Standard",
        source=f"{ZONEMINDER}; {ISPY}",
        confidence="C",
    ),
    Recipe(
        name="sony",
        title="Sony SNC",
        brands=("Sony",),
        lines=("SNC",),
        path="/oneshotimage.jpg",
        channel_path="/oneshotimage{channel}",
        source=f"{UNATTRIBUTED}; {BRANDS}/sony.md",
        confidence="C",
    ),
    Recipe(
        name="mobotix",
        title="Mobotix",
        brands=("Mobotix",),
        path="/record/current.jpg",
        logins=("basic",),
        source=f"{UNATTRIBUTED}; {BRANDS}/mobotix.md; developer.mobotix.com help_cgi-remoteconfig (Basic)",
        confidence="C",
    ),
    Recipe(
        name="flir",
        title="FLIR, Teledyne FLIR",
        brands=("FLIR", "Teledyne FLIR", "Teledyne"),
        path="/jpg/image.jpg",
        source=f"{BRANDS}/flir.md",
        confidence="H",
        notes="Others answer path=/snapshot.jpg. Traffic sensors (TrafiCam, ThermiCam): unknown.",
    ),
    Recipe(
        name="arecont",
        title="Arecont Vision",
        brands=("Arecont", "Arecont Vision"),
        path="/img.jpg",
        channel_path="/image{channel}",
        logins=("basic",),
        source=f"{UNATTRIBUTED}; {BRANDS}/arecont.md",
        confidence="C",
        notes="A channel is one of up to four sensors. 10 megapixels and more take their time.",
    ),
    Recipe(
        name="jvc",
        title="JVC VN",
        brands=("JVC",),
        lines=("VN", "VN-V686"),
        path="/api/video?encode=jpeg&framerate=0",
        logins=("none",),
        source="JVC VN-V686U API guide p. 8; VN-V686U manual pp. 5, 7",
        confidence="D",
        notes="Without framerate=0 it never stops sending. A caller that is filtered out sees the connection closed.",
    ),
    Recipe(
        name="canon",
        title="Canon VB",
        brands=("Canon",),
        lines=("VB",),
        path="/-wvhttp-01-/image.cgi",
        logins=("digest", "none"),
        source=f"{UNATTRIBUTED}; {BRANDS}/canon.md",
        confidence="C",
    ),
    Recipe(
        name="uniview",
        title="Uniview",
        brands=("Uniview",),
        path="/LAPI/V1.0/Channels/{channel}/Media/Video/Streams/0/Snapshot",
        default_channel=0,
        first_channel=0,
        logins=("digest",),
        source=f"{UNATTRIBUTED}; {BRANDS}/uniview.md",
        confidence="C",
    ),
    Recipe(
        name="avigilon",
        title="Avigilon",
        brands=("Avigilon",),
        path="/snapshot.jpg",
        logins=("basic",),
        source=f"{BRANDS}/avigilon.md",
        confidence="H",
    ),
    Recipe(
        name="dlink",
        title="D-Link",
        brands=("D-Link",),
        path="/image/jpeg.cgi",
        source=f"{BRANDS}/d-link.md",
        confidence="H",
        notes="Many families; others answer path=/dms.jpg.",
    ),
    Recipe(
        name="vigi",
        title="TP-Link VIGI",
        brands=("VIGI", "TP-Link VIGI"),
        path="/snapshot",
        port=8800,
        source="tp-link.com support FAQ 4908",
        confidence="D",
        notes="Also https on port 8443.",
    ),
    Recipe(
        name="unifi",
        title="Ubiquiti UniFi",
        brands=("UniFi", "Ubiquiti", "Ubiquiti UniFi"),
        path="/snap.jpeg",
        logins=("none",),
        source="github.com/briis/unifiprotect issue 232",
        confidence="F",
        notes="Only where anonymous snapshots are switched on in the camera.",
    ),
    Recipe(
        name="generic",
        title="Any camera with a still at an address",
        brands=("generic",),
        path="/",
        source="the inventory: the address is a full URL, or the path column says where",
        confidence="",
    ),
)

RECIPES: dict[str, Recipe] = {row.name: row for row in _ROWS}


def normalised(model: str) -> str:
    """A model's spelling with everything removed in which inventories differ: case, blanks, punctuation."""
    return "".join(c for c in model.casefold() if c.isalnum())


def _spellings(recipe: Recipe) -> Iterable[str]:
    yield from recipe.aliases
    yield recipe.name
    yield from (f"{brand} {line}" for brand in recipe.brands for line in recipe.lines)


_SPELT: dict[str, str] = {}
"""Normalised spelling -> the spelling to show."""
_FOUND: dict[str, Recipe] = {}
for _recipe in _ROWS:
    for _spelling in _spellings(_recipe):
        _SPELT.setdefault(normalised(_spelling), _spelling)
        _FOUND.setdefault(normalised(_spelling), _recipe)


def find_recipe(model: str) -> Recipe | None:
    """The recipe whose name or alias the model is; case, blanks and punctuation are ignored."""
    return _FOUND.get(normalised(model))


def nearest(model: str, count: int = 3) -> list[str]:
    """The known names that look most like an unknown one, for the sentence that rejects it; may be empty."""
    wanted = normalised(model)[:64]
    begins = sorted((key for key in _FOUND if len(key) > 2 and wanted.startswith(key)), key=len, reverse=True)
    close = difflib.get_close_matches(wanted, _FOUND, n=count, cutoff=0.6)
    return [_SPELT[key] for key in dict.fromkeys([*begins, *close])][:count]
