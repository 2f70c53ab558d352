"""Stills found by ONVIF: devices of the zoo, and of raw sockets that say what no device should."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from raw_camera import RawCamera, Talk, acquirer, jpeg, login, ok, outcome, raw_camera
from zoo import zoo_of

from cctv_images.acquire import Acquirer, FetchCycle, Login, Still, Trace
from cctv_images.acquire.exchange import Place
from cctv_images.acquire.onvif import placed, soap
from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.verify import examine
from cctv_images.simulate.faults import Fault
from cctv_images.simulate.server import Zoo


def accounts(zoo: Zoo) -> dict[str, Login]:
    given = zoo.credentials().items()
    return {name: Login(account["username"], SecretStr(account["password"])) for name, account in given}


# Devices of the zoo


@pytest.mark.parametrize("persona", ["onvif-ok", "onvif-new", "onvif-bad", "onvif-rtsp"])
async def test_a_device_is_asked_where_its_still_is_and_never_offered_a_login_in_vain(persona: str) -> None:
    async with zoo_of({"a": (persona, Fault.NONE)}) as zoo, acquirer(credentials=accounts(zoo)) as fetcher:
        stills = [await outcome(fetcher, zoo.camera("a")) for _ in range(3)]
        for still in stills:
            assert isinstance(still, Still), still
            assert examine(still.data, 10_000_000).width == 1280
        counts = zoo.login_counts("a")
        assert counts.refused == counts.basic_unasked == counts.basic_despite_digest == 0
        assert counts.offers > 0
        assert zoo.trespassers == []


async def test_the_address_is_remembered_and_searched_anew_when_it_is_not_found() -> None:
    async with zoo_of({"a": ("onvif-ok", Fault.NONE)}) as zoo, acquirer(credentials=accounts(zoo)) as fetcher:
        assert isinstance(await outcome(fetcher, zoo.camera("a")), Still)
        searched = zoo.counts("a").requests
        assert isinstance(await outcome(fetcher, zoo.camera("a")), Still)
        assert zoo.counts("a").requests == searched + 2, "asked, and asked with the login"
        zoo.set_fault("a", Fault.NOT_FOUND)
        error = await outcome(fetcher, zoo.camera("a"))
        assert isinstance(error, CameraError)
        assert error.state is ErrorState.NOT_FOUND
        assert zoo.counts("a").requests > searched + 2 + 4, "the device was asked again"
        zoo.set_fault("a", Fault.NONE)
        assert isinstance(await outcome(fetcher, zoo.camera("a")), Still)


@pytest.mark.parametrize("fault", [Fault.WRONG_PASSWORD, Fault.LOCKED])
async def test_refused_tokens_are_counted_like_every_other_login(fault: Fault) -> None:
    async with zoo_of({"a": ("onvif-ok", fault)}) as zoo, acquirer(credentials=accounts(zoo)) as fetcher:
        errors = [await outcome(fetcher, zoo.camera("a")) for _ in range(6)]
        assert [error.state for error in errors if isinstance(error, CameraError)] == [ErrorState.AUTH] * 6
        assert zoo.login_counts("a").offers == 2
    last = errors[-1]
    assert isinstance(last, CameraError)
    assert "withheld until" in last.detail


async def test_a_fault_after_the_search_means_what_it_means_everywhere() -> None:
    async with zoo_of({"a": ("onvif-ok", Fault.BUSY)}) as zoo, acquirer(credentials=accounts(zoo)) as fetcher:
        error = await outcome(fetcher, zoo.camera("a"))
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.BUSY


async def test_the_still_may_want_another_login_than_the_device() -> None:
    async with zoo_of({"a": ("onvif-ok", Fault.NONE)}) as zoo:
        (name,) = {zoo.camera("a").credentials or ""}
        right = accounts(zoo)[name]
        only_soap = {name: right, f"{name}-still": login("viewer", "no good for stills")}
        async with acquirer(credentials=only_soap) as fetcher:
            error = await outcome(fetcher, zoo.camera("a"))
        assert isinstance(error, CameraError)
        assert error.state is ErrorState.AUTH
        assert zoo.counts("a").requests > 4, "the search itself went well"


async def test_no_secret_stands_in_the_steps_that_probe_shows() -> None:
    trace = Trace()
    async with zoo_of({"a": ("onvif-bad", Fault.NONE)}) as zoo, acquirer(credentials=accounts(zoo)) as fetcher:
        await outcome(fetcher, zoo.camera("a"), FetchCycle(trace))
        (account,) = accounts(zoo).values()
    said = repr(trace.steps)
    assert account.password.get_secret_value() not in said
    assert any("GetSnapshotUri" in step.text for step in trace.steps)


# Devices of raw sockets


@dataclass
class Device:
    """Answers calls by name; everything else with a picture."""

    says: dict[str, bytes | str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    async def __call__(self, talk: Talk) -> None:
        self.targets.append(talk.head.split(b" ")[1].decode())
        if not talk.head.startswith(b"POST"):
            return await talk.say(ok(jpeg()))
        length = int(re.search(rb"Content-Length: (\d+)", talk.head)[1])  # type: ignore[index]
        body = (await talk.reader.readexactly(length)).decode()
        self.bodies.append(body)
        name = re.search(r"Body><m:(\w+)", body)[1]  # type: ignore[index]
        self.calls.append(name)
        said = self.says.get(name, FAULT)
        await talk.say(said if isinstance(said, bytes) else answered(said))


def answered(inner: str, status: str = "200 OK", *fields: str) -> bytes:
    body = f'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>{inner}</e:Body></e:Envelope>'
    said = ok(body.encode(), *fields, kind="application/soap+xml")
    return said.replace(b"200 OK", status.encode(), 1)


FAULT = answered("<e:Fault><e:Reason><e:Text>Not implemented</e:Text></e:Reason></e:Fault>", "500 Error")
CAPABILITIES = "<c><Media><XAddr>http://10.9.8.7/onvif/Media</XAddr></Media></c>"
PROFILES = "".join(
    f'<Profiles token="{token}"><VideoSourceConfiguration><SourceToken>{source}</SourceToken>'
    "</VideoSourceConfiguration></Profiles>"
    for token, source in (("main1", "s1"), ("sub1", "s1"), ("main2", "s2"))
)
SAYS: dict[str, bytes | str] = {
    "GetCapabilities": CAPABILITIES,
    "GetProfiles": PROFILES,
    "GetSnapshotUri": "<Uri>http://10.9.8.7/still.jpg?a=1&amp;amp;region=2</Uri>",
}


@asynccontextmanager
async def device(**says: bytes | str) -> AsyncIterator[tuple[RawCamera, Device]]:
    answers = Device(SAYS | says)
    async with raw_camera(answers) as camera:
        yield camera, answers


async def fetched(fetcher: Acquirer, camera: RawCamera, **more: object) -> Still | CameraError:
    return await outcome(fetcher, camera.camera(**{"recipe": "onvif", "path": None, **more}))


async def test_hosts_and_ports_that_a_device_names_are_replaced_by_its_own() -> None:
    async with device() as (camera, answers), acquirer() as fetcher:
        assert isinstance(await fetched(fetcher, camera), Still)
    assert answers.targets[2:] == ["/onvif/device_service", "/onvif/Media", "/onvif/Media", "/still.jpg?a=1&region=2"]


@pytest.mark.parametrize(("channel", "token"), [(None, "main1"), (1, "main1"), (2, "main2")])
async def test_a_channel_is_a_video_source(channel: int | None, token: str) -> None:
    async with device() as (camera, answers), acquirer() as fetcher:
        assert isinstance(await fetched(fetcher, camera, channel=channel), Still)
    assert f"<m:ProfileToken>{token}<" in answers.bodies[-1]


async def test_a_channel_that_the_device_has_not_is_not_found() -> None:
    async with device() as (camera, _), acquirer() as fetcher:
        error = await fetched(fetcher, camera, channel=3)
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.NOT_FOUND


async def test_a_token_is_made_by_the_device_s_clock_even_where_only_http_tells_it() -> None:
    """Where a device wants a login for its clock too, offering one would be a refusal by a wrong clock."""
    date = "Date: Mon, 01 Jan 2018 00:00:00 GMT"
    wants = answered("<e:Fault>Sender not authorized</e:Fault>", "400 Bad Request", date)
    answers = Device(dict(SAYS))

    async def script(talk: Talk) -> None:
        length = int((re.search(rb"Content-Length: (\d+)", talk.head) or [b"0", b"0"])[1])
        body = await talk.reader.readexactly(length)
        if length and b"UsernameToken" not in body:
            answers.bodies.append(body.decode())
            return await talk.say(wants)
        talk.reader = asyncio.StreamReader()
        talk.reader.feed_data(body)
        await answers(talk)

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        assert isinstance(await fetched(fetcher, camera), Still)
    assert "GetSystemDateAndTime" not in answers.calls, "never asked with a login"
    created = re.search(r"<u:Created>([^<]*)<", answers.bodies[-1])
    assert created is not None
    assert created[1].startswith("2018-01-01T00:0")


async def test_a_device_that_takes_http_s_digest_alone_is_asked_so_in_the_next_cycle() -> None:
    answers = Device(dict(SAYS))

    async def script(talk: Talk) -> None:
        if talk.head.startswith(b"POST") and "Digest username" not in talk.authorization():
            await talk.reader.read(65536)
            challenge = 'WWW-Authenticate: Digest realm="onvif device", qop="auth", nonce="n"'
            return await talk.say(answered("", "401 Unauthorized", challenge))
        await answers(talk)

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        first = await fetched(fetcher, camera)
        assert isinstance(first, CameraError)
        assert first.state is ErrorState.AUTH
        assert isinstance(await fetched(fetcher, camera), Still)
    assert b'uri="/onvif/device_service"' in next(head for head in camera.heads if b"Digest username" in head)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]><x>&l9;</x>'.encode()


@pytest.mark.parametrize(
    "said",
    [
        ok(BOMB, kind="application/soap+xml"),
        ok(BOMB.decode().encode("utf-16"), kind="application/soap+xml"),
        ok(b"<html>Login</html>", kind="text/html"),
        ok(b"", kind="application/soap+xml"),
        ok(b"<a>" * 100_000, kind="application/soap+xml"),
        answered('<!DOCTYPE a SYSTEM "file:///etc/passwd">'),
    ],
)
async def test_what_is_no_soap_is_refused_at_little_cost(said: bytes) -> None:
    async with device(GetSystemDateAndTime=said, GetCapabilities=said) as (camera, _), acquirer() as fetcher:
        begin = time.perf_counter()
        error = await fetched(fetcher, camera)
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.NOT_FOUND
    assert time.perf_counter() - begin < 2


async def test_an_answer_without_end_is_too_large() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(b"HTTP/1.1 200 OK\r\n\r\n<e:Envelope>", *[b"<a>x</a>" * 8000] * 100)

    async with raw_camera(script) as camera, acquirer(max_bytes=8 << 20) as fetcher:
        error = await fetched(fetcher, camera)
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.TOO_LARGE


async def test_a_large_answer_does_not_hold_up_the_loop() -> None:
    many = "".join(f'<Profiles token="t{n}"><a>{"<b>x</b>" * 40}</a></Profiles>' for n in range(2000))
    async with device(GetProfiles=many) as (camera, _), acquirer() as fetcher:
        longest, going = 0.0, True

        async def watch() -> None:
            nonlocal longest
            while going:
                begin = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - begin)

        watching = asyncio.create_task(watch())
        assert isinstance(await fetched(fetcher, camera), Still)
        going = False
        await watching
    assert longest < 0.5, "seconds of work between two turns of the loop"


async def test_a_device_without_stills_says_why() -> None:
    async with device(GetSnapshotUri=FAULT) as (camera, answers), acquirer() as fetcher:
        error = await fetched(fetcher, camera)
    assert isinstance(error, CameraError)
    assert error.state is ErrorState.NOT_FOUND
    assert "Not implemented" in error.detail
    assert answers.calls.count("GetSnapshotUri") == 2, "both profiles of the source were tried"


async def test_a_silent_device_is_named_with_what_was_asked() -> None:
    async def silent(talk: Talk) -> None:
        await talk.hold()

    async with raw_camera(silent) as camera, acquirer(timeout_s=0.5) as fetcher:
        error = await fetched(fetcher, camera)
    assert isinstance(error, CameraError)
    assert error.detail == "no answer to ONVIF's GetSystemDateAndTime within 0.5 s"


# Addresses


HOME = Place("http", "10.1.1.1", 8000, "/onvif/device_service")


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("http://10.1.1.1/still.jpg", "http://10.1.1.1/still.jpg"),
        ("http://10.1.1.1:8106:8106/a?b=c", "http://10.1.1.1:8106/a?b=c"),
        ("http://0.0.0.0/still.jpg", "http://10.1.1.1:8000/still.jpg"),
        ("http://192.168.0.9:80/s?x=1&amp;y=2", "http://10.1.1.1:8000/s?x=1&y=2"),
        ("\n  http://cam.example/a b.jpg \n", "http://10.1.1.1/a%20b.jpg"),
        ("https://10.1.1.1/s", "https://10.1.1.1/s"),
        ("https://evil.example/s", "http://10.1.1.1:8000/s"),
        ("http://admin:pw@169.254.169.254/latest", "http://10.1.1.1:8000/latest"),
        ("rtsp://192.168.0.9/live", "rtsp://10.1.1.1/live"),
        ("rtsp://0.0.0.0:8554:8554/live", "rtsp://10.1.1.1:8554/live"),
        ("http://[fd00::1]:80/s?a=1&copy=2", "http://10.1.1.1:8000/s?a=1&copy=2"),
        ("http://10.1.1.1", "http://10.1.1.1/"),
    ],
)
def test_an_address_is_always_asked_at_the_device_itself(uri: str, url: str) -> None:
    assert str(placed(uri, HOME, {"10.1.1.1", "cam.example"}).url) == url


@given(st.text(max_size=60))
def test_whatever_a_device_calls_its_address_no_other_host_is_asked(text: str) -> None:
    for uri in (text, f"http://{text}", f"rtsp://{text}"):
        try:
            place = placed(uri, HOME, {"10.1.1.1"})
        except CameraError:
            continue
        assert place.host == "10.1.1.1"
        assert re.fullmatch(r"/[!-~]*", place.target)


def test_the_token_is_the_one_of_the_specification() -> None:
    """The example of the ONVIF Application Programmer's Guide, section 6.1.1.3."""
    nonce, created = base64.b64decode("LKqI6G/AikKCQrN0zqZFlg=="), datetime(2010, 9, 16, 7, 50, 45, tzinfo=UTC)
    token = soap.username_token(Login("user", SecretStr("userpassword")), created.timestamp(), nonce)
    assert "<u:Created>2010-09-16T07:50:45Z<" in token
    assert ">tuOSpGlFlIXsozq4HFNeeGeFLEI=<" in token
