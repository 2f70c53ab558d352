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
from cctv_images.process import Picture, Processor
from cctv_images.settings import Settings

PACKAGED_STATE = Path("/var/lib/cctv-images")
"""Where the unit's StateDirectory= puts it."""


@dataclass(slots=True)
class Answer:
    """What came of asking one camera."""

    camera: Camera
    still: Still | None = None
    picture: Picture | None = None
    """As it would be published: never without its masks."""
    error: CameraError | None = None
    fetch_s: float = 0.0
    verify_s: float = 0.0
    trace: Trace = field(default_factory=Trace)


class Asker:
    def __init__(self, acquirer: Acquirer, processor: Processor) -> None:
        self._acquirer = acquirer
        self._processor = processor

    async def ask(self, camera: Camera, *, explain: bool = False) -> Answer:
        """One attempt. Its failure is part of the answer. explain: note each step."""
        answer = Answer(camera)
        begin = time.perf_counter()
        try:
            answer.still = await self._acquirer.fetch(camera, FetchCycle(answer.trace if explain else None))
            answer.fetch_s, begin = time.perf_counter() - begin, time.perf_counter()
            processed = await self._processor.process(answer.still.data, camera, answer.still.captured_at)
            answer.picture = processed.picture
            answer.verify_s = time.perf_counter() - begin
        except CameraError as exc:
            answer.error = exc
            if answer.still is None:
                answer.fetch_s = time.perf_counter() - begin
        return answer


@asynccontextmanager
async def asker(settings: Settings) -> AsyncIterator[Asker]:
    """Raises CommandError where the daemon's count of refused logins cannot be shared."""
    settings = _with_daemons_state(settings)
    guard = parts.login_guard(settings, RealClock())
    acquirer = parts.acquirer(settings, guard)
    processor = Processor(settings.max_image_pixels)
    try:
        yield Asker(acquirer, processor)
    finally:
        processor.close()
        await acquirer.close()
        await guard.close()


def _with_daemons_state(settings: Settings) -> Settings:
    """Where nothing says which folder is the daemon's, an installed one's is taken rather than a count of our own."""
    unsaid = "state_dir" not in settings.model_fields_set and not settings.state_dir.exists()
    if unsaid and PACKAGED_STATE.exists():
        settings = settings.model_copy(update={"state_dir": PACKAGED_STATE})
    folder = settings.state_dir
    parts.make_state_folder(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CommandError(
            f"refused logins are counted in {folder}, where this user may not write: "
            "run this as the service's user (sudo -u …), so that no account gets locked."
        )
    return settings
