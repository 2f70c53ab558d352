"""Names, addresses, connections and certificates: whose fault it is, and who is never asked."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import resource
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from raw_camera import RawCamera, Talk, acquirer, jpeg, login, ok, outcome, raw_camera

from cctv_images.acquire import FetchCycle, Still
from cctv_images.acquire.fence import AddressRefused, Fence
from cctv_images.acquire.resolver import Resolver, Unresolved
from cctv_images.acquire.tls import TrustPolicies
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera

JPEG = jpeg()


async def picture(talk: Talk) -> None:
    await talk.say(ok(JPEG))


async def odd_picture(talk: Talk) -> None:
    await talk.say(ok(JPEG, "no colon here"))


async def failure(fetcher: object, camera: Camera) -> CameraError:
    came = await outcome(fetcher, camera)  # type: ignore[arg-type]
    assert isinstance(came, CameraError)
    return came


def at(host: str, port: int = 80, **more: object) -> Camera:
    return RawCamera(port, host).camera(**more)


# Names


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Knows some names; has never heard of others, and says nothing at all about those that begin with hung."""

    known: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        name, kind = ".".join(labels), data[at + 2]
        question = data[12 : at + 5]
        self.asked.append(name)
        if name.startswith("hung"):
            return
        if name in self.known:
            answers = [b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(self.known[name])] if kind == 1 else []
            reply = (
                data[:2]
                + b"\x81\x80\0\1"
                + struct.pack(">H", len(answers))
                + b"\0\0\0\0"
                + question
                + b"".join(answers)
            )
        else:
            soa = b"\0\0" + struct.pack(">5I", 1, 3600, 3600, 3600, 3600)
            authority = b"\0\0\6\0\1" + struct.pack(">IH", 3600, len(soa)) + soa
            reply = data[:2] + b"\x81\x83\0\1\0\0\0\1\0\0" + question + authority
        self.transport.sendto(reply, address)  # type: ignore[attr-defined]


@asynccontextmanager
async def name_server(**known: str) -> AsyncIterator[tuple[NameServer, str]]:
    names = {name.replace("_", "."): address for name, address in known.items()}
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(names), local_addr=("127.0.0.1", 0))
    try:
        yield server, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_names_resolve_through_the_name_server_and_the_hosts_file() -> None:
    async with name_server(cam_example="127.0.0.1") as (_, address), raw_camera(picture) as camera:
        resolver = Resolver(1.0, [address])
        async with acquirer(resolver=resolver) as fetcher:
            for host in ("cam.example", "CAM.example.", "localhost", "127.0.0.1"):
                came = await outcome(fetcher, camera.camera(host=host))
                assert isinstance(came, Still), came.detail
        assert b"Host: cam.example:" in camera.heads[0]


@pytest.mark.parametrize("host", ["nowhere.example", "a..b", "x" * 70 + ".example", "hung.example"])
async def test_a_name_without_an_address_is_dns(host: str) -> None:
    async with name_server() as (_, address), acquirer(resolver=Resolver(0.5, [address])) as fetcher:
        came = await failure(fetcher, at(host))
        assert came.state is ErrorState.DNS
        assert came.detail


async def test_names_that_hang_do_not_slow_other_cameras() -> None:
    async with (
        name_server(cam_example="127.0.0.1") as (_, address),
        raw_camera(picture) as camera,
        acquirer(resolver=Resolver(4.0, [address]), timeout_s=10.0) as fetcher,
    ):
        hung = [asyncio.create_task(failure(fetcher, at(f"hung{n}.example", camera_id=f"h{n}"))) for n in range(100)]
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        for _ in range(10):
            assert isinstance(await outcome(fetcher, camera.camera(host="cam.example")), Still)
        assert time.monotonic() - begun < 3.5
        assert {(await task).state for task in hung} == {ErrorState.DNS}


async def test_a_name_that_comes_into_being_is_found_within_two_cycles() -> None:
    """The zone says that its answer "no such name" may be kept for an hour."""
    async with name_server() as (server, address):
        resolver = Resolver(1.0, [address])
        with pytest.raises(Unresolved):
            await resolver.resolve("cam.example", 80)
        server.known["cam.example"] = "127.0.0.1"
        async with asyncio.timeout(5):
            while True:
                try:
                    assert (await resolver.resolve("cam.example", 80))[0]["host"] == "127.0.0.1"
                    break
                except Unresolved:
                    await asyncio.sleep(0.1)
        await resolver.close()


