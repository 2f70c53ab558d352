"""What becomes of the public pictures of cameras that are removed or paused: nothing stale stays up by accident."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from cctv_images.choices import AS_IT_CAME, FULL, RenditionSpec
from cctv_images.clock import Clock
from cctv_images.errors import StoreError
from cctv_images.files import write_atomically
from cctv_images.process.fallback import Fallback
from cctv_images.process.render import Rendition
from cctv_images.publish import Publication, Publisher
from cctv_images.records import Fleet

log = structlog.get_logger()

TRY_S = 25.0

Specs = tuple[RenditionSpec, ...]


class Removals:
    """Carries out CCTV_REMOVED, also for cameras that left while the service or the store was down, and for renditions
    that are no longer made.

    What is still to be done is kept in a file until the store has taken it.
    """

    def __init__(
        self, path: Path, policy: str, key: str, ttl_s: float, fallback: Fallback, publisher: Publisher, clock: Clock
    ) -> None:
        self.path = path
        self.policy = policy
        self.key = key
        self.ttl_s = ttl_s
        self.fallback = fallback
        self.publisher = publisher
        self.clock = clock
        self.pending: dict[str, Specs] = self._saved() if policy != "keep" else {}
        """By camera."""

    def _saved(self) -> dict[str, Specs]:
        try:
            saved = json.loads(self.path.read_bytes())
            if isinstance(saved, list):  # as version 1.0 wrote it
                return {str(camera_id): (AS_IT_CAME,) for camera_id in saved}
            return {str(camera_id): tuple(map(_spec, specs)) for camera_id, specs in saved.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    async def update(self, gone: Mapping[str, Specs], back: Mapping[str, Specs]) -> None:
        """What was published of cameras that are no longer run, or run otherwise, and what is published now."""
        pending = self.pending if self.policy == "keep" else {**self.pending, **gone}
        left = {
            camera_id: self._left(camera_id, specs, back.get(camera_id, ())) for camera_id, specs in pending.items()
        }
        before, self.pending = self.pending, {camera_id: specs for camera_id, specs in left.items() if specs}
        if self.pending != before:
            await self._save()

    def _left(self, camera_id: str, specs: Specs, now: Specs) -> Specs:
        keys = {spec.key(self.key, camera_id) for spec in now}
        return tuple(spec for spec in specs if spec.key(self.key, camera_id) not in keys)

    async def _save(self) -> None:
        document = {camera_id: [asdict(spec) for spec in specs] for camera_id, specs in sorted(self.pending.items())}
        try:
            await asyncio.to_thread(write_atomically, self.path, json.dumps(document).encode())
        except OSError as exc:
            log.warning("state_not_saved", detail=f"{self.path.name}: {exc.strerror}")

    async def work(self, fleet: Fleet) -> None:
        """One try for each; what the store does not take stays pending."""
        if not self.pending:
            return
        tries = {
            camera_id: asyncio.create_task(self._carry_out(camera_id, specs))
            for camera_id, specs in sorted(self.pending.items())
        }
        await asyncio.wait(tries.values())
        for camera_id, attempt in tries.items():
            if attempt.result() and (record := fleet.cameras.get(camera_id)):
                record.kind = "fallback" if self.policy == "fallback" else None
        await self._save()

    async def _carry_out(self, camera_id: str, specs: Specs) -> bool:
        """Whether the camera's picture itself is gone."""
        deadline = self.clock.monotonic() + TRY_S
        try:
            if self.policy == "delete":
                for spec in specs:
                    await self.publisher.delete(camera_id, spec.key(self.key, camera_id), deadline)
            else:
                for made in await self.fallback.renditions(specs):
                    await self._replace(camera_id, made, deadline)
        except StoreError:
            return False
        if self.pending.get(camera_id) == specs:
            del self.pending[camera_id]
        if not any(spec.name == FULL for spec in specs):
            return False
        if self.policy == "delete":
            log.info("picture_removed", camera_id=camera_id)
        else:
            log.info("fallback_published", camera_id=camera_id, detail="no longer run")
        return True

    async def _replace(self, camera_id: str, made: Rendition, deadline: float) -> None:
        key, now = made.spec.key(self.key, camera_id), self.clock.time()
        publication = Publication(
            key, made.body, "fallback", now, self.ttl_s, content_type=made.spec.content_type, md5=made.md5
        )
        await self.publisher.put(camera_id, publication, deadline)


def _spec(saved: dict[str, Any]) -> RenditionSpec:
    return RenditionSpec(**saved | {"box": tuple(saved["box"]) if saved["box"] else None})
