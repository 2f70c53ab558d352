"""Logins in the query and for a token: what is sent when, what counts as refused, and that nobody reads the secret."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest
from raw_camera import Talk, acquirer, jpeg, login, ok, outcome, raw_camera, saying
from zoo import zoo_of

from cctv_images.acquire import FetchCycle, LoginGuard, Still, Trace
from cctv_images.acquire.own_login import with_login, without_login
from cctv_images.acquire.recipes import RECIPES
from cctv_images.clock import SimulatedClock
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera

JPEG = jpeg()
PATH = "/snap.cgi?chn=11&user={username}&pwd={password}"
SECRET = "p@ss &/wörd"
SENT = "p%40ss%20%26%2Fw%C3%B6rd"
NO = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"

QUERY_MAKES = [name for name, recipe in RECIPES.items() if "{password}" in recipe.path]


def test_the_login_leaves_no_trace_in_a_request_without_it() -> None:
    assert without_login(PATH) == "/snap.cgi?chn=11"
    assert without_login("/cgi-bin/encoder?USER={username}&PWD={password}&SNAPSHOT") == "/cgi-bin/encoder?SNAPSHOT"
    assert without_login("/snapshot.cgi?user={username}&pwd={password}") == "/snapshot.cgi"
    assert with_login(PATH, login("a&b", "{username}#")) == "/snap.cgi?chn=11&user=a%26b&pwd=%7Busername%7D%23"


@pytest.mark.parametrize("make", QUERY_MAKES)
async def test_every_make_with_a_login_in_the_query_is_logged_in(make: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(ok(JPEG) if SENT.encode() in talk.head else NO)

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        row = camera.camera(recipe=make, path=None)
        for requests in (2, 3):  # without the login until it is known to be wanted
            assert isinstance(await outcome(fetcher, row), Still)
            assert len(camera.heads) == requests
        assert SENT.encode() not in camera.heads[0]


async def test_an_open_camera_never_sees_the_login() -> None:
    async with raw_camera(saying(ok(JPEG))) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera(path=PATH)), Still)
        assert camera.heads[0].startswith(b"GET /snap.cgi?chn=11 HTTP")
        assert len(camera.heads) == 1


async def test_without_a_configured_login_the_request_goes_without() -> None:
    async with raw_camera(saying(NO)) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera(path=PATH))
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.AUTH
        assert len(camera.heads) == 1


@pytest.mark.parametrize("status", [404, 405, 410, 429, 503])
async def test_another_make_or_a_busy_camera_never_sees_the_login(status: int) -> None:
    answer = saying(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    async with raw_camera(answer) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera(path=PATH)), CameraError)
        assert len(camera.heads) == 1


async def test_where_digest_is_asked_for_the_login_is_not_put_in_the_query() -> None:
    async def script(talk: Talk) -> None:
        wants = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\nContent-Length: 0\r\n\r\n'
        await talk.say(ok(b"<html>login</html>") if talk.authorization() else wants)

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        for _ in range(3):
            came = await outcome(fetcher, camera.camera(path=PATH))
            assert isinstance(came, Still)
            assert came.data == b"<html>login</html>"
        assert all(b"pwd" not in head for head in camera.heads)
        assert len(camera.offers) == 3


REFUSALS = [
    ("generic", NO),
    ("generic", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
    ("generic", b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),
    ("generic", b"HTTP/1.1 302 No\r\nLocation: /login.htm?pwd=" + SENT.encode() + b"\r\nContent-Length: 0\r\n\r\n"),
    ("generic", ok(b"<html>Login</html>", kind="text/html")),
    ("generic", ok(b"")),
    ("acti", ok(b"ERROR: account " + SENT.encode() + b" unknown", kind="text/plain")),
    ("foscam", ok(b"<CGI_Result><result>-2</result></CGI_Result>", kind="text/plain")),
    ("reolink-query", ok(json.dumps([{"error": {"detail": "password wrong", "rspCode": -7}}]).encode())),
]


@pytest.mark.parametrize(("make", "answer"), REFUSALS)
async def test_a_wrong_login_in_the_query_is_sent_twice_at_most_and_read_by_nobody(
    make: str, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def script(talk: Talk) -> None:
        wants = NO if make == "generic" else answer
        await talk.say(answer if SENT.encode() in talk.head else wants)

    clock = SimulatedClock()
    guard = LoginGuard(None, clock)
    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET), guard=guard) as fetcher:
        row = camera.camera(recipe=make, path=PATH if make == "generic" else None)
        seen = []
        for _ in range(8):
            cycle = FetchCycle(Trace())
            for _ in range(3):
                came = await outcome(fetcher, row, cycle)
                assert isinstance(came, CameraError)
                seen.append(f"{came} {came!r} {came.detail}")
            seen.append(repr(cycle))
            await clock.advance(300)
        assert sum(SENT.encode() in head for head in camera.heads) == 2
    for text in (*seen, caplog.text):
        assert SENT not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("make", "answer", "state"),
    [
        ("foscam", ok(b"<CGI_Result><result>-4</result></CGI_Result>"), ErrorState.NOT_AN_IMAGE),
        ("acti", ok(b"ERROR: parameter"), ErrorState.NOT_AN_IMAGE),
        ("reolink-query", ok(b'[{"error": {"detail": "max session", "rspCode": -5}}]'), ErrorState.BUSY),
        ("generic", b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", ErrorState.BUSY),
        ("generic", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", ErrorState.HTTP_ERROR),
    ],
)
async def test_what_is_no_refusal_is_not_counted_as_one(make: str, answer: bytes, state: ErrorState) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(answer if SENT.encode() in talk.head else NO)

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        row = camera.camera(recipe=make, path=PATH if make == "generic" else None)
        for _ in range(4):
            came = await outcome(fetcher, row)
            assert isinstance(came, CameraError)
            assert came.state is state


@pytest.mark.parametrize("where", ["https://127.0.0.1/", "http://elsewhere.example/?", "/next?"])
async def test_a_login_in_the_query_never_follows_a_redirect(where: str) -> None:
    async def script(talk: Talk) -> None:
        to = f"HTTP/1.1 302 No\r\nLocation: {where}user=viewer&pwd={SENT}\r\nContent-Length: 0\r\n\r\n".encode()
        await talk.say(to if SENT.encode() in talk.head else NO)

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        came = await outcome(fetcher, camera.camera(path=PATH))
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.REDIRECTED
        assert sum(SENT.encode() in head for head in camera.heads) == 1


async def test_a_trace_shows_the_request_without_the_login() -> None:
    odd = "/snap?u={username}&p={password}"

    async def script(talk: Talk) -> None:
        await talk.say(ok(JPEG, f"X-Echo: {SENT}") if SENT.encode() in talk.head else NO)

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        cycle = FetchCycle(Trace())
        assert isinstance(await outcome(fetcher, camera.camera(path=odd), cycle), Still)
        assert SENT in camera.heads[-1].decode()
        assert cycle.trace is not None
        shown = repr(cycle.trace)
        assert "in the query" in shown
        assert SENT not in shown
        assert SECRET not in shown


# Tokens


async def test_one_token_serves_many_cycles_and_is_logged_out_at_the_end() -> None:
    async with zoo_of({"one": ("reolink", "none")}) as zoo:
        known = zoo.residents["one"].camera.account
        assert known is not None
        async with acquirer(default_login=login(known.username, known.password)) as fetcher:
            for _ in range(5):
                assert isinstance(await outcome(fetcher, _row(zoo.camera("one"))), Still)
            desk = zoo.residents["one"].desk
            assert desk is not None
            assert (desk.opened, len(desk.sessions)) == (1, 1)
            # without, without a token; login; five pictures
            assert zoo.counts("one").requests == 7
            desk.sessions.clear()  # the camera has forgotten it: "please login first"
            assert isinstance(await outcome(fetcher, _row(zoo.camera("one"))), Still)
            assert desk.opened == 2
            assert zoo.login_counts("one").offers == 2
        assert desk.sessions == {}


def _row(camera: Camera) -> Camera:
    return replace(camera, credentials=None)


async def test_a_device_whose_sessions_are_taken_is_busy() -> None:
    async with zoo_of({"one": ("reolink", "none")}) as zoo:
        desk = zoo.residents["one"].desk
        assert desk is not None
        taken = [desk.open(zoo.clock()) for _ in range(4)]
        known = zoo.residents["one"].camera.account
        assert known is not None
        async with acquirer(default_login=login(known.username, known.password)) as fetcher:
            for _ in range(5):
                came = await outcome(fetcher, _row(zoo.camera("one")))
                assert isinstance(came, CameraError)
                assert (came.state, "max session" in came.detail) == (ErrorState.BUSY, True)
            del desk.sessions[str(taken[0])]
            assert isinstance(await outcome(fetcher, _row(zoo.camera("one"))), Still)
        assert len(desk.sessions) == 3


async def test_many_rows_of_a_recorder_share_one_token() -> None:
    async with zoo_of({"one": ("reolink", "none")}) as zoo:
        known = zoo.residents["one"].camera.account
        assert known is not None
        async with acquirer(default_login=login(known.username, known.password)) as fetcher:
            rows = [replace(_row(zoo.camera("one")), camera_id=f"c{n}") for n in range(16)]
            came = await asyncio.gather(*(outcome(fetcher, row) for row in rows))
            assert all(isinstance(still, Still) for still in came)
        desk = zoo.residents["one"].desk
        assert desk is not None
        assert (desk.opened, desk.sessions) == (1, {})


async def test_a_wrong_password_for_a_token_is_offered_twice_and_shown_nowhere() -> None:
    clock = SimulatedClock()
    async with zoo_of({"one": ("reolink", "none")}) as zoo:
        guard = LoginGuard(None, clock)
        async with acquirer(default_login=login("admin", SECRET), guard=guard) as fetcher:
            for _ in range(8):
                cycle = FetchCycle(Trace())
                came = await outcome(fetcher, _row(zoo.camera("one")), cycle)
                assert isinstance(came, CameraError)
                assert came.state is ErrorState.AUTH
                assert SECRET not in repr(cycle) + str(came)
                await clock.advance(300)
        assert zoo.login_counts("one").offers == 2


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n", ErrorState.REDIRECTED),
        (b"HTTP/1.1 302 No\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n", ErrorState.REDIRECTED),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", ErrorState.HTTP_ERROR),
        (ok(b"<html>who are you</html>", kind="text/html"), ErrorState.AUTH),
        (ok(b'[{"value": {"Token": {"name": 7}}}]'), ErrorState.AUTH),
        (ok(b'[{"error": {"detail": "Login has been locked", "rspCode": -8}}]'), ErrorState.AUTH),
    ],
)
async def test_whatever_is_answered_to_the_login_ends_as_an_error_state(answer: bytes, state: ErrorState) -> None:
    async def script(talk: Talk) -> None:
        if talk.head.startswith(b"POST"):
            await talk.reader.readexactly(int(talk.head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
            await talk.say(answer)
        else:
            await talk.say(ok(b'[{"error": {"detail": "please login first", "rspCode": -6}}]', kind="text/html"))

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        came = await outcome(fetcher, camera.camera(recipe="reolink", path=None))
        assert isinstance(came, CameraError)
        assert came.state is state


async def test_a_token_is_renewed_when_its_lease_has_ended() -> None:
    logins = 0

    async def script(talk: Talk) -> None:
        nonlocal logins
        if talk.head.startswith(b"POST"):
            await talk.reader.readexactly(int(talk.head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
            logins += b"cmd=Login" in talk.head
            token = {"name": f"token-{logins}", "leaseTime": 61}
            await talk.say(ok(json.dumps([{"cmd": "Login", "code": 0, "value": {"Token": token}}]).encode()))
        elif f"token=token-{logins}".encode() in talk.head and logins:
            await talk.say(ok(JPEG))
        else:
            await talk.say(ok(b'[{"error": {"detail": "please login first", "rspCode": -6}}]', kind="text/html"))

    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET)) as fetcher:
        row = camera.camera(recipe="reolink", path=None)
        assert isinstance(await outcome(fetcher, row), Still)
        assert isinstance(await outcome(fetcher, row), Still)
        assert logins == 1
        await asyncio.sleep(1.2)
        assert isinstance(await outcome(fetcher, row), Still)
        assert logins == 2


async def test_a_camera_that_has_come_to_ask_for_digest_gets_nothing_else_from_then_on(clock: SimulatedClock) -> None:
    modern = False

    async def script(talk: Talk) -> None:
        wants = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\nContent-Length: 0\r\n\r\n'
        if modern:
            await talk.say(ok(JPEG) if talk.authorization() else wants)
        else:
            await talk.say(ok(JPEG) if SENT.encode() in talk.head else NO)

    guard = LoginGuard(None, clock)
    async with raw_camera(script) as camera, acquirer(default_login=login(password=SECRET), guard=guard) as fetcher:
        row = camera.camera(path=PATH)
        assert isinstance(await outcome(fetcher, row), Still)
        modern = True
        assert isinstance(await outcome(fetcher, row), CameraError)
        await clock.advance(3600)
        assert isinstance(await outcome(fetcher, row), Still)
        assert sum(SENT.encode() in head for head in camera.heads) == 2


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()
