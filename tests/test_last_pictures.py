"""What is known of a camera's last picture outlives a restart, and stands on the fallback of one that was removed."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from program import stop, until
from service import Service
from zoo import zoo_of

from cctv_images.choices import Choices
from cctv_images.clock import SimulatedClock
from cctv_images.inventory.camera import Camera
from cctv_images.last_pictures import LastPictures
from cctv_images.masks import Mask, masks
from cctv_images.records import CameraRecord, Fleet


def record(camera_id: str = "a") -> CameraRecord:
    return CameraRecord(Camera(camera_id, "generic"), 300.0)


async def test_size_and_time_of_the_last_picture_come_back(tmp_path: Path) -> None:
    path, clock = tmp_path / "pictures.json", SimulatedClock()
    fleet = Fleet(0.0, {"a": record(), "b": record("b")})
    fleet.cameras["a"].last_picture_at, fleet.cameras["a"].last_size = 1000.5, (1920, 1080)
    pictures = LastPictures(path, fleet, clock)
    await pictures.save()
    later, again = LastPictures(path, Fleet(0.0), clock), record()
    later.restore(again)
    assert (again.last_picture_at, again.last_size) == (1000.5, (1920, 1080))
    assert later.size("a") == (1920, 1080)
    assert later.size("b") is None
    del fleet.cameras["a"]
    fleet.cameras["b"].last_picture_at, fleet.cameras["b"].last_size = 1100.0, (640, 480)
    await pictures.save()
    assert json.loads(path.read_bytes()).keys() == {"b"}


async def test_a_mask_that_is_new_after_a_restart_takes_the_public_picture_away(tmp_path: Path) -> None:
    path, clock = tmp_path / "pictures.json", SimulatedClock()
    one, other = masks([[[0, 0], [1, 0], [0, 1]], [[1, 1], [0.9, 1], [1, 0.9]]])

    def masked(*chosen: Mask) -> CameraRecord:
        return CameraRecord(Camera("a", "generic", choices=Choices(masks=chosen)), 300.0)

    async def restarted(was: CameraRecord, now: CameraRecord) -> bool:
        was.last_picture_at, was.last_size = 1000.5, (1920, 1080)
        await LastPictures(path, Fleet(0.0, {"a": was}), clock).save()
        LastPictures(path, Fleet(0.0), clock).restore(now)
        return now.owed

    assert await restarted(masked(), masked(one))
    assert not await restarted(masked(one, other), masked(one))
    owing = masked(other)
    assert await restarted(masked(one), owing)
    assert await restarted(owing, masked(other)), "until the store has taken the fallback"
    path.write_text('{"a": [1000, 1920, 1080]}')
    old = masked(one)
    LastPictures(path, Fleet(0.0), clock).restore(old)
    assert old.owed, "the file is of a version that knew no masks"


async def test_what_a_camera_has_shown_since_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "pictures.json"
    path.write_text('{"a": [1000, 1920, 1080]}')
    new = record()
    new.last_picture_at, new.last_size = 2000.0, (640, 480)
    LastPictures(path, Fleet(0.0), SimulatedClock()).restore(new)
    assert new.last_size == (640, 480)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 5}', '{"a": [1]}', '{"a": ["x", 1, 1]}'])
async def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path, new = tmp_path / "pictures.json", record()
    path.write_text(text)
    LastPictures(path, Fleet(0.0), SimulatedClock()).restore(new)
    assert new.last_picture_at is None


def brightness(path: Path) -> float:
    with Image.open(BytesIO(path.read_bytes())) as image:
        return sum(image.convert("L").resize((8, 8)).tobytes()) / 64


async def test_a_camera_that_is_switched_off_or_failing_after_a_restart_is_told_apart(tmp_path: Path) -> None:
    local = Service(tmp_path, f"file://{tmp_path}/store")
    image = tmp_path / "store" / "image"
    async with zoo_of({"a": ("pelco-open", "none"), "b": ("pelco-open", "none")}) as zoo:
        local.furnish(zoo, CCTV_INTERVAL="1", CCTV_TIMEOUT="0.9", CCTV_ATTEMPTS="1")
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["kind"] == "picture" for c in cameras.values()))
            await stop(daemon)
        assert json.loads((tmp_path / "state" / "pictures.json").read_bytes()).keys() == {"a", "b"}
        zoo.set_fault("a", "not_found")
        lines = [line for line in zoo.inventory_csv().splitlines() if not line.startswith("b,")]
        (tmp_path / "cameras.csv").write_text("\n".join(lines) + "\n")
        async with local.running("run") as daemon:
            await until(lambda: brightness(image / "b.jpg") > 200)
            await local.sees(lambda cameras: cameras["a"]["kind"] == "fallback")
            assert (await local.cameras())["a"]["last_picture_at"]
            assert brightness(image / "a.jpg") < 80
            await stop(daemon)
