"""What was met in the field, row by row: challenges, defects of HTTP, ways to stream. Each must give its picture."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass

import pytest
from raw_camera import Talk, acquirer, jpeg, login, ok, outcome, raw_camera

from cctv_images.acquire import Still
from cctv_images.errors import CameraError, ErrorState

JPEG = jpeg()
NONCE = "4d6a00f1"
REALM = "IP Camera(C1234)"


# Challenges


@dataclass(frozen=True)
class Row:
    """One way of asking for a login. The answer is checked by hand, with the values that were meant."""

    name: str
    headers: tuple[str, ...]
    qop: str | None = "auth"
    algorithm: str | None = None
    realm: str = REALM
    basic: bool = False
    closes: bool = False

    def accepts(self, given: str, target: str) -> bool:
        if self.basic:
            return given == "Basic dmlld2VyOnNlY3JldA=="
        fields = {k: v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|[^\s,]+)', given)}
        bare = {"qop", "nc", "algorithm"}
        quoted_wrong = any(re.search(rf'\b{name}="', given) for name in bare)
        h = hashlib.sha256 if (self.algorithm or "").startswith("SHA-256") else hashlib.md5
        ha1 = h(b"viewer:" + self.realm.encode("latin-1") + b":secret").hexdigest()
        if (self.algorithm or "").endswith("-sess"):
            ha1 = h(f"{ha1}:{NONCE}:{fields.get('cnonce')}".encode()).hexdigest()
        ha2 = h(f"GET:{target}".encode()).hexdigest()
        middle = f"00000001:{fields.get('cnonce')}:{self.qop}:" if self.qop else ""
        expected = h(f"{ha1}:{NONCE}:{middle}{ha2}".encode()).hexdigest()
        return (
            not quoted_wrong
            and given.startswith("Digest ")
            and fields.get("response") == expected
            and fields.get("uri") == target
            and fields.get("algorithm") == self.algorithm
            and fields.get("qop") == self.qop
        )


def digest(more: str = ', qop="auth"', realm: str = REALM) -> str:
    return f'Digest realm="{realm}", nonce="{NONCE}"{more}'


BASIC = 'Basic realm="camera"'
SHA = ', qop="auth", algorithm=SHA-256'
CHALLENGES = [
    Row("plain, qop=auth", (digest(),)),
    Row("Basic alone (old Hikvision)", (BASIC,), basic=True),
    Row("no qop, no algorithm, no opaque", (digest(""),), qop=None),
    Row("no space after commas (Dahua)", (digest(',qop="auth",opaque="5ccc"').replace(", ", ","),)),
    Row("two headers, Digest then Basic", (digest(), BASIC)),
    Row("two headers, Basic then Digest", (BASIC, digest())),
    Row("one header, Digest then Basic", (f"{digest()}, {BASIC}",)),
    Row("one header, Basic then Digest", (f"{BASIC}, {digest()}",)),
    Row("MD5 and SHA-256 in two headers", (digest(', qop="auth", algorithm=MD5'), digest(SHA)), algorithm="SHA-256"),
    Row(
        "quoted SHA-256, no qop, stale=FALSE (Hikvision OEM)",
        (digest(', algorithm="SHA-256", stale="FALSE"'),),
        qop=None,
        algorithm="SHA-256",
    ),
    Row("an unknown algorithm first", (digest(', algorithm=SHA3-512, qop="auth"'), digest())),
    Row("qop=auth,auth-int (Sony)", (digest(', qop="auth,auth-int", opaque="2d4"'),)),
    Row("bare qop=auth", (digest(", qop=auth"),)),
    Row("empty qop", (digest(', qop=""'),), qop=None),
    Row("capital keys", (f'Digest Realm="{REALM}", Nonce="{NONCE}", Qop="auth"',)),
    Row("spaces around =", (f'Digest realm = "{REALM}" , nonce  =  "{NONCE}", qop = "auth"',)),
    Row("scheme written digest", (digest().replace("Digest", "digest"),)),
    Row("401 and closed (Dahua, old Axis)", (digest(),), closes=True),
    Row("MD5-sess", (digest(', qop="auth", algorithm=MD5-sess'),), algorithm="MD5-sess"),
    Row("SHA-256-sess", (digest(', qop="auth", algorithm=SHA-256-sess'),), algorithm="SHA-256-sess"),
    Row("a realm that is not ASCII", (digest(realm="Skåbu"),), realm="Skåbu"),
]

TARGETS = ["/still.jpg", "/a%2Fb.jpg?x=%20y&z=+&size=640x480&q"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("row", CHALLENGES, ids=lambda row: row.name)
async def test_a_login_is_answered_however_it_is_asked_for(row: Row, target: str) -> None:
    async def script(talk: Talk) -> None:
        if row.accepts(talk.authorization(), target):
            await talk.say(ok(JPEG))
            return
        asks = "".join(f"WWW-Authenticate: {value}\r\n" for value in row.headers)
        close = "Connection: close\r\n" if row.closes else ""
        await talk.say(f"HTTP/1.1 401 No\r\n{asks}{close}Content-Length: 0\r\n\r\n".encode("latin-1"))
        if not row.closes:
            await asyncio.sleep(0.01)

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        for _ in range(2):
            came = await outcome(fetcher, camera.camera(path=target))
            assert isinstance(came, Still), came.detail
        assert all(row.accepts(Talk(None, None, head).authorization(), target) for head in camera.offers)  # type: ignore[arg-type]


async def test_401_without_a_challenge_is_answered_with_nothing() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.AUTH
        assert camera.offers == []


@pytest.mark.parametrize("persona", ["once", "stale", "bound"])
async def test_nonces_that_hold_once_grow_stale_or_belong_to_one_address(persona: str) -> None:
    given: dict[str, str] = {}

    async def script(talk: Talk) -> None:
        target = talk.head.split(b" ")[1].decode()
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', talk.authorization()))
        nonce = fields.get("nonce", "")
        bound = given.pop(nonce, None)
        right = bound is not None and (persona != "bound" or bound == target)
        if right and (persona != "stale" or len(camera.offers) % 2 == 0):
            await talk.say(ok(JPEG))
            return
        fresh = f"n{len(camera.heads)}"
        given[fresh] = target
        stale = ", stale=TRUE" if nonce and persona == "stale" else ""
        asks = f'Digest realm="r", nonce="{fresh}", qop="auth"{stale}'
        await talk.say(f"HTTP/1.1 401 No\r\nWWW-Authenticate: {asks}\r\nContent-Length: 0\r\n\r\n".encode())

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        for number in range(4):
            came = await outcome(fetcher, camera.camera(path=f"/still.jpg?n={number}"))
            assert isinstance(came, Still), came.detail


# Defects of HTTP


def lines(*head: str, eol: str = "\r\n") -> bytes:
    return (eol.join(head) + eol * 2).encode("latin-1") + JPEG


N = len(JPEG)
OK, KIND = "HTTP/1.1 200 OK", "Content-Type: image/jpeg"
DEFECTS: dict[str, bytes] = {
    "a header line without a name (GoAhead)": lines(OK, "Tue, 12 Jun 2012 01:56:34 GMT", KIND, f"Content-Length: {N}"),
    "length too large, then closed (Dahua, Lorex)": lines(OK, KIND, f"Content-Length: {N + 48}"),
    "length too small (Dahua, Lorex)": lines(OK, KIND, f"Content-Length: {N - 48}"),
    "length sent twice": lines(OK, f"Content-Length: {N}", f"Content-Length: {N}"),
    "chunked and a length": lines(OK, "Transfer-Encoding: chunked", f"Content-Length: {N}").removesuffix(JPEG)
    + b"%x\r\n%s\r\n0\r\n\r\n" % (N, JPEG),
    "a blank in a header's name": lines(OK, "X Odd Name: 1", f"Content-Length: {N}"),
    "a blank before the colon": lines(OK, "Content-Type : image/jpeg", f"Content-Length: {N}"),
    "HTTP/1.0 without a length": lines("HTTP/1.0 200 OK", KIND),
    "HTTP/1.1 without a length": lines(OK, KIND, "Connection: close"),
    "CRLF behind the picture (old Axis)": lines("HTTP/1.0 200 OK", KIND) + b"\r\n",
    "CRLF behind the picture and its length": lines(OK, KIND, f"Content-Length: {N}") + b"\r\n",
    "lines ended by LF alone": lines(OK, KIND, f"Content-Length: {N}", eol="\n"),
    "an empty line before the status": b"\r\n" + lines(OK, KIND, f"Content-Length: {N}"),
    "a status without a reason": lines("HTTP/1.1 200", KIND, f"Content-Length: {N}"),
    "a type with a charset": lines(OK, "Content-Type: image/jpeg;charset=utf-8", f"Content-Length: {N}"),
    "a type that ends in a semicolon": lines(OK, "Content-Type: image/jpeg;", f"Content-Length: {N}"),
    "no type": lines(OK, f"Content-Length: {N}"),
    "the type jpeg": lines(OK, "Content-Type: jpeg", f"Content-Length: {N}"),
    "the type image/jpg": lines(OK, "Content-Type: image/jpg", f"Content-Length: {N}"),
    "the type text/html": lines(OK, "Content-Type: text/html", f"Content-Length: {N}"),
}


@pytest.mark.parametrize("name", DEFECTS)
async def test_the_picture_comes_out_of_a_defective_answer(name: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(DEFECTS[name])

    async with raw_camera(script) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, Still), f"{came.state}: {came.detail}"
        assert came.data in (JPEG, JPEG + b"\r\n")


@pytest.mark.parametrize(
    ("answer", "state"),
    [(b"", ErrorState.DISCONNECTED), (lines("ICY 200 OK", KIND), ErrorState.BAD_RESPONSE)],
    ids=["closed without a word", "ICY, which browsers show as little"],
)
async def test_what_nobody_shows_ends_as_an_error_state(answer: bytes, state: ErrorState) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(answer)

    async with raw_camera(script) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is state


# MJPEG: (announced boundary or None, line on the wire, line end, length in the part, before the first boundary)

STREAMS = {
    "boundary=foo, --foo on the wire": ("foo", "--foo", "\r\n", True, ""),
    "boundary=--foo, --foo on the wire (Sony, JVC)": ("--foo", "--foo", "\r\n", False, ""),
    "boundary=--foo, ----foo on the wire": ("--foo", "----foo", "\r\n", True, ""),
    "boundary=foo, foo on the wire": ("foo", "foo", "\r\n", True, ""),
    "a quoted boundary": ('"foo"', "--foo", "\r\n", True, ""),
    "no boundary parameter": (None, "--foo", "\r\n", True, ""),
    "a boundary of 90 characters": ("f" * 90, "--" + "f" * 90, "\r\n", True, ""),
    "CRLF before the first boundary": ("foo", "--foo", "\r\n", True, "\r\n"),
    "the boundary line twice (Foscam)": ("foo", "--foo\r\n--foo", "\r\n", True, ""),
    "LF alone": ("foo", "--foo", "\n", True, ""),
    "no length in the part": ("foo", "--foo", "\r\n", False, ""),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_one_frame_is_taken_from_a_stream_however_it_is_delimited(name: str) -> None:
    announced, wire, eol, length, before = STREAMS[name]
    kind = "multipart/x-mixed-replace" + (f";boundary={announced}" if announced else "")
    fields = ["Content-Type: image/jpeg", *([f"Content-Length: {N}"] if length else [])]
    part = eol.join([wire, *fields, "", ""]).encode() + JPEG + eol.encode()

    async def script(talk: Talk) -> None:
        await talk.say(f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n{before}".encode() + part)
        await talk.hold()  # the next frame never comes: one is enough

    async with raw_camera(script) as camera, acquirer(timeout_s=3.0) as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, Still), f"{came.state}: {came.detail}"
        assert came.data == JPEG
        for _ in range(50):
            if camera.open == 0:
                break
            await asyncio.sleep(0.02)
        assert camera.open == 0


async def test_jpegs_back_to_back_under_the_length_of_the_first_give_the_first() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(lines("HTTP/1.0 200 OK", KIND, f"Content-Length: {N}"))
        while True:
            await talk.say(JPEG, pause=0.02)

    async with raw_camera(script) as camera, acquirer(timeout_s=3.0) as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, Still), came.detail
        assert came.data == JPEG
