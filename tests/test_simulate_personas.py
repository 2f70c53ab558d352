"""The personas, each by its facts: what makes do that a client must get along with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from raw_camera import acquirer, login, outcome
from zoo import PERSONAS, camera, zoo_of

from cctv_images.acquire import Still
from cctv_images.acquire.picture_stream import is_whole
from cctv_images.simulate.faults import Fault
from cctv_images.simulate.login import Gatekeeper, LoginStyle, Verdict
from cctv_images.simulate.pictures import LivingPictures, StaticPictures
from cctv_images.simulate.server import Zoo

Clock = Callable[[], float]


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def get(zoo: Zoo, name: str, target: str = "", *headers: str, limit: int = 1 << 20, wait_s: float = 1.0) -> bytes:
    """The beginning of one answer, read by hand."""
    living = zoo.residents[name].camera
    reader, writer = await asyncio.open_connection(living.host, zoo.port, limit=1 << 26)
    lines = [f"GET {target or living.path or min(living.targets)} HTTP/1.1", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    came = b""
    try:
        async with asyncio.timeout(wait_s):
            while len(came) < limit and (piece := await reader.read(65_536)):
                came += piece
    except TimeoutError:
        pass
    writer.close()
    return came


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def basic(zoo: Zoo, name: str) -> str:
    account = zoo.residents[name].camera.account
    assert account is not None
    return "Authorization: Basic " + base64.b64encode(f"{account.username}:{account.password}".encode()).decode()


def digest(style: LoginStyle, gate: Gatekeeper, target: str, password: str, *, username: str = "", nc: str = "") -> str:
    """An Authorization value by hand, for the first Digest challenge."""
    challenge = next(c for c in gate.challenges(target) if "igest" in c)
    found = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    known = {k.lower(): v for k, v in found.items()}
    user = username or gate.username
    return answered(known, user, password, target, nc)


def answered(known: dict[str, str], user: str, password: str, target: str, nc: str = "") -> str:
    sha = known.get("algorithm") == "SHA-256"

    def h(text: str) -> str:
        data = text.encode()
        return (hashlib.sha256(data) if sha else hashlib.md5(data)).hexdigest()

    ha1, ha2 = h(f"{user}:{known['realm']}:{password}"), h(f"GET:{target}")
    fields = [f'username="{user}"', f'realm="{known["realm"]}"', f'nonce="{known["nonce"]}"', f'uri="{target}"']
    if "qop" in known:
        fields += ["qop=auth", f"nc={nc or '00000001'}", 'cnonce="c"']
        response = h(f"{ha1}:{known['nonce']}:{'00000001'}:c:auth:{ha2}")
    else:
        response = h(f"{ha1}:{known['nonce']}:{ha2}")
    fields += [f'response="{response}"']
    fields += [f'opaque="{known["opaque"]}"'] if "opaque" in known else []
    fields += ["algorithm=SHA-256"] if sha else []
    return "Digest " + ", ".join(fields)


def gate_of(persona: str, clock: Clock, username: str = "viewer") -> Gatekeeper:
    style = PERSONAS[persona].login
    assert style is not None
    return Gatekeeper(style, username, "right", clock)


# Who answers which paths


@pytest.mark.parametrize(
    ("persona", "there", "missing"),
    [
        ("pelco-open", ["/jpeg", "/jpeg?id=1", "/jpeg?id=2"], ["/jpeg?id=3", "/"]),
        ("costar", ["/jpegpull/snapshot", "/jpegpull/1", "/jpegpull/4"], ["/jpegpull/0", "/jpegpull/2"]),
    ],
)
async def test_only_the_makes_own_paths_answer(persona: str, there: list[str], missing: list[str]) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo:
        assert [status(await get(zoo, "one", target)) for target in there] == [200] * len(there)
        assert [status(await get(zoo, "one", target)) for target in missing] == [404] * len(missing)


@pytest.mark.parametrize(
    ("persona", "target", "says"),
    [
        ("jvc", "/api/video?encode=jpeg", b"Content-Length:"),
        ("sony", "/image?speed=20", b"boundary=--myboundary"),
        ("axis-new", "/axis-cgi/mjpg/video.cgi", b"multipart/x-mixed-replace"),
        ("pelco-stream", "/api/jpegControl.php?frameRate=10", b"multipart/x-mixed-replace"),
    ],
)
async def test_streams_never_end(persona: str, target: str, says: bytes) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo:
        zoo.residents["one"].gatekeeper = None
        came = await get(zoo, "one", target, wait_s=1.0, limit=400_000)
        assert says in came
        assert came.count(b"\xff\xd8\xff") > 1
        if persona == "jvc":
            assert came.count(b"Content-Length") == 1
        if persona == "sony":
            assert came.count(b"\r\n--myboundary") + came.count(b"--myboundary\r\n") > 1
            assert b"Content-Length" not in came


async def test_a_bosch_knows_its_sizes_and_a_vivotek_fails_at_sizes_that_are_too_large() -> None:
    async with zoo_of({"b": ("bosch", "none"), "v": ("vivotek", "none")}) as zoo:
        zoo.residents["b"].gatekeeper = zoo.residents["v"].gatekeeper = None
        for size in ("S", "M", "L", "XL", "1206"):
            assert status(await get(zoo, "b", f"/snap.jpg?JpegSize={size}&JpegCam=1")) == 200
        path = "/cgi-bin/viewer/video.jpg?channel=0"
        assert (await get(zoo, "v", f"{path}&resolution=640x480")).startswith(b"HTTP/1.0 200")
        assert status(await get(zoo, "v", f"{path}&resolution=9999x9999")) == 500


async def test_a_recorder_answers_code_6_where_a_camera_would_be_asked() -> None:
    async with zoo_of({"one": ("hik-recorder", "none")}) as zoo:
        zoo.residents["one"].gatekeeper = None
        said = await get(zoo, "one", "/ISAPI/Streaming/channels/101/picture")
        assert said.startswith(b"HTTP/1.1 200")
        assert b"<statusCode>6</statusCode>" in said
        assert status(await get(zoo, "one", "/ISAPI/ContentMgmt/StreamingProxy/channels/101/picture")) == 200


async def test_a_stuck_camera_shows_the_same_picture_for_ever_and_others_do_not() -> None:
    pictures = LivingPictures(fresh_s=0.0)
    animals = [camera("stuck", camera_id="stuck"), camera("generic", camera_id="alive", number=1)]
    async with Zoo(animals, pictures=pictures) as zoo:
        seen = {name: {await get(zoo, name, wait_s=20) for _ in range(3)} for name in ("stuck", "alive")}
        assert (len(seen["stuck"]), len(seen["alive"])) == (1, 3)


async def test_an_unhurried_dahua_gives_a_picture_every_seven_seconds_only() -> None:
    clock = Time()
    async with Zoo([camera("dahua-unhurried")], pictures=StaticPictures(), clock=clock) as zoo:
        zoo.residents["one"].gatekeeper = None
        found = []
        for _ in range(4):
            found.append(status(await get(zoo, "one")))
            clock.now += 3.5
        assert found == [200, 503, 200, 503]


@pytest.mark.parametrize(("persona", "by"), [("lorex", -48), ("empiretech", 48)])
async def test_dahuas_length_is_off_in_both_directions(persona: str, by: int) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo:
        zoo.residents["one"].gatekeeper = None
        head, _, body = (await get(zoo, "one")).partition(b"\r\n\r\n")
        assert int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]) == len(body) + by


async def test_a_goahead_board_sends_a_header_without_a_name() -> None:
    async with zoo_of({"one": ("goahead", "none")}) as zoo:
        zoo.residents["one"].gatekeeper = None
        assert b"\r\nTue, 12 Jun 2012 01:56:34 GMT\r\n" in await get(zoo, "one")


# How they ask for a login


@pytest.mark.parametrize(
    ("persona", "headers", "qop"),
    [
        ("hik-sha256", [r'Digest .*algorithm="SHA-256", stale="FALSE"$'], False),
        ("hik-old", [r"Basic "], False),
        ("advidia-basic", [r"Basic "], False),
        ("wisenet", [r"Digest "], True),
        ("axis-new", [r"Digest ", r"Basic "], True),
        ("axis-basic-first", [r"Basic ", r"Digest "], True),
        ("dahua", [r'Digest realm="[^"]*",qop="auth",nonce="[^"]*",opaque="[^"]*"$'], True),
        ("sony", [r'Digest .*qop="auth,auth-int"'], True),
        ("avtech", [r"Digest ", r"Basic "], False),
        ("avtech-reversed", [r"Basic ", r"Digest "], False),
        ("pelco-closed", [r"Digest "], True),
    ],
)
async def test_each_make_words_its_challenge_in_its_own_way(persona: str, headers: list[str], qop: bool) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo:
        said = await get(zoo, "one")
        assert status(said) == 401
        found = re.findall(r"\r\nWWW-Authenticate: ([^\r]*)", said.decode("latin-1"))
        assert len(found) == len(headers)
        assert all(re.match(pattern, value) for pattern, value in zip(headers, found, strict=True)), found
        assert ("qop=" in "".join(found)) == qop
        if persona.startswith("avtech"):
            assert b"Connection: close" in said
            assert b"<html>" in said


async def test_a_bosch_knows_the_account_service() -> None:
    async with zoo_of({"one": ("bosch", "none")}) as zoo:
        account = zoo.residents["one"].camera.account
        assert account is not None
        assert account.username == "service"


def test_a_hikvision_takes_a_nonce_for_the_path_alone_that_it_was_given_for() -> None:
    gate = gate_of("hik-modern", Time())
    challenge = dict(re.findall(r'(\w+)="([^"]*)"', gate.challenges("/one")[0]))
    assert gate.check("GET", "/two", answered(challenge, "viewer", "right", "/two")) is Verdict.STALE
    assert gate.check("GET", "/one", answered(challenge, "viewer", "right", "/one")) is Verdict.GRANTED


def test_a_dahua_takes_a_nonce_once_and_refuses_quotes_round_nc() -> None:
    gate = gate_of("dahua", Time())
    challenge = dict(re.findall(r'(\w+)="([^"]*)"', gate.challenges("/")[0]))
    value = answered(challenge, "viewer", "right", "/")
    assert gate.check("GET", "/", value) is Verdict.GRANTED
    assert gate.check("GET", "/", value) is Verdict.REFUSED
    challenge = dict(re.findall(r'(\w+)="([^"]*)"', gate.challenges("/")[0]))
    quoted = answered(challenge, "viewer", "right", "/", nc='"00000001"')
    assert gate.check("GET", "/", quoted) is Verdict.REFUSED


# Locks


@pytest.mark.parametrize(("username", "limit"), [("viewer", 5), ("admin", 7)])
def test_a_hikvision_locks_the_caller_out_and_nobody_else(username: str, limit: int) -> None:
    clock = Time()
    gate = gate_of("hik-modern", clock, username)
    style = gate.style
    gate.caller = "10.0.0.1"
    for n in range(limit):
        assert not gate.locked, n
        gate.check("GET", "/", digest(style, gate, "/", "wrong"))
    assert gate.locked
    assert gate.check("GET", "/", digest(style, gate, "/", "right")) is not Verdict.GRANTED
    gate.caller = "10.0.0.2"
    assert gate.check("GET", "/", digest(style, gate, "/", "right")) is Verdict.GRANTED
    gate.caller = "10.0.0.1"
    clock.now += 1801
    assert gate.check("GET", "/", digest(style, gate, "/", "right")) is Verdict.GRANTED


def test_a_dahua_locks_the_account_and_each_attempt_starts_the_half_hour_anew() -> None:
    clock = Time()
    gate = gate_of("dahua", clock)
    for _ in range(5):
        gate.check("GET", "/", digest(gate.style, gate, "/", "wrong"))
    for _ in range(4):
        clock.now += 1700
        assert gate.check("GET", "/", digest(gate.style, gate, "/", "right")) is Verdict.LOCKED
    clock.now += 1801
    assert gate.check("GET", "/", digest(gate.style, gate, "/", "right")) is Verdict.GRANTED
    assert gate.counts.lockouts == 1


def test_an_axis_bars_who_is_wrong_several_times_within_a_second() -> None:
    clock = Time()
    gate = gate_of("axis-new", clock)
    for _ in range(20):
        gate.check("GET", "/", digest(gate.style, gate, "/", "wrong"))
        clock.now += 1.0
    assert gate.counts.lockouts == 0
    for _ in range(3):
        gate.check("GET", "/", digest(gate.style, gate, "/", "wrong"))
    assert gate.locked
    clock.now += 11
    assert gate.check("GET", "/", digest(gate.style, gate, "/", "right")) is Verdict.GRANTED


async def test_a_dahua_that_is_unhurried_and_miscounts_is_read_the_tolerant_way_when_it_is_its_time_again() -> None:
    clock = Time()
    hasty = replace(PERSONAS["dahua-unhurried"], usual=Fault.LENGTH_SHORT)
    async with Zoo([camera(hasty)], pictures=StaticPictures(), clock=clock) as zoo:
        known = zoo.residents["one"].camera.account
        assert known is not None
        async with acquirer(default_login=login(known.username, known.password)) as fetcher:
            row = replace(zoo.camera("one"), credentials=None)
            first = await outcome(fetcher, row)
            clock.now += 300
            second = await outcome(fetcher, row)
    assert isinstance(first, Still)
    assert isinstance(second, Still)
    assert (is_whole(first.data), is_whole(second.data)) == (False, True)
