"""Content checks on pictures that show a fault and on days of streets on which nothing is wrong."""

from __future__ import annotations

import functools
import random
import time
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cctv_images.choices import RenditionSpec
from cctv_images.likeness import AT_ONCE, Likenesses
from cctv_images.process.content import PLAIN, SCENE, Look, shrunk
from cctv_images.process.render import Order
from cctv_images.process.verify import PLAIN as PLAIN_ORDER
from cctv_images.process.verify import Costly, glance
from cctv_images.simulate import screens
from cctv_images.simulate.day import WEATHERS, Day
from cctv_images.simulate.pictures import encoded
from cctv_images.simulate.scene import write_caption
from cctv_images.suspicion import Reason, Suspect, Suspicion, sun_degrees

MIDNIGHT = 20_000 * 86_400.0
NOON, NIGHT = MIDNIGHT + 12 * 3600, MIDNIGHT + 2 * 3600
LONDON = (51.5, 0.0)
AFTER = 4
street = functools.cache(Day)


def look(jpeg: bytes, order: Order = PLAIN_ORDER) -> Look:
    judged = glance(jpeg, 50_000_000, order)
    seen = (judged.finish() if isinstance(judged, Costly) else judged).look
    assert seen is not None
    return seen


def judged(
    pictures: list[bytes], begin: float = NOON, place: tuple[float, float] | None = LONDON
) -> list[Reason | None]:
    suspicion = Suspicion(AFTER, place)
    marks = [suspicion.judge(look(jpeg), begin + n * 300, None, False) for n, jpeg in enumerate(pictures)]
    return [mark.reason if mark else None for mark in marks]


def captioned(card: Image.Image, clock: int, quality: int = 75) -> bytes:
    view = card.copy()
    write_caption(view, "6th St", time.strftime("%H:%M:%S", time.gmtime(clock)))
    return encoded(view, quality=quality)


SCREENS = {
    "black": screens.colour((0, 0, 0)),
    "blue": screens.colour((0, 0, 168)),
    "grey": screens.colour((120, 120, 120)),
    "white": screens.colour((255, 255, 255)),
    "bars": screens.bars(),
    "smpte": screens.smpte(),
    "no signal": screens.no_signal(),
    "video loss": screens.no_signal("VIDEO LOSS", (0, 0, 0), 140),
    "snow": screens.snow(random.Random(1)),
}


@pytest.mark.parametrize("kind", SCREENS)
@pytest.mark.parametrize("quality", [50, 85])
def test_what_is_no_view_is_blank_after_three_pictures(kind: str, quality: int) -> None:
    plain = judged([encoded(SCREENS[kind], quality=quality)] * 4, NIGHT, None)
    assert plain[:2] == [None, None]
    assert plain[3] is Reason.BLANK
    assert judged([captioned(SCREENS[kind], n, quality) for n in range(4)])[3] is Reason.BLANK


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("begin", [NIGHT, NOON])
def test_an_hour_in_any_weather_raises_nothing(weather: str, begin: float) -> None:
    hour = [street(3, weather, 50).picture(begin + n * 300) for n in range(5)]
    assert judged(hour, begin) == [None] * 5
    assert max(look(jpeg).plain for jpeg in hour) < PLAIN


def night_view(rng: random.Random, noise: float) -> bytes:
    """Nearly nothing: what an unlit road looks like."""
    ground = np.full((720, 1280), 6.0) + np.linspace(0, 3, 720)[:, None]
    grain = np.random.default_rng(rng.randrange(1 << 32)).normal(0, noise, ground.shape)
    return encoded(Image.fromarray(np.clip(ground + grain, 0, 255).astype(np.uint8)).convert("RGB"))


@pytest.mark.parametrize("noise", [0.8, 4.0, 12.0])
@pytest.mark.parametrize("place", [LONDON, None])
def test_a_dark_view_without_features_is_a_night(noise: float, place: tuple[float, float] | None) -> None:
    rng = random.Random(3)
    assert judged([night_view(rng, noise) for _ in range(5)], NIGHT, place) == [None] * 5


def test_the_same_darkness_by_day_is_blank_and_without_a_place_after_a_day_of_it() -> None:
    dark = [captioned(screens.colour((0, 0, 0)), n) for n in range(4)]
    assert judged(dark, NIGHT) == [None] * 4
    assert judged(dark, NOON)[-1] is Reason.BLANK
    suspicion = Suspicion(AFTER)
    marks = [suspicion.judge(look(dark[n % 4]), NIGHT + n * 3600, None, False) for n in range(26)]
    assert marks[19] is None
    assert marks[25] is not None


@pytest.mark.parametrize(("hour", "weather"), [(2, "clear"), (7.5, "rain"), (12, "clear"), (12, "fog")])
def test_a_picture_in_which_only_the_clock_goes_is_frozen(weather: str, hour: float) -> None:
    begin = MIDNIGHT + hour * 3600
    day = street(5, weather)
    live = [day.picture(begin - 300)]
    marks = judged(live + [day.picture(begin, clock=begin + n * 300) for n in range(AFTER + 1)], begin)
    assert marks == [None] * (AFTER + 1) + [Reason.FROZEN]


def test_the_same_bytes_again_and_again_are_frozen_too() -> None:
    assert judged([street(5).picture(NOON)] * (AFTER + 1))[-1] is Reason.FROZEN


def test_a_frozen_picture_is_believed_again_after_two_that_moved() -> None:
    day = street(5)
    pictures = [day.picture(NOON)] * (AFTER + 1) + [day.picture(NOON + n * 300) for n in range(1, 4)]
    assert judged(pictures)[-4:] == [Reason.FROZEN, Reason.FROZEN, None, None]


