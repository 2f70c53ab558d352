"""Privacy masks as operators write them. Pure, but for reading the file that CCTV_MASKS names.

{"134": [[[0, 0.6], [0.3, 0.6], [0.3, 1], [0, 1]], {"polygon": [[0.8, 0.1], [1, 0.1], [1, 0.4]], "style": "pixelate"}]}
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from cctv_images.config.values import json_object, nearest
from cctv_images.errors import plain

MAX_MASKS, MAX_CORNERS = 32, 64
MAX_FILE_BYTES = 16 << 20
STYLES = ("fill", "pixelate")
FORM = "a list of polygons such as [[[0, 0.6], [0.3, 0.6], [0.3, 1], [0, 1]]]"

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mask:
    """A part of the picture that nobody may see."""

    corners: tuple[Corner, ...]
    """Shares of the upright picture's width and height, 0 to 1, from its upper left corner."""
    pixelated: bool = False


EVERYTHING = Mask(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


def masks(value: Any) -> tuple[Mask, ...]:
    """JSON's lists, or their text. Raises ValueError that says which mask is wrong, and how."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(f"the masks are not JSON, expected {FORM}") from None
    if not isinstance(value, list):
        raise ValueError(f"the masks are not {FORM}")
    if len(value) > MAX_MASKS:
        raise ValueError(f"there are {len(value)} masks, more than {MAX_MASKS}")
    return tuple(_numbered(n, entry) for n, entry in enumerate(value, 1))


def read_masks(path: Path) -> tuple[dict[str, tuple[Mask, ...]], list[str]]:
    """Camera id → masks, and what is wrong with the file, as halves of sentences: nothing of it is used then."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return {}, ["expected a JSON file of at most 16 MiB"]
        entries = json_object(path.read_bytes().decode("utf-8-sig"))
    except OSError as exc:
        return {}, [f"cannot be read ({exc.strerror})"]
    except UnicodeDecodeError:
        return {}, ["expected UTF-8 text"]
    except ValueError as exc:
        return {}, [str(exc)]
    found, wrong = {}, []
    for camera_id, entry in entries.items():
        try:
            found[camera_id] = masks(entry)
        except ValueError as exc:
            wrong.append(f"camera {plain(camera_id, 64)}: {exc}")
    return found, wrong


def _numbered(number: int, entry: Any) -> Mask:
    try:
        return _mask(entry)
    except ValueError as exc:
        raise ValueError(f"mask {number} {exc}") from None


def _mask(entry: Any) -> Mask:
    style = "fill"
    if isinstance(entry, dict):
        if unknown := [name for name in entry if name not in ("polygon", "style")]:
            hint = nearest(unknown[0], ("polygon", "style"))
            raise ValueError(f'has an unknown "{plain(unknown[0], 40)}", known are polygon and style{hint}')
        style, entry = entry.get("style", style), entry.get("polygon")
    if style not in STYLES:
        raise ValueError(f"has a style that is neither fill nor pixelate: {plain(style, 40)}")
    return Mask(_polygon(entry), pixelated=style == "pixelate")


def _polygon(entry: Any) -> tuple[Corner, ...]:
    if not isinstance(entry, list):
        raise ValueError("is no polygon, expected a list of corners such as [[0, 0.6], [0.3, 0.6], [0.3, 1]]")
    corners = [_corner(n, corner) for n, corner in enumerate(entry, 1)]
    if corners[1:] and corners[0] == corners[-1]:
        corners.pop()
    if not 3 <= len(corners) <= MAX_CORNERS:
        raise ValueError(f"has {len(corners)} corners, expected 3 to {MAX_CORNERS}")
    if crossing := next(_crossings(corners), None):
        raise ValueError(f"crosses itself: its side from corner {crossing[0]} meets its side from corner {crossing[1]}")
    return tuple(corners)


def _corner(number: int, entry: Any) -> Corner:
    match entry:
        case [int() | float() as x, int() | float() as y] if not isinstance(x, bool) and not isinstance(y, bool):
            if 0 <= x <= 1 and 0 <= y <= 1:
                return float(x), float(y)
            said = plain(f"[{x}, {y}]", 40)
            raise ValueError(f"lies outside the picture: corner {number} is {said}, expected shares from 0 to 1")
    raise ValueError(f"has a corner {number} that is not two numbers such as [0.3, 0.6]")


def _crossings(corners: Sequence[Corner]) -> Iterator[tuple[int, int]]:
    """Sides that meet elsewhere than in the corner they share, each by the number of its first corner."""
    sides = [(n, corners[n - 1], corners[n % len(corners)]) for n in range(1, len(corners) + 1)]
    for (n, a, b), (m, c, d) in combinations(sides, 2):
        if b == c or d == a:
            common, one, other = (b, a, d) if b == c else (a, b, c)
            if _turn(one, common, other) == 0 and _before(one, common, other):
                yield n, m
        elif _meet(a, b, c, d):
            yield n, m


def _turn(a: Corner, b: Corner, c: Corner) -> float:
    """Above 0 to one side, below to the other, 0 straight on or back."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _before(a: Corner, b: Corner, c: Corner) -> bool:
    """Whether a and c, in one line with b, lie to the same side of it, or on it."""
    return (a[0] - b[0]) * (c[0] - b[0]) + (a[1] - b[1]) * (c[1] - b[1]) >= 0


def _meet(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    touching = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _between(*ends) for turn, ends in zip(turns, touching, strict=True))


def _between(a: Corner, b: Corner, c: Corner) -> bool:
    """Whether c, in one line with a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
