"""Whether a camera's pictures can be believed: from look to look, with hysteresis and a sense of night.

No await, no clock, no log. A check answers yes, no or None: nothing can be said now. In the dark, in a fog or before a
twin has been seen again neither a suspicion begins nor does one end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cctv_images.process.content import DARK, PLAIN, SKY, UNIT, VERGE, Look

BLANK_AFTER = DUPLICATE_AFTER = 3
"""Pictures in a row that must show it."""
CLEAR_AFTER = 2
"""Pictures in a row that must not, for a suspicion to end."""
OVERLAY_ROWS, OVERLAY_SHARE = 4, 0.15
"""Rows of tiles, and share of all tiles, in which clocks may change while a picture is called the same."""
ROUNDING = 1
"""UNITs: what two equal tiles may differ by."""
BLACK, WHITE = 20 * UNIT, 248 * UNIT
"""Tiles outside show no noise even when they are alive."""
LIT_SHARE = 0.15
"""Of the tiles: with fewer in between, nobody can tell whether a picture is alive."""
DAY_DEGREES = 3.0
"""The sun's height from which on a dark picture is no night."""
DARK_S = 20 * 3600.0
"""Where the camera's place is not known: darkness for so long is no night either."""


class Reason(StrEnum):
    """Slugs stand in logs, API and metrics: they never change. In the order in which one of several is told."""

    BLANK = "blank"
    FROZEN = "frozen"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Suspect:
    """The mark beside a camera's health."""

    reason: Reason
    since: float
    """Epoch seconds of the first picture that showed it."""
    twin: str | None = None
    """The camera with the same view."""

    @property
    def detail(self) -> str:
        return DETAILS[self.reason].format(twin=self.twin)


DETAILS = {
    Reason.BLANK: "one flat colour, colour bars or a screen without a signal",
    Reason.FROZEN: "the same picture again and again, whatever its clock says",
    Reason.DUPLICATE: "the same view as camera {twin}",
}


@dataclass(slots=True)
class _Latch:
    """On after so many yes in a row, off after CLEAR_AFTER no."""

    after: int
    hits: int = 0
    misses: int = 0
    first: float = 0.0
    on: bool = False

    def take(self, verdict: bool | None, now: float) -> None:
        if verdict is None:
            return
        if verdict:
            self.first = now if not (self.hits or self.on) else self.first
            self.hits, self.misses = self.hits + 1, 0
        else:
            self.hits, self.misses = 0, self.misses + 1
        self.on = self.hits >= self.after or (self.on and self.misses < CLEAR_AFTER)


@dataclass(slots=True)
class Suspicion:
    """One camera's. `frozen_after`: pictures in a row with the same content, the first not counted."""

    frozen_after: int
    place: tuple[float, float] | None = None
    """Latitude and longitude."""
    _twin: str | None = None
    _dark_since: float | None = None
    _anchor: NDArray[np.int16] | None = None
    """The tiles with which those of the following pictures are compared."""
    _moved: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    """Which of them have differed so far."""
    _followed: bool = False
    """There has been one that did not differ by more than a clock."""
    _latches: dict[Reason, _Latch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        after = {Reason.BLANK: BLANK_AFTER, Reason.FROZEN: self.frozen_after, Reason.DUPLICATE: DUPLICATE_AFTER}
        self._latches = {reason: _Latch(count) for reason, count in after.items()}

    def judge(self, look: Look, now: float, twin: str | None, alike: bool | None) -> Suspect | None:
        """now: epoch seconds. alike: whether the view is that of the camera `twin`."""
        self._twin = twin or self._twin
        frozen = self._frozen(look.tiles)
        blank = self._blank(look, now)
        self._latches[Reason.BLANK].take(blank, now)
        self._latches[Reason.FROZEN].take(frozen, now)
        self._latches[Reason.DUPLICATE].take(None if blank else alike, now)
        for reason, latch in self._latches.items():
            if latch.on:
                return Suspect(reason, latch.first, self._twin if reason is Reason.DUPLICATE else None)
        return None

    def _blank(self, look: Look, now: float) -> bool | None:
        if not look.dark:
            self._dark_since = None
            return look.snow or look.plain >= PLAIN
        self._dark_since = now if self._dark_since is None else self._dark_since
        if look.plain < PLAIN or look.empty or self._shines_still():
            return look.plain >= PLAIN
        if self.place is not None:
            return True if sun_degrees(*self.place, now) > DAY_DEGREES else None
        return True if now - self._dark_since > DARK_S else None

    def _shines_still(self) -> bool:
        """Something bright in the middle of the dark that has not changed by a bit: the writing of a screen."""
        if self._anchor is None or not self._followed:
            return False
        bright = self._anchor[SKY:VERGE] > DARK * UNIT
        return bool(bright.any() and not self._moved[SKY:VERGE][bright].any())

    def _frozen(self, tiles: NDArray[np.int16]) -> bool | None:
        anchor = self._anchor
        if anchor is None or anchor.shape != tiles.shape:
            self._begin(tiles)
            return None if anchor is None else False
        self._moved |= np.abs(tiles - anchor) > ROUNDING
        most = OVERLAY_SHARE * tiles.size
        if np.count_nonzero(self._moved) > most or np.count_nonzero(self._moved.any(axis=1)) > OVERLAY_ROWS:
            self._begin(tiles)
            return False
        self._followed = True
        lit = (anchor > BLACK) & (anchor < WHITE) & ~self._moved
        return True if np.count_nonzero(lit) >= LIT_SHARE * lit.size else None

    def _begin(self, tiles: NDArray[np.int16]) -> None:
        self._anchor, self._moved, self._followed = tiles, np.zeros(tiles.shape, np.bool_), False


def sun_degrees(latitude: float, longitude: float, now: float) -> float:
    """The sun's height above the horizon, to about a degree. now: epoch seconds."""
    days = now / 86_400 - 10_957.5  # since noon of the first of January 2000
    anomaly = math.radians(357.53 + 0.9856003 * days)
    ecliptic = math.radians(280.46 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.02 * math.sin(2 * anomaly))
    tilt = math.radians(23.44)
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    sidereal = math.radians(280.46 + 360.9856474 * days + longitude)
    here = math.radians(latitude)
    height = math.sin(here) * math.sin(declination)
    height += math.cos(here) * math.cos(declination) * math.cos(sidereal - ascension)
    return math.degrees(math.asin(height))