# Addresses


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"])
def test_the_metadata_network_is_never_asked_however_it_is_spelt(address: str) -> None:
    with pytest.raises(AddressRefused, match="never"):
        Fence().check(address)


@pytest.mark.parametrize("lenient", [False, True])
async def test_only_addresses_inside_the_camera_networks_are_asked(lenient: bool) -> None:
    networks = [ipaddress.ip_network("127.0.0.1/32")]
    script = odd_picture if lenient else picture
    async with (
        name_server(in_example="127.0.0.1", out_example="127.0.0.2", meta_example="169.254.169.254") as (_, address),
        raw_camera(script) as inside,
        raw_camera(script, host="127.0.0.2") as outside,
        acquirer(networks=networks, resolver=Resolver(1.0, [address])) as fetcher,
    ):
        assert isinstance(await outcome(fetcher, inside.camera()), Still)
        assert isinstance(await outcome(fetcher, at("in.example", inside.port)), Still)
        for host in ("127.0.0.2", "out.example", "meta.example", "169.254.169.254", "::ffff:127.0.0.2"):
            came = await failure(fetcher, at(host, outside.port))
            assert came.state is ErrorState.UNREACHABLE
            assert "127.0.0.2" in came.detail or "never" in came.detail
        assert outside.heads == []


# Connections


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose backlog is full: it lets a connection request go unanswered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.1)
        try:
            yield listener.getsockname()[1]
        finally:
            for client in waiting:
                client.close()


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("lenient", [False, True])
async def test_connections_that_fail_are_told_apart(lenient: bool) -> None:
    async with raw_camera(odd_picture if lenient else picture) as camera, acquirer(timeout_s=1.0) as fetcher:
        row = camera.camera()
        assert isinstance(await outcome(fetcher, row), Still)
        fetcher._known["c1"].place = fetcher._known["c1"].place.redirected(f"http://127.0.0.1:{closed_port()}/")
        assert (await failure(fetcher, row)).state is ErrorState.UNREACHABLE
        with deaf_port() as port:
            fetcher._known["c1"].place = fetcher._known["c1"].place.redirected(f"http://127.0.0.1:{port}/")
            assert (await failure(fetcher, row)).state is ErrorState.CONNECT_TIMEOUT


def test_connecting_takes_no_thread_that_a_hung_name_server_may_hold() -> None:
    class Loop(uvloop.Loop):
        async def getaddrinfo(self, host: object, *more: object, **named: object) -> object:
            raise AssertionError(f"{host} was looked up")

    async def seen() -> list[object]:
        async with raw_camera(picture) as camera, acquirer(timeout_s=1.0) as fetcher:
            still = await outcome(fetcher, camera.camera())
            refused = await failure(fetcher, at("127.0.0.1", closed_port()))
            with deaf_port() as port:
                return [type(still), refused.state, (await failure(fetcher, at("127.0.0.1", port))).state]

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(seen()) == [Still, ErrorState.UNREACHABLE, ErrorState.CONNECT_TIMEOUT]


async def test_a_used_up_file_table_is_our_fault() -> None:
    async with raw_camera(picture) as camera, acquirer() as fetcher:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        held: list[socket.socket] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        try:
            with contextlib.suppress(OSError):
                for _ in range(200):
                    held.append(socket.socket())
            came = await failure(fetcher, camera.camera())
        finally:
            for sock in held:
                sock.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert came.state is ErrorState.INTERNAL
        assert "too many open files" in came.detail


async def test_a_camera_that_closes_without_a_word_is_asked_once_per_attempt() -> None:
    """aiohttp would ask again by itself; the switch that stops it is private."""

    async def closes(talk: Talk) -> None:
        return

    async with raw_camera(closes) as camera, acquirer() as fetcher:
        assert (await failure(fetcher, camera.camera())).state is ErrorState.DISCONNECTED
        assert len(camera.heads) == 1


