"""What cameras and encoders send when they have no picture: one colour, test cards, screens without a signal, snow."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw, ImageFont

from cctv_images.simulate.backdrop import Colour

SIZE = 1280, 720
_BARS: tuple[Colour, ...] = (
    (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191),
)  # fmt: skip


def colour(of: Colour) -> Image.Image:
    return Image.new("RGB", SIZE, of)


def bars() -> Image.Image:
    """Upright bars from top to bottom, white to black (EBU)."""
    card = Image.new("RGB", SIZE)
    pen, step = ImageDraw.Draw(card), SIZE[0] / 8
    for i, paint in enumerate(((255, 255, 255), *_BARS[1:], (0, 0, 0))):
        pen.rectangle((i * step, 0, (i + 1) * step, SIZE[1]), paint)
    return card


def smpte() -> Image.Image:
    """Bars, their reverse, and the fields below."""
    card = Image.new("RGB", SIZE)
    pen, (width, height) = ImageDraw.Draw(card), SIZE
    step = width / 7
    for i, paint in enumerate(_BARS):
        pen.rectangle((i * step, 0, (i + 1) * step, height * 0.67), paint)
        below = _BARS[6 - i] if i % 2 == 0 else (19, 19, 19)
        pen.rectangle((i * step, height * 0.67, (i + 1) * step, height * 0.75), below)
    for i, paint in enumerate(((0, 33, 76), (255, 255, 255), (50, 0, 106), (19, 19, 19))):
        pen.rectangle((i * width / 6, height * 0.75, (i + 1) * width / 6, height), paint)
    pen.rectangle((width * 4 / 6, height * 0.75, width, height), (19, 19, 19))
    return card


def no_signal(text: str = "NO SIGNAL", ground: Colour = (0, 0, 168), size: int = 96, at: float = 0.5) -> Image.Image:
    """A text in the middle (or elsewhere: it wanders) of one colour."""
    card = colour(ground)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(card).text((SIZE[0] * at, SIZE[1] * at), text, (240, 240, 240), font, anchor="mm")
    return card


def snow(rng: random.Random) -> Image.Image:
    """An analogue input without a signal; its grain is some pixels wide."""
    grain = Image.frombytes("L", (SIZE[0] // 3, SIZE[1] // 2), rng.randbytes(SIZE[0] // 3 * (SIZE[1] // 2)))
    return grain.resize(SIZE, Image.Resampling.BILINEAR).convert("RGB")
