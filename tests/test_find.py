"""What is this camera? Makes are tried politely, and a wrong make in the inventory explains itself."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from program import Program
from raw_camera import Talk, acquirer, jpeg, login, ok, raw_camera, saying
from zoo import PERSONAS, zoo_of

from cctv_images.acquire.logins import Login
from cctv_images.acquire.recipes import RECIPES
from cctv_images.commands.asking import Asker
from cctv_images.commands.find import FIRST, Finder, Finding, inventory_lines, shown
from cctv_images.inventory.camera import Camera
from cctv_images.process.processor import Processor
from cctv_images.simulate.server import Zoo

JPEG = jpeg()
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def finder(known: Login | None = None) -> AsyncIterator[Finder]:
    processor = Processor(50_000_000)
    async with acquirer() as bare, acquirer(default_login=known) as logs_in:
        yield Finder(Asker(bare, processor), Asker(logs_in, processor))
    processor.close()


def account(zoo: Zoo, camera_id: str) -> Login | None:
    known = zoo.residents[camera_id].camera.account
    return login(known.username, known.password) if known else None


def at(zoo: Zoo, camera_id: str) -> Camera:
    return replace(zoo.camera(camera_id), recipe="generic", path=None, credentials=None, model="Pelco")


FOUND = [name for name, persona in PERSONAS.items() if persona.path is None]


@pytest.mark.parametrize("persona", FOUND)
async def test_every_make_is_found_with_at_most_one_login_that_is_not_known_to_be_right(persona: str) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo, finder(account(zoo, "one")) as finding:
        found = await finding.find(at(zoo, "one"), offer=True)
        counts = zoo.login_counts("one")
        assert (counts.refused, counts.basic_unasked, counts.basic_despite_digest) == (0, 0, 0)
        assert zoo.counts("one").open_max == 1
        assert found.recipe is not None, shown(found)
        assert PERSONAS[persona].recipe in (found.recipe.name, *found.alike)
        assert found.with_login == (zoo.residents["one"].camera.account is not None)


@pytest.mark.parametrize("persona", [name for name in FOUND if PERSONAS[name].login is not None])
async def test_a_wrong_login_is_offered_once(persona: str) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo, finder(login("viewer", "wrong")) as finding:
        found = await finding.find(at(zoo, "one"), offer=True)
        assert found.recipe is None
        assert found.remark
        assert zoo.login_counts("one").offers == 1


async def test_without_leave_no_login_is_offered() -> None:
    async with zoo_of({"one": ("wisenet", "none")}) as zoo, finder(account(zoo, "one")) as finding:
        found = await finding.find(at(zoo, "one"), offer=False)
        assert zoo.login_counts("one").offers == 0
        assert "it wants a login for every path" in found.remark


@pytest.mark.parametrize(("persona", "said"), [("hik-modern", "hikvision"), ("dahua", "dahua")])
async def test_what_a_camera_calls_itself_is_taken_as_a_hint(persona: str, said: str) -> None:
    async with zoo_of({"one": (persona, "none")}) as zoo, finder(account(zoo, "one")) as finding:
        found = await finding.find(at(zoo, "one"), offer=False)
        assert said in found.remark
        found = await finding.find(at(zoo, "one"), offer=True)
        assert found.recipe is RECIPES[said]
        assert zoo.login_counts("one").offers == 1


async def test_where_only_the_right_path_wants_a_login_it_is_offered_there() -> None:
    async def script(talk: Talk) -> None:
        if not talk.head.startswith(b"GET /snap.jpg?JpegSize=XL"):
            await talk.say(MISSING)
        elif talk.authorization():
            await talk.say(ok(JPEG))
        else:
            await talk.say(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')

    async with raw_camera(script) as camera, finder(login()) as finding:
        found = await finding.find(camera.camera(path=None), offer=True)
        assert found.recipe is RECIPES["bosch"]
        assert len(camera.offers) == 1


async def test_a_camera_that_answers_every_path_is_named_as_such() -> None:
    async with raw_camera(saying(ok(JPEG))) as camera, finder() as finding:
        found = await finding.find(camera.camera(path=None), offer=True)
        assert found.recipe is None
        assert "answers every path" in found.remark
        assert len(camera.heads) == 1


async def test_only_a_whole_picture_is_an_answer() -> None:
    async with raw_camera(saying(ok(JPEG[:4000], length=None))) as camera, finder() as finding:
        assert (await finding.find(camera.camera(path=None), offer=True)).recipe is None


async def test_a_camera_that_does_not_answer_is_left_alone_soon() -> None:
    async with finder() as finding:
        begun = time.monotonic()
        found = await finding.find(Camera("x", "generic", host="127.0.0.1", port=9), offer=True)
        assert "it cannot be asked" in found.remark
        assert time.monotonic() - begun < 5

    async def silent(talk: Talk) -> None:
        await talk.hold()

    async with raw_camera(silent) as camera, finder() as finding:
        found = await finding.find(camera.camera(path=None), offer=True)
        assert "it cannot be asked" in found.remark
        assert len(camera.heads) <= 2


async def test_the_common_makes_are_tried_first_and_each_request_once() -> None:
    async with raw_camera(saying(MISSING)) as camera, finder() as finding:
        found = await finding.find(camera.camera(path=None), offer=True)
        assert [name for name, _ in found.tries][1 : len(FIRST) + 1] == list(FIRST)
        lines = [head.partition(b"\r\n")[0] for head in camera.heads if head.startswith(b"GET")]
        assert len(set(lines)) == len(lines)
        assert found.tries[-1][0].startswith("onvif") or "onvif" not in RECIPES


def test_the_inventorys_line_is_ready() -> None:
    found = Finding(Camera("probe", "wisenet", host="10.0.0.4"), RECIPES["wisenet"], with_login=True)
    assert inventory_lines(found, "10.0.0.4", "wise") == [
        "camera_id,address,model,credentials", "probe,10.0.0.4,Wisenet,wise",
    ]  # fmt: skip


# --- the commands


def furnish(program: Program, zoo: Zoo, models: dict[str, str]) -> None:
    rows = [f"{name},{zoo.address(name)},{model}" for name, model in models.items()]
    (program.folder / "cameras.csv").write_text("\n".join(["camera_id,address,model", *rows, ""]))
    program.env |= {
        "CCTV_INVENTORY": "cameras.csv",
        "CCTV_STORE": f"file://{program.folder}/store",
        "CCTV_STATE_DIR": str(program.folder / "state"),
        "CCTV_CREDENTIALS": json.dumps(zoo.credentials()),
    }


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


async def test_probe_find_prints_the_line_for_the_inventory(program: Program) -> None:
    async with zoo_of({"a": ("axis-new", "none")}) as zoo:
        furnish(program, zoo, {"a": "Pelco"})
        address, name = zoo.address("a").removeprefix("http://"), zoo.residents["a"].camera.credentials
        bare = await program("probe", "--address", address, "--find")
        done = await program("probe", "--address", address, "--find", "--credentials", str(name), "-o", "still.jpg")
        report = json.loads((await program("probe", "--address", address, "--find", "--json")).out)
        unknown = await program("probe", "--address", address, "--find", "--credentials", "nobody")
    assert (bare.code, "wants a login" in bare.out) == (1, True)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f"camera_id,address,model,credentials\nprobe,{address},Axis,{name}\n")
    assert (program.folder / "still.jpg").read_bytes().startswith(b"\xff\xd8")
    assert report["recipe"] is None
    assert (unknown.code, "not among CCTV_CREDENTIALS" in unknown.err) == (78, True)


async def test_check_find_names_the_cameras_that_answer_as_another_make(program: Program) -> None:
    animals = {"a": ("pelco-open", "none"), "b": ("jvc", "none"), "c": ("jvc", "truncated"), "d": ("axis-old", "none")}
    async with zoo_of(animals) as zoo:
        models = {"a": "Sarix", "b": "Pelco", "c": "Pelco", "d": "Advidia"}
        furnish(program, zoo, models)
        before = (program.folder / "cameras.csv").read_bytes()
        done = await program("check", "--online", "--find", "--csv", "fix.csv")
        report = json.loads((await program("check", "--online", "--find", "--json")).out)
    assert "recorded as Pelco, answers as JVC" in done.out
    assert "recorded as Advidia, answers as Axis" in done.out
    with (program.folder / "fix.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"camera_id": "b", "recorded_model": "Pelco", "found_model": "JVC"},
            {"camera_id": "d", "recorded_model": "Advidia", "found_model": "Axis"},
        ]
    assert (program.folder / "cameras.csv").read_bytes() == before
    mismatches = {m["camera_id"]: m["found_model"] for m in report["online"]["model_mismatch"]}
    assert mismatches == {"b": "JVC", "c": None, "d": "Axis"}


@pytest.mark.parametrize("words", [["--find"], ["--online", "--csv", "x"], ["--csv", "x"]])
async def test_options_that_need_others_say_so(program: Program, words: list[str]) -> None:
    done = await program("check", *words)
    assert done.code == 2
    assert "goes with" in done.err


async def test_several_cameras_are_looked_into_at_once_but_each_gets_one_request_at_a_time() -> None:
    async with zoo_of({str(n): ("jvc", "none") for n in range(6)}) as zoo, finder() as finding:
        await asyncio.gather(*(finding.find(at(zoo, str(n)), offer=True) for n in range(6)))
        assert {zoo.counts(str(n)).open_max for n in range(6)} == {1}