async def test_nothing_stays_open_after_an_attempt() -> None:
    async with raw_camera(picture) as camera, acquirer() as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera()), Still)
        async with asyncio.timeout(1):
            while camera.open:
                await asyncio.sleep(0.01)
        assert not fetcher._strict._session.connector._conns  # type: ignore[union-attr]


async def test_an_attempt_that_is_cancelled_leaves_nothing_behind() -> None:
    async def silent(talk: Talk) -> None:
        await talk.hold()

    async with raw_camera(silent) as camera, acquirer() as fetcher:
        task = asyncio.create_task(fetcher.fetch(camera.camera(), FetchCycle()))
        while not camera.heads:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1):
            while camera.open:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("row", [{"host": "a..ü"}, {"host": "a b"}, {"host": ""}])
async def test_a_row_that_cannot_be_asked_is_said_so(row: dict[str, str]) -> None:
    async with acquirer() as fetcher:
        came = await failure(fetcher, at(**{"host": "127.0.0.1"} | row))
        assert came.state in (ErrorState.DNS, ErrorState.NOT_FOUND)


# TLS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Self-signed ones: right, for another name, expired, and with the key of twenty years ago."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(
        name: str, subject: str, dates: tuple[str, str] = ("20200101000000Z", "20500101000000Z"), bits: int = 2048
    ) -> Path:
        key, request, out = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
        config = folder / f"{name}.cnf"
        config.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/{name}.db\nserial={folder}/{name}.srl\nnew_certs_dir={folder}\n"
            f"policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName={subject}\n"
        )
        (folder / f"{name}.db").write_text("")
        (folder / f"{name}.srl").write_text("01")
        digest = "-sha1" if bits < 2048 else "-sha256"
        for command in (
            f"openssl req -newkey rsa:{bits} -nodes -keyout {key} -out {request} -subj /CN=camera",
            f"openssl ca -batch -selfsign -notext -config {config} -keyfile {key} -in {request} -out {out} "
            f"-md {digest[1:]} -startdate {dates[0]} -enddate {dates[1]}",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        out.write_text(out.read_text() + key.read_text())
        return out

    return {
        "right": make("right", "DNS:localhost,IP:127.0.0.1"),
        "other": make("other", "DNS:elsewhere.example"),
        "expired": make("expired", "IP:127.0.0.1", ("20200101000000Z", "20210101000000Z")),
        "old": make("old", "IP:127.0.0.1", bits=1024),
    }


def server_context(certificate: Path, *, old: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("lenient", [False, True])
async def test_certificates_are_judged_by_the_rows_policy(certificates: dict[str, Path], lenient: bool) -> None:
    der = ssl.PEM_cert_to_DER_cert(certificates["right"].read_text().split("-----BEGIN PRIV")[0])
    pin = f"pin:{hashlib.sha256(der).hexdigest()}"
    script = odd_picture if lenient else picture
    async with acquirer(timeout_s=3.0) as fetcher:
        async with raw_camera(script, ssl=server_context(certificates["right"])) as camera:
            for policy in ("insecure", "legacy", pin):
                came = await outcome(fetcher, camera.camera(scheme="https", tls=policy))
                assert isinstance(came, Still), came.detail
            row = camera.camera(scheme="https", tls="verify")
            assert "self-signed" in (await failure(fetcher, row)).detail
            wrong = await failure(fetcher, camera.camera(scheme="https", tls="pin:" + "00" * 32))
            assert (wrong.state, wrong.detail) == (ErrorState.TLS, f"the certificate is not the pinned one, but {pin}")
            row = camera.camera(scheme="https", tls=wrong.detail.split()[-1])  # as it can be pasted
            assert isinstance(await outcome(fetcher, row), Still)
        async with raw_camera(script, ssl=server_context(certificates["expired"])) as camera:
            assert (await failure(fetcher, camera.camera(scheme="https"))).state is ErrorState.TLS


@pytest.mark.parametrize(("name", "says"), [("right", None), ("other", "another"), ("expired", "expired")])
async def test_a_certificate_that_is_not_accepted_is_explained(
    certificates: dict[str, Path], name: str, says: str | None
) -> None:
    async with raw_camera(picture, ssl=server_context(certificates[name])) as camera, acquirer() as fetcher:
        await fetcher._strict._trust.get("verify")
        (await fetcher._strict._trust.get("verify")).context.load_verify_locations(certificates[name])
        came = await outcome(fetcher, camera.camera(scheme="https", tls="verify"))
        if says is None:
            assert isinstance(came, Still)
        else:
            assert isinstance(came, CameraError)
            assert came.state is ErrorState.TLS
            assert says in came.detail


@pytest.mark.parametrize("lenient", [False, True])
async def test_a_camera_of_twenty_years_ago_is_reached_by_the_legacy_policy_alone(
    certificates: dict[str, Path], lenient: bool
) -> None:
    context = server_context(certificates["old"], old=True)
    async with raw_camera(odd_picture if lenient else picture, ssl=context) as camera, acquirer() as fetcher:
        assert isinstance(await outcome(fetcher, camera.camera(scheme="https", tls="legacy")), Still)
        came = await failure(fetcher, camera.camera(scheme="https", tls="insecure"))
        assert came.state is ErrorState.TLS
        assert "too old" in came.detail


async def test_plain_http_on_the_tls_port_is_tls() -> None:
    async with acquirer() as fetcher:

        async def speaks_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(speaks_first, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        came = await failure(fetcher, at("127.0.0.1", port, scheme="https", tls="insecure"))
        assert came.state is ErrorState.TLS
        assert "does not speak TLS" in came.detail
        server.close()


async def test_http_asked_of_a_tls_port_is_tls(certificates: dict[str, Path]) -> None:
    async with raw_camera(picture, ssl=server_context(certificates["right"])) as camera, acquirer() as fetcher:
        came = await failure(fetcher, camera.camera())
        assert came.state in (ErrorState.TLS, ErrorState.DISCONNECTED)


@pytest.mark.parametrize("cut", [False, True])
async def test_a_handshake_that_stalls_or_is_cut(cut: bool) -> None:
    async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if not cut:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(handshake, "127.0.0.1", 0)
    async with acquirer(timeout_s=1.0) as fetcher:
        port = server.sockets[0].getsockname()[1]
        came = await failure(fetcher, at("127.0.0.1", port, scheme="https", tls="insecure"))
        assert came.state is (ErrorState.TLS if cut else ErrorState.CONNECT_TIMEOUT)
    server.close()


async def test_cameras_share_one_context_per_policy() -> None:
    policies = TrustPolicies()
    many = await asyncio.gather(*(policies.get("legacy") for _ in range(20)))
    assert len({id(trust.context) for trust in many}) == 1
    assert (await policies.get("pin:" + "ab" * 32)).context is (await policies.get("insecure")).context


async def test_a_redirect_to_https_on_the_same_host_is_followed_and_back_without_the_login(
    certificates: dict[str, Path],
) -> None:
    challenge = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\nContent-Length: 0\r\n\r\n'

    async def secure(talk: Talk) -> None:
        await talk.say(ok(JPEG) if talk.authorization() else challenge)

    async with (
        raw_camera(secure, ssl=server_context(certificates["right"])) as safe,
        raw_camera(lambda talk: talk.say(challenge)) as plain,
        acquirer(default_login=login()) as fetcher,
    ):

        async def sends_to_tls(talk: Talk) -> None:
            await talk.say(f"HTTP/1.1 302 Go\r\nLocation: https://127.0.0.1:{safe.port}/s\r\n\r\n".encode())

        async def sends_to_plain(talk: Talk) -> None:
            await talk.say(f"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:{plain.port}/s\r\n\r\n".encode())

        async with (
            raw_camera(sends_to_tls) as up,
            raw_camera(sends_to_plain, ssl=server_context(certificates["right"])) as down,
        ):
            assert isinstance(await outcome(fetcher, up.camera(tls="insecure")), Still)
            assert safe.offers
            came = await failure(fetcher, down.camera(scheme="https", tls="insecure", camera_id="c2"))
            assert came.state is ErrorState.AUTH
            assert plain.heads
            assert plain.offers == []
