"""One row by our own column names, and the small things its cells may say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cctv_images.config.values import DURATION, UNITS
from cctv_images.errors import plain
from cctv_images.inventory.formats import RawRow

_CAMERA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBER = r"([+-]?[0-9]{1,3}(?:\.[0-9]+)?)"
_LATITUDE_FIRST = re.compile(rf"\(?\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)?")
_WELL_KNOWN_TEXT = re.compile(rf"POINT\s*\(\s*{_NUMBER}\s+{_NUMBER}\s*\)", re.IGNORECASE)
_YES, _NO = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})
AS_IT_STANDS = ("position", "masks")
"""Columns that may hold more than a text."""


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    texts: Mapping[str, str]
    """By canonical column, without blanks around; a missing or null cell is missing or empty."""
    position: Any = None
    """The source's own form of a position, if it has one."""
    masks: Any = None
    """Likewise: JSON's lists, or text."""
    problems: tuple[str, ...] = ()

    def text(self, column: str) -> str:
        return self.texts.get(column, "")

    @property
    def camera_id(self) -> str | None:
        """The id, where it is one."""
        text = self.text("camera_id")
        return text if is_camera_id(text) else None


def row_of(raw: RawRow, columns: Mapping[str, str]) -> Row:
    texts: dict[str, str] = {}
    problems: list[str] = []
    for column, heading in columns.items():
        if column in AS_IT_STANDS:
            continue
        try:
            texts[column] = simple(_cell(raw.cells, heading))
        except ValueError:
            problems.append(f"the {column} is a nested value")
    position, masks = (_cell(raw.cells, columns.get(column, "")) for column in AS_IT_STANDS)
    masks = masks.strip() if isinstance(masks, str) else masks
    return Row(raw.number, texts, position, masks, tuple(problems))


def _cell(cells: Mapping[str, Any], heading: str) -> Any:
    """Knack sends a field twice: made up for people (`field_1`, often HTML) and plain (`field_1_raw`)."""
    raw = cells.get(f"{heading}_raw")
    return cells.get(heading) if raw in (None, "", []) else raw


def simple(value: Any) -> str:
    """A cell as text: JSON numbers without a needless .0, Knack's links, connections and choices as what they name.

    Raises ValueError for any other nested value.
    """
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case list():
            return ", ".join(text for item in value if (text := simple(item)))
        case {"identifier": named} | {"url": named} if not isinstance(named, dict | list):
            return simple(named)
    raise ValueError("nested")


def is_camera_id(text: str) -> bool:
    return _CAMERA_ID.fullmatch(text) is not None


def quoted(text: str) -> str:
    """A wrong value for a message; not repeated where it could hold credentials (an address in the wrong column)."""
    return "(not shown: it may hold credentials)" if "@" in text or "://" in text else f"'{plain(text, 64)}'"


def yes_or_no(text: str, column: str) -> bool | None:
    """None where the cell is empty. Raises ValueError for anything but true/false, yes/no, 1/0."""
    word = text.lower()
    if word in _YES or word in _NO:
        return word in _YES
    if word:
        raise ValueError(f"{column} is {quoted(text)}, which is neither true nor false (yes/no, 1/0)")
    return None


def seconds(text: str) -> float:
    """A duration as the settings take it: `300`, `90s`, `5m`, `1h30m`. Raises ValueError."""
    if not DURATION.fullmatch(text.lower()):
        raise ValueError(f"the interval {quoted(text)} is no duration (300, 90s, 5m, 6h)")
    parts = re.findall(r"([0-9.]+)([smhd]?)", text.lower())
    return sum(float(number) * UNITS.get(unit, 1.0) for number, unit in parts)


def degrees(text: str, column: str, limit: int) -> float | None:
    """Raises ValueError beyond ±limit, and for what is no number."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= limit:
        raise ValueError(f"the {column} {quoted(text)} is not a number from -{limit} to {limit}")
    return value


def position_texts(value: Any) -> tuple[str, str]:
    """(latitude, longitude) as text out of a source's position; empty where it holds none.

    Seen: {"latitude": "30.2", "longitude": "-97.7"} (Socrata once, Knack); {"type": "Point", "coordinates": [lon, lat]}
    (Socrata now, GeoJSON); "(30.2, -97.7)", latitude first (Austin's CSV of 2018); "POINT (-97.7 30.2)" (its CSV).
    """
    match value:
        case {"latitude": str() | int() | float() as lat, "longitude": str() | int() | float() as lon}:
            return str(lat), str(lon)
        case {"type": "Point", "coordinates": [int() | float() as lon, int() | float() as lat, *_]}:
            return str(lat), str(lon)
        case str():
            if found := _LATITUDE_FIRST.fullmatch(value.strip()):
                return found[1], found[2]
            if found := _WELL_KNOWN_TEXT.fullmatch(value.strip()):
                return found[2], found[1]
    return "", ""
