"""An enabled row → a camera, or all that is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from cctv_images.choices import READERS, USUAL, Choices
from cctv_images.errors import plain
from cctv_images.inventory.address import Address, check_path, parse_address
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.fields import Row, degrees, is_camera_id, position_texts, quoted, seconds
from cctv_images.masks import EVERYTHING, Mask, masks

GENERIC = "generic"
"""The recipe of a camera that is asked by a full URL alone."""

LONGEST_INTERVAL_S = 7 * 86400.0
_HIGHEST_CHANNEL = 9999

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """What rows are held to. The makes are handed in: the inventory knows none."""

    find_recipe: Callable[[str], str | None]
    """A model as the inventory spells it → the recipe's canonical name."""
    nearest: Callable[[str], list[str]]
    """Known names near to an unknown model, best first."""
    credentials: frozenset[str] = frozenset()
    """The names in CCTV_CREDENTIALS."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """CCTV_INVENTORY_COLUMNS: canonical column → the source's column."""
    objection: Callable[[Camera], str | None] = lambda camera: None
    """Why a camera cannot be asked although its row is sound: a part of a sentence."""
    choices: Choices = USUAL
    """The fleet's."""
    by_make: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Recipe → what it changes of them."""
    masks: Mapping[str, tuple[Mask, ...]] = field(default_factory=dict)
    """Camera id → those of CCTV_MASKS."""
    shortest_interval_s: float = 1.0
    """A row's own interval may not be shorter: what all attempts of one cycle may take."""


class _Problems(list[str]):
    def attempt(self, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `check` gives, or None with its ValueError's sentence noted."""
        try:
            return check(*args, **kwargs)
        except ValueError as error:
            self.append(str(error))
            return None


def check_row(row: Row, rules: Rules) -> Camera | list[str]:
    """The camera, or every mistake in its row as a part of a sentence. Says nothing about doubled ids."""
    problems = _Problems(row.problems)
    if not is_camera_id(row.text("camera_id")):
        problems.append(_bad_id(row.text("camera_id")))
    address = problems.attempt(parse_address, row.text("address")) or Address("")
    path = problems.attempt(check_path, row.text("path")) if row.text("path") else address.path
    recipe = problems.attempt(_recipe, row.text("model"), address, path, rules)
    latitude, longitude = _position(row, problems)
    camera = Camera(
        camera_id=row.text("camera_id"),
        recipe=recipe or "",
        model=plain(row.text("model")),
        scheme=address.scheme,
        host=address.host,
        port=address.port,
        path=path or ("/" if recipe == GENERIC else None),
        name=shown_name(row),
        latitude=latitude,
        longitude=longitude,
        status=plain(row.text("status"), 64),
        credentials=problems.attempt(_credentials, row.text("credentials"), rules),
        channel=problems.attempt(_channel, row.text("channel")),
        interval_s=problems.attempt(_interval, row.text("interval"), rules),
        tls=problems.attempt(_tls, row.text("tls")) or "verify",
        choices=_choices(row, recipe or "", rules, problems),
    )
    if not problems and (objection := rules.objection(camera)):
        problems.append(objection)
    return list(problems) or camera


def paused_camera(row: Row, rules: Rules) -> Camera:
    """A row that is not enabled, as far as it can be shown; nothing about it is an error."""
    latitude, longitude = _position(row, _Problems())
    return Camera(
        camera_id=row.text("camera_id"),
        recipe="",
        model=plain(row.text("model")),
        name=shown_name(row),
        latitude=latitude,
        longitude=longitude,
        enabled=False,
        status=plain(row.text("status"), 64),
        choices=_choices(row, rules.find_recipe(row.text("model")) or "", rules, _Problems()),
    )


def shown_name(row: Row) -> str:
    return plain(" ".join(row.text("name").split()))


def _bad_id(text: str) -> str:
    if not text:
        return "there is no camera_id"
    return f"the camera_id {quoted(text)} is not 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit"


def _recipe(model: str, address: Address, path: str | None, rules: Rules) -> str:
    if not model:
        if not address.is_url:
            raise ValueError("there is no model, which only a full URL can do without")
        return GENERIC
    recipe = rules.find_recipe(model)
    if recipe is None:
        near = rules.nearest(model)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise ValueError(f"the model {quoted(model)} is not known{hint}")
    if recipe == GENERIC and not address.is_url and path is None:
        raise ValueError("the model generic needs a full URL or a path")
    return recipe


def _choice(name: str, text: str) -> Any:
    try:
        return READERS[name](text)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from None


def _choices(row: Row, recipe: str, rules: Rules, problems: _Problems) -> Choices:
    """The fleet's, changed by the make's, changed by the row's own. Masks of file and row add up."""
    own = {name: problems.attempt(_choice, name, row.text(name)) for name in READERS if row.text(name)}
    changes = {**rules.by_make.get(recipe, {}), **{name: value for name, value in own.items() if value is not None}}
    return replace(rules.choices, **changes, masks=_masks(row, rules, problems))


def masks_to_keep(row: Row, rules: Rules) -> tuple[Mask, ...]:
    """Of a row that is rejected: its camera may run on as it was, with these. What cannot be read hides all."""
    problems = _Problems()
    found = _masks(row, rules, problems)
    return (*found, EVERYTHING) if problems else found


def _masks(row: Row, rules: Rules, problems: _Problems) -> tuple[Mask, ...]:
    """Those of CCTV_MASKS and the row's own."""
    drawn = problems.attempt(masks, row.masks) if row.masks not in (None, "", []) else None
    return rules.masks.get(row.text("camera_id"), ()) + (drawn or ())


def _position(row: Row, problems: _Problems) -> tuple[float | None, float | None]:
    latitude, longitude = row.text("latitude"), row.text("longitude")
    if not latitude and not longitude:
        latitude, longitude = position_texts(row.position)
    return (
        problems.attempt(degrees, latitude, "latitude", 90),
        problems.attempt(degrees, longitude, "longitude", 180),
    )


def _credentials(name: str, rules: Rules) -> str | None:
    if name and name not in rules.credentials:
        near = difflib.get_close_matches(name, rules.credentials, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"the credentials {quoted(name)} are not among CCTV_CREDENTIALS{hint}")
    return name or None


def _channel(text: str) -> int | None:
    if text and (not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > _HIGHEST_CHANNEL):
        raise ValueError(f"the channel {quoted(text)} is not a whole number from 0 to {_HIGHEST_CHANNEL}")
    return int(text) if text else None


def _interval(text: str, rules: Rules) -> float | None:
    if not text:
        return None
    value = seconds(text)
    if value < rules.shortest_interval_s:
        shortest = f"{rules.shortest_interval_s:g} s"
        raise ValueError(f"the interval {quoted(text)} is shorter than one cycle with all its attempts ({shortest})")
    if value > LONGEST_INTERVAL_S:
        raise ValueError(f"the interval {quoted(text)} is longer than a week")
    return value


def _tls(text: str) -> str:
    word = text.lower()
    if word in ("", "verify", "insecure", "legacy"):
        return word or "verify"
    pin = word.removeprefix("pin:").replace(":", "")
    if word.startswith("pin:") and re.fullmatch(r"[0-9a-f]{64}", pin):
        return f"pin:{pin}"
    raise ValueError(f"tls is {quoted(text)}, which is none of verify, insecure, legacy, pin:<64 hex digits>")
