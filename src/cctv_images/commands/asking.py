"""Asking cameras once, for `probe` and `check --online`: as the daemon does, and on its account of refused logins."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cctv_images import parts
from cctv_images.acquire import Acquirer, FetchCycle, Still, Trace
from cctv_images.clock import RealClock
from cctv_images.commands import CommandError
from cctv_images.errors import CameraError
from cctv_images.inventory.camera import Camera
from cctv_images.process.verify import Picture, Verifier
from cctv_images.settings import Settings


@dataclass(slots=True)
class Answer:
    """What came of asking one camera."""

    camera: Camera
    still: Still | None = None
    picture: Picture | None = None
    error: CameraError | None = None
    fetch_s: float = 0.0
    verify_s: float = 0.0
    trace: Trace = field(default_factory=Trace)


class Asker:
    def __init__(self, acquirer: Acquirer, verifier: Verifier) -> None:
        self._acquirer = acquirer
        self._verifier = verifier

    async def ask(self, camera: Camera, *, explain: bool = False) -> Answer:
        """One attempt. Its failure is part of the answer. explain: note each step."""
        answer = Answer(camera)
        begin = time.perf_counter()
        try:
            answer.still = await self._acquirer.fetch(camera, FetchCycle(answer.trace if explain else None))
            answer.fetch_s, begin = time.perf_counter() - begin, time.perf_counter()
            answer.picture = await self._verifier.verify(answer.still.data)
            answer.verify_s = time.perf_counter() - begin
        except CameraError as exc:
            answer.error = exc
            if answer.still is None:
                answer.fetch_s = time.perf_counter() - begin
        return answer


@asynccontextmanager
async def asker(settings: Settings) -> AsyncIterator[Asker]:
    """Raises CommandError where the daemon's count of refused logins cannot be shared."""
    _share_state(settings.state_dir)
    guard = parts.login_guard(settings, RealClock())
    acquirer = parts.acquirer(settings, guard)
    verifier = Verifier(settings.max_image_pixels)
    try:
        yield Asker(acquirer, verifier)
    finally:
        verifier.close()
        await acquirer.close()
        await guard.close()


def _share_state(folder: Path) -> None:
    parts.make_state_folder(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CommandError(
            f"refused logins are counted in {folder}, where this user may not write: "
            "run this as the service's user (sudo -u …), so that no account gets locked."
        )
