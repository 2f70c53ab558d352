"""The part of a scene that moves: vehicles as small pictures of their own, and where each of them is at a moment."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from cctv_images.simulate.backdrop import Colour, mixed
from cctv_images.simulate.perspective import LANE_M, NEAR_M, Road

_LANE_LENGTH_M = 300.0
_PAINTS: tuple[Colour, ...] = (
    (214, 216, 220), (240, 240, 238), (52, 54, 60), (124, 128, 134), (176, 42, 40), (44, 76, 138), (92, 108, 92),
    (196, 168, 128), (28, 92, 110), (222, 170, 48),
)  # fmt: skip
_CANVAS, _ROOM, _SHRUNK = 220, 50, 2
"""Pixels in which a body is drawn, those below its wheels, and by how much the drawing is reduced to be kept."""


@dataclass(frozen=True, slots=True)
class Kind:
    width_m: float
    height: float
    """As a share of its width."""
    boxy: bool


_KINDS = {
    "car": Kind(1.85, 0.80, False),
    "suv": Kind(2.0, 0.95, False),
    "van": Kind(2.1, 1.12, True),
    "bus": Kind(2.6, 1.22, True),
}
_MIX = ("car",) * 6 + ("suv",) * 4 + ("van",) * 2 + ("bus",)


@dataclass(frozen=True, slots=True)
class Vehicle:
    kind: str
    paint: Colour
    x: float
    start_m: float
    speed: float
    """Metres a second; below zero it comes towards us."""

    def distance(self, now: float) -> float:
        return NEAR_M + (self.start_m + self.speed * now) % _LANE_LENGTH_M


def vehicles(road: Road, rng: random.Random) -> list[Vehicle]:
    """Everyone on the road. A lane has one speed, so nobody drives through another."""
    found = []
    for lane in range(-road.lanes_in, road.lanes_out):
        speed = rng.uniform(9, 17) * (1 if lane >= 0 else -1)
        count = rng.randint(2, 7)
        for i in range(count):
            start = (i + rng.uniform(0.1, 0.75)) * _LANE_LENGTH_M / count
            x = (lane + 0.5) * LANE_M + rng.uniform(-0.25, 0.25)
            found.append(Vehicle(rng.choice(_MIX), rng.choice(_PAINTS), x, start, speed))
    return found


def drive(picture: Image.Image, road: Road, everyone: list[Vehicle], now: float, light: float) -> None:
    """Puts the vehicles where they are at `now` (epoch seconds), from far to near."""
    for z, vehicle in sorted(((v.distance(now), v) for v in everyone), key=lambda found: -found[0]):
        kind, scale = _KINDS[vehicle.kind], road.scale(z)
        width = _stepped(kind.width_m * scale)
        if width < 3:
            continue
        x, y = road.point(vehicle.x, z)
        small = _sized(vehicle.kind, vehicle.paint, vehicle.speed < 0, light, width)
        left, low = round(x - small.width / 2), round(y + width * _ROOM / _CANVAS)
        picture.paste(small, (left, low - small.height), small)


@functools.lru_cache(maxsize=2048)
def _sized(kind: str, paint: Colour, towards: bool, light: float, width: int) -> Image.Image:
    sprite = _sprite(kind, paint, towards, light)
    share = width * _SHRUNK / _CANVAS
    size = max(2, round(sprite.width * share)), max(2, round(sprite.height * share))
    return sprite.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("RGBA")


def _stepped(width: float) -> int:
    """Widths in few steps, so that most are found among those already made."""
    return round(width) if width < 24 else round(width / 4) * 4


@functools.lru_cache(maxsize=400)
def _sprite(kind: str, paint: Colour, towards: bool, light: float) -> Image.Image:
    """The vehicle on a transparent ground, its body _CANVAS wide in the middle, with _ROOM below its wheels.

    In premultiplied colours, which Pillow resizes without converting.
    """
    facts = _KINDS[kind]
    height, side, top = round(_CANVAS * facts.height), 90, 60
    image = Image.new("RGBA", (_CANVAS + 2 * side, height + top + _ROOM))
    low = top + height
    image.paste(
        (0, 0, 0, 150), (0, 0), _blurred(image.size, [(side - 14, low - 34, side + _CANVAS + 14, low + 14)], 150, 9)
    )
    body = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(body)
    if facts.boxy:
        _box(pen, side, top, height, paint, towards)
    else:
        _saloon(pen, side, top, height, paint, towards)
    shaded = ImageEnhance.Brightness(body.convert("RGB")).enhance(0.22 + 0.78 * light)
    image.paste(shaded, (0, 0), body.getchannel("A"))
    _lights(image, side, low, towards, dark=light < 0.6)
    return image.reduce(_SHRUNK).convert("RGBa")


def _saloon(pen: ImageDraw.ImageDraw, x: int, top: int, height: int, paint: Colour, towards: bool) -> None:
    low, waist = top + height, top + round(height * 0.46)
    dark, glass = mixed(paint, (0, 0, 0), 0.28), (42, 54, 66, 255)
    for left in (x + 12, x + _CANVAS - 50):
        pen.rounded_rectangle((left, low - 46, left + 38, low), 10, (20, 20, 22, 255))
    pen.polygon([(x + 26, waist + 8), (x + 48, top + 14), (x + 172, top + 14), (x + 194, waist + 8)], (*dark, 255))
    pen.rounded_rectangle((x + 50, top, x + 170, top + 24), 10, (*mixed(paint, (255, 255, 255), 0.22), 255))
    pen.polygon([(x + 40, waist), (x + 58, top + 24), (x + 162, top + 24), (x + 180, waist)], glass)
    pen.polygon([(x + 44, waist), (x + 58, top + 24), (x + 92, top + 24), (x + 70, waist)], (92, 110, 124, 255))
    pen.rounded_rectangle((x, waist, x + _CANVAS, low - 16), 22, (*paint, 255))
    bonnet = round(height * (0.16 if towards else 0.1))
    pen.rounded_rectangle(
        (x + 8, waist, x + _CANVAS - 8, waist + bonnet), 14, (*mixed(paint, (255, 255, 255), 0.3), 255)
    )
    pen.rounded_rectangle((x + 4, low - 40, x + _CANVAS - 4, low - 16), 12, (*mixed(paint, (0, 0, 0), 0.45), 255))
    pen.rectangle((x + 84, low - 50, x + 136, low - 32), (226, 228, 224, 255))


def _box(pen: ImageDraw.ImageDraw, x: int, top: int, height: int, paint: Colour, towards: bool) -> None:
    low = top + height
    for left in (x + 12, x + _CANVAS - 52):
        pen.rounded_rectangle((left, low - 40, left + 40, low), 8, (20, 20, 22, 255))
    pen.rounded_rectangle((x, top, x + _CANVAS, low - 14), 16, (*paint, 255))
    pen.rounded_rectangle((x + 6, top, x + _CANVAS - 6, top + 22), 12, (*mixed(paint, (255, 255, 255), 0.35), 255))
    glass_low = top + round(height * (0.52 if towards else 0.40))
    pen.rounded_rectangle((x + 20, top + 40, x + _CANVAS - 20, glass_low), 10, (44, 56, 68, 255))
    pen.polygon([(x + 34, glass_low), (x + 70, top + 42), (x + 96, top + 42), (x + 60, glass_low)], (88, 106, 120, 255))
    if not towards:
        pen.line((x + 110, glass_low + 10, x + 110, low - 46), mixed(paint, (0, 0, 0), 0.35), 4)
    pen.rounded_rectangle((x + 2, low - 42, x + _CANVAS - 2, low - 14), 8, (*mixed(paint, (0, 0, 0), 0.5), 255))
    pen.rectangle((x + 84, low - 66, x + 136, low - 48), (226, 228, 224, 255))


def _blurred(size: tuple[int, int], discs: list[tuple[int, int, int, int]], opacity: int, radius: int) -> Image.Image:
    """A mask of soft discs, made at a quarter of its size."""
    mask = Image.new("L", (size[0] // 4, size[1] // 4))
    pen = ImageDraw.Draw(mask)
    for left, top, right, bottom in discs:
        pen.ellipse((left / 4, top / 4, right / 4, bottom / 4), fill=opacity)
    return mask.filter(ImageFilter.GaussianBlur(radius / 4)).resize(size, Image.Resampling.BILINEAR)


def _lights(image: Image.Image, x: int, low: int, towards: bool, *, dark: bool) -> None:
    colour = (255, 244, 214) if towards else (214, 40, 34)
    lamps = [(x + 8, low - 78, x + 44, low - 56), (x + _CANVAS - 44, low - 78, x + _CANVAS - 8, low - 56)]
    if dark:
        reach = 34 if towards else 20
        discs = [(left - reach, top - reach, right + reach, bottom + reach) for left, top, right, bottom in lamps]
        image.paste((*colour, 255), (0, 0), _blurred(image.size, discs, 190 if towards else 130, 16))
    pen = ImageDraw.Draw(image)
    for lamp in lamps:
        pen.rounded_rectangle(lamp, 8, (*(colour if dark else mixed(colour, (120, 120, 120), 0.2)), 255))
