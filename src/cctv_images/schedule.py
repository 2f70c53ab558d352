"""When a camera is due: pure arithmetic, the same after every restart."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass


def fraction(camera_id: str) -> float:
    """A camera's own place in any stretch of time, in [0, 1), spread evenly over ids."""
    digest = hashlib.blake2b(camera_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def first_delay(camera_id: str, spread_s: float, interval_s: float) -> float:
    """Seconds from the start to the camera's first cycle, in the same order as its later slots."""
    return fraction(camera_id) * min(spread_s, interval_s)


@dataclass(frozen=True, slots=True)
class Timetable:
    """One camera's slots on the monotonic clock.

    epoch_offset is wall time minus monotonic time, taken once at the start of the service: slots lie at the same
    wall-clock phase after each restart, and a clock that steps while the service runs moves none of them.
    """

    interval_s: float
    phase_s: float
    epoch_offset: float

    @classmethod
    def of(cls, camera_id: str, interval_s: float, epoch_offset: float) -> Timetable:
        return cls(interval_s, fraction(camera_id) * interval_s, epoch_offset)

    def slot_after(self, moment: float) -> float:
        """The first slot later than `moment` (monotonic seconds)."""
        turns = math.floor((moment + self.epoch_offset - self.phase_s) / self.interval_s) + 1
        slot = turns * self.interval_s + self.phase_s - self.epoch_offset
        return slot if slot > moment else slot + self.interval_s

    def filled(self, moment: float) -> float:
        """The slot that a cycle due at `moment` belongs to, the nearest one; both in epoch seconds."""
        return math.floor((moment - self.phase_s) / self.interval_s + 0.5) * self.interval_s + self.phase_s

    def second_slot(self, first: float) -> float:
        """The slot after a first cycle that was off phase: one closer than half an interval is merged into it."""
        return self.slot_after(first + self.interval_s / 2)

    def next_slot(self, slot: float, now: float) -> tuple[float, int]:
        """The slot to wait for after a cycle that was due at `slot` and is over at `now`, and how many were missed."""
        following = self.slot_after(slot + self.interval_s / 2)
        if following > now:
            return following, 0
        missed = math.floor((now - following) / self.interval_s) + 1
        return following + missed * self.interval_s, missed
