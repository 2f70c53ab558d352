"""A camera's view of a street, different for each, alive: traffic that moves, the camera's name, a clock in UTC."""

from __future__ import annotations

import functools
import io
import random
import time
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFont

from cctv_images.simulate.backdrop import LOOKS, Look, draw_backdrop
from cctv_images.simulate.perspective import HEIGHT, WIDTH, Road
from cctv_images.simulate.traffic import Vehicle, drive, vehicles

_SIZES = ((1280, 720),) * 7 + ((1024, 576), (800, 450))
_BAR = 40


@dataclass(frozen=True, slots=True)
class Scene:
    """One street. `Scene.of(n)` is always the same one; its standing parts are kept as a small JPEG."""

    road: Road
    look: Look
    backdrop: bytes
    everyone: list[Vehicle]
    size: tuple[int, int]

    @classmethod
    @functools.lru_cache(maxsize=256)
    def of(cls, number: int) -> Scene:
        rng = random.Random(number * 7919 + 11)
        road, look = Road.of(rng), LOOKS[number % len(LOOKS)]
        kept = io.BytesIO()
        draw_backdrop(road, look, rng).save(kept, "JPEG", quality=90)
        return cls(road, look, kept.getvalue(), vehicles(road, rng), rng.choice(_SIZES))

    def at(self, now: float, caption: str, clock: float | None = None) -> Image.Image:
        """The view at a moment (epoch seconds). clock: what is written on it, where that goes on by itself."""
        picture = Image.open(io.BytesIO(self.backdrop)).convert("RGB")
        drive(picture, self.road, self.everyone, now, self.look.light)
        picture = _grained(picture, random.Random(now))
        if self.size != picture.size:
            picture = picture.resize(self.size, Image.Resampling.BILINEAR)
        write_caption(
            picture, caption, time.strftime("%Y-%m-%d  %H:%M:%S UTC", time.gmtime(now if clock is None else clock))
        )
        return picture


def _grained(picture: Image.Image, rng: random.Random) -> Image.Image:
    """With a sensor's noise."""
    noise = ImageChops.offset(_noise(), rng.randrange(WIDTH), rng.randrange(HEIGHT))
    return ImageChops.add(picture, noise, 1, -128)


@functools.cache
def _noise() -> Image.Image:
    noise = Image.effect_noise((WIDTH, HEIGHT), 5)
    return Image.merge("RGB", (noise, noise, noise))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def write_caption(picture: Image.Image, name: str, moment: str) -> None:
    width, height = picture.size
    bar = round(_BAR * height / HEIGHT)
    picture.paste((0, 0, 0), (0, height - bar, width, height), Image.new("L", (width, bar), 150))
    pen, font = ImageDraw.Draw(picture), _font(round(bar * 0.55))
    pen.text((bar * 0.4, height - bar / 2), name, (255, 255, 255), font, anchor="lm")
    pen.text((width - bar * 0.4, height - bar / 2), moment, (255, 255, 255), font, anchor="rm")
