"""Privacy masks: how they are written, what is wrong with them, and that nothing unmasked is ever anywhere."""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from program import Program, stop, until
from s3 import Weed
from service import Service
from zoo import zoo_of

from cctv_images.choices import Choices
from cctv_images.errors import ConfigError, ErrorState
from cctv_images.inventory.changes import changes
from cctv_images.inventory.parse import Inventory, parse
from cctv_images.inventory.rows import Rules
from cctv_images.masks import EVERYTHING, MAX_CORNERS, MAX_MASKS, Mask, masks, read_masks
from cctv_images.simulate.pictures import StaticPictures

SQUARE = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]
HALF = [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]


# --- how they are written ---


def test_masks_are_polygons_in_shares_of_the_picture() -> None:
    square = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
    assert masks([SQUARE]) == masks(json.dumps([SQUARE])) == (Mask(square),)
    assert masks([[*SQUARE, SQUARE[0]]]) == (Mask(square),), "closed as in GeoJSON"
    assert masks([{"polygon": SQUARE, "style": "pixelate"}, {"polygon": SQUARE}]) == (Mask(square, True), Mask(square))
    assert masks([]) == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([[[0, 0], [1.01, 0], [1, 1]]], "mask 1 lies outside the picture: corner 2 is [1.01, 0]"),
        ([SQUARE, [[640, 360], [700, 360], [700, 400]]], "mask 2 lies outside the picture"),
        ([[[0, 0], [-0.1, 0], [1, 1]]], "outside"),
        ("[[[0, 0], [NaN, 0], [1, 1]]]", "outside"),
        ("[[[0, 0], [1e999, 0], [1, 1]]]", "outside"),
        ([[[0, 0], [0.5, 0.5], [0.5, 0], [0, 0.5]]], "mask 1 crosses itself: its side from corner 1"),
        ([[[0, 0], [0.5, 0], [0.2, 0], [0.2, 0.5]]], "crosses itself"),
        ([[[0, 0], [0.5, 0], [1, 0]]], "crosses itself"),
        ([[[0, 0], [0.5, 0.5], [1, 0], [1, 1], [0.5, 0.5], [0, 1]]], "crosses itself"),
        ([[[0, 0], [0, 0], [1, 0], [1, 1]]], "crosses itself"),
        ([[[0, 0], [1, 1]]], "has 2 corners"),
        ([[]], "has 0 corners"),
        ([[[n / 200, n * n / 40_000] for n in range(MAX_CORNERS + 1)]], "has 65 corners"),
        ([SQUARE] * (MAX_MASKS + 1), "more than 32"),
        ([[[0, 0], [True, 0], [1, 1]]], "corner 2 that is not two numbers"),
        ([[["0", 0], [1, 0], [1, 1]]], "corner 1 that is not two numbers"),
        ([[[0, 0, 0], [1, 0], [1, 1]]], "corner 1 that is not two numbers"),
        ([1], "mask 1 is no polygon"),
        ({"polygon": SQUARE}, "not a list of polygons"),
        ("0,0 1,1", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([{"poligon": SQUARE}], 'unknown "poligon"'),
        ([{"polygon": SQUARE, "style": "blur"}], "neither fill nor pixelate"),
        ([{"style": "fill"}], "is no polygon"),
    ],
)
def test_what_is_no_mask_is_told_by_its_number(value: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        masks(value)
    assert said in str(caught.value)


PARTS = st.none() | st.booleans() | st.floats() | st.text()
ANYTHING = st.recursive(PARTS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
POLYGON = st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), min_size=3)


@given(ANYTHING | st.lists(POLYGON))
def test_whatever_stands_there_it_is_masks_or_a_sentence(value: Any) -> None:
    said = ""
    try:
        found = masks(value)
    except ValueError as exc:
        said = str(exc)
    else:
        assert all(isinstance(mask, Mask) for mask in found)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"1": [[[0, 0], [2, 0], [1, 1]]], "2": 5}', ["camera 1: mask 1 lies outside", "camera 2: the masks are not"]),
        ('{"1": [], "1": []}', ['"1" stands there twice']),
        ("[]", ["expected a JSON object"]),
        ("{", ["expected JSON"]),
        ("", ["expected JSON"]),
        ("\xff\xfe", ["expected UTF-8"]),
        ('{"\\u001b[31m": 5}', ["camera \\x1b[31m: "]),
    ],
)
def test_every_mistake_of_a_file_is_told_and_nothing_of_it_is_used(tmp_path: Path, text: str, said: list[str]) -> None:
    file = tmp_path / "masks.json"
    file.write_bytes(text.encode("latin-1"))
    found, wrong = read_masks(file)
    assert len(wrong) == len(said)
    for sentence, words in zip(wrong, said, strict=True):
        assert words in sentence
    assert not found or "camera" in wrong[0]


