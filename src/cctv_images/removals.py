"""What becomes of the public pictures of cameras that are removed or paused: nothing stale stays up by accident."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from cctv_images.choices import AS_IT_CAME, FULL, RenditionSpec
from cctv_images.clock import Clock
from cctv_images.errors import ReasonClass, StoreError
from cctv_images.files import write_atomically
from cctv_images.inventory.camera import Camera
from cctv_images.last_pictures import LastPictures
from cctv_images.process.cards import USUAL_SIZE, Card
from cctv_images.process.fallback import Fallbacks
from cctv_images.process.render import Rendition
from cctv_images.publish import Publication, Publisher
from cctv_images.records import Fleet

log = structlog.get_logger()

TRY_S = 25.0

Specs = tuple[RenditionSpec, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """What is still to be taken away of one camera, and what is to be said in its place."""

    specs: Specs
    card: Card


class Removals:
    """Carries out CCTV_REMOVED, also for cameras that left while the service or the store was down, and for renditions
    that are no longer made.

    What is still to be done is kept in a file until the store has taken it.
    """

    def __init__(
        self,
        path: Path,
        policy: str,
        key: str,
        ttl_s: float,
        fallback: Fallbacks,
        publisher: Publisher,
        clock: Clock,
        pictures: LastPictures,
    ) -> None:
        self.path = path
        self.policy = policy
        self.key = key
        self.ttl_s = ttl_s
        self.fallback = fallback
        self.publisher = publisher
        self.clock = clock
        self.pictures = pictures
        self.pending: dict[str, Gone] = self._saved() if policy != "keep" else {}
        """By camera."""

    def _saved(self) -> dict[str, Gone]:
        try:
            saved = json.loads(self.path.read_bytes())
            if isinstance(saved, list):  # as version 1.0 wrote it
                return {str(camera_id): Gone((AS_IT_CAME,), _card(str(camera_id))) for camera_id in saved}
            return {str(camera_id): _gone(entry) for camera_id, entry in saved.items()}
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return {}

    async def update(self, was: Mapping[str, Camera], now: Mapping[str, Camera], since: float | None) -> None:
        """Cameras that are no longer run, or run otherwise, and those that are run now. since: epoch seconds."""
        pending = dict(self.pending)
        if self.policy != "keep":
            pending |= {camera_id: self._leaving(camera, since) for camera_id, camera in was.items()}
        before, self.pending = self.pending, {}
        for camera_id, gone in pending.items():
            specs = self._left(camera_id, gone.specs, now[camera_id].choices.renditions if camera_id in now else ())
            if specs:
                self.pending[camera_id] = replace(gone, specs=specs)
        if self.pending != before:
            await self._save()

    def _leaving(self, camera: Camera, since: float | None) -> Gone:
        size = self.pictures.size(camera.camera_id) or USUAL_SIZE
        card = Card(camera.name or camera.camera_id, ReasonClass.SWITCHED_OFF, since, camera.choices.time_zone, size)
        return Gone(camera.choices.renditions, card)

    def _left(self, camera_id: str, specs: Specs, now: Specs) -> Specs:
        keys = {spec.key(self.key, camera_id) for spec in now}
        return tuple(spec for spec in specs if spec.key(self.key, camera_id) not in keys)

    async def _save(self) -> None:
        document = {camera_id: asdict(gone) for camera_id, gone in sorted(self.pending.items())}
        try:
            await asyncio.to_thread(write_atomically, self.path, json.dumps(document).encode())
        except OSError as exc:
            log.warning("state_not_saved", detail=f"{self.path.name}: {exc.strerror}")

    async def work(self, fleet: Fleet) -> None:
        """One try for each; what the store does not take stays pending."""
        if not self.pending:
            return
        tries = {
            camera_id: asyncio.create_task(self._carry_out(camera_id, gone))
            for camera_id, gone in sorted(self.pending.items())
        }
        await asyncio.wait(tries.values())
        for camera_id, attempt in tries.items():
            if attempt.result() and (record := fleet.cameras.get(camera_id)):
                record.kind = "fallback" if self.policy == "fallback" else None
        await self._save()

    async def _carry_out(self, camera_id: str, gone: Gone) -> bool:
        """Whether the camera's picture itself is gone."""
        deadline, specs, decided = self.clock.monotonic() + TRY_S, gone.specs, self.clock.time()
        try:
            if self.policy == "delete":
                for spec in specs:
                    await self.publisher.delete(camera_id, spec.key(self.key, camera_id), deadline)
            else:
                for made in await self.fallback.renditions(gone.card, specs):
                    await self._replace(camera_id, made, decided, deadline)
        except StoreError:
            return False
        if self.pending.get(camera_id) == gone:
            del self.pending[camera_id]
        if not any(spec.name == FULL for spec in specs):
            return False
        if self.policy == "delete":
            log.info("picture_removed", camera_id=camera_id)
        else:
            log.info("fallback_published", camera_id=camera_id, detail="no longer run")
        return True

    async def _replace(self, camera_id: str, made: Rendition, decided: float, deadline: float) -> None:
        """decided: epoch seconds; a picture that has come since is newer."""
        key = made.spec.key(self.key, camera_id)
        publication = Publication(
            key, made.body, "fallback", decided, self.ttl_s, content_type=made.spec.content_type, md5=made.md5
        )
        await self.publisher.put(camera_id, publication, deadline)


def _card(camera_id: str) -> Card:
    return Card(camera_id, ReasonClass.SWITCHED_OFF)


def _gone(saved: dict[str, Any]) -> Gone:
    card = saved["card"]
    told, size = ReasonClass(card["told"]), tuple(card["size"])
    return Gone(tuple(map(_spec, saved["specs"])), Card(**card | {"told": told, "size": size}))


def _spec(saved: dict[str, Any]) -> RenditionSpec:
    return RenditionSpec(**saved | {"box": tuple(saved["box"]) if saved["box"] else None})
