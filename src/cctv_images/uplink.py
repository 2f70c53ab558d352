"""Is it the cameras, or our own network? A judgement over recent results; no await, no clock, no log.

Only cameras that were giving pictures take part. When half or more of those heard in the last minute (at least ten)
failed in a way that our own network would cause, it is suspected: failures are held, for a limited time. A camera
counts once, by its latest result: with short intervals its pictures of the last minute would outvote an outage.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum

WINDOW_S = 60.0
ENOUGH = 10


class Verdict(Enum):
    CLEAR = "clear"
    """Normal rules."""
    SUSPICIOUS = "suspicious"
    """The last ten results look bad: wait up to WINDOW_S before a fallback."""
    HELD = "held"
    """Our network is suspected: no fallback, no count."""


@dataclass(slots=True)
class UplinkGate:
    hold_s: float
    """For how long a suspicion holds pictures; 0 switches the gate off."""
    suspected_since: float | None = None
    """Monotonic seconds; set until recovery is seen, also when the hold has run out."""
    _heard: OrderedDict[str, tuple[float, bool]] = field(default_factory=OrderedDict)
    """Each camera's latest result within the window, the oldest first."""
    _failed: int = 0
    _last: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=ENOUGH))

    def record(self, camera_id: str, now: float, failed: bool) -> str | None:
        """Takes one result of a camera that takes part; returns the event of a change of mind, if any."""
        if self.hold_s <= 0:
            return None
        self._last.append((now, failed))
        self._failed += failed - self._heard.pop(camera_id, (now, False))[1]
        self._heard[camera_id] = now, failed
        while next(iter(self._heard.values()))[0] < now - WINDOW_S:
            self._failed -= self._heard.popitem(last=False)[1][1]
        if self.suspected_since is None:
            if len(self._heard) >= ENOUGH and 2 * self._failed >= len(self._heard):
                self.suspected_since = now
                return "uplink_suspected"
            return None
        heard, bad = len(self._heard), self._failed
        if heard < ENOUGH:  # a small fleet is heard slowly: judge by the last ten, however old
            heard, bad = len(self._last), sum(f for _, f in self._last)
        return self.clear() if 2 * bad < heard else None

    def clear(self) -> str:
        self.suspected_since = None
        self._heard.clear()
        self._last.clear()
        self._failed = 0
        return "uplink_recovered"

    def verdict(self, now: float) -> Verdict:
        if self.suspected_since is not None:
            return Verdict.HELD if now < self.suspected_since + self.hold_s else Verdict.CLEAR
        recent = [failed for moment, failed in self._last if moment >= now - WINDOW_S]
        suspicious = len(recent) == ENOUGH and 2 * sum(recent) >= ENOUGH
        return Verdict.SUSPICIOUS if suspicious else Verdict.CLEAR
