"""The camera list in force: what runs is what it says, and what it no longer says is taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import ConfigError
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.changes import Changes, ReloadRefused, changes
from cctv_images.inventory.source import InventorySource, InventoryUnavailable, Loaded
from cctv_images.records import Fleet
from cctv_images.removals import Removals
from cctv_images.roster import PACE_S, Roster
from cctv_images.settings import Settings
from cctv_images.watch.systemd import notify

log = structlog.get_logger()

RETRY_S = 60.0
SHOWN = 5
NONE_YET = "none until it comes"


class Listed:
    """Reads the inventory, at the start and later, and makes it true. `changing` is held while a list is taken."""

    def __init__(
        self,
        settings: Settings,
        source: InventorySource,
        fleet: Fleet,
        clock: Clock,
        roster: Roster,
        removals: Removals,
        on_change: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.source = source
        self.running: dict[str, Camera] = {}
        self.changing = asyncio.Lock()
        self._fleet = fleet
        self._clock = clock
        self._roster = roster
        self._removals = removals
        self._on_change = on_change
        self._stale_reason = ""

    @property
    def begun(self) -> bool:
        """A list is in force."""
        return bool(self._fleet.inventory_loaded_at)

    async def first(self) -> Loaded | None:
        """The inventory at the start: fresh, else the last good one, else None: it is then tried until it comes."""
        try:
            return await self.source.load()
        except InventoryUnavailable as exc:
            last_good = await self.source.last_good()
            self._report_stale(str(exc), "the last good one" if last_good else NONE_YET)
            return last_good

    async def follow(self, loaded: Loaded | None) -> None:
        """Takes the first list, and then re-reads it for ever."""
        notify("READY=1")
        if loaded is not None:
            async with self.changing:
                if not self.begun:  # else a reload was faster
                    await self.apply(changes({}, loaded.inventory), loaded)
        while True:
            pause = self.settings.inventory_refresh or RETRY_S
            await self._clock.sleep(min(pause, RETRY_S) if self._fleet.inventory_stale else pause)
            if self._fleet.inventory_stale or self.settings.inventory_refresh:
                await self._refresh()

    async def apply(self, plan: Changes, loaded: Loaded) -> None:
        """Makes the plan true. The first one after a start also finds out who left while the service was down."""
        first, gone = not self.begun, {i: c for i, c in self.running.items() if i not in plan.unchanged}
        if first and (before := await self.source.last_good()):
            gone = {i: c for i, c in before.inventory.cameras.items() if i not in plan.cameras}
        await self._take(loaded, plan.cameras)
        await self._roster.remove(self._fleet.cameras.keys() - self.running.keys() - loaded.inventory.paused.keys())
        await self._roster.pause(loaded.inventory.paused)
        await self._roster.restart(plan.restarted.values())
        spread = self.settings.startup_spread
        self._roster.start(plan.started.values(), spread if first else min(spread, PACE_S * len(plan.started)))
        await self._removals.update(gone, self.running, None if first else self._clock.time())
        self._on_change()

    def report(self, loaded: Loaded) -> None:
        inventory, known = loaded.inventory, set(self._fleet.rejected_rows)
        for row in inventory.rejected:
            if str(row) not in known:
                log.warning("inventory_row_rejected", camera_id=row.camera_id, detail=str(row))
        if missing := self.settings.archive_cameras - inventory.cameras.keys() - inventory.paused.keys():
            log.warning("archive_cameras_missing", cameras=", ".join(sorted(missing)[:SHOWN]), count=len(missing))
        self._fleet.rejected_rows = [str(row) for row in inventory.rejected]
        log.info(
            "inventory_loaded",
            source=self.source.name,
            cameras=len(inventory.cameras),
            rejected=len(inventory.rejected),
            states=", ".join(f"{word or 'unnamed'} {count}" for word, count in inventory.counts.items()),
        )

    async def _refresh(self) -> None:
        """Re-reads the inventory alone; a refresh never revives a camera, and a bad one changes nothing."""
        async with self.changing:
            try:
                loaded = await self.source.load()
                plan = changes(self.running, loaded.inventory)
            except (InventoryUnavailable, ConfigError, ReloadRefused) as exc:
                self._report_stale(str(exc), "the one in force" if self.begun else NONE_YET)
                return
            if self._fleet.inventory_stale or self._is_news(plan, loaded) or not plan.is_empty:
                await self.apply(plan, loaded)

    def _is_news(self, plan: Changes, loaded: Loaded) -> bool:
        shown = {r.camera.camera_id: r.camera for r in self._fleet.cameras.values() if not r.camera.enabled}
        rejected = [str(row) for row in loaded.inventory.rejected]
        same = (self.running, shown, self._fleet.rejected_rows)
        return same != (plan.unchanged | plan.kept, loaded.inventory.paused, rejected)

    async def _take(self, loaded: Loaded, running: dict[str, Camera]) -> None:
        self.running = dict(running)
        self._fleet.inventory_source, self._fleet.inventory_loaded_at = self.source.name, self._clock.time()
        self._fleet.inventory_stale = loaded.saved_at is not None
        self._stale_reason = self._stale_reason if self._fleet.inventory_stale else ""
        self.report(loaded)
        if loaded.saved_at is None and (problem := await self.source.keep(loaded)):
            log.warning("state_not_saved", detail=problem)

    def _report_stale(self, reason: str, using: str) -> None:
        self._fleet.inventory_stale = True
        if reason != self._stale_reason:
            self._stale_reason = reason
            log.error("inventory_stale", detail=reason, using=using)
