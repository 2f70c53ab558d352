"""Makes as they answer: a persona is a row, as a recipe is. Facts without a source are the plainest choice."""

from __future__ import annotations

from dataclasses import dataclass

from cctv_images.acquire.recipes import RECIPES, Recipe
from cctv_images.simulate import login
from cctv_images.simulate.faults import Fault
from cctv_images.simulate.login import LoginStyle


@dataclass(frozen=True, slots=True)
class OnvifStyle:
    """How a device says by ONVIF where its stills are; {host} and {port} in what it says are its own."""

    still: str = "/onvif-http/snapshot?Profile_1"
    """Path of its stills."""
    named: str = "http://{host}:{port}"
    """How it begins its addresses."""
    still_named: str = ""
    """The same for stills; empty = as all others."""
    media2: bool = False
    """Has the newer media service alone."""
    old: bool = False
    """Does not know GetServices."""
    clock_ahead_s: float = 0.0
    escaped_twice: bool = False


@dataclass(frozen=True, slots=True)
class Persona:
    """One way in which cameras of a make answer."""

    name: str
    recipe: str
    """Canonical name in acquire.recipes; the paths come from there."""
    login: LoginStyle | None = None
    model: str = ""
    """As inventories spell it; empty = the recipe's own name."""
    username: str = "viewer"
    http: str = "1.1"
    content_type: str | None = "image/jpeg"
    content_length: bool = True
    close: bool = False
    """Closes after each answer, whatever the client wants."""
    after_image: bytes = b""
    """Sent behind the picture, outside its length."""
    server: str | None = None
    errors: str = "html"
    """How it words its errors: html, xml (Hikvision's ResponseStatus), json (Reolink's) or text."""
    also: tuple[str, ...] = ()
    """Further targets that answer with the picture."""
    others: tuple[tuple[str, Fault], ...] = ()
    """Further targets that answer in another way."""
    usual: Fault = Fault.NONE
    """What is odd about its answers when it is healthy."""
    pause_s: float = 0.0
    """Seconds after a picture within which it gives no other."""
    viewers: int | None = None
    """Requests at a time; more are answered 503."""
    sessions: int | None = None
    """Tokens that it gives at a time, for makes that log in that way."""
    path: str | None = None
    """For recipes without a path of their own: the path in the camera's address."""
    onvif: OnvifStyle | None = None
    rtsp: bool = False
    """Gives its pictures by RTSP."""


