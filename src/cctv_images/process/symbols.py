"""The signs on fallbacks: a camera that is crossed out, a picture that is, a camera under a glass, a switch."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw

from cctv_images.errors import ReasonClass

Colour = tuple[int, int, int]
Point = tuple[float, float]

SIDE = 960
"""Drawn large and shrunk: Pillow's own edges have stairs."""
_UNITS = 100.0
_CLEAR = (0, 0, 0, 0)


class _Pen:
    """Draws in hundredths of the sign's side."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (SIDE, SIDE))
        self._draw = ImageDraw.Draw(self.image)

    def _at(self, *values: float) -> list[float]:
        return [value * SIDE / _UNITS for value in values]

    def box(self, corners: tuple[float, float, float, float], radius: float, fill: tuple[int, ...]) -> None:
        self._draw.rounded_rectangle(self._at(*corners), radius * SIDE / _UNITS, fill)

    def disc(self, centre: Point, radius: float, fill: tuple[int, ...]) -> None:
        (x, y), r = centre, radius
        self._draw.ellipse(self._at(x - r, y - r, x + r, y + r), fill)

    def shape(self, points: list[Point], fill: tuple[int, ...]) -> None:
        self._draw.polygon([tuple(self._at(*point)) for point in points], fill)

    def stroke(self, ends: tuple[Point, Point], width: float, fill: tuple[int, ...]) -> None:
        """With round ends."""
        (x, y), (u, v) = ends
        self._draw.line(self._at(x, y, u, v), fill, round(width * SIDE / _UNITS))
        for end in ends:
            self.disc(end, width / 2, fill)

    def ring(self, centre: Point, radius: float, width: float, angles: Point, fill: tuple[int, ...]) -> None:
        (x, y), r = centre, radius
        self._draw.arc(self._at(x - r, y - r, x + r, y + r), *angles, fill, round(width * SIDE / _UNITS))


@lru_cache(maxsize=8)
def symbol(told: ReasonClass, accent: Colour, soft: Colour) -> Image.Image:
    """A square picture with transparency."""
    match told:
        case ReasonClass.NOT_REACHABLE:
            pen = _camera(soft)
            _crossed(pen, accent)
        case ReasonClass.NOT_A_PICTURE:
            pen = _frame(soft)
            _crossed(pen, accent)
        case ReasonClass.BEING_CHECKED:
            pen = _camera(soft)
            _glass(pen, accent)
        case ReasonClass.SWITCHED_OFF:
            pen = _Pen()
            pen.ring((50, 54), 34, 9, (-52, 232), accent)
            pen.stroke(((50, 12), (50, 48)), 9, accent)
    return pen.image


def _camera(colour: Colour) -> _Pen:
    """On its arm, looking down a little."""
    body = _Pen()
    body.box((20, 31, 78, 57), 5, colour)
    body.box((80, 35, 88, 53), 3, colour)
    body.box((14, 23, 84, 29), 3, colour)
    pen = _Pen()
    pen.box((8, 56, 14, 88), 3, colour)
    pen.box((8, 69, 40, 75), 3, colour)
    pen.box((34, 52, 40, 75), 3, colour)
    pen.image.alpha_composite(body.image.rotate(-10, Image.Resampling.BICUBIC, center=(SIDE * 0.45, SIDE * 0.45)))
    return pen


def _frame(colour: Colour) -> _Pen:
    """A picture with hills and a sun."""
    pen = _Pen()
    pen.box((8, 20, 92, 82), 8, colour)
    pen.box((15, 27, 85, 75), 3, _CLEAR)
    pen.shape([(15, 75), (15, 66), (36, 44), (53, 62), (63, 52), (85, 75)], colour)
    pen.disc((68, 40), 6, colour)
    return pen


def _crossed(pen: _Pen, accent: Colour) -> None:
    pen.stroke(((11, 13), (89, 89)), 13, _CLEAR)
    pen.stroke(((11, 13), (89, 89)), 6, accent)


def _glass(pen: _Pen, accent: Colour) -> None:
    pen.disc((62, 62), 25, _CLEAR)
    pen.stroke(((78, 78), (93, 93)), 15, _CLEAR)
    pen.ring((62, 62), 21, 6, (0, 360), accent)
    pen.stroke(((77, 77), (92, 92)), 7, accent)
