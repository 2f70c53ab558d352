"""One street over a whole day: light that changes, weather, a sensor's noise, a clock. For whoever judges pictures."""

from __future__ import annotations

import functools
import itertools
import math
import random
import time

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cctv_images.simulate.backdrop import LOOKS, draw_backdrop
from cctv_images.simulate.perspective import HEIGHT, WIDTH, Road
from cctv_images.simulate.pictures import encoded
from cctv_images.simulate.scene import write_caption
from cctv_images.simulate.traffic import drive, vehicles

WEATHERS = ("clear", "rain", "fog", "dense fog", "empty road", "unlit road")
HOUR_S = 3600.0

_HOURS = (
    (0.0, 5),
    (5.5, 5),
    (6.5, 4),
    (7.5, 3),
    (9.5, 1),
    (12.5, 0),
    (16.0, 1),
    (18.0, 3),
    (19.5, 4),
    (21.0, 5),
    (24.0, 5),
)
"""Hour → the look of LOOKS at that hour; in between they run into each other."""
_DULL = {0: 2, 1: 2, 3: 2}
"""Looks that become overcast when it rains or in a fog."""
_SIGHT_M = {"fog": 70.0, "dense fog": 25.0}
"""How far one sees, roughly."""


class Day:
    """`Day(n, weather)` is always the same one, and each moment of it has its own noise."""

    def __init__(self, number: int, weather: str = "clear", quality: int = 75) -> None:
        rng = random.Random(number * 7919 + 11)
        self.number, self.weather, self.quality = number, weather, quality
        self.road = Road.of(rng)
        self._seed = rng.random()
        self._drawn: dict[int, Image.Image] = {}
        busy = vehicles(self.road, rng)
        self._everyone = [] if "road" in weather else busy

    def picture(self, now: float, name: str = "", clock: float | None = None) -> bytes:
        """A JPEG. now: seconds, midnight at multiples of 86,400. clock: what is written on it, where that goes on."""
        hour = now / HOUR_S % 24
        (before, one), (after, other) = next(p for p in itertools.pairwise(_HOURS) if p[0][0] <= hour <= p[1][0])
        share = (hour - before) / (after - before)
        light = LOOKS[one].light + (LOOKS[other].light - LOOKS[one].light) * share
        view = Image.blend(self._backdrop(one), self._backdrop(other), share)
        drive(view, self.road, self._everyone[:: 1 if light > 0.5 else 2], now, 1.0 if light > 0.6 else 0.32)
        rng = random.Random(f"{self.number} {self.weather} {now}")
        view = self._in_weather(view, light, rng)
        view = _noisy(view, 2.0 + 6.0 * max(0.0, 1 - light), rng)
        written = time.strftime("%Y-%m-%d  %H:%M:%S", time.gmtime(now if clock is None else clock))
        write_caption(view, name or f"Camera {self.number}", written)
        return encoded(view, quality=self.quality)

    def _backdrop(self, look: int) -> Image.Image:
        if self.weather == "rain" or self.weather in _SIGHT_M:
            look = _DULL.get(look, look)
        if look not in self._drawn:
            self._drawn[look] = draw_backdrop(self.road, LOOKS[look], random.Random(self._seed))
        return self._drawn[look]

    def _in_weather(self, view: Image.Image, light: float, rng: random.Random) -> Image.Image:
        if self.weather == "unlit road" and light < 0.5:
            return view.point(lambda value: max(0, value * 0.25 - 4))
        exposure = rng.uniform(0.97, 1.03)
        view = view.point(lambda value: value * exposure)
        if sight := _SIGHT_M.get(self.weather):
            grey = round(30 + 240 * (light - 0.3))
            return Image.composite(view, Image.new("RGB", view.size, (grey, grey, grey)), _clearness(self.road, sight))
        if self.weather == "rain":
            drops = _streaks(rng)
            return ImageChops.screen(view, Image.merge("RGB", (drops, drops, drops)))
        return view


def _clearness(road: Road, sight_m: float) -> Image.Image:
    """A mask: how much of each row is seen through the fog."""
    column = Image.new("L", (1, HEIGHT))
    for y in range(HEIGHT):
        below = y - road.horizon_y
        metres = min(600.0, road.focal * road.camera_height_m / below) if below > 0 else 600.0
        column.putpixel((0, y), round(255 * math.exp(-metres / sight_m)))
    return column.resize((WIDTH, HEIGHT))


def _streaks(rng: random.Random) -> Image.Image:
    rain = Image.new("L", (WIDTH // 2, HEIGHT // 2))
    pen = ImageDraw.Draw(rain)
    for _ in range(500):
        x, y, long = rng.uniform(0, WIDTH / 2), rng.uniform(-20, HEIGHT / 2), rng.uniform(8, 30)
        pen.line((x, y, x + long * 0.12, y + long), rng.randint(20, 70))
    return rain.filter(ImageFilter.GaussianBlur(0.6)).resize((WIDTH, HEIGHT))


def _noisy(view: Image.Image, deviation: float, rng: random.Random) -> Image.Image:
    grain = ImageChops.offset(_grain(round(deviation)), rng.randrange(WIDTH), rng.randrange(HEIGHT))
    return ImageChops.add(view, Image.merge("RGB", (grain, grain, grain)), 1, -128)


@functools.cache
def _grain(deviation: int) -> Image.Image:
    return Image.effect_noise((WIDTH, HEIGHT), deviation)
