"""What a picture shows, in a few figures taken from the small grey copy that proves it whole.

A pixel of that copy is the mean of 8×8 of the picture's: noise and compression hardly reach it, and where nothing has
moved it is the same to the last bit. The thresholds are set by `benchmarks/content.py`, which prints what it saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLS = 18, 32
UNIT = 256
"""Tiles are kept in so many parts of a grey level."""
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
    """Share of the picture in at most MAX_LEVELS plain colours."""
    empty: bool
    """Of one single colour, all over."""
    dark: bool
    snow: bool
    tiles: NDArray[np.uint16] = field(repr=False)
    """Mean grey of ROWS×COLS tiles (fewer in a very small picture), in UNITs."""
    scene: NDArray[np.float32] | None = field(repr=False)
    """What distinguishes this view, as a vector of length 1; None where there is too little to recognise it by."""


def look_at(grey: Grey | None, small: Callable[[], Image.Image | None], step: float = 1.0) -> Look | None:
    """grey: the picture at an eighth of its size, or so. small: asked for the same in colour where grey does not tell.
    step: grey levels between which the picture's encoder knew no others."""
    if grey is None:
        return None
    counts = np.bincount(grey.reshape(-1), minlength=256)
    tiles, plain = _tiles(grey), _plain(counts, max(APART, math.ceil(2 * step))) / grey.size
    dark = int(counts[DARK:].sum()) * 10 < grey.size
    return Look(
        plain=plain,
        empty=step <= FINE and int((counts[:-1] + counts[1:]).max()) >= EMPTY * grey.size,
        dark=dark and not (plain >= PLAIN and _is_coloured(small())),
        snow=_is_snow(grey),
        tiles=(tiles * UNIT + 0.5).astype(np.uint16),
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
    height, width = grey.shape
    rows = np.linspace(0, height, min(height, ROWS) + 1).astype(np.intp)
    cols = np.linspace(0, width, min(width, COLS) + 1).astype(np.intp)
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0, dtype=np.uint32), cols[:-1], axis=1)
    tiles: NDArray[np.float32] = sums.astype(np.float32)
    tiles /= np.diff(rows)[:, None] * np.diff(cols)
    return tiles


def _plain(counts: NDArray[np.intp], apart: int) -> int:
    """How many pixels have one of the few levels (two neighbours each, since a level may be rounded either way) that
    most of them have. What lies beside a level is not counted: in a view, levels run into each other."""
    pairs = counts[:-1] + counts[1:]
    total = 0
    for _ in range(MAX_LEVELS):
        at = int(pairs.argmax())
        total += int(pairs[at])
        pairs[max(0, at - apart) : at + apart + 1] = 0
    return total


def _is_snow(grey: Grey) -> bool:
    """Noise of an analogue input without a signal: large, and without anything in common between neighbours."""
    height, width = grey.shape
    if height < ROWS or width < 2:
        return False
    part = grey[height * SKY // ROWS : height * VERGE // ROWS : max(1, height // 24)].astype(np.float32)
    part -= part.mean()
    variance = float((part * part).mean())
    if variance < SNOW_DEVIATION**2:
        return False
    return float((part[:, 1:] * part[:, :-1]).mean()) < SNOW_LIKENESS * variance


def _scene(tiles: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Each tile against its neighbours: light and weather change all of them, the view stays."""
    if tiles.shape != (ROWS, COLS):
        return None
    above, below, middle = tiles[SKY - 1 : VERGE - 1], tiles[SKY + 1 : VERGE + 1], tiles[SKY:VERGE]
    around = above[:, 1:-1] + below[:, 1:-1] + middle[:, :-2] + middle[:, 2:]
    detail = (middle[:, 1:-1] - around / 4).reshape(-1)
    spread = float(np.abs(detail).mean())
    if spread < FEATURELESS:
        return None
    scene: NDArray[np.float32] = np.clip(detail, -4 * spread, 4 * spread)
    scene /= np.linalg.norm(scene)
    return scene
