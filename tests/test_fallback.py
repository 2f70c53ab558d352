"""The picture in a camera's place: the plain one, an own one, and the one that is drawn and says why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageStat

from cctv_images.choices import AS_IT_CAME, RenditionSpec
from cctv_images.commands.pictures import notes
from cctv_images.errors import ConfigError, ReasonClass
from cctv_images.inventory.camera import Camera
from cctv_images.process.cards import Card, draw
from cctv_images.process.fallback import MAX_BYTES, Fallbacks, builtin_fallback, load_fallback
from cctv_images.process.verify import examine
from cctv_images.wording import ENGLISH, KNOWN, NAMES, Words, fallback_text


def jpeg(width: int = 64, height: int = 64, **options: object) -> bytes:
    out = BytesIO()
    Image.effect_noise((width, height), 50).save(out, "JPEG", **options)
    return out.getvalue()


def problem(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_fallback(path)
    (sentence,) = caught.value.problems
    assert "CCTV_FALLBACK_IMAGE" in sentence
    assert str(path) in sentence
    return sentence


def test_the_builtin_fallback_is_a_small_picture_that_passes_our_own_test() -> None:
    picture = examine(builtin_fallback(), 1280 * 720)
    assert picture.data == builtin_fallback() == load_fallback(None)
    assert (picture.width, picture.height) == (1280, 720)
    assert len(picture.data) < 40_000


def test_the_builtin_fallback_has_the_same_bytes_in_every_process() -> None:
    code = "import sys; from cctv_images.process import builtin_fallback; sys.stdout.buffer.write(builtin_fallback())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert other == builtin_fallback()


def test_its_writing_stands_out_from_its_ground() -> None:
    with Image.open(BytesIO(builtin_fallback())) as image:
        low, high = image.convert("L").crop((150, 440, 1130, 560)).getextrema()
    assert low < 50
    assert high > 230


@pytest.mark.parametrize("trailer", [b"", b"\r\n", b"vendor" * 100])
def test_an_own_jpeg_is_used_byte_for_byte(tmp_path: Path, trailer: bytes) -> None:
    path = tmp_path / "own.jpg"
    own = jpeg() + trailer
    path.write_bytes(own)
    assert load_fallback(path) == own


def test_what_cannot_serve_as_fallback_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "own.jpg"
    assert "No such file" in problem(path)
    assert "not a file" in problem(tmp_path)
    for body, said in (
        (b"", "not a JPEG"),
        (b"<html>", "not a JPEG"),
        (jpeg()[:-50], "not whole"),
        (b"\xff\xd8\xff", "ends before"),
    ):
        path.write_bytes(body)
        assert said in problem(path)
    Image.new("RGB", (64, 64)).save(path, "PNG")
    assert "not a JPEG" in problem(path)
    path.write_bytes(jpeg() + bytes(MAX_BYTES))
    assert "bytes" in problem(path)
    path.write_bytes(jpeg().replace(b"\0\x40\0\x40", b"\xff\x00\xff\x00", 1))
    assert "pixels" in problem(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a file" in problem(path)


# --- drawn ---

EVENING = 1_795_398_300.0  # 2026-11-23 01:45 UTC
ENGLISH_SPANISH = fallback_text('{"en": {"agency": "City of Austin"}, "es": {}}')
CARD = Card("6th St / Red River St", ReasonClass.NOT_REACHABLE, EVENING, "America/Chicago")
THUMB = RenditionSpec("thumb", (480, 270))


def opened(body: bytes) -> Image.Image:
    image = Image.open(BytesIO(body))
    image.load()
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean of grey levels."""
    return ImageStat.Stat(ImageChops.difference(one.convert("L"), other.convert("L"))).mean[0]


@pytest.fixture
def fallbacks() -> Iterator[Callable[..., Fallbacks]]:
    made: list[Fallbacks] = []

    def make(own: bytes | None = None, words: tuple[Words, ...] = ENGLISH, told: list[str] | None = None) -> Fallbacks:
        made.append(Fallbacks(own, words, (told if told is not None else []).append))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_the_fallback_has_the_size_of_the_cameras_last_picture_in_every_rendition(fallbacks) -> None:
    specs = (THUMB, RenditionSpec("tiny", (160, 160), webp=True), AS_IT_CAME)
    drawn = await fallbacks().renditions(replace(CARD, size=(1920, 1080)), specs)
    assert [opened(one.body).size for one in drawn] == [(480, 270), (160, 90), (1920, 1080)]
    assert [opened(one.body).format for one in drawn] == ["JPEG", "WEBP", "JPEG"]
    assert [one.spec for one in drawn] == list(specs)
    (full,) = await fallbacks().renditions(CARD, (AS_IT_CAME,))
    assert (full.width, full.height) == (1280, 720)
    assert examine(full.body, 1280 * 720).md5 == full.md5
    (huge,) = await fallbacks().renditions(replace(CARD, size=(8000, 6000)), (AS_IT_CAME,))
    assert (huge.width, huge.height) == (2880, 2160)


def test_each_reason_has_its_own_look_and_a_camera_that_is_switched_off_a_light_one() -> None:
    looks = [draw(replace(CARD, told=told), ENGLISH, (640, 360)) for told in ReasonClass]
    for one, other in combinations(looks, 2):
        assert difference(one, other) > 2
    light = [ImageStat.Stat(image.convert("L")).mean[0] for image in looks]
    assert sum(level > 128 for level in light) == 1


