"""The camera zoo: that it answers as makes do, and misbehaves as named."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from needs import needs
from PIL import Image
from pydantic import SecretStr
from zoo import PERSONAS, camera, self_signed, zoo_of

from cctv_images.acquire import Acquirer, FetchCycle, Login, LoginGuard
from cctv_images.acquire.own_login import with_login
from cctv_images.acquire.recipes import RECIPES, find_recipe, nearest
from cctv_images.clock import RealClock
from cctv_images.errors import CameraError, ConfigError, ErrorState
from cctv_images.inventory.parse import parse
from cctv_images.inventory.rows import Rules
from cctv_images.process.processor import Processor
from cctv_images.simulate import simulate
from cctv_images.simulate.answers import SCRIPTS
from cctv_images.simulate.faults import FAULTS, IN_TIME, SICK, TOLERATED, Fault
from cctv_images.simulate.fleet import SimulatedCamera, everything, fleet
from cctv_images.simulate.listed import listed_fleet
from cctv_images.simulate.persona import Persona
from cctv_images.simulate.pictures import LivingPictures, StaticPictures
from cctv_images.simulate.server import Zoo


async def ask(zoo: Zoo, camera_id: str, target: str = "", *headers: str, wait_s: float = 2.0) -> tuple[bytes, str]:
    """One request by hand: all that came within wait_s, and how it ended: closed, reset or open."""
    living = zoo.residents[camera_id].camera
    reader, writer = await asyncio.open_connection(living.host, zoo.port, limit=1 << 26)
    lines = [f"GET {target or living.path or min(living.targets)} HTTP/1.1", f"Host: {living.host}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    came, how = b"", "open"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            try:
                while piece := await reader.read(65_536):
                    came += piece
                    if len(came) > 20_000_000:
                        break
                else:
                    how = "closed"
            except ConnectionResetError:
                how = "reset"
    writer.close()
    return came, how


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def opens(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@contextlib.asynccontextmanager
async def zoo_with(fault: Fault, persona: str = "pelco-open") -> AsyncIterator[Zoo]:
    async with zoo_of({"one": (persona, fault)}) as zoo:
        yield zoo


# Makes


def test_every_recipe_has_a_persona() -> None:
    assert {p.recipe for p in PERSONAS.values()} == RECIPES.keys()


def test_every_persona_is_known_to_the_inventory_by_the_model_it_is_listed_with() -> None:
    for persona in PERSONAS.values():
        found = find_recipe(persona.model or persona.recipe)
        assert found is not None
        assert found.name == persona.recipe


@needs("curl")
async def test_curl_gets_a_picture_from_every_make_with_one_login_offer() -> None:
    async with zoo_of({name: (name, Fault.NONE) for name in PERSONAS}) as zoo:

        async def curl(name: str) -> None:
            living = zoo.residents[name].camera
            account = ["-u", f"{living.account.username}:{living.account.password}"] if living.account else []
            target = living.path or min(living.targets)
            if living.account is not None and living.template:
                account, target = (
                    [],
                    with_login(target, Login(living.account.username, SecretStr(living.account.password))),
                )
            url = f"http://{living.host}:{zoo.port}{target}"
            process = await asyncio.create_subprocess_exec(
                "curl", "-sf", "--anyauth", *account, url, stdout=asyncio.subprocess.PIPE
            )
            came, _ = await process.communicate()
            assert process.returncode == 0, name
            assert opens(came).size == (1280, 720), name
            counts = zoo.login_counts(name)
            assert counts.offers == bool(living.account), name
            assert counts.refused == counts.basic_unasked == counts.basic_despite_digest == 0, name

        for names in _by(8, [name for name in PERSONAS if curl_can(PERSONAS[name])]):
            await asyncio.gather(*(curl(name) for name in names))


def curl_can(persona: Persona) -> bool:
    return (
        persona.sessions is None and persona.usual not in (Fault.LENGTH_SHORT, Fault.LENGTH_LONG) and not persona.rtsp
    )


def _by(size: int, things: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(things), size):
        yield things[at : at + size]


async def test_an_old_axis_answers_http_1_0_without_a_length_and_ends_the_picture_with_crlf() -> None:
    async with zoo_with(Fault.NONE, "axis-old") as zoo:
        answer, how = await ask(zoo, "one")
        assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
        assert b"Content-Length" not in answer
        assert answer.endswith(b"\xff\xd9\r\n")
        assert how == "closed"


async def test_a_dahua_words_its_challenge_without_blanks_and_closes() -> None:
    async with zoo_with(Fault.NONE, "dahua") as zoo:
        answer, how = await ask(zoo, "one")
        assert answer.startswith(b"HTTP/1.1 401")
        assert b'realm="Login to 4E0123PAG",qop="auth",nonce="' in answer
        assert how == "closed"


async def test_a_hikvision_says_nothing_to_basic_that_it_has_not_asked_for() -> None:
    async with zoo_with(Fault.NONE, "hik-modern") as zoo:
        assert await ask(zoo, "one", "", "Authorization: Basic dmlld2VyOng=") == (b"", "closed")
        assert zoo.login_counts("one").basic_unasked == 1
        assert zoo.login_counts("one").basic_despite_digest == 1


async def test_five_wrong_logins_lock_a_hikvision_for_half_an_hour() -> None:
    now = 1000.0
    async with Zoo([camera("hik-modern")], pictures=StaticPictures(), clock=lambda: now) as zoo:
        wrong = 'Authorization: Digest username="viewer", realm="x", nonce="y", uri="/", response="z"'
        for _ in range(5):
            assert b"401" in (await ask(zoo, "one", "", wrong, "Connection: close"))[0][:12]
        assert b"403" in (await ask(zoo, "one", "", "Connection: close"))[0][:12]
        now += 1801
        assert b"401" in (await ask(zoo, "one", "", "Connection: close"))[0][:12]
        counts = zoo.login_counts("one")
        assert (counts.offers, counts.refused, counts.lockouts) == (5, 5, 1)


@pytest.mark.parametrize(
    ("persona", "words"),
    [("pelco-open", b"<html>"), ("hik-recorder", b"ResponseStatus"), ("reolink", b'"rspCode": -404')],
)
async def test_another_path_is_not_found_in_the_makes_own_words(persona: str, words: bytes) -> None:
    open_to_all = PERSONAS[persona]
    async with zoo_of({"one": (persona, Fault.NONE)}) as zoo:
        zoo.residents["one"].gatekeeper = None
        answer, _ = await ask(zoo, "one", "/elsewhere", "Connection: close")
        assert answer.startswith(f"HTTP/{open_to_all.http} 404".encode())
        assert words in answer
        assert zoo.counts("one").strays == 1


async def test_more_viewers_than_an_axis_takes_find_it_busy() -> None:
    async with zoo_with(Fault.SLOW, "axis-old") as zoo:
        answers = await asyncio.gather(*(ask(zoo, "one", wait_s=6) for _ in range(22)))
        assert sum(answer.startswith(b"HTTP/1.0 503") for answer, _ in answers) == 2
        assert zoo.counts("one").open_max == 21
        assert zoo.counts("one").open == 0


async def test_one_connection_serves_several_requests() -> None:
    async with zoo_with(Fault.NONE) as zoo, aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"http://127.1.0.1:{zoo.port}/jpeg?id=2") as answer:
                opens(await answer.read())
        assert zoo.counts("one").connections == 1
        assert zoo.counts("one").requests == 3


# Faults

NOT_PLAYED = {ErrorState.INTERNAL, ErrorState.BLANK, ErrorState.FROZEN}
"""Our own, and what comes of several pictures only."""


def test_every_error_state_of_cameras_has_a_fault_and_every_fault_its_script() -> None:
    assert {FAULTS[f].expects for f in SICK} == set(ErrorState) - NOT_PLAYED
    first = [FAULTS[f].expects for f in SICK[: len(set(ErrorState) - NOT_PLAYED)]]
    assert len(set(first)) == len(first)
    without_script = {Fault.DNS, Fault.UNREACHABLE, Fault.CONNECT_TIMEOUT, Fault.TLS, Fault.TLS_SELF_SIGNED}
    logins = {f for f in Fault if FAULTS[f].login}
    assert SCRIPTS.keys() == set(Fault) - without_script - logins - set(IN_TIME)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALLED, Fault.DRIP, Fault.DRIP_BODY, Fault.ENDLESS_CONTINUE])
async def test_a_slow_camera_keeps_the_line_and_never_finishes(fault: Fault) -> None:
    async with zoo_with(fault) as zoo:
        came, how = await ask(zoo, "one", wait_s=1.5)
        assert how == "open"
        match fault:
            case Fault.SILENT:
                assert came == b""
            case Fault.DRIP:
                assert 1 <= len(came) <= 4
            case Fault.DRIP_BODY:
                assert 1 <= len(body(came)) <= 4
            case Fault.STALLED:
                assert len(body(came)) > 10_000
            case _:
                assert came.count(b"100 Continue") > 2


@pytest.mark.parametrize(
    ("fault", "ends"),
    [(Fault.HANG_UP, "closed"), (Fault.RESET, "reset"), (Fault.CUT, "closed"), (Fault.RESET_IN_BODY, "reset")],
)
async def test_a_cut_connection_ends_as_named(fault: Fault, ends: str) -> None:
    async with zoo_with(fault) as zoo:
        came, how = await ask(zoo, "one")
        assert how == ends
        assert bool(came) == (fault in (Fault.CUT, Fault.RESET_IN_BODY))


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.NOT_FOUND, 404),
        (Fault.GONE, 410),
        (Fault.WRONG_METHOD, 405),
        (Fault.BUSY, 503),
        (Fault.TOO_MANY, 429),
        (Fault.SERVER_ERROR, 500),
        (Fault.NO_CONTENT, 204),
        (Fault.REDIRECTED, 302),
        (Fault.LOGIN_PAGE, 200),
        (Fault.EMPTY, 200),
    ],
)
async def test_statuses_are_as_named(fault: Fault, status: int) -> None:
    async with zoo_with(fault) as zoo:
        came, how = await ask(zoo, "one")
        assert came.startswith(f"HTTP/1.1 {status} ".encode())
        assert how == "closed"


async def test_an_endless_picture_does_not_end() -> None:
    for fault in (Fault.ENDLESS, Fault.TOO_LARGE):
        async with zoo_with(fault) as zoo:
            came, how = await ask(zoo, "one", wait_s=20)
            assert len(came) > 20_000_000
            assert how == "open"


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.FORGED_END, Fault.ZEROS, Fault.NO_LENGTH_CUT])
async def test_a_truncated_picture_begins_like_the_whole_one_and_lacks_its_half(fault: Fault) -> None:
    async with zoo_of({"one": ("pelco-open", fault), "whole": ("pelco-open", Fault.NONE)}) as zoo:
        whole = body((await ask(zoo, "whole", "", "Connection: close"))[0])
        cut = body((await ask(zoo, "one"))[0])
        half = len(whole) // 2
        assert cut[:half] == whole[:half]
        assert cut[half:].strip(b"\0") in (b"", b"\xff\xd9")


async def test_redirects_lead_to_a_trap_that_counts() -> None:
    async with zoo_with(Fault.REDIRECTED) as zoo, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.1.0.1:{zoo.port}/jpeg?id=2") as answer:
            assert answer.status == 404
        assert len(zoo.trespassers) == 1
        assert zoo.trespassers[0].startswith("GET /login?from=camera")


@pytest.mark.parametrize("fault", [f for f in TOLERATED if f not in (Fault.MOVED, Fault.GZIP)])
async def test_a_tolerated_defect_carries_the_whole_picture(fault: Fault) -> None:
    async with zoo_with(fault) as zoo:
        came, _ = await ask(zoo, "one", wait_s=3.0 if fault is Fault.SLOW else 1.0)
        starts = b"\xff\xd8\xff", b"\x89PNG", b"RIFF"
        at = min(found for start in starts if (found := came.find(start)) >= 0)
        assert opens(came[at:] + b"\xff\xd9").size == (1280, 720)


async def test_faults_in_time_take_turns() -> None:
    async with zoo_of({f.value: ("pelco-open", f) for f in IN_TIME}) as zoo:

        async def turns(fault: Fault) -> str:
            answers = [await ask(zoo, fault.value, "", "Connection: close") for _ in range(13)]
            return "".join("+" if answer.startswith(b"HTTP") else "-" for answer, _ in answers)

        assert await turns(Fault.FLAPPING) == "+++------+++-"
        assert await turns(Fault.DYING) == "+++----------"
        assert await turns(Fault.RECOVERING) == "------+++++++"


async def test_nobody_answers_a_camera_whose_connections_are_never_answered() -> None:
    async with zoo_with(Fault.CONNECT_TIMEOUT) as zoo:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await asyncio.open_connection("127.1.0.1", zoo.port)
        zoo.set_fault("one", Fault.NONE)
        assert b"200 OK" in (await ask(zoo, "one", "", "Connection: close"))[0]
        zoo.set_fault("one", Fault.CONNECT_TIMEOUT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await asyncio.open_connection("127.1.0.1", zoo.port)


async def test_nobody_listens_where_an_unreachable_camera_is_listed() -> None:
    async with zoo_with(Fault.UNREACHABLE) as zoo:
        row = zoo.camera("one")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(row.host, row.port)


async def test_a_network_that_is_gone_refuses_everything_until_it_comes_back() -> None:
    async with zoo_with(Fault.NONE) as zoo:
        zoo.go_dark()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.1.0.1", zoo.port)
        await zoo.come_back()
        assert b"200 OK" in (await ask(zoo, "one", "", "Connection: close"))[0]


@needs("openssl")
async def test_a_self_signed_camera_speaks_tls_that_nobody_vouches_for(tmp_path: Path) -> None:
    async with (
        zoo_of({"one": ("pelco-open", Fault.TLS_SELF_SIGNED)}, tls=self_signed(tmp_path)) as zoo,
        aiohttp.ClientSession() as session,
    ):
        url = f"{zoo.address('one')}/jpeg?id=2"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url)
        async with session.get(url, ssl=False) as answer:
            opens(await answer.read())


async def test_every_make_and_fault_comes_out_as_the_error_state_that_it_is_there_for() -> None:
    async with Zoo(everything(), pictures=StaticPictures()) as zoo:
        guard = LoginGuard(None, RealClock())
        patient, hasty = _acquirer(zoo, guard, 60), _acquirer(zoo, guard, 4)
        processor = Processor(50_000_000)

        async def outcome(animal: SimulatedCamera) -> ErrorState | None:
            slow = FAULTS[animal.fault].expects in (ErrorState.TIMEOUT, ErrorState.CONNECT_TIMEOUT)
            for _ in range(9 if animal.fault in IN_TIME else 1):
                try:
                    still = await (hasty if slow else patient).fetch(zoo.camera(animal.camera_id), FetchCycle())
                    await processor.verify(still.data)
                except CameraError as error:
                    state: ErrorState | None = error.state
                else:
                    return None
            return state

        animals = [r.camera for r in zoo.residents.values()]
        found = await asyncio.gather(*(outcome(a) for a in animals))
        named = {f"{a.persona.name} {a.fault}": state for a, state in zip(animals, found, strict=True)}
        assert named == {f"{a.persona.name} {a.fault}": FAULTS[a.fault].expects for a in animals}
        assert zoo.trespassers == []
        for animal in animals:
            counts = zoo.login_counts(animal.camera_id)
            assert counts.basic_unasked == counts.basic_despite_digest == 0, animal.persona.name
            assert counts.refused <= 2, animal.persona.name
            assert zoo.counts(animal.camera_id).open_max <= 1, animal.persona.name
        processor.close()
        for acquirer in (patient, hasty):
            await acquirer.close()
        await guard.close()


def _acquirer(zoo: Zoo, guard: LoginGuard, timeout_s: float) -> Acquirer:
    known = {n: Login(c["username"], SecretStr(c["password"])) for n, c in zoo.credentials().items()}
    return Acquirer(
        timeout_s=timeout_s,
        max_bytes=8 << 20,
        credentials=known,
        default_login=None,
        networks=[],
        default_login_networks_only=False,
        guard=guard,
    )


# Addresses


async def test_a_thousand_cameras_answer_at_their_own_addresses_on_one_port() -> None:
    animals = fleet(1000, sick_share=0, tolerated_share=0)
    assert len({a.host for a in animals}) == 1000
    assert all(a.host.startswith("127.") and not a.host.startswith("127.0.") for a in animals)
    async with Zoo(animals, pictures=StaticPictures()) as zoo:
        slots = asyncio.Semaphore(50)

        async def visit(camera_id: str) -> bool:
            async with slots:
                return (await ask(zoo, camera_id, "", "Connection: close", wait_s=20))[0].startswith(b"HTTP/1")

        assert all(await asyncio.gather(*(visit(a.camera_id) for a in animals)))
        assert all(zoo.counts(a.camera_id).requests == 1 for a in animals)


async def test_a_listener_for_each_address_does_where_one_for_all_is_refused() -> None:
    animals = [camera(camera_id=str(n), number=n) for n in range(300)]
    async with Zoo(animals, pictures=StaticPictures(), each_address=True) as zoo:
        for name in ("0", "299"):
            assert b"200 OK" in (await ask(zoo, name, "", "Connection: close"))[0]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.200.0.1", zoo.port)


async def test_the_zoo_is_reached_by_no_address_but_loopback() -> None:
    outside = [a for a in _own_addresses() if not a.startswith("127.")]
    async with zoo_with(Fault.NONE) as zoo:
        for address in outside:
            with pytest.raises(OSError):
                await asyncio.open_connection(address, zoo.port)


def _own_addresses() -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return [str(probe.getsockname()[0])]
    return []


async def test_a_port_in_use_is_refused() -> None:
    async with zoo_with(Fault.NONE) as zoo:
        with pytest.raises(OSError):
            await Zoo([camera()], port=zoo.port, pictures=StaticPictures()).start()


# Fleets and lists


def test_a_fleet_has_the_shares_that_were_asked_for_and_is_the_same_each_time() -> None:
    animals = fleet(1000, sick_share=0.3, seed=7)
    sick = [a for a in animals if FAULTS[a.fault].expects is not None or a.fault in IN_TIME]
    assert len(sick) == 300
    assert {FAULTS[a.fault].expects for a in animals} >= set(ErrorState) - NOT_PLAYED
    assert {a.persona.recipe for a in animals} == RECIPES.keys()
    assert animals == fleet(1000, sick_share=0.3, seed=7)


def test_everything_is_every_make_and_every_fault() -> None:
    animals = everything()
    assert {a.persona.name for a in animals} == PERSONAS.keys()
    assert {a.fault for a in animals} == set(Fault) - {Fault.TLS_SELF_SIGNED}
    assert all(a.account is not None for a in animals if FAULTS[a.fault].login)


async def test_the_inventory_reads_the_zoos_list_as_the_zoo_means_it() -> None:
    async with Zoo(everything(), pictures=StaticPictures()) as zoo:
        rules = Rules(_recipe_name, nearest, frozenset(zoo.credentials()))
        inventory = parse(zoo.inventory_csv().encode(), source_name="zoo", rules=rules)
        assert inventory.rejected == []
        assert inventory.cameras == zoo.cameras()
        passwords = {login["password"] for login in zoo.credentials().values()}
        assert 'zoo-p@ss:w"rd' in passwords
        assert all(p.startswith("zoo") for p in passwords)


def _recipe_name(model: str) -> str | None:
    found = find_recipe(model)
    return found.name if found is not None else None


OWN = """\
camera_id,model,enabled,path,note,address
a,Sarix,yes,,"keep, this",10.0.0.1
b,Axis,no,,,10.0.0.2
c,Pelco,yes,/jpeg/pull,,10.0.0.3:8080
d,Unheard of,yes,,,10.0.0.4
e,,yes,,,http://10.0.0.5/still.jpg
"""


async def test_somebodys_own_list_is_played_and_written_out_with_addresses() -> None:
    listed = listed_fleet(OWN.encode(), "own.csv")
    assert [a.camera_id for a in listed.cameras] == ["a", "c", "e"]
    assert [row.camera_id for row in listed.rejected] == ["d"]
    async with Zoo(listed.cameras, pictures=StaticPictures()) as zoo:
        rows = list(csv.DictReader(io.StringIO(listed.written(zoo))))
        assert [r["address"] for r in rows] == [
            f"127.1.0.1:{zoo.port}",
            "10.0.0.2",
            f"127.1.0.2:{zoo.port}",
            "10.0.0.4",
            f"http://127.1.0.3:{zoo.port}/still.jpg",
        ]
        assert [r["note"] for r in rows] == ["keep, this", "", "", "", ""]
        assert b"200 OK" in (await ask(zoo, "c", "/jpeg/pull", "Connection: close"))[0]
        assert rows[4]["credentials"] in zoo.credentials()
        zoo.residents["e"].gatekeeper = None
        assert b"200 OK" in (await ask(zoo, "e", "/still.jpg", "Connection: close"))[0]


def test_a_list_that_is_no_csv_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"x\.json is no CSV"):
        listed_fleet(b'[{"camera_id": "a", "model": "axis"}]', "x.json")


AUSTIN = """\
Camera ID,Location Name,Camera Status,Camera Manufacturer,Location,Screenshot Address
134,6TH ST / RED RIVER ST,TURNED_ON,Sarix,"(30.26, -97.73)",http://cctv.invalid/CCTV134.jpg
17,LAMAR BLVD / 5TH ST,TURNED_ON,Advidia,"(30.27, -97.75)",
18,LAMAR BLVD / 6TH ST,DESIRED,,"(30.27, -97.75)",
"""


async def test_a_citys_export_without_addresses_gets_them_for_the_cameras_that_are_on() -> None:
    listed = listed_fleet(AUSTIN.encode(), "austin.csv")
    async with Zoo(listed.cameras, pictures=StaticPictures()) as zoo:
        rows = list(csv.DictReader(io.StringIO(listed.written(zoo))))
        assert [bool(r["address"]) for r in rows] == [True, True, False]
        assert [r["credentials"] for r in rows] == ["", "advidia-basic", ""]
        assert [r["Screenshot Address"] for r in rows] == ["http://cctv.invalid/CCTV134.jpg", "", ""]


# Desk and command


async def test_the_desk_shows_counters_and_switches_faults() -> None:
    async with zoo_with(Fault.NONE) as zoo, aiohttp.ClientSession() as session:
        desk = f"http://127.0.0.1:{zoo.port}/zoo"
        await ask(zoo, "one", "", "Connection: close")
        async with session.get(f"{desk}/stats") as answer:
            assert (await answer.json())["one"]["requests"] == 1
        async with session.post(f"{desk}/fault?camera=one&fault=not_found") as answer:
            assert answer.status == 200
        assert b"404" in (await ask(zoo, "one"))[0][:12]
        for wrong, status in (
            ("camera=two&fault=none", 404),
            ("camera=one&fault=odd", 400),
            ("camera=one&fault=dns", 400),
        ):
            async with session.post(f"{desk}/fault?{wrong}") as answer:
                assert answer.status == status
        async with session.get(f"{desk}/inventory.csv") as answer:
            assert (await answer.text()) == zoo.inventory_csv()


async def test_the_command_plays_until_it_is_told_to_stop(tmp_path: Path) -> None:
    said: list[str] = []
    output = tmp_path / "cameras.csv"
    task = asyncio.create_task(simulate(say=said.append, cameras=20, output=output, static=True))
    async with asyncio.timeout(20):
        while not any("End:" in line for line in said):
            await asyncio.sleep(0.05)
    rows = list(csv.DictReader(output.open(encoding="utf-8")))
    assert len(rows) == 20
    desk = next(line for line in said if "/zoo/credentials.json" in line).split("curl -s ")[1].split(")")[0]
    async with aiohttp.ClientSession() as session, session.get(desk) as answer:
        known = json.loads(await answer.text())
    assert {r["credentials"] for r in rows if r["credentials"]} == known.keys()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await task == 0


async def test_the_command_names_what_it_cannot_read_or_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        await simulate(say=str, inventory=tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="cannot be written"):
        await simulate(say=str, cameras=1, output=tmp_path / "no" / "folder.csv", static=True)


# Pictures


async def test_living_pictures_move_and_tell_cameras_apart() -> None:
    now = 1_700_000_000.0
    pictures = LivingPictures(clock=lambda: now)
    one, other = camera(number=1), camera(camera_id="two", number=2)

    async def shown(animal: object) -> bytes:
        got = pictures.get(animal)  # type: ignore[arg-type]
        return got if isinstance(got, bytes) else await got

    first = await shown(one)
    assert opens(first).format == "JPEG"
    assert await shown(one) == first
    assert await shown(other) != first
    now += 5.0
    assert await shown(one) != first
    pictures.close()


def test_prepared_pictures_are_of_the_size_asked_for_and_can_be_each_their_own() -> None:
    same, unique = StaticPictures(size=100_000), StaticPictures(size=100_000, unique=True)
    animal = camera()
    assert 99_000 <= len(same.get(animal)) <= 100_000
    assert same.get(animal) == same.get(animal)
    assert unique.get(animal) != unique.get(animal)
    assert opens(unique.get(animal)).size == (1280, 720)
