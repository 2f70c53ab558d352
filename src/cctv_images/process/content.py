"""What a picture shows, in a few figures taken from the small grey copy that proves it whole.

A pixel of that copy is the mean of 8×8 of the picture's: noise and compression hardly reach it, and where nothing has
moved it is the same to the last bit. The thresholds are set by `benchmarks/content.py`, which prints what it saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLS = 18, 27
"""Fewer than 500 tiles: beyond, NumPy lets go of the interpreter's lock in each operation, and waits for it again."""
SAMPLE = 45
"""Rows of pixels, at least, of which the levels are counted."""
UNIT = 128
"""Tiles are kept in so many parts of a grey level: 255 of them fit into 16 bits, and so do differences."""
MAX_LEVELS = 12
"""Colours of a test card."""
APART = 3
"""Grey levels that two of them keep at least, or two steps of the encoder."""
PLAIN = 0.87
"""Share of a picture in a few plain colours, from which on nobody's camera took it."""
EMPTY = 0.999
"""Share in one colour that no sensor gives, not even in the dark."""
FINE = 2.0
"""Grey levels: an encoder with coarser steps makes a dark night just as even."""
DARK = 40
"""Grey level that nine tenths of a night view stay below."""
COLOURED = 30.0
"""Levels between the strongest and the weakest of red, green and blue."""
SNOW_DEVIATION, SNOW_LIKENESS = 6.0, 0.2
"""Grey levels by which the 8×8 blocks of noise without a picture differ, and how much neighbours have in common."""
SKY, VERGE = 3, 15
"""Rows of tiles between which views are compared: above and below is where cameras write names and clocks."""
SCENE = (VERGE - SKY) * (COLS - 2)
"""Length of the vector that stands for a view."""
FEATURELESS = 2.8
"""Grey levels by which a tile differs from its neighbours, on average, in a view that can be recognised."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Some kilobytes that stay in memory and are never shown."""

    plain: float
    """Share of the picture in at most MAX_LEVELS plain colours; below PLAIN it may be less than that."""
    empty: bool
    """Of one single colour, all over."""
    dark: bool
    snow: bool
    tiles: NDArray[np.int16] = field(repr=False)
    """Mean grey of ROWS×COLS tiles (fewer in a very small picture), in UNITs."""
    scene: NDArray[np.float32] | None = field(repr=False)
    """What distinguishes this view, as a vector of length 1; None where there is too little to recognise it by."""


def look_at(grey: Grey | None, small: Callable[[], Image.Image | None], step: float = 1.0) -> Look | None:
    """grey: the picture at an eighth of its size, or so. small: asked for the same in colour where grey does not tell.
    step: grey levels between which the picture's encoder knew no others."""
    if grey is None:
        return None
    sample = grey[:: max(1, len(grey) // SAMPLE)].reshape(-1)
    counts = np.bincount(sample, minlength=256)
    tiles, plain = _tiles(grey), _plain(counts, max(APART, math.ceil(2 * step))) / sample.size
    dark = int(counts[DARK:].sum()) * 10 < sample.size
    return Look(
        plain=plain,
        empty=step <= FINE and int((counts[:-1] + counts[1:]).max()) >= EMPTY * sample.size,
        dark=dark and not (plain >= PLAIN and _is_coloured(small())),
        snow=_is_snow(grey, tiles),
        tiles=(tiles * UNIT + 0.5).astype(np.int16),
        scene=_scene(tiles),
    )


def reduced(image: Image.Image, factor: float = 8.0) -> Grey:
    """The small grey copy of a decoded picture."""
    return np.asarray(image.reduce(max(1, round(factor))).convert("L"))


def shrunk(jpeg: bytes, mode: str) -> Image.Image | None:
    """A small copy of a JPEG; None where Pillow does not read it."""
    try:
        with Image.open(BytesIO(jpeg), formats=("JPEG",)) as image:
            image.draft(mode, (-(-image.width // 8), -(-image.height // 8)))
            return image.convert(mode)
    except (OSError, SyntaxError, ValueError):
        return None


def _is_coloured(image: Image.Image | None) -> bool:
    """Blue is dark in grey: a screen without a signal is no night for that."""
    if image is None:
        return False
    means = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
    return float(np.ptp(means)) > COLOURED


def _tiles(grey: Grey) -> NDArray[np.float32]:
    above, beside = (_shares(length, count) for length, count in zip(grey.shape, (ROWS, COLS), strict=True))
    tiles: NDArray[np.float32] = above @ grey.astype(np.float32) @ beside.T
    return tiles


@lru_cache(maxsize=64)
def _shares(length: int, count: int) -> NDArray[np.float32]:
    """One row per tile: by what each pixel along an edge counts in its mean."""
    bounds = np.linspace(0, length, min(length, count) + 1).astype(np.intp)
    shares = np.zeros((len(bounds) - 1, length), np.float32)
    for row, (begin, end) in enumerate(pairwise(bounds)):
        shares[row, begin:end] = 1 / (end - begin)
    return shares


def _plain(counts: NDArray[np.intp], apart: int) -> int:
    """How many pixels have one of the few levels (two neighbours each, since a level may be rounded either way) that
    most of them have. What lies beside a level is not counted: in a view, levels run into each other."""
    most = int(np.partition(counts, -2 * MAX_LEVELS)[-2 * MAX_LEVELS :].sum())
    if most < PLAIN * counts.sum():  # no view comes near, and the rest takes twelve times as long
        return most
    pairs = counts[:-1] + counts[1:]
    total = 0
    for _ in range(MAX_LEVELS):
        at = int(pairs.argmax())
        total += int(pairs[at])
        pairs[max(0, at - apart) : at + apart + 1] = 0
    return total


def _is_snow(grey: Grey, tiles: NDArray[np.float32]) -> bool:
    """Noise of an analogue input without a signal: large, and without anything in common between neighbours."""
    height, width = grey.shape
    if height < ROWS or width < 2:
        return False
    part = grey[height * SKY // ROWS : height * VERGE // ROWS : max(1, height // 24)].astype(np.float32).reshape(-1)
    part -= tiles[SKY:VERGE].mean()
    power = float(part @ part)
    return power >= SNOW_DEVIATION**2 * part.size and float(part[1:] @ part[:-1]) < SNOW_LIKENESS * power


def _scene(tiles: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Each tile against its neighbours: light and weather change all of them, the view stays."""
    if tiles.shape != (ROWS, COLS):
        return None
    middle = tiles[SKY:VERGE]
    around = tiles[SKY - 1 : VERGE - 1, 1:-1] + tiles[SKY + 1 : VERGE + 1, 1:-1] + middle[:, :-2] + middle[:, 2:]
    detail = (middle[:, 1:-1] - around / 4).reshape(-1)
    spread = float(np.add.reduce(np.abs(detail))) / SCENE
    if spread < FEATURELESS:
        return None
    scene: NDArray[np.float32] = np.minimum(np.maximum(detail, -4 * spread), 4 * spread)
    scene /= math.sqrt(scene @ scene)
    return scene
