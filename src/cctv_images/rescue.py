"""Brings disabled cameras back: when their time has come, and when our own network is well again."""

from __future__ import annotations

import asyncio
import random

import structlog

from cctv_images.errors import ErrorState
from cctv_images.records import CameraRecord, Fleet
from cctv_images.roster import Roster
from cctv_images.uplink import UplinkGate

log = structlog.get_logger()

SCOUTS = 10
SCOUT_EVERY_S = 60.0


class Rescue:
    """`look` is called every second. A camera disabled for its login is never brought back here."""

    def __init__(self, fleet: Fleet, gate: UplinkGate, roster: Roster, revive_after_s: float) -> None:
        """revive_after_s: CCTV_REVIVE_AFTER; 0 = never."""
        self.fleet = fleet
        self.gate = gate
        self.roster = roster
        self.clock = roster.tools.clock
        self.revive_after_s = revive_after_s
        self._suspected_at: float | None = None
        """Monotonic seconds; kept until those disabled since are back."""
        self._next_scouts = 0.0
        self._scouting: asyncio.Task[None] | None = None

    def on_uplink(self, event: str) -> None:
        """A change of the gate's mind."""
        if event == "uplink_suspected":
            self._suspected_at = self.clock.monotonic()
            self._next_scouts = self._suspected_at + SCOUT_EVERY_S
            self.fleet.uplink_suspected_since = self.clock.time()
            log.error("uplink_suspected", detail="half or more of the healthy cameras fail: fallbacks are held")
        else:
            self.fleet.uplink_suspected_since = None
            log.info("uplink_recovered")

    async def look(self) -> None:
        now = self.clock.monotonic()
        lost = [r for r in self.roster.disabled() if r.state.error_state is not ErrorState.AUTH]
        if self._suspected_at is not None:
            await self._after_suspicion([r for r in lost if r.disabled_at >= self._suspected_at], now)
        if self.revive_after_s:
            due = [r for r in lost if now - r.disabled_at >= self.revive_after_s]
            await self.roster.revive(due, "its time has come")

    async def _after_suspicion(self, lost: list[CameraRecord], now: float) -> None:
        if self.gate.suspected_since is None:
            self._suspected_at = None
            await self.roster.revive(lost, "our network is back")
        elif lost and now >= self._next_scouts and (self._scouting is None or self._scouting.done()):
            self._next_scouts = now + SCOUT_EVERY_S
            self._scouting = asyncio.create_task(self._scout(lost), name="scouts")

    async def _scout(self, lost: list[CameraRecord]) -> None:
        """When all that were healthy are disabled, nobody would be left to notice the recovery."""
        well = await self.roster.scout(random.sample(lost, min(SCOUTS, len(lost))))
        if well and self.gate.suspected_since is not None:
            self.on_uplink(self.gate.clear())
