"""The font of stamps and fallbacks, as its package ships it: Open Sans, for Latin, Greek and Cyrillic letters."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import lru_cache
from importlib import resources

import fontpkg_open_sans
from PIL import ImageFont

REGULAR, SEMIBOLD, BOLD = 400, 600, 700
_FILE = "OpenSans[wdth,wght].ttf"
_NOWHERE = "\uffff"
"""A character that no font has: what it draws stands for all that are missing."""
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


@lru_cache(maxsize=64)
def font(size: int, weight: int = REGULAR) -> ImageFont.FreeTypeFont:
    """size: pixels from the top of an ascender to the foot of a descender, roughly. weight: 300 to 800."""
    path = resources.files(fontpkg_open_sans) / "files" / _FILE
    face = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    face.set_variation_by_axes([weight, 100])
    return face


def missing(text: str) -> str:
    """The characters of a text that cannot be drawn, each once: without a glyph, or written from right to left."""
    return "".join(char for char in dict.fromkeys(text) if not _has(char))


def drawable(text: str) -> str:
    """The text in one line, without what is missing."""
    whole = unicodedata.normalize("NFC", text)
    return " ".join("".join(char for char in whole if _has(char)).split())


def shortened(line: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """As much of it as fits into so many pixels, with an ellipsis for the rest."""
    if face.getlength(line) <= width:
        return line
    kept = bisect_right(range(1, len(line)), width, key=lambda letters: face.getlength(f"{line[:letters]}…"))
    return f"{line[:kept].rstrip()}…"


@lru_cache(maxsize=4096)
def _has(char: str) -> bool:
    if char.isspace():
        return True
    if not char.isprintable() or unicodedata.bidirectional(char) in _RIGHT_TO_LEFT:
        return False
    face = font(32)
    return bytes(face.getmask(char)) != bytes(face.getmask(_NOWHERE))
