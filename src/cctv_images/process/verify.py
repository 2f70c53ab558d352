"""Bytes → what may be published of them. The bytes are judged, never the content type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO

import numpy as np
from PIL import Image

from cctv_images.choices import AS_IT_CAME
from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.colour import SIDEWAYS, is_srgb, to_srgb, upright
from cctv_images.process.content import Look, look_at, reduced, shrunk
from cctv_images.process.convert import kind_of, pixels_of, to_image
from cctv_images.process.describe import describe
from cctv_images.process.jpeg import Jpeg, find_start, read_jpeg
from cctv_images.process.render import Order, Picture, Processed, Size, encoded, picture, ready, render
from cctv_images.process.whole import Pixels, first_look, image_of

AT_ONCE_NS = 25_000_000
"""Pixels × scans, each about a nanosecond: 4K in one scan, or 1080p in ten."""
CONVERTED_NS = 50
"""Per pixel of a PNG or WebP, or of a JPEG in other colours."""
DRAWN_NS = 10
"""Per pixel that is decoded to be scaled, drawn into or encoded."""
LOOKS = 10
"""What a second look costs in first ones, roughly."""

PLAIN = Order()
"""Nothing is asked for."""


@dataclass(frozen=True, slots=True)
class Costly:
    """A body that takes more than some 50 ms."""

    cost: int
    """Of the order of nanoseconds."""
    finish: Callable[[], Processed] = field(repr=False)


def examine(data: bytes, max_pixels: int) -> Picture:
    """The picture as it is published by default. Raises CameraError: TOO_LARGE, NOT_AN_IMAGE, TRUNCATED."""
    seen = glance(data, max_pixels)
    return (seen.finish() if isinstance(seen, Costly) else seen).picture


def glance(data: bytes, max_pixels: int, order: Order = PLAIN) -> Processed | Costly:
    """All that is to be done where it is done at once. Raises what `examine` raises."""
    if kind := kind_of(data):
        return Costly(CONVERTED_NS * pixels_of(data, kind, max_pixels), partial(_converted, data, kind, order))
    start = find_start(data)
    if start < 0:
        raise CameraError(ErrorState.NOT_AN_IMAGE, describe(data))
    job = _Job(read_jpeg(data, start, max_pixels), order)
    if job.cost > AT_ONCE_NS:
        return Costly(job.cost, job.finish)
    seen = first_look(job.jpeg, job.at_least)
    if callable(seen) and job.cost * LOOKS > AT_ONCE_NS:
        return Costly(job.cost * LOOKS, partial(job.finish, seen))
    return job.finish(seen)


def _converted(data: bytes, kind: str, order: Order) -> Processed:
    return _from_image(to_image(data, kind), order)


def _from_image(image: Image.Image, order: Order) -> Processed:
    """Of a picture that has to be encoded whatever is asked for. It is upright and in plain sRGB."""
    full = None if order.changes_full else encoded(image, AS_IT_CAME).body
    look = look_at(reduced(image), partial(image.reduce, 8))
    return replace(render(order, ready(order, image, image.size), image.size, full), look=look)


class _Job:
    """One JPEG and what is to be made of it."""

    def __init__(self, jpeg: Jpeg, order: Order) -> None:
        self.jpeg, self.order = jpeg, order
        frame, self.turn = jpeg.frame, jpeg.notes.orientation
        self.mode = {1: "L", 3: "RGB"}.get(len(frame.sampling), "CMYK")
        self.foreign = self.mode == "CMYK" or not is_srgb(jpeg.notes.profile, self.mode)
        """Its colours are not those that everybody shows."""
        self.size = self._turned((frame.width, frame.height))
        base = None if self.foreign else order.base(self.size)
        self.at_least = base and self._turned(base)
        drawn = CONVERTED_NS * frame.pixels if self.foreign else DRAWN_NS * (base[0] * base[1] if base else 0)
        self.cost = frame.pixels * len(jpeg.scans) + drawn

    def _turned(self, size: Size) -> Size:
        return (size[1], size[0]) if self.turn in SIDEWAYS else size

    def finish(self, seen: Pixels | Callable[[], None] | None = None) -> Processed:
        """seen: what the first look gave, where it has been taken. Raises what `examine` raises."""
        seen = first_look(self.jpeg, self.at_least) if seen is None else seen
        if callable(seen):
            seen()
        if self.foreign:
            return _from_image(upright(to_srgb(self._opened(), self.jpeg.notes.profile), self.turn), self.order)
        if self.at_least is None:
            small = shrunk(self.jpeg.data, "L") if callable(seen) else seen[:, :, 0]
            return Processed(picture(self.jpeg.data, self.size), look=self._look(small))
        base = self._opened() if callable(seen) else image_of(seen)
        del seen
        look = self._look(reduced(base, base.width * 8 / self.jpeg.frame.width))
        base = ready(self.order, upright(base, self.turn), self.size)  # from here on the decoder's copy is gone
        full = None if self.order.changes_full else self.jpeg.data
        return replace(render(self.order, base, self.size, full), look=look)

    def _look(self, small: Pixels | Image.Image | None) -> Look | None:
        grey = None if small is None else np.asarray(small)
        return look_at(grey, partial(shrunk, self.jpeg.data, "RGB"), self.jpeg.grey_step)

    def _opened(self) -> Image.Image:
        """By Pillow, which knows every kind of JPEG, and says little about what is wrong with one."""
        try:
            with Image.open(BytesIO(self.jpeg.data), formats=("JPEG",)) as image:
                if self.at_least:
                    image.draft(None, self.at_least)
                image.load()
                return image
        except Image.DecompressionBombError:
            raise CameraError(ErrorState.TOO_LARGE, "JPEG that unpacks to more than is allowed") from None
        except (OSError, SyntaxError, ValueError) as err:
            raise CameraError(ErrorState.TRUNCATED, f"JPEG that is not whole ({type(err).__name__})") from None
