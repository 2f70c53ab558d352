"""What becomes of the public pictures of cameras that are removed or paused: nothing stale stays up by accident."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import StoreError
from cctv_images.files import write_atomically
from cctv_images.publish import Publication, Publisher
from cctv_images.records import Fleet

log = structlog.get_logger()

TRY_S = 25.0


class Removals:
    """Carries out CCTV_REMOVED, also for cameras that left while the service or the store was down.

    What is still to be done is kept in a file until the store has taken it.
    """

    def __init__(
        self, path: Path, policy: str, key: str, ttl_s: float, fallback: bytes, publisher: Publisher, clock: Clock
    ) -> None:
        self.path = path
        self.policy = policy
        self.key = key
        self.ttl_s = ttl_s
        self.fallback = fallback
        self.publisher = publisher
        self.clock = clock
        self.pending: set[str] = self._saved() if policy != "keep" else set()

    def _saved(self) -> set[str]:
        try:
            return {str(camera_id) for camera_id in json.loads(self.path.read_bytes())}
        except (OSError, ValueError, TypeError):
            return set()

    async def update(self, gone: Iterable[str], back: Iterable[str] = ()) -> None:
        """Cameras that are no longer run, and cameras that are (again)."""
        before = set(self.pending)
        if self.policy != "keep":
            self.pending |= set(gone)
        self.pending -= set(back)
        if self.pending != before:
            await self._save()

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(write_atomically, self.path, json.dumps(sorted(self.pending)).encode())
        except OSError as exc:
            log.warning("state_not_saved", detail=f"{self.path.name}: {exc.strerror}")

    async def work(self, fleet: Fleet) -> None:
        """One try for each; what the store does not take stays pending."""
        if not self.pending:
            return
        tries = {camera_id: asyncio.create_task(self._carry_out(camera_id)) for camera_id in sorted(self.pending)}
        await asyncio.wait(tries.values())
        for camera_id, attempt in tries.items():
            if attempt.result() and (record := fleet.cameras.get(camera_id)):
                record.kind = "fallback" if self.policy == "fallback" else None
        await self._save()

    async def _carry_out(self, camera_id: str) -> bool:
        key, deadline = self.key.format(camera_id=camera_id), self.clock.monotonic() + TRY_S
        try:
            if self.policy == "delete":
                await self.publisher.delete(camera_id, key, deadline)
            else:
                publication = Publication(key, self.fallback, "fallback", self.clock.time(), self.ttl_s)
                await self.publisher.put(camera_id, publication, deadline)
        except StoreError:
            return False
        self.pending.discard(camera_id)
        if self.policy == "delete":
            log.info("picture_removed", camera_id=camera_id)
        else:
            log.info("fallback_published", camera_id=camera_id, detail="no longer run")
        return True