def test_a_static_view_without_any_noise_is_alive_while_something_drives_through_it() -> None:
    """Drawn pictures, and cameras that smooth their noise away."""
    pictures = []
    for n in range(10):
        card = Image.open(BytesIO(street(5, "empty road").picture(NOON, clock=NOON)))
        card.paste((200, 30, 30), (200 + 70 * n, 300 + 20 * n, 330 + 70 * n, 400 + 20 * n))
        pictures.append(encoded(card))
    assert judged(pictures) == [None] * 10


def test_one_odd_picture_raises_nothing_and_ends_nothing() -> None:
    day = street(5)
    blue = encoded(SCREENS["blue"])
    views = [day.picture(NOON + n * 300) for n in range(8)]
    assert judged([views[0], blue, views[1], blue, blue, views[2]]) == [None] * 6
    assert judged([blue, blue, blue, views[0], blue, views[1], views[2], views[3]])[2:7] == [Reason.BLANK] * 4 + [None]


def fleet(pictures: dict[str, list[bytes]]) -> dict[str, list[Suspect | None]]:
    """Each camera's marks; the cameras send one after the other."""
    likenesses, marks = Likenesses(), {camera_id: [] for camera_id in pictures}
    suspicions = {camera_id: Suspicion(AFTER, LONDON) for camera_id in pictures}
    for n in range(len(next(iter(pictures.values())))):
        for camera_id, shown in pictures.items():
            now, seen = NOON + n * 300, look(shown[n])
            twin = likenesses.compare(camera_id, seen.scene, now, 750)
            marks[camera_id].append(suspicions[camera_id].judge(seen, now, *twin))
    return marks


def test_one_view_under_two_ids_marks_both_and_nobody_else() -> None:
    moments = [NOON + n * 300 for n in range(4)]
    pictures = {f"c{n}": [street(n).picture(now) for now in moments] for n in range(1, 6)}
    pictures["other"] = [street(3).picture(now + 140, "Another name") for now in moments]
    marks = fleet(pictures)
    twins = {camera_id: seen[-1].twin for camera_id, seen in marks.items() if seen[-1]}
    assert twins == {"c3": "other", "other": "c3"}
    assert all(seen[1] is None for seen in marks.values())


def test_screens_without_a_signal_are_blank_and_no_twins() -> None:
    bars = [encoded(screens.bars())] * 5
    marks = fleet({"a": bars, "b": bars})
    assert {seen[-1].reason for seen in marks.values() if seen[-1]} == {Reason.BLANK}


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=SCENE).astype(np.float32)
    return vector / np.linalg.norm(vector)


def test_a_twin_is_found_in_a_fleet_of_thousands_within_some_cycles_of_constant_work() -> None:
    likenesses, count = Likenesses(), 1200
    views = [unit(n) for n in range(count)]
    views[1100] = views[17]
    found = set()
    for cycle in range(count // AT_ONCE + 2):
        for n in range(count):
            if likenesses.compare(f"c{n}", views[n], cycle * 300.0, 750)[1]:
                found.add(n)
    assert found == {17, 1100}


def test_a_view_of_long_ago_is_not_compared_and_one_that_left_is_forgotten() -> None:
    likenesses, view = Likenesses(), unit(1)
    assert likenesses.compare("a", view, 0, 750) == (None, False)
    assert likenesses.compare("b", view, 100, 750) == ("a", True)
    assert likenesses.compare("b", view, 2000, 750) == ("a", None)
    assert likenesses.compare("b", None, 2100, 750) == ("a", None)
    likenesses.forget("a")
    assert likenesses.compare("b", view, 2200, 750) == (None, False)
    likenesses.forget("b")
    likenesses.forget("b")
    assert likenesses.compare("c", unit(2), 2300, 750) == (None, False)


def test_the_suns_height_is_about_right() -> None:
    midsummer = 1_781_980_200  # 2026-06-20 18:30 UTC: noon in Austin
    assert sun_degrees(30.27, -97.74, midsummer) == pytest.approx(83, abs=1)
    assert sun_degrees(30.27, -97.74, midsummer - 12 * 3600) < -30
    assert sun_degrees(-33.87, 151.2, midsummer) < -30


@pytest.mark.parametrize("size", [(48, 40), (100, 60), (320, 180), (4000, 20), (640, 480)])
def test_pictures_of_any_size_have_a_look(size: tuple[int, int]) -> None:
    view = Image.effect_noise(size, 80).convert("RGB")
    for form in ("jpeg", "progressive", "grey", "png", "webp"):
        assert not look(encoded(view, form)).empty


@pytest.mark.parametrize("box", [(320, 180), (1280, 720)])
def test_the_look_is_nearly_the_same_where_renditions_are_made(box: tuple[int, int]) -> None:
    order = Order(others=(RenditionSpec("thumb", box),))
    view, blue = street(5).picture(NOON), encoded(SCREENS["no signal"])
    one, other = look(view), look(view, order)
    assert one.scene is not None
    assert float(one.scene @ other.scene) > 0.97
    assert other.plain < 0.6
    assert look(blue, order).plain > PLAIN
    assert not look(blue, order).dark
    clock = [look(street(5).picture(NOON, clock=NOON + n), order) for n in range(AFTER + 1)]
    suspicion = Suspicion(AFTER, LONDON)
    assert [suspicion.judge(seen, NOON, None, False) for seen in clock][-1]


def test_what_pillow_cannot_read_has_no_look() -> None:
    assert shrunk(b"\xff\xd8 nothing", "L") is None