@pytest.mark.parametrize("size", [(1280, 720), (320, 180), (3840, 2160), (720, 1280), (2048, 512), (160, 90), (96, 64)])
def test_what_is_written_stays_within_the_picture_whatever_its_size(size: tuple[int, int]) -> None:
    long = replace(CARD, name="MoPac Expressway Frontage Road southbound at Barton Skyway " * 3)
    for words in (ENGLISH, fallback_text('{"de": {"agency": "Landesbetrieb"}, "fr": {}, "es": {}}')):
        card = draw(long, words, size)
        blank = draw(long, (), size)
        written = ImageChops.difference(card, blank).convert("L").point(lambda level: 255 * (level > 40)).getbbox()
        assert written is not None
        left, top, right, bottom = written
        edge = min(size) * 0.02
        assert left > edge
        assert top > edge
        assert right < size[0] - edge
        assert bottom < size[1] - edge


def test_name_reason_time_and_agency_each_change_what_is_seen() -> None:
    size = (640, 360)
    first = draw(CARD, ENGLISH, size)
    for other in (
        draw(replace(CARD, name="Lamar Blvd"), ENGLISH, size),
        draw(replace(CARD, since=EVENING + 60), ENGLISH, size),
        draw(replace(CARD, since=None), ENGLISH, size),
        draw(replace(CARD, time_zone="Europe/Berlin"), ENGLISH, size),
        draw(CARD, ENGLISH_SPANISH, size),
    ):
        assert difference(first, other) > 0.005
    assert difference(first, draw(CARD, ENGLISH, size)) == 0


@pytest.mark.parametrize("address", ["10.1.2.3", "10.1.2.3:8080", "http://cam.local/still", "rtsp://10.0.0.1/live"])
def test_an_address_in_a_name_is_not_shown(address: str) -> None:
    without = draw(replace(CARD, name="6th St"), ENGLISH, (640, 360))
    assert difference(draw(replace(CARD, name=f"6th St {address}"), ENGLISH, (640, 360)), without) == 0


def test_small_ones_can_be_read_too() -> None:
    """Letters stand out from their ground, and are as tall as letters must be."""
    card = draw(CARD, ENGLISH_SPANISH, (320, 180)).convert("L")
    bright = np.asarray(card.crop((100, 0, 320, 180))) > 150
    rows = bright.any(axis=1)
    lines = int((rows[1:] & ~rows[:-1]).sum())
    assert lines >= 5
    assert bright.sum() > 1000


async def test_an_own_image_still_wins(fallbacks) -> None:
    own = jpeg(800, 600)
    thumb, full = await fallbacks(own).renditions(CARD, (THUMB, AS_IT_CAME))
    assert full.body == own
    assert (thumb.width, thumb.height) == (360, 270)


async def test_where_drawing_fails_the_plain_image_is_shown_and_it_is_told_once(fallbacks) -> None:
    told: list[str] = []
    broken = replace(CARD, time_zone="Nowhere/Atall")
    some = fallbacks(told=told)
    for _ in range(2):
        thumb, full = await some.renditions(broken, (THUMB, AS_IT_CAME))
        assert full.body == builtin_fallback()
        assert (thumb.width, thumb.height) == (480, 270)
    assert len(told) == 1
    await some.renditions(CARD, (AS_IT_CAME,))
    await some.renditions(broken, (AS_IT_CAME,))
    assert len(told) == 2


@pytest.mark.parametrize("name", ["", "東京", "\u202e\x00\n" * 40, "x" * 5000, "שלום"])
async def test_names_of_any_kind_are_drawn(fallbacks, name: str) -> None:
    told: list[str] = []
    (full,) = await fallbacks(told=told).renditions(replace(CARD, name=name), (AS_IT_CAME,))
    assert not told
    assert full.body != builtin_fallback()


def test_check_names_the_cameras_whose_names_the_font_cannot_write() -> None:
    assert not notes([Camera("1", "generic", name="Škoda / 6th St")])
    (note,) = notes([Camera("1", "generic", name="6th St"), Camera("2", "generic", name="東京 1")])
    assert note.endswith("2 (東京)")


# --- its words ---


def test_words_are_ours_but_for_those_that_are_given() -> None:
    english, spanish = ENGLISH_SPANISH
    assert english == replace(KNOWN["en"], agency="City of Austin")
    assert spanish == KNOWN["es"]
    own = {name: name for name in NAMES} | {"since": "od {time}"}
    (czech,) = fallback_text(json.dumps({"cs": own}))
    assert (czech.title, czech.since) == ("title", "od {time}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No picture", "expected JSON"),
        ("{}", "1 to 3 languages"),
        ('{"en": {}, "es": {}, "fr": {}, "de": {}}', "1 to 3 languages"),
        ('{"en": "No picture"}', '"en" expected an object'),
        ('{"en": {"tittle": "x"}}', "did you mean title?"),
        ('{"cs": {"title": "x"}}', "lacks not_reachable, not_a_picture, being_checked, switched_off, since"),
        ('{"en": {"title": ""}}', '"title" of "en" is no text'),
        ('{"en": {"title": 5}}', '"title" of "en" is no text'),
        ('{"en": {"since": "Since long"}}', "expected {time} in it"),
        ('{"en": {"title": "現在の画像なし"}}', '"title" of "en" has characters that the font cannot write: 現 在 の'),
        ('{"en": {"agency": "עיריית"}}', '"agency" of "en" has characters that the font cannot write'),
        ('{"en": {"agency": "a\\u202eb"}}', "U+202E"),
        (json.dumps({"en": {"title": "x" * 121}}), "at most 120"),
    ],
)
def test_words_that_cannot_be_shown_are_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        fallback_text(text)