_PERSONAS = (
    Persona("pelco-open", "pelco", model="Sarix", also=("/jpeg", "/jpeg?id=1", "/jpeg?id=2")),
    Persona("pelco-stream", "pelco", model="Spectra HD", others=(("/api/jpegControl.php?frameRate=10", Fault.MJPEG),)),
    Persona("pelco-spectra", "pelco", model="Spectra Enhanced", also=("/jpeg", "/jpeg?id=1", "/jpeg?id=2")),
    # How new firmware asks for its login is not known: an assumption.
    Persona("pelco-closed", "pelco", login.DIGEST, model="Sarix Professional"),
    Persona("advidia-basic", "advidia", login.BASIC, "Advidia", errors="xml"),
    Persona("hik-modern", "hikvision", login.HIKVISION, "Hikvision", errors="xml", server="webserver"),
    Persona(
        "hik-old",
        "hikvision",
        login.HIKVISION_BASIC,
        "Hikvision",
        errors="xml",
        also=("/Streaming/channels/1/picture",),
    ),
    Persona("hik-admin", "hikvision", login.HIKVISION, "Hikvision", "admin", errors="xml", server="webserver"),
    Persona(
        "hik-recorder",
        "hikvision-nvr",
        login.HIKVISION,
        "Hikvision NVR",
        errors="xml",
        others=(("/ISAPI/Streaming/channels/101/picture", Fault.OTHER_PATH_XML),),
    ),
    Persona("hik-sha256", "hikvision", login.HIKVISION_SHA256, "Hikvision", errors="xml", server="webserver"),
    Persona("hik-two-hashes", "hikvision", login.MD5_AND_SHA256, "Hikvision", errors="xml"),
    Persona("wisenet", "wisenet", login.DIGEST, "Wisenet", "zoo-hanwha"),
    Persona("axis-old", "axis", model="Axis", http="1.0", content_length=False, after_image=b"\r\n", viewers=20),
    Persona(
        "axis-new",
        "axis",
        login.AXIS,
        "Axis",
        viewers=20,
        others=(("/axis-cgi/mjpg/video.cgi", Fault.MJPEG),),
    ),
    Persona("axis-basic-first", "axis", login.BASIC_AND_DIGEST, "Axis", viewers=20),
    Persona(
        "bosch",
        "bosch",
        login.DIGEST,
        "Bosch",
        "service",
        also=("/snap.jpg", *(f"/snap.jpg?JpegSize={size}&JpegCam=1" for size in ("S", "M", "L", "1206"))),
    ),
    Persona("cohu", "cohu", login.BASIC, "CohuHD"),
    Persona("costar", "cohu", model="Costar", also=("/jpegpull/1", "/jpegpull/4")),
    Persona("dahua", "dahua", login.DAHUA, "Dahua", close=True, errors="text"),
    # How it words its refusal is not known: 503 is an assumption.
    Persona("dahua-unhurried", "dahua", login.DAHUA, "Amcrest", close=True, errors="text", pause_s=7.0),
    Persona("lorex", "dahua", login.DAHUA, "Lorex", close=True, errors="text", usual=Fault.LENGTH_SHORT),
    Persona("empiretech", "dahua", login.DAHUA, "EmpireTech", close=True, errors="text", usual=Fault.LENGTH_LONG),
    Persona(
        "vivotek",
        "vivotek",
        login.BASIC,
        "Vivotek",
        "root",
        http="1.0",
        content_length=False,
        also=("/cgi-bin/viewer/video.jpg?channel=0&resolution=640x480",),
        others=(("/cgi-bin/viewer/video.jpg?channel=0&resolution=9999x9999", Fault.SERVER_ERROR),),
    ),
    Persona("panasonic", "panasonic", login.BASIC, "Panasonic"),
    Persona("sony", "sony", login.SONY, "Sony", http="1.0", others=(("/image?speed=20", Fault.MJPEG_DASHES),)),
    Persona("mobotix", "mobotix", login.BASIC, "Mobotix"),
    Persona("jvc", "jvc", model="JVC", close=True, others=(("/api/video?encode=jpeg", Fault.BACK_TO_BACK),)),
    Persona("generic", "generic", path="/still/current.jpg"),
    Persona("avtech", "avtech", login.AVTECH, "AVTECH", close=True),
    Persona("avtech-reversed", "avtech", login.AVTECH_REVERSED, "AVTECH", close=True),
    Persona("stuck", "generic", path="/stuck.jpg", usual=Fault.STUCK),
    Persona("onvif-ok", "onvif", login.DIGEST, "ONVIF", onvif=OnvifStyle()),
    Persona("onvif-new", "onvif", login.SONY, "ONVIF", onvif=OnvifStyle("/image?channel=1&region=2", media2=True)),
    Persona(
        "onvif-bad",
        "onvif",
        login.BASIC,
        "ONVIF",
        onvif=OnvifStyle(
            "/still.jpg?channel=1&subtype=0",
            "http://0.0.0.0",
            "http://192.0.2.1:{port}:{port}",
            old=True,
            clock_ahead_s=7200.0,
            escaped_twice=True,
        ),
    ),
    Persona(
        "onvif-rtsp",
        "onvif",
        login.PLAIN_DIGEST,
        "ONVIF",
        onvif=OnvifStyle("/live", still_named="rtsp://{host}:{port}", clock_ahead_s=-86400.0),
        rtsp=True,
    ),
    Persona("one-line", "generic", login.BASIC_AND_DIGEST_IN_ONE, path="/snapshot.jpg"),
    Persona("one-line-digest", "generic", login.DIGEST_AND_BASIC_IN_ONE, path="/img/snapshot.cgi?size=3"),
    Persona("capitals", "generic", login.CAPITALS, path="/snap.jpg"),
    Persona("foreign-realm", "generic", login.FOREIGN_REALM, path="/image.jpg"),
    Persona("plain-digest", "generic", login.PLAIN_DIGEST, path="/live/still%2Fone.jpg?a=%20b"),
    Persona("reolink", "reolink", login.TOKEN, "Reolink", "admin", errors="json", sessions=4),
    Persona(
        "reolink-query",
        "reolink-query",
        login.TOKEN,
        "Reolink query",
        "admin",
        errors="json",
        sessions=4,
        also=("/cgi-bin/api.cgi?cmd=Snap&channel=0",),
    ),
    Persona("foscam", "foscam", login.QUERY_LOCKS, "Foscam", errors="foscam"),
    Persona("acti", "acti", login.QUERY, "ACTi", errors="acti"),
    Persona("goahead", "foscam-old", login.QUERY, "GoAhead", errors="text", usual=Fault.NAMELESS_HEADER),
)


def personas() -> list[Persona]:
    """One or more for every recipe that is asked over http, in the order of the recipe table."""
    found: list[Persona] = []
    for recipe in RECIPES.values():
        found += [p for p in _PERSONAS if p.recipe == recipe.name] or [_plain(recipe)]
    return found


def of_recipe(name: str) -> list[Persona]:
    return [p for p in personas() if p.recipe == name]


def _plain(recipe: Recipe) -> Persona:
    """A make about whose answers nothing is known: it speaks like most."""
    usual = recipe.logins[0] if recipe.logins else "none"
    style = {"digest": login.DIGEST, "basic": login.BASIC, "query": login.QUERY}.get(usual)
    errors = "xml" if "ISAPI" in recipe.path else "html"
    return Persona(recipe.name, recipe.name, style, recipe.brands[0], errors=errors)
