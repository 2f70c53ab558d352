"""What must hold between settings that are right by themselves. Pure, but for a look at the inventory file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from cctv_images.acquire.recipes import find_recipe, nearest
from cctv_images.config.values import http_url, length, region
from cctv_images.errors import plain
from cctv_images.masks import read_masks

if TYPE_CHECKING:
    from cctv_images.settings import Settings

BACKOFF_CAP_S = 30.0

Complaint = tuple[str, str]
"""The setting at fault (a field, or aws.field) and what was expected, as half a sentence."""


def complaints(settings: Settings, wrong: Collection[str]) -> Iterator[Complaint]:
    """wrong: fields that have been complained about already; no rule looks at those."""
    for fields, rule in RULES:
        if not fields & set(wrong):
            yield from rule(settings)


def pauses_s(settings: Settings) -> float:
    """The longest that the pauses between one cycle's attempts may take together."""
    return sum(min(settings.backoff * float(2**n), BACKOFF_CAP_S) for n in range(settings.attempts - 1))


def cycle_fits_interval(s: Settings) -> Iterator[Complaint]:
    interval = f"no more than the interval, which is {length(s.interval)}"
    pauses = pauses_s(s)
    needed = s.attempts * s.timeout + pauses
    if s.timeout > s.interval:
        yield "timeout", f"is {length(s.timeout)}, expected {interval}"
    elif needed > s.interval:
        fits = math.floor((s.interval - pauses) / s.attempts)
        lower = f"CCTV_TIMEOUT (to {length(fits)})" if fits >= 1 else "CCTV_TIMEOUT, CCTV_BACKOFF"
        yield (
            "interval",
            f"{s.attempts} attempts of {length(s.timeout)} with pauses of {length(pauses)} between them take "
            f"{length(needed)}, expected {interval}; lower {lower} or CCTV_ATTEMPTS, or raise CCTV_INTERVAL",
        )


def spread_fits_interval(s: Settings) -> Iterator[Complaint]:
    # The default is not a mistake: the spread is never more than the interval in effect.
    if "startup_spread" in s.model_fields_set and s.startup_spread > s.interval:
        yield "startup_spread", f"expected no more than the interval, which is {length(s.interval)}"


def inventory_is_there(s: Settings) -> Iterator[Complaint]:
    if not s.inventory or s.inventory_is_remote:
        return
    path = Path(s.inventory)
    try:
        if path.is_dir():
            yield "inventory", "is a folder, expected a file"
        elif not path.exists():
            yield "inventory", "there is no such file" + ("" if path.is_absolute() else f" in {plain(Path.cwd())}")
    except OSError as exc:
        yield "inventory", f"cannot be looked at ({exc.strerror})"


def login_is_whole(s: Settings) -> Iterator[Complaint]:
    if s.camera_username and s.camera_password is None:
        yield "camera_username", "expected CCTV_CAMERA_PASSWORD beside it"
    if s.camera_password is not None and not s.camera_username:
        yield "camera_password", "expected CCTV_CAMERA_USERNAME beside it"


def masks_can_be_used(s: Settings) -> Iterator[Complaint]:
    for mistake in read_masks(s.masks)[1] if s.masks else ():
        yield "masks", mistake


def makes_are_known(s: Settings) -> Iterator[Complaint]:
    known: set[str] = set()
    for make in s.by_make:
        recipe = find_recipe(make)
        if recipe is None:
            near = [f'"{name}"' for name in nearest(make)]
            yield "by_make", f'"{plain(make, 40)}" is no make{", nearest: " if near else ""}{", ".join(near)}'
        elif recipe.name in known:
            yield "by_make", f'"{plain(make, 40)}" is another name for a make that stands there already'
        else:
            known.add(recipe.name)


def aws_is_whole(s: Settings) -> Iterator[Complaint]:
    aws = s.aws
    if aws.access_key_id and not aws.secret_access_key:
        yield "aws.access_key_id", "expected AWS_SECRET_ACCESS_KEY beside it"
    for field in ("secret_access_key", "session_token"):
        if getattr(aws, field) and not aws.access_key_id:
            yield f"aws.{field}", "expected AWS_ACCESS_KEY_ID beside it"
    for field, text, check in (("region", aws.region, region), ("endpoint_url", aws.endpoint_url, http_url)):
        try:
            check(text) if text else None
        except ValueError as exc:
            yield f"aws.{field}", str(exc)


def state_is_apart(s: Settings) -> Iterator[Complaint]:
    """Cameras' addresses and what waits for the archive are not for the public."""
    public = _public(s)
    if _place(f"file://{quote(str(s.state_dir.absolute()))}").startswith(public):
        yield "state_dir", f"lies where pictures are published ({public}), expected another place: that one is public"


def archive_is_apart(s: Settings) -> Iterator[Complaint]:
    if not s.archive:
        return
    public, kept = _public(s), _place(s.archive)
    if kept.startswith(public):
        yield "archive", f"lies where pictures are published ({public}), expected another place: that one is public"
    elif public.startswith(kept):
        yield "archive", f"has the published pictures inside it ({public}), expected another place"


def _public(s: Settings) -> str:
    """The public reads what is below the fixed part of CCTV_KEY."""
    return _place(s.store, s.key.partition("{")[0].rpartition("/")[0])


def _place(address: str, below: str = "") -> str:
    """Ends in a slash. Of a folder: where it is behind all links."""
    if address.startswith("file://"):
        address, below = f"file://{os.path.realpath(f'{unquote(address[7:])}/{below}')}", ""
    return f"{address}/{below}".rstrip("/") + "/"


RULES: tuple[tuple[set[str], Callable[[Settings], Iterator[Complaint]]], ...] = (
    ({"inventory"}, inventory_is_there),
    ({"interval", "timeout", "attempts", "backoff"}, cycle_fits_interval),
    ({"interval", "startup_spread"}, spread_fits_interval),
    ({"camera_username", "camera_password"}, login_is_whole),
    ({"masks"}, masks_can_be_used),
    ({"by_make"}, makes_are_known),
    ({"aws"}, aws_is_whole),
    ({"state_dir", "store", "key"}, state_is_apart),
    ({"archive", "store", "key"}, archive_is_apart),
)