def test_a_pipe_a_folder_and_nothing_are_no_masks_and_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "", "nowhere"):
        assert read_masks(tmp_path / name)[1]


# --- the inventory's column and the file ---


def read(rows: list[dict[str, Any]] | str, **more: Any) -> Inventory:
    rules = Rules(find_recipe=lambda model: model.lower() or None, nearest=lambda model: [], **more)
    return parse((rows if isinstance(rows, str) else json.dumps(rows)).encode(), source_name="cameras", rules=rules)


def test_masks_stand_in_a_column_as_json_or_as_its_text() -> None:
    row = {"camera_id": "1", "address": "10.0.0.1", "model": "axis"}
    for document in (
        [row | {"masks": HALF}],
        [row | {"masks": json.dumps(HALF)}],
        f'camera_id,address,model,masks\n1,10.0.0.1,axis,"{json.dumps(HALF)}"\n',
    ):
        assert read(document).cameras["1"].choices.masks == masks(HALF)
    for nothing in ("", None, [], " "):
        assert read([row | {"masks": nothing}]).cameras["1"].choices.masks == ()


def test_masks_of_file_and_row_add_up() -> None:
    row = {"camera_id": "1", "address": "10.0.0.1", "model": "axis", "masks": [SQUARE]}
    camera = read([row], masks={"1": masks(HALF)}).cameras["1"]
    assert camera.choices.masks == masks(HALF) + masks([SQUARE])


@pytest.mark.parametrize("cell", [{}, 0, False, "no", [[[0, 0], [1, 0]]], {"polygon": SQUARE}, "[[[0,0],[2,0],[1,1]]]"])
def test_a_camera_whose_masks_cannot_be_read_is_not_run(cell: Any) -> None:
    found = read([{"camera_id": "1", "address": "10.0.0.1", "model": "axis", "masks": cell}])
    assert not found.cameras
    assert "mask" in found.rejected[0].reason


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"masks": [SQUARE], "interval": "soon"}, masks([SQUARE])),
        ({"masks": "[[[0, 0], [2, 0], [1, 1]]]"}, (EVERYTHING,)),
        ({"masks": [], "interval": "soon"}, ()),
    ],
)
def test_a_camera_that_runs_on_while_its_row_is_bad_shows_nothing_that_the_row_may_hide(
    cells: dict[str, Any], expected: tuple[Mask, ...]
) -> None:
    row = {"camera_id": "1", "address": "10.0.0.1", "model": "axis"}
    running = read([row]).cameras
    found = changes(running, read([row | cells]))
    assert found.cameras["1"].choices.masks == expected
    assert changes(found.cameras, read([row | cells])).is_empty


def test_masks_for_a_camera_that_does_not_exist_are_told_with_the_nearest_one() -> None:
    rows = [{"camera_id": f"CAM-{n}", "address": "10.0.0.1", "model": "axis", "enabled": n != 3} for n in (1, 2, 3)]
    found = read(rows, masks={"CAM-1": (), "CAM-3": (), "CAM2": masks(HALF)})
    assert [str(row) for row in found.rejected] == [
        "CCTV_MASKS entry 3: there is no camera CAM2 in the inventory; did you mean CAM-2?"
    ]
    assert "did you mean CAM-1?" in str(read(rows, masks={" cam-1": masks(HALF)}).rejected[0])
    assert found.rejected[0].camera_id is None, "a camera that left the list is not kept running by its masks"


def test_choices_are_the_fleets_the_makes_and_the_rows() -> None:
    fleet = Choices(stamp="{name}", time_zone="America/Chicago")
    by_make = {"axis": {"stamp": "", "time_zone": "America/Denver"}}
    rows = [
        {"camera_id": "fleet", "address": "10.0.0.1", "model": "pelco"},
        {"camera_id": "make", "address": "10.0.0.1", "model": "axis"},
        {"camera_id": "row", "address": "10.0.0.1", "model": "axis", "stamp": "{time}", "renditions": "full, t:9x9"},
        {"camera_id": "paused", "address": "", "model": "axis", "enabled": False, "renditions": "full, t:9x9"},
    ]
    found = read(rows, choices=fleet, by_make=by_make)
    seen = {i: c.choices for i, c in {**found.cameras, **found.paused}.items()}
    assert {i: (c.stamp, c.time_zone, len(c.renditions)) for i, c in seen.items()} == {
        "fleet": ("{name}", "America/Chicago", 1),
        "make": ("", "America/Denver", 1),
        "row": ("{time}", "America/Denver", 2),
        "paused": ("", "America/Denver", 2),
    }


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("stamp", "{nam}", "is none of name, camera_id, time"),
        ("stamp", "{name.__class__}", "is none of name"),
        ("stamp", "{name:>999999999}", "only {time}"),
        ("stamp", "{time:%H:%M}", "without its zone"),
        ("stamp", "{time:%999999999Y%Z}", "only {time}"),
        ("stamp", "{", "braces do not match"),
        ("stamp", "x" * 201, "at most 200"),
        ("time_zone", "America/Chicgo", "no such time zone; did you mean America/Chicago?"),
        ("time_zone", "../../etc/passwd", "no such time zone"),
        ("time_zone", "/etc/localtime", "no such time zone"),
        ("renditions", "full, t:0x9", "0 pixels wide"),
    ],
)
def test_a_wrong_choice_of_a_row_is_its_rows_mistake(column: str, cell: str, said: str) -> None:
    found = read([{"camera_id": "1", "address": "10.0.0.1", "model": "axis", column: cell}])
    assert found.rejected[0].reason.startswith(f"{column}: ")
    assert said in found.rejected[0].reason


