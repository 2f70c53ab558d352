"""What check says of the archive: whether feeds are kept, and how long an outage of it the spool bears."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from statistics import fmean

from cctv_images.archiving import spool_folder
from cctv_images.config.values import DAY, HOUR
from cctv_images.errors import plain
from cctv_images.inventory.camera import Camera
from cctv_images.publish import parse_address
from cctv_images.settings import Settings

ASSUMED_BYTES = 100_000
SAMPLE = 500


def shown(settings: Settings, cameras: Mapping[str, Camera]) -> list[str]:
    """Lines for people."""
    if not settings.archive:
        return ["archive    none: feeds are not archived"]
    count = len(_chosen(settings, cameras))
    whose = f"{count} of {len(cameras)} cameras" if settings.archive_cameras else "all cameras"
    share = f", every {_ordinal(settings.archive_every)} slot" if settings.archive_every > 1 else ""
    limits = [f"for {settings.archive_days} days"] if settings.archive_days else []
    limits += [f"up to {settings.archive_bytes / 1e9:,.1f} GB"] if settings.archive_bytes else []
    return [
        f"archive    {settings.archive}: pictures of {whose}{share} are kept, {', '.join(limits) or 'for ever'}",
        f"spool      {settings.spool_bytes / 2**20:,.0f} MiB: {lasts(settings, cameras)}",
    ]


def lasts(settings: Settings, cameras: Mapping[str, Camera]) -> str:
    """How long an outage of the archive the spool bears, in words."""
    per_s = _pictures_per_s(settings, _chosen(settings, cameras))
    if not per_s:
        return "nothing is to be kept"
    measured = _picture_bytes(settings, cameras)
    seconds = settings.spool_bytes / (per_s * (measured or ASSUMED_BYTES))
    length = f"{seconds / DAY:.1f} days" if seconds >= 2 * DAY else f"{seconds / HOUR:.1f} hours"
    size = f"{(measured or ASSUMED_BYTES) / 1000:.0f} kB a picture, {'as now published' if measured else 'assumed'}"
    return f"bears an outage of {length} ({per_s * HOUR:,.0f} pictures an hour, {size})"


def notes(settings: Settings, cameras: Mapping[str, Camera]) -> list[str]:
    """What is no mistake and yet worth knowing."""
    found = []
    if missing := sorted(settings.archive_cameras - cameras.keys()):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        found.append(f"CCTV_ARCHIVE_CAMERAS names {', '.join(map(plain, missing[:5]))}{more}: no such cameras are run")
    if settings.archive and _pictures_per_s(settings, _chosen(settings, cameras)) > settings.archive_rate / 2:
        found.append("CCTV_ARCHIVE_RATE is less than twice what the cameras give: a backlog would hardly shrink")
    if settings.archive:
        found += _room(settings)
    return found


def _room(settings: Settings) -> Iterator[str]:
    folder = settings.state_dir.absolute()
    with suppress(OSError):
        room = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
        if room < settings.spool_bytes:
            room += sum(file.stat().st_size for file in spool_folder(settings).rglob("*.jpg"))
        if room < settings.spool_bytes:
            yield f"CCTV_SPOOL_BYTES is more than its disk has room for: {room / 2**20:,.0f} MiB"


def _chosen(settings: Settings, cameras: Mapping[str, Camera]) -> Sequence[Camera]:
    wanted = settings.archive_cameras
    return [camera for camera_id, camera in cameras.items() if not wanted or camera_id in wanted]


def _pictures_per_s(settings: Settings, chosen: Sequence[Camera]) -> float:
    return sum(1 / (camera.interval_s or settings.interval) for camera in chosen) / settings.archive_every


def _picture_bytes(settings: Settings, cameras: Mapping[str, Camera]) -> float | None:
    """The mean of those that are published, as far as they can be seen on this machine."""
    address, sizes = parse_address(settings.store), []
    root = address if isinstance(address, Path) else settings.state_dir / "current"
    for camera_id in islice(cameras, SAMPLE):
        with suppress(OSError):
            sizes.append((root / settings.key.format(camera_id=camera_id)).stat().st_size)
    return fmean(sizes) if sizes else None


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
