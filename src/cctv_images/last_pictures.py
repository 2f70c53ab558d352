"""What is known of each camera's last picture, over restarts: how large it was, since when there has been none, and
which masks it had."""

from __future__ import annotations

import asyncio
import json
import zlib
from pathlib import Path

import structlog

from cctv_images.clock import Clock
from cctv_images.files import write_atomically
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet

log = structlog.get_logger()

EVERY_S = 60.0
Size = tuple[int, int]
Known = tuple[float, int, int, tuple[str, ...]]
"""Epoch seconds, width, height, and the masks."""


class LastPictures:
    """A file of the fleet's last pictures. A crash loses a minute of it, which nobody notices."""

    def __init__(self, path: Path, fleet: Fleet, clock: Clock) -> None:
        self.path = path
        self.fleet = fleet
        self.clock = clock
        self._known = self._saved()
        self._failing = False

    def _saved(self) -> dict[str, Known]:
        try:
            saved = json.loads(self.path.read_bytes())
            return {str(i): (float(at), int(w), int(h), tuple(*masks)) for i, (at, w, h, *masks) in saved.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def restore(self, record: CameraRecord) -> None:
        """To a record that knows of no picture yet."""
        known = self._known.get(record.camera.camera_id)
        if known and record.last_picture_at is None:
            record.last_picture_at, record.last_size = known[0], (known[1], known[2])
            record.owed = bool(set(_masks(record.camera)) - set(known[3]))  # the public may see what nobody may now

    def size(self, camera_id: str) -> Size | None:
        """Also of a camera that is no longer run."""
        known = self._known.get(camera_id)
        return (known[1], known[2]) if known else None

    async def run(self) -> None:
        while True:
            await self.clock.sleep(EVERY_S)
            await self.save()

    async def save(self) -> None:
        now = {i: known for i, record in self.fleet.cameras.items() if (known := self._known_of(record))}
        if not now.keys() - self._known.keys() and all(self._known[i] == known for i, known in now.items()):
            return
        self._known |= now
        kept = {i: known for i, known in self._known.items() if i in self.fleet.cameras}
        try:
            await asyncio.to_thread(write_atomically, self.path, json.dumps(kept).encode())
            self._failing = False
        except OSError as exc:
            if not self._failing:
                log.warning("state_not_saved", detail=f"{self.path.name}: {exc.strerror}")
            self._failing = True

    def _known_of(self, record: CameraRecord) -> Known | None:
        if not record.last_picture_at or not record.last_size:
            return None
        before = self._known.get(record.camera.camera_id) if record.owed else None
        return record.last_picture_at, *record.last_size, before[3] if before else _masks(record.camera)


def _masks(camera: Camera) -> tuple[str, ...]:
    return tuple(f"{zlib.crc32(repr(mask).encode()):08x}" for mask in camera.choices.masks)