# --- check and probe ---


@pytest.fixture
def program(tmp_path: Path) -> Program:
    env = {"CCTV_INVENTORY": "cameras.csv", "CCTV_STORE": f"file://{tmp_path}/store", "CCTV_LISTEN": ""}
    (tmp_path / "cameras.csv").write_text("camera_id,address,model\n1,127.0.0.1:9,pelco\n")
    return Program(tmp_path, env)


async def test_check_names_every_mistake_in_one_go_and_run_does_not_begin(program: Program) -> None:
    crossed = [[[0, 0], [1, 1], [1, 0], [0, 1]]]
    (program.folder / "masks.json").write_text(json.dumps({"1": [[[0, 0], [2, 0], [1, 1]]], "2": crossed}))
    wrong = {
        "CCTV_MASKS": "masks.json",
        "CCTV_RENDITIONS": "full, thumb:0x270",
        "CCTV_STAMP": "{zeit}",
        "CCTV_TIME_ZONE": "Texas",
        "CCTV_BY_MAKE": '{"axxis": {"stamp": "off"}}',
    }
    for command in ("check", "run"):
        done = await program(command, **wrong)
        assert done.code == 78
        for words in (
            'CCTV_RENDITIONS = "full, thumb:0x270" (environment): "thumb:0x270" is 0 pixels wide',
            'CCTV_MASKS = "masks.json" (environment): camera 1: mask 1 lies outside the picture',
            'CCTV_MASKS = "masks.json" (environment): camera 2: mask 1 crosses itself',
            'CCTV_STAMP = "{zeit}" (environment): expected off, or',
            'CCTV_TIME_ZONE = "Texas" (environment): there is no such time zone',
            '"axxis" is no make, nearest: "Axis"',
        ):
            assert words in done.err
    (program.folder / "masks.json").write_text('{"11": [[[0, 0], [1, 0], [1, 1]]]}')
    done = await program("check", CCTV_MASKS="masks.json", CCTV_STAMP="東京 {time}")
    assert done.code == 78
    assert "CCTV_STAMP" in done.err
    assert "東京" in done.err
    done = await program("check", CCTV_MASKS="masks.json", CCTV_STAMP="{name} {time}", CCTV_TIME_ZONE="Europe/Vienna")
    assert (done.code, done.err) == (1, "")
    assert "there is no camera 11 in the inventory; did you mean 1?" in done.out
    assert "full, without metadata; 0 with masks, 1 with a stamp" in done.out


