"""The two ends of a sync, opened as the command line and the AWS_* settings say."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import botocore.session
from botocore.exceptions import BotoCoreError

from cctv_images.clock import Clock
from cctv_images.config import values
from cctv_images.errors import ConfigError
from cctv_images.publish import AwsSettings, parse_address
from cctv_images.publish.side import Side
from cctv_images.publish.side_folder import FolderSide
from cctv_images.publish.side_s3 import S3Side
from cctv_images.settings import Settings

SIDES = ("source", "destination")


class Misused(Exception):
    """The two words cannot be a source and a destination; the text says why."""


@asynccontextmanager
async def opened(
    settings: Settings, addresses: tuple[str, str], given: Mapping[str, str], writable: bool, pool: int, clock: Clock
) -> AsyncIterator[tuple[Side, Side]]:
    """given: profile, endpoint and region by side, e.g. source_profile. writable: the destination. pool: connections at
    most to each. Raises Misused, ConfigError, StoreError."""
    places = [_place(name, address) for name, address in zip(SIDES, addresses, strict=True)]
    sides: list[Side] = []
    try:
        for name, place in zip(SIDES, places, strict=True):
            sides.append(await _side(settings, place, name, given, pool, clock))
            _give_back()
        for side, written in zip(sides, (False, writable), strict=True):
            await side.begin(writable=written)
        _stand_apart(*sides)
        yield sides[0], sides[1]
    finally:
        for side in sides:
            await side.close()


def _give_back() -> None:
    """botocore, which has found the address, leaves 12 MiB in circles, and glibc keeps what is free."""
    gc.collect()
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _place(name: str, address: str) -> Path | tuple[str, str]:
    try:
        return parse_address(address)
    except ConfigError as exc:
        raise Misused(f"{name.upper()} is {exc.problems[0].removeprefix('CCTV_STORE is ')}") from None


async def _side(
    settings: Settings, place: Path | tuple[str, str], name: str, given: Mapping[str, str], pool: int, clock: Clock
) -> Side:
    ends = {end: given.get(f"{name}_{end}") for end in ("profile", "endpoint", "region")}
    if isinstance(place, Path):
        if wrong := next((end for end, value in ends.items() if value), None):
            raise Misused(f"--{name}-{wrong} is for s3://, and the {name} is a folder")
        return FolderSide(place, clock)
    try:
        for end, check in (("endpoint", values.http_url), ("region", values.region)):
            check(ends[end] or {"endpoint": "http://x", "region": "x"}[end])
    except ValueError as exc:
        raise Misused(f"--{name}-{end}: {exc}") from None
    bucket, prefix = place
    aws = _aws(settings.aws, **ends)
    try:
        return await S3Side.open(bucket, prefix, aws=aws, options=settings.s3_options, pool=pool, clock=clock)
    except ConfigError as exc:
        named = f"--{name}-profile" if ends["profile"] else "AWS_PROFILE"
        raise ConfigError([f"{name}: {p.replace('AWS_PROFILE', named)}" for p in exc.problems]) from None


def _aws(known: AwsSettings, profile: str | None, endpoint: str | None, region: str | None) -> AwsSettings:
    """A profile brings its own keys, region and address; what it does not say is as in the settings."""
    if profile:
        said = _profile(profile)
        known = AwsSettings(
            profile=profile,
            region=said.get("region") or known.region,
            endpoint_url=said.get("endpoint_url") or known.endpoint_url,
        )
    changes = {"endpoint_url": endpoint, "region": region}
    return known.model_copy(update={name: value for name, value in changes.items() if value})


def _profile(name: str) -> dict[str, str]:
    try:
        return dict(botocore.session.Session(profile=name).get_scoped_config())
    except BotoCoreError:
        return {}  # the store's opening says what is wrong with it


def _stand_apart(source: Side, destination: Side) -> None:
    if source.holds(destination) and destination.holds(source):
        raise Misused("SOURCE and DESTINATION are the same place")
    if source.holds(destination):
        raise Misused("DESTINATION lies inside SOURCE")
    if destination.holds(source):
        raise Misused("SOURCE lies inside DESTINATION")
    if isinstance(source, FolderSide) and isinstance(destination, FolderSide):
        source.leave_out(destination)
        destination.leave_out(source)
