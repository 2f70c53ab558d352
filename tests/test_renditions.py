"""Several forms of one picture: how they are chosen, made, put in order, and taken away again."""

from __future__ import annotations

import asyncio
import re
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from program import stop, until
from service import Service
from zoo import zoo_of

from cctv_images.choices import AS_IT_CAME, RenditionSpec, renditions
from cctv_images.process.render import fitted

KEY = "image/{camera_id}.jpg"


@pytest.fixture
def local(tmp_path: Path) -> Service:
    return Service(tmp_path, f"file://{tmp_path}/store")


def size(path: Path) -> tuple[int, int]:
    with Image.open(BytesIO(path.read_bytes())) as image:
        image.load()
        return image.size


# --- how they are written ---


def test_renditions_are_read_as_they_are_written_and_full_comes_last() -> None:
    assert renditions("full") == (AS_IT_CAME,)
    assert renditions("full, thumb:480x270,small:320x180@q70@progressive tiny:160x90@webp") == (
        RenditionSpec("thumb", (480, 270)),
        RenditionSpec("small", (320, 180), 70, progressive=True),
        RenditionSpec("tiny", (160, 90), webp=True),
        AS_IT_CAME,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thumb:480x270", '"full" among them'),
        ("full, thumb", '"thumb" says no size'),
        ("full, thumb:0x270", "0 pixels wide"),
        ("full, thumb:480x0", "0 high"),
        ("full, thumb:480x99999", "99999 high"),
        ("full, thumb:480", "no size such as"),
        ("full, thumb:axb", "no size such as"),
        ("full, thumb:480x270@png", "unknown format"),
        ("full, thumb:480x270@q0", "q1 to q100"),
        ("full, thumb:480x270@q101", "q1 to q100"),
        ("full, thumb:480x270@", "unknown format"),
        ("full, thumb:480x270, Thumb:320x180", '"thumb"'),
        ("full, full@q80", 'called "full"'),
        ("full, t:9x9@q70@q80", "one thing twice: @q80"),
        ("full@webp", "is a JPEG"),
        ("full, t:9x9@webp@progressive", "no progressive WebP"),
        ("full, ../up:48x27", "is not made of"),
        ("full, " + ", ".join(f"r{n}:9x9" for n in range(8)), "at most 8"),
        (",", '"full" among them'),
    ],
)
def test_what_is_no_rendition_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        renditions(text)


def test_each_rendition_has_its_key() -> None:
    thumb, tiny = RenditionSpec("thumb", (9, 9)), RenditionSpec("tiny", (9, 9), webp=True)
    assert AS_IT_CAME.key(KEY, "134") == "image/134.jpg"
    assert thumb.key(KEY, "134") == "image/thumb/134.jpg"
    assert tiny.key(KEY, "134") == "image/tiny/134.webp"
    assert thumb.key("{camera_id}", "1.2") == "thumb/1.2"
    assert tiny.key("{camera_id}", "134") == "tiny/134.webp"
    assert tiny.key("{camera_id}", "1.2") == "tiny/1.2.webp"
    assert tiny.key("a/cam.{camera_id}", "134") == "a/tiny/cam.134.webp"
    assert tiny.key("{camera_id}/last.jpeg", "134") == "134/tiny/last.webp"
    assert thumb.key("{camera_id}/now.jpg", "134") == "134/thumb/now.jpg"


# --- how they are made ---


@pytest.mark.parametrize(
    ("picture", "box", "made"),
    [
        ((1280, 720), (480, 270), (480, 270)),
        ((1280, 960), (480, 270), (360, 270)),
        ((720, 1280), (480, 270), (152, 270)),
        ((320, 180), (480, 270), (320, 180)),
        ((640, 180), (480, 270), (480, 135)),
        ((5000, 3), (100, 100), (100, 1)),
        ((1280, 720), None, (1280, 720)),
    ],
)
def test_the_aspect_is_kept_and_nothing_is_enlarged(
    picture: tuple[int, int], box: tuple[int, int] | None, made: tuple[int, int]
) -> None:
    assert fitted(picture, box) == made


async def test_every_rendition_shows_picture_fallback_and_removal(local: Service) -> None:
    image = local.folder / "store" / "image"
    thumb = image / "thumb"
    async with zoo_of({"well": ("pelco-open", "none"), "sick": ("pelco-open", "not_found")}) as zoo:
        local.furnish(zoo, CCTV_RENDITIONS="full, thumb:480x270, tiny:160x160@webp")
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["kind"] for c in cameras.values()))
            assert size(thumb / "well.jpg")[0] == 480
            assert size(image / "tiny" / "well.webp")[0] == 160
            assert size(thumb / "sick.jpg") == (480, 270)
            assert size(image / "tiny" / "sick.webp") == (160, 90)
            before = (thumb / "well.jpg").read_bytes()
            lines = [line for line in zoo.inventory_csv().splitlines() if not line.startswith("well,")]
            (local.folder / "cameras.csv").write_text("\n".join(lines) + "\n")
            assert (await local.program("reload")).code == 0
            await until(lambda: (thumb / "well.jpg").read_bytes() != before)
            assert size(thumb / "well.jpg") == (480, 270)
            await stop(daemon)
    assert not local.events("internal_error")


async def test_a_rendition_that_is_no_longer_made_leaves_nothing_stale(local: Service) -> None:
    thumb = local.folder / "store" / "image" / "thumb" / "a.jpg"
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        local.furnish(zoo, CCTV_RENDITIONS="full, thumb:480x270", CCTV_REMOVED="delete")
        async with local.running("run") as daemon:
            await until(thumb.exists)
            local.furnish(zoo, CCTV_REMOVED="delete")
            assert (await local.program("reload")).code == 0
            await until(lambda: not thumb.exists())
            await asyncio.sleep(0.2)
            assert (local.folder / "store" / "image" / "a.jpg").exists()
            await stop(daemon)