def dark_half(data: bytes) -> bool:
    with Image.open(BytesIO(data)) as image:
        left = image.convert("L").crop((0, 0, image.width // 2 - 2, image.height))
        right = image.convert("L").crop((image.width // 2 + 8, 0, image.width, image.height))
        return left.getextrema()[1] < 24 and right.getextrema()[1] > 60


async def test_probe_writes_the_masked_picture_and_outlines_the_masks_on_request(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        (program.folder / "cameras.csv").write_text(zoo.inventory_csv())
        (program.folder / "masks.json").write_text(json.dumps({"a": HALF}))
        program.env["CCTV_MASKS"] = "masks.json"
        done = await program("probe", "a", "-o", "still.jpg")
        assert (done.code, "with 1 mask" in done.out) == (0, True)
        assert dark_half((program.folder / "still.jpg").read_bytes())
        assert (await program("probe", "a", "-o", "plan.jpg", "--masks")).code == 0
        plan = Image.open(program.folder / "plan.jpg").convert("RGB")
        assert [value > 150 for value in plan.getpixel((plan.width // 2, plan.height // 2))] == [True, True, False]
        found = await program("probe", "a", "--find", "-o", "found.jpg")
        assert found.code == 0, found.err
        assert dark_half((program.folder / "found.jpg").read_bytes())
        assert (await program("probe", "a", "--masks")).code == 2


# --- nothing unmasked, anywhere ---


def pieces() -> list[bytes]:
    """Parts of what the simulated cameras send, any of which would give it away."""
    data = StaticPictures().get(None)  # type: ignore[arg-type]
    return [data[at : at + 48] for at in range(len(data) // 4, len(data) - 100, len(data) // 7)]


def traces(*folders: Path) -> list[str]:
    """Files in which a part of an unmasked picture stands."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and any(piece in path.read_bytes() for piece in pieces()):
                found.append(str(path))
    return found


async def test_no_unmasked_byte_of_a_masked_camera_is_in_store_archive_page_state_log_or_temporary_files(
    tmp_path: Path, weed: Weed
) -> None:
    bucket = f"masked-{tmp_path.name[:30].replace('_', '-').lower()}"
    await weed.make_bucket(bucket, public=True)
    service = Service(tmp_path, f"s3://{bucket}")
    (tmp_path / "tmp").mkdir()
    service.program.env |= {
        "AWS_ACCESS_KEY_ID": weed.access_key,
        "AWS_SECRET_ACCESS_KEY": weed.secret_key,
        "AWS_REGION": weed.region,
        "AWS_ENDPOINT_URL_S3": weed.endpoint,
        "CCTV_S3_OPTIONS": '{"addressing": "path"}',
        "CCTV_LOG_LEVEL": "debug",
        "CCTV_RENDITIONS": "full, thumb:480x270, tiny:160x90@webp",
        "CCTV_MASKS": "masks.json",
        "CCTV_ARCHIVE": f"file://{tmp_path}/archive",
        "CCTV_INTERVAL": "5",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    (tmp_path / "masks.json").write_text(json.dumps({"whole": HALF, "cut": HALF, "late": HALF}))
    cameras = {"whole": ("pelco-open", "none"), "cut": ("pelco-open", "truncated"), "late": ("axis-new", "none")}
    async with zoo_of(cameras) as zoo:
        service.furnish(zoo)
        async with service.running("run") as daemon:
            kinds = {"whole": "picture", "cut": "fallback", "late": "picture"}
            await service.sees(lambda seen: {i: camera["kind"] for i, camera in seen.items()} == kinds)
            await until(lambda: zoo.counts("whole").pictures >= 3)
            assert (await service.cameras())["cut"]["error_state"] == ErrorState.TRUNCATED
            async with aiohttp.ClientSession() as session:
                for key in [
                    f"image/{place}" for i in cameras for place in (f"{i}.jpg", f"thumb/{i}.jpg", f"tiny/{i}.webp")
                ]:
                    async with session.get(f"{weed.endpoint}/{bucket}/{key}") as answer:
                        assert answer.status == 200, key
                        assert dark_half(await answer.read()) == ("cut" not in key), key
                async with session.get(f"http://127.0.0.1:{service.port}/image/whole.jpg") as answer:
                    assert dark_half(await answer.read())
            await stop(daemon)
    kept = [path for path in (tmp_path / "archive").rglob("*.jpg")]
    assert len([path for path in kept if dark_half(path.read_bytes())]) >= 2
    assert traces(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_mask_that_is_added_takes_the_unmasked_picture_away_before_the_camera_is_asked(tmp_path: Path) -> None:
    service = Service(tmp_path, f"file://{tmp_path}/store")
    service.program.env["CCTV_INTERVAL"] = "600"
    service.program.env["CCTV_MASKS"] = "masks.json"
    (tmp_path / "masks.json").write_text("{}")
    public = tmp_path / "store" / "image" / "a.jpg"
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        service.furnish(zoo)
        async with service.running("run") as daemon:
            await until(public.exists)
            assert traces(tmp_path) == [str(public)]
            (tmp_path / "masks.json").write_text(json.dumps({"a": [[[0, 0], [2, 0], [1, 1]]]}))
            refused = await service.program("reload")
            assert refused.code == 1
            assert "outside the picture" in refused.err
            zoo.set_fault("a", "drip")
            (tmp_path / "masks.json").write_text(json.dumps({"a": HALF}))
            assert (await service.program("reload")).code == 0
            await until(lambda: service.events("fallback_published"))
            assert traces(tmp_path) == []
            await stop(daemon)


def test_where_masks_cannot_be_read_the_service_does_not_start(tmp_path: Path) -> None:
    from cctv_images.parts import privacy_masks
    from cctv_images.settings import load_settings

    env = {"CCTV_INVENTORY": __file__, "CCTV_STORE": f"file://{tmp_path}"}
    (tmp_path / "masks.json").write_text('{"1": []}')
    settings = load_settings(None, env | {"CCTV_MASKS": str(tmp_path / "masks.json")})
    assert privacy_masks(settings) == {"1": ()}
    (tmp_path / "masks.json").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        privacy_masks(settings)
