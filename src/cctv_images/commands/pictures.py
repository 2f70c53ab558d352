"""What `check` says of how pictures are published."""

from __future__ import annotations

import time
from collections.abc import Collection

from cctv_images.errors import plain
from cctv_images.inventory.camera import Camera
from cctv_images.process.font import missing
from cctv_images.process.stamp import stamp_text
from cctv_images.settings import Settings

SHOWN = 5


def shown(settings: Settings, cameras: Collection[Camera]) -> str:
    names = ", ".join(spec.name for spec in settings.renditions[::-1])
    masked = sum(bool(camera.choices.masks) for camera in cameras)
    stamped = sum(bool(camera.choices.stamp) for camera in cameras)
    return f"pictures   {names}, without metadata; {masked} with masks, {stamped} with a stamp"


def notes(cameras: Collection[Camera]) -> list[str]:
    """Names and stamps of which the font lacks characters."""
    lacking = {c.camera_id: chars for c in cameras if (chars := missing(f"{c.name}{stamp_text(c, time.time())}"))}
    first = [f"{camera_id} ({plain(chars, 20)})" for camera_id, chars in list(lacking.items())[:SHOWN]]
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    return (
        [f"the font of fallbacks and stamps has nothing to draw for these: {', '.join(first)}{more}"] if lacking else []
    )
