"""The fallback as it is drawn for one camera: what it is, that there is no picture, why, and since when.

Cards (ground and symbol, all that is the same for many) are prepared once per size and reason; the words are set anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from PIL import Image, ImageDraw, ImageFont

from cctv_images.errors import ReasonClass
from cctv_images.process.font import BOLD, REGULAR, SEMIBOLD, drawable, font, shortened
from cctv_images.process.stamp import Moment
from cctv_images.process.symbols import symbol
from cctv_images.wording import TIME, Words

Size = tuple[int, int]
Colour = tuple[int, int, int]

USUAL_SIZE: Size = (1280, 720)
LARGEST: Size = (3840, 2160)
CARDS = 16
"""Kept at a time, of CARD_PIXELS each at most: 48 MB."""
CARD_PIXELS = 1_000_000
CLOCK = "%Y-%m-%d %H:%M %Z"
SMALLEST_PX = 10
"""Letters smaller than this are not read by anybody: lines are left out instead."""
MOST_LINES = 2
"""Per name or sentence."""
NAME_LETTERS = 200
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\bhttps?://\S+|\brtsp://\S+", re.IGNORECASE)
"""Some lists have them in their names. They are nobody's business."""
SHRINK = 0.94


@dataclass(frozen=True, slots=True)
class Card:
    """What there is to say of one camera. Nothing of it is an address."""

    name: str
    told: ReasonClass
    since: float | None = None
    """Epoch seconds; None where nobody knows."""
    time_zone: str = "UTC"
    size: Size = USUAL_SIZE
    """Of the camera's last picture."""


@dataclass(frozen=True, slots=True)
class Paint:
    top: Colour
    bottom: Colour
    accent: Colour
    bright: Colour
    soft: Colour


FAILING = Paint((42, 54, 72), (17, 23, 33), (247, 183, 84), (246, 248, 251), (178, 191, 206))
RESTING = Paint((240, 243, 246), (214, 221, 229), (58, 92, 138), (24, 33, 46), (74, 86, 102))


def paint_of(told: ReasonClass) -> Paint:
    """A camera that was switched off looks different from one in trouble."""
    return RESTING if told is ReasonClass.SWITCHED_OFF else FAILING


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    share: float
    """Height of its letters as a share of the title's."""
    weight: int
    colour: Colour
    rank: int
    """Those with the highest are left out first where there is no room."""
    gap: float = 0.0
    """Space before it, in title heights."""


def draw(card: Card, words: tuple[Words, ...], size: Size) -> Image.Image:
    """An RGB picture of that size."""
    image = _ground(size, card.told).copy() if size[0] * size[1] <= CARD_PIXELS else _paint(size, card.told)
    left, top, right, bottom = _column(size)
    setting = _fitted(list(_lines(card, words, paint_of(card.told))), size, right - left, bottom - top)
    height = sum(step for *_, step in setting)
    pen, y = ImageDraw.Draw(image), top + max(0.0, (bottom - top - height) / 2)
    for text, face, colour, gap, step in setting:
        pen.text((left, y + gap), text, colour, face, anchor="la")
        y += step
    return image


def _fitted(lines: list[_Line], size: Size, width: float, height: float) -> list[_Set]:
    """As large as there is room for; where that is too small to read, without the last in rank."""
    largest = base = min(size[1] * 0.115, size[0] * 0.085)
    while True:
        setting = _set(lines, base, width)
        whole = len(lines) == 1 or _unbroken(lines, base, width)
        if whole and sum(step for *_, step in setting) <= height:
            return setting
        if min(line.share for line in lines) * base * SHRINK >= SMALLEST_PX:
            base *= SHRINK
        elif len(lines) == 1:
            return setting
        else:
            lines.remove(max(lines, key=lambda line: line.rank))
            base = largest


def _unbroken(lines: Iterable[_Line], base: float, width: float) -> bool:
    """Whether the title stands in one line."""
    return all(_face(line, base).getlength(line.text) <= width for line in lines if line.rank == 0)


def _lines(card: Card, words: tuple[Words, ...], paint: Paint) -> Iterator[_Line]:
    """In the order in which they stand. The first language is larger than the others."""
    yield _Line(drawable(_ADDRESS.sub("", card.name[:NAME_LETTERS])), 0.56, SEMIBOLD, paint.accent, 1)
    moment = "" if card.since is None else f"{Moment.fromtimestamp(card.since, ZoneInfo(card.time_zone)):{CLOCK}}"
    for number, language in enumerate(words):
        small, rank = (1.0, 0) if number == 0 else (0.66, 5 * number)
        yield _Line(language.title, small, BOLD, paint.bright, rank, 0.12 if number == 0 else 0.5)
        yield _Line(language.reason(card.told), 0.5 * (small + 1) / 2, REGULAR, paint.bright, rank + 2, 0.14)
        if moment:
            since = language.since.replace(TIME, moment)
            yield _Line(since, 0.5 * (small + 1) / 2, REGULAR, paint.soft, rank + 3, 0.04)
    if agencies := [word.agency for word in words if word.agency]:
        yield _Line(" · ".join(dict.fromkeys(agencies)), 0.42, SEMIBOLD, paint.soft, 9, 0.55)


_Set = tuple[str, ImageFont.FreeTypeFont, Colour, float, float]
"""Text, font, colour, space before it, and height with that space, in pixels."""


def _set(lines: Iterable[_Line], base: float, width: float) -> list[_Set]:
    setting: list[_Set] = []
    for line in lines:
        face = _face(line, base)
        for number, text in enumerate(_wrapped(line.text, face, width)):
            gap = base * line.gap if number == 0 and setting else 0.0
            setting.append((text, face, line.colour, gap, gap + face.size * 1.3))
    return setting


def _face(line: _Line, base: float) -> ImageFont.FreeTypeFont:
    return font(max(SMALLEST_PX, round(base * line.share)), line.weight)


def _wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """At most MOST_LINES that fit; what does not is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width or len(lines) == MOST_LINES or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [shortened(line, face, width) for line in lines if line]


def _column(size: Size) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of where the words stand: beside the symbol, or below it."""
    width, height = size
    edge = min(size) * 0.07
    if width >= height * 1.2:
        return edge * 1.6 + _symbol_side(size), edge, width - edge, height - edge
    return edge, edge * 1.6 + _symbol_side(size), width - edge, height - edge


def _symbol_side(size: Size) -> float:
    width, height = size
    return min(width * 0.27, height * 0.56) if width >= height * 1.2 else min(width * 0.5, height * 0.3)


@lru_cache(maxsize=CARDS)
def _ground(size: Size, told: ReasonClass) -> Image.Image:
    return _paint(size, told)


def _paint(size: Size, told: ReasonClass) -> Image.Image:
    """From light to dark, with the reason's symbol."""
    paint, (width, height) = paint_of(told), size
    column = (1, height)
    share = Image.linear_gradient("L").resize(column, Image.Resampling.BICUBIC)
    shade = Image.composite(Image.new("RGB", column, paint.bottom), Image.new("RGB", column, paint.top), share)
    image = shade.resize(size, Image.Resampling.NEAREST)
    side = max(1, round(_symbol_side(size)))
    sign = _sign(told, side)
    edge = round(min(size) * 0.07)
    place = (edge, (height - side) // 2) if width >= height * 1.2 else ((width - side) // 2, edge)
    image.paste(sign, place, sign)
    return image


@lru_cache(maxsize=CARDS // 2)
def _sign(told: ReasonClass, side: int) -> Image.Image:
    paint = paint_of(told)
    return symbol(told, paint.accent, paint.soft).resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
