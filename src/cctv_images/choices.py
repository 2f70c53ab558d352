"""What is chosen for a camera's pictures, and how it is written. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from cctv_images.config.values import shown as quoted

FULL = "full"
MAX_RENDITIONS = 8
WIDEST = 16_384
"""Pixels across or down: what WebP can have."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_FORM = "expected renditions such as full, thumb:480x270, small:320x180@q70"


@dataclass(frozen=True, slots=True)
class RenditionSpec:
    """One form in which a picture is published."""

    name: str
    box: tuple[int, int] | None = None
    """Width and height that it fits into: its aspect is kept, and nothing is enlarged. None = the camera's own."""
    quality: int | None = None
    """1 to 100; None = the codec's usual."""
    progressive: bool = False
    webp: bool = False

    @property
    def as_it_came(self) -> bool:
        """Nothing here asks for the picture to be encoded again."""
        return self.box is None and self.quality is None and not self.progressive and not self.webp

    @property
    def content_type(self) -> str:
        return "image/webp" if self.webp else "image/jpeg"

    def key(self, template: str, camera_id: str) -> str:
        """The object key: CCTV_KEY's for `full`, else with the name before its last part and the codec's ending."""
        key = template.format(camera_id=camera_id)
        if self.name == FULL:
            return key
        folder, slash, last = key.rpartition("/")
        if self.webp:
            stem, dot, _ = last.rpartition(".")
            last = f"{stem if dot else last}.webp"
        return f"{folder}{slash}{self.name}/{last}"


AS_IT_CAME = RenditionSpec(FULL)


@dataclass(frozen=True, slots=True)
class Choices:
    """What is in force for one camera."""

    renditions: tuple[RenditionSpec, ...] = (AS_IT_CAME,)
    """`full` last."""


USUAL = Choices()


def renditions(text: str) -> tuple[RenditionSpec, ...]:
    """`full, thumb:480x270, small:320x180@q70@progressive, tiny:160x90@webp`, `full` last. Raises ValueError."""
    found = [_rendition(word) for word in re.split(r"[\s,]+", text.strip(", \t\n")) if word]
    names = Counter(spec.name for spec in found)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ValueError(f'two renditions are called "{twice[0]}" and would have one key')
    if FULL not in names:
        raise ValueError(f'{_FORM}, with "full" among them')
    if len(found) > MAX_RENDITIONS:
        raise ValueError(f"expected at most {MAX_RENDITIONS} renditions")
    return tuple(sorted(found, key=lambda spec: spec.name == FULL))


def _rendition(word: str) -> RenditionSpec:
    head, *options = word.lower().split("@")
    name, colon, size = head.partition(":")
    shown = quoted(word)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{_FORM}; {shown} has a name that is not made of a-z 0-9 _ -")
    if not colon and name != FULL:
        raise ValueError(f"{_FORM}; {shown} says no size")
    spec: dict[str, Any] = {"name": name, "box": _box(size, shown) if colon else None}
    for option in options:
        spec |= _option(option, shown)
    if name == FULL and spec.get("webp"):
        raise ValueError(f"{shown}: the picture itself is a JPEG, only other renditions can be WebP")
    if spec.get("webp") and spec.get("progressive"):
        raise ValueError(f"{shown}: there is no progressive WebP")
    return RenditionSpec(**spec)


def _box(size: str, shown: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})[x×]([0-9]{1,6})", size)
    if not match:
        raise ValueError(f"{_FORM}; {shown} has no size such as 480x270")
    width, height = int(match[1]), int(match[2])
    if not (0 < width <= WIDEST and 0 < height <= WIDEST):
        raise ValueError(f"{shown} is {width} pixels wide and {height} high, expected 1 to {WIDEST} each")
    return width, height


def _option(option: str, shown: str) -> dict[str, object]:
    if option in ("progressive", "webp"):
        return {option: True}
    if match := re.fullmatch(r"q([0-9]{1,3})", option):
        if not 1 <= int(match[1]) <= 100:
            raise ValueError(f"{shown}: expected a quality from q1 to q100")
        return {"quality": int(match[1])}
    raise ValueError(f"{shown} asks for an unknown format, known are @q1 to @q100, @progressive and @webp")
