"""Asking cameras once, for `probe` and `check --online`: as the daemon does, and on its account of refused logins."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cctv_images.acquire import Acquirer, FetchCycle, Still, Trace
from cctv_images.acquire.logins import LoginGuard
from cctv_images.acquire.recipes import find_recipe, nearest
from cctv_images.clock import RealClock
from cctv_images.commands import CommandError
from cctv_images.config.rules import pauses_s
from cctv_images.errors import CameraError
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.rows import Rules
from cctv_images.inventory.source import InventorySource
from cctv_images.process.verify import Picture, Verifier
from cctv_images.settings import Settings


def rules(settings: Settings) -> Rules:
    """What rows of the inventory are held to."""
    return Rules(
        find_recipe=lambda model: recipe.name if (recipe := find_recipe(model)) else None,
        nearest=nearest,
        credentials=frozenset(settings.credentials),
        columns=settings.inventory_columns,
        shortest_interval_s=settings.attempts * settings.timeout + pauses_s(settings),
    )


def inventory_source(settings: Settings) -> InventorySource:
    headers = settings.inventory_headers_map()
    return InventorySource(settings.inventory, rules(settings), settings.state_dir, RealClock(), headers)


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
    _share_state(settings)
    guard = LoginGuard(settings.state_dir / "logins.sqlite", RealClock())
    acquirer = Acquirer(
        timeout_s=settings.timeout,
        max_bytes=settings.max_image_bytes,
        credentials=settings.credentials,
        default_login=settings.default_login,
        networks=settings.camera_networks,
        default_login_networks_only=settings.inventory_is_remote,
        guard=guard,
    )
    verifier = Verifier(settings.max_image_pixels)
    try:
        yield Asker(acquirer, verifier)
    finally:
        verifier.close()
        await acquirer.close()
        await guard.close()


def _share_state(settings: Settings) -> None:
    folder = settings.state_dir
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as exc:
        raise CommandError(f"CCTV_STATE_DIR {folder} cannot be made: {exc.strerror}.") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CommandError(
            f"refused logins are counted in {folder}, where this user may not write: "
            "run this as the service's user (sudo -u …), so that no account gets locked."
        )
