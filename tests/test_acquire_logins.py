"""Logins on the wire: what is sent to whom, and when not."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from needs import needs
from raw_camera import RawCamera, Script, Talk, acquirer, jpeg, login, ok, outcome, raw_camera

from cctv_images.acquire import FetchCycle, Login, Still, Trace
from cctv_images.errors import CameraError, ErrorState

JPEG = jpeg()
DIGEST = 'Digest realm="cam", nonce="abc", qop="auth"'
BASIC = 'Basic realm="cam"'


def wants(*challenges: str, status: str = "401 Unauthorized", body: bytes = b"<html>login</html>") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"WWW-Authenticate: {c}" for c in challenges), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def asks_with(*challenges: str, then: bytes | None = None) -> Script:
    """401 with the challenges until a request carries a login, then a picture."""

    async def script(talk: Talk) -> None:
        await talk.say((then or ok(JPEG)) if talk.authorization() else wants(*challenges))

    return script


async def test_no_login_is_sent_unasked() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(ok(JPEG))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera()), Still)
        assert camera.offers == []


@pytest.mark.parametrize(
    ("challenges", "scheme"),
    [
        ([DIGEST], "Digest"),
        ([BASIC], "Basic"),
        ([BASIC, DIGEST], "Digest"),
        ([DIGEST, BASIC], "Digest"),
        ([f"{BASIC}, {DIGEST}"], "Digest"),
        (['Digest Realm="cam",Nonce="abc",Qop="auth"'], "Digest"),
        (['Digest realm="cam", nonce="abc"'], "Digest"),
        (['Digest realm="Sk\udce5bu", nonce="abc", qop="auth"'], "Digest"),
    ],
)
async def test_the_strongest_offered_login_is_used(challenges: list[str], scheme: str) -> None:
    async with raw_camera(asks_with(*challenges)) as camera, acquirer(default_login=login()) as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, Still), came.detail
        assert len(camera.offers) == 1
        assert f"Authorization: {scheme} ".encode() in camera.offers[0]


async def test_a_realm_in_latin_1_goes_back_byte_for_byte() -> None:
    async with (
        raw_camera(asks_with('Digest realm="Sk\udce5bu", nonce="abc", qop="auth"')) as camera,
        acquirer(default_login=login()) as fetcher,
    ):
        assert isinstance(await outcome(fetcher, camera.camera()), Still)
        assert b'realm="Sk\xe5bu"' in camera.offers[0]


async def test_the_path_is_signed_as_it_is_sent() -> None:
    path = "/still.jpg?a=%2F&b=x%20y&c=d,e+f"
    async with raw_camera(asks_with(DIGEST)) as camera, acquirer(default_login=login()) as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera(path=path)), Still)
        assert camera.offers[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())
        assert f'uri="{path}"'.encode() in camera.offers[0]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (wants(DIGEST), "none is configured"),
        (wants(), "without saying how"),
        (wants(status="403 Forbidden"), "403"),
    ],
)
async def test_a_login_that_is_wanted_and_not_known_is_said_so(answer: bytes, detail: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(answer)

    async with raw_camera(script) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.AUTH
        assert detail in came.detail


async def test_a_refused_login_is_not_offered_again_in_the_cycle() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(wants(DIGEST))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        cycle = FetchCycle()
        for _ in range(3):
            came = await outcome(fetcher, camera.camera(), cycle)
            assert isinstance(came, CameraError)
            assert came.state is ErrorState.AUTH
        assert len(camera.offers) == 1


async def test_a_stale_nonce_is_answered_anew_once() -> None:
    async def script(talk: Talk) -> None:
        fresh = 'nonce="new"' in talk.authorization()
        stale = DIGEST.replace("abc", "new") + ", stale=TRUE"
        await talk.say(ok(JPEG) if fresh else wants(stale if talk.authorization() else DIGEST))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera()), Still)
        assert len(camera.offers) == 2


async def test_a_camera_that_calls_every_nonce_stale_is_answered_twice_and_no_more() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(wants(DIGEST + ", stale=true"))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.AUTH
        assert len(camera.offers) == 2


async def test_an_unanswered_login_is_repeated_once_in_the_cycle() -> None:
    async def script(talk: Talk) -> None:
        if not talk.authorization():
            await talk.say(wants(DIGEST))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        cycle = FetchCycle()
        for _ in range(4):
            came = await outcome(fetcher, camera.camera(), cycle)
            assert isinstance(came, CameraError)
            assert came.state is ErrorState.DISCONNECTED
        assert len(camera.offers) == 2


async def test_a_camera_whose_answer_to_a_login_is_garbage_is_told_by_the_garbage_in_every_attempt() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(b"\x00\x01garbage\r\n\r\n" if talk.authorization() else wants(DIGEST))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        cycle = FetchCycle()
        for _ in range(3):
            came = await outcome(fetcher, camera.camera(), cycle)
            assert isinstance(came, CameraError)
            assert came.state is ErrorState.BAD_RESPONSE
        assert len(camera.offers) == 2


async def test_a_camera_that_has_offered_digest_never_gets_basic() -> None:
    challenge = [DIGEST]

    async def script(talk: Talk) -> None:
        await talk.say(ok(JPEG) if talk.authorization() else wants(*challenge))

    async with raw_camera(script) as camera, acquirer(default_login=login()) as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera()), Still)
        challenge[:] = [BASIC]
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.AUTH
        assert "downgrade" in came.detail
        assert not any(b"Authorization: Basic" in offer for offer in camera.offers)


async def test_the_login_works_the_tolerant_way_too_and_is_offered_once_in_later_cycles() -> None:
    broken = ok(JPEG, "no colon here")

    async with raw_camera(asks_with(DIGEST, then=broken)) as camera, acquirer(default_login=login()) as fetcher:
        first = await outcome(fetcher, camera.camera())
        assert isinstance(first, Still)
        assert first.lenient
        camera.heads.clear()
        second = await outcome(fetcher, camera.camera())
        assert isinstance(second, Still)
        assert len(camera.offers) == 1


async def test_a_changed_row_forgets_the_tolerant_way() -> None:
    answer = [ok(JPEG, "no colon here")]

    async def script(talk: Talk) -> None:
        await talk.say(answer[0])

    async with raw_camera(script) as camera, acquirer() as fetcher:
        assert (await fetcher.fetch(camera.camera(), FetchCycle())).lenient
        answer[0] = ok(JPEG)
        assert (await fetcher.fetch(camera.camera(), FetchCycle())).lenient
        assert not (await fetcher.fetch(camera.camera(name="renamed"), FetchCycle())).lenient


@pytest.mark.parametrize(
    ("row", "named", "default", "user"),
    [
        ({"credentials": "mine"}, {"mine": "m", "generic": "g"}, "d", "m"),
        ({"credentials": "gone"}, {"generic": "g"}, "d", None),
        ({}, {"generic": "g"}, "d", "g"),
        ({}, {"other": "o"}, "d", "d"),
        ({}, {}, None, None),
    ],
)
async def test_the_row_names_the_login_then_the_make_then_the_default(
    row: dict[str, str], named: dict[str, str], default: str | None, user: str | None
) -> None:
    credentials: dict[str, Login] = {name: login(user_name) for name, user_name in named.items()}
    async with (
        raw_camera(asks_with(DIGEST)) as camera,
        acquirer(credentials=credentials, default_login=login(default) if default else None) as fetcher,
    ):
        came = await outcome(fetcher, camera.camera(**row))
        if user is None:
            assert isinstance(came, CameraError)
            assert came.state is ErrorState.AUTH
            assert camera.offers == []
        else:
            assert f'username="{user}"'.encode() in camera.offers[0]


async def test_the_default_login_stays_home_when_the_inventory_is_foreign_and_no_networks_are_given() -> None:
    async with (
        raw_camera(asks_with(DIGEST)) as camera,
        acquirer(default_login=login(), default_login_networks_only=True) as fetcher,
    ):
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert "CCTV_CAMERA_NETWORKS" in came.detail
        assert camera.offers == []


async def test_new_credentials_count_from_the_next_attempt() -> None:
    async with raw_camera(asks_with(DIGEST)) as camera, acquirer() as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera()), CameraError)
        fetcher.update_credentials({}, login())
        assert isinstance(await outcome(fetcher, camera.camera()), Still)


async def test_a_trace_shows_the_login_without_its_secrets() -> None:
    async with raw_camera(asks_with(BASIC)) as camera, acquirer(default_login=login(password="hunter2")) as fetcher:
        cycle = FetchCycle(Trace())
        assert isinstance(await outcome(fetcher, camera.camera(path="/s.jpg?user=x&pwd=hunter2&n=1"), cycle), Still)
        assert cycle.trace is not None
        text = repr(cycle.trace)
        assert "hunter2" not in text
        assert "aHVudGVyMg" not in text
        assert camera.offers[0].split(b"Authorization: Basic ")[1].split(b"\r\n")[0].decode() not in text
        assert [step.phase for step in cycle.trace.steps] == [
            *("request", "connect", "answer", "login", "login", "request", "connect", "answer", "body")
        ]


# Redirects


def sends_to(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_on_the_same_host_is_followed(status: int) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(ok(JPEG) if b"GET /other.jpg?x=1 " in talk.head else sends_to("other.jpg?x=1#top", status))

    async with raw_camera(script) as camera, acquirer() as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera()), Still)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2/x.jpg",
        "//127.0.0.2/x.jpg",
        "http://169.254.169.254/latest/meta-data",
        "ftp://127.0.0.1/x.jpg",
        "file:///etc/passwd",
        "http://127.0.0.1@127.0.0.2/x.jpg",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "/still.jpg",
    ],
)
async def test_a_redirect_elsewhere_or_in_a_circle_is_not_followed(location: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.say(sends_to(location))

    async with raw_camera(script) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.REDIRECTED
        assert len(camera.heads) == 1


async def test_more_than_three_redirects_are_too_many() -> None:
    async def script(talk: Talk) -> None:
        await talk.say(sends_to(f"/{talk.number}"))

    async with raw_camera(script) as camera, acquirer() as fetcher:
        came = await outcome(fetcher, camera.camera())
        assert isinstance(came, CameraError)
        assert came.state is ErrorState.REDIRECTED
        assert len(camera.heads) == 4


@pytest.mark.parametrize("lenient", [False, True])
async def test_a_listener_elsewhere_sees_no_login(lenient: bool) -> None:
    """The camera sends to another host after the login, and to another port of its own host before it."""
    odd = b"no colon here\r\n" if lenient else b""

    async def elsewhere(talk: Talk) -> None:
        await talk.say(wants(DIGEST))

    async with (
        raw_camera(elsewhere, host="127.0.0.2") as other_host,
        raw_camera(elsewhere) as other_port,
        acquirer(default_login=login()) as fetcher,
    ):
        for listener in (other_host, other_port):
            to = sends_to(f"http://{listener.host}:{listener.port}/").replace(
                b"Content-Length", odd + b"Content-Length"
            )

            async def script(talk: Talk, to: bytes = to) -> None:
                await talk.say(to if talk.authorization() else wants(DIGEST))

            async with raw_camera(script) as camera:
                came = await outcome(fetcher, camera.camera())
                assert isinstance(came, CameraError)
                assert came.state in (ErrorState.REDIRECTED, ErrorState.AUTH)
                assert camera.offers
        assert other_host.heads == []
        assert len(other_port.heads) == 1
        assert other_port.offers == []


# Servers that nobody here wrote

PASSWORD = 'p@ss:w"rd'
REALM = "IP Camera(12345)"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(port: int, *command: str) -> Iterator[None]:
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    program = shutil.which(command[0], path=path)
    assert program is not None
    process = subprocess.Popen([program, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def site(folder: Path) -> Path:
    (folder / "www").mkdir()
    (folder / "www" / "still.jpg").write_bytes(JPEG)
    return folder


async def survives_logins(port: int, password: str = PASSWORD) -> None:
    cameras = [
        RawCamera(port, "127.0.0.1").camera(path="/still.jpg?channel=1&t=a%20b,c", camera_id=f"c{n}") for n in range(5)
    ]
    async with acquirer(default_login=login("viewer", password), timeout_s=5.0) as fetcher:
        for _ in range(3):
            came = await asyncio.gather(*(outcome(fetcher, camera) for camera in cameras))
            assert all(isinstance(still, Still) and still.data == JPEG for still in came), came
    async with acquirer(default_login=login("viewer", "wrong"), timeout_s=5.0) as fetcher:
        refused = await outcome(fetcher, cameras[0])
        assert isinstance(refused, CameraError)
        assert refused.state is ErrorState.AUTH


@needs("apache2")
@pytest.mark.parametrize("lifetime", [300, 0])
async def test_apaches_digest_lets_us_in(tmp_path: Path, lifetime: int) -> None:
    port = free_port()
    folder = site(tmp_path)
    ha1 = subprocess.run(["md5sum"], input=f"viewer:{REALM}:{PASSWORD}".encode(), capture_output=True, check=True)
    (folder / "users").write_text(f"viewer:{REALM}:{ha1.stdout.split()[0].decode()}\n")
    modules = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_digest")
    (folder / "apache.conf").write_text(
        f"ServerName x\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\nErrorLog {folder}/log\n"
        f'DocumentRoot "{folder}/www"\n'
        + "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in modules)
        + f'<Location />\nAuthType Digest\nAuthName "{REALM}"\nAuthDigestProvider file\n'
        f'AuthUserFile "{folder}/users"\nAuthDigestNonceLifetime {lifetime}\nRequire valid-user\n</Location>\n'
    )
    with running(port, "apache2", "-X", "-f", str(folder / "apache.conf")):
        await survives_logins(port)


@needs("lighttpd")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "MD5|SHA-256"])
async def test_lighttpds_digest_lets_us_in(tmp_path: Path, algorithm: str) -> None:
    port = free_port()
    folder = site(tmp_path)
    (folder / "users").write_text("viewer:plain-secret\n")
    (folder / "lighttpd.conf").write_text(
        f'server.modules = ("mod_auth", "mod_authn_file")\nserver.bind = "127.0.0.1"\nserver.port = {port}\n'
        f'server.document-root = "{folder}/www"\nserver.errorlog = "{folder}/log"\n'
        f'mimetype.assign = (".jpg" => "image/jpeg")\n'
        f'auth.backend = "plain"\nauth.backend.plain.userfile = "{folder}/users"\n'
        f'auth.require = ("/" => ("method" => "digest", "algorithm" => "{algorithm}", '
        f'"realm" => "{REALM}", "require" => "valid-user"))\n'
    )
    with running(port, "lighttpd", "-D", "-f", str(folder / "lighttpd.conf")):
        await survives_logins(port, "plain-secret")
