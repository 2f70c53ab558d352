"""What is chosen for a camera's pictures, and how it is written. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cctv_images.config.values import json_object, nearest
from cctv_images.config.values import shown as quoted
from cctv_images.errors import plain
from cctv_images.masks import Mask

FULL = "full"
MAX_RENDITIONS = 8
WIDEST = 16_384
"""Pixels across or down: what WebP can have."""

MAX_STAMP = 200
STAMP_FIELDS = ("name", "camera_id", "time")

_TIME = re.compile(r"(?:%-?[aAbBdeHIjmMpSyYzZ%]|[^%{}]){1,40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ENDING = re.compile(r"\.[^.{}]+\Z")
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
        if self.name == FULL:
            return template.format(camera_id=camera_id)
        folder, slash, last = template.rpartition("/")
        if self.webp:  # the template's own ending goes: one that is part of an id is what tells cameras apart
            last = f"{_ENDING.sub('', last)}.webp"
        return f"{folder}{slash}{self.name}/{last}".format(camera_id=camera_id)


AS_IT_CAME = RenditionSpec(FULL)


@dataclass(frozen=True, slots=True)
class Choices:
    """What is in force for one camera."""

    renditions: tuple[RenditionSpec, ...] = (AS_IT_CAME,)
    """`full` last."""
    masks: tuple[Mask, ...] = ()
    stamp: str = ""
    """What is written into the picture, with {name}, {camera_id} and {time} in it; empty = nothing."""
    time_zone: str = "UTC"
    """Of the stamp's time: a name such as America/Chicago."""


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
        chosen = _option(option, shown)
        if chosen.keys() & spec.keys():
            raise ValueError(f"{shown} says one thing twice: @{plain(option, 20)}")
        spec |= chosen
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


def stamp(text: str) -> str:
    """`{name}, {time}, City of Austin`; `off` is none. Raises ValueError."""
    form = f"expected off, or at most {MAX_STAMP} characters such as {{name}} {{time}}, City of Austin"
    if text.lower() == "off":
        return ""
    try:
        fields = [(name, spec or "", how) for _, name, spec, how in Formatter().parse(text) if name is not None]
    except ValueError:
        raise ValueError(f"{form}; its braces do not match") from None
    if wrong := [name for name, _, how in fields if name not in STAMP_FIELDS or how]:
        raise ValueError(f"{form}; {quoted(wrong[0])} in braces is none of {', '.join(STAMP_FIELDS)}")
    for name, spec, _ in fields:
        if spec and (name != "time" or not _TIME.fullmatch(spec)):
            raise ValueError(f"{form}; only {{time}} can be followed by how it is written, e.g. {{time:%H:%M %Z}}")
        if spec and "%Z" not in spec and "%z" not in spec:
            raise ValueError("a time without its zone misleads, expected %Z or %z in {time:...}")
    if len(text) > MAX_STAMP:
        raise ValueError(form)
    return " ".join(text.split())


def time_zone(text: str) -> str:
    """Raises ValueError."""
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        hint = nearest(text, sorted(known)) or ", expected a name such as America/Chicago"
        missing = "; this machine knows none: its package tzdata is missing"
        raise ValueError(f"there is no such time zone{hint if known else missing}") from None
    return text


READERS: dict[str, Callable[[str], Any]] = {"renditions": renditions, "stamp": stamp, "time_zone": time_zone}
"""What can be chosen for a make or a camera as well as for the fleet: field of Choices → its reader."""


def by_make(text: str) -> dict[str, dict[str, Any]]:
    """`{"axis": {"stamp": "off"}}`: make → what it changes of the fleet's choices. Raises ValueError."""
    return {make: _changes(f'"{plain(make, 40)}"', changes) for make, changes in json_object(text).items()}


def _changes(make: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f'expected {make}: {{"stamp": "off"}} or the like')
    if unknown := [name for name in given if name not in READERS]:
        hint = nearest(unknown[0], list(READERS))
        raise ValueError(f'{make}: "{plain(unknown[0], 40)}" is no choice, known are {", ".join(READERS)}{hint}')
    changes = {}
    for name, value in given.items():
        try:
            changes[name] = READERS[name](value.strip())
        except ValueError as exc:
            raise ValueError(f"{make}, {name}: {exc}") from None
    return changes
