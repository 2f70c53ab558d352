"""The store's breaker: how many puts may be under way, and whether the store is sick."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from cctv_images.clock import Clock
from cctv_images.errors import StoreError

AT_ONCE = 128
"""Puts under way at most, also when the store is well again and all who waited want to go."""
FAILURES_TO_OPEN = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between probes. Not longer: a camera shows one picture in five minutes, so each minute more loses a fifth of them."""
WELL_S = 60.0
"""A store that falls ill again within this time starts with the pause at which it was."""

MAY_BE_THE_OBJECT = frozenset({"denied", "lied", "redirected", "refused", "server"})
"""Failures that one object alone can cause: they speak for the store only when several keys meet them."""


class GaveUp(StoreError):
    """The store was sick for longer than somebody wanted to wait."""


class Gate:
    """enter() before each try, leave() after it.

    After some failures in a row, of whatever key, the gate closes: then one probe at a time goes through after each
    pause, and all others wait. on_sick(reason, detail) and on_well() tell of the change, once each.
    """

    def __init__(self, clock: Clock, on_sick: Callable[[str, str], None], on_well: Callable[[], None]) -> None:
        self._clock = clock
        self._on_sick = on_sick
        self._on_well = on_well
        self.trouble: StoreError | None = None
        """What closed the gate, or the last that a probe met; None while it is open."""
        self.patience_s = float("inf")
        self._under_way = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._failures = 0
        self._failed_keys: set[str] = set()
        self._keys: set[str] = set()
        self._probe_due = False
        self._pause_s = FIRST_PAUSE_S
        self._well_since = float("-inf")
        self._sick_since = float("-inf")
        self._pausing: asyncio.Task[None] | None = None

    async def enter(self, key: str, deadline_s: float) -> bool:
        """Returns whether this try is a probe. Raises GaveUp when the store's trouble lasts beyond the deadline."""
        self._keys.add(key)
        if not self._waiting and self._room():
            return self._let_in()
        if not self.worth_waiting:
            raise self._gave_up()
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        alarm = asyncio.create_task(
            self._expire(turn, min(deadline_s, self._patient_until())), name=f"put of {key} waits"
        )
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(key, None, probe=turn.result())
            raise
        finally:
            alarm.cancel()
            if turn in self._waiting:
                self._waiting.remove(turn)

    def leave(self, key: str, outcome: StoreError | bool | None, *, probe: bool) -> None:
        """outcome: True for a proven object, the failure, or None when the try ended without saying anything."""
        self._under_way -= 1
        if outcome is True:
            self._succeeded()
        elif isinstance(outcome, StoreError):
            self._failed(key, outcome, probe)
        elif probe and self.trouble:
            self._probe_due = True
        self._pump()

    def suspect(self, error: StoreError) -> None:
        """The store is known to be sick."""
        if not self.trouble:
            self._close(error)

    def nudge(self) -> None:
        """There is a new reason to hope: the next one who waits is a probe, now."""
        if self.trouble:
            self.close()
            self._pause_s = FIRST_PAUSE_S
            self._probe_due = True
            self._pump()

    def close(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None

    def _room(self) -> bool:
        return self._probe_due if self.trouble else self._under_way < AT_ONCE

    def _let_in(self) -> bool:
        self._under_way += 1
        self._probe_due = False
        return self.trouble is not None

    def _pump(self) -> None:
        while self._waiting and self._room():
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(self._let_in())

    async def _expire(self, turn: asyncio.Future[bool], deadline_s: float) -> None:
        await self._clock.sleep(deadline_s - self._clock.monotonic())
        if not turn.done():
            turn.set_exception(self._gave_up())

    def _gave_up(self) -> GaveUp:
        trouble = self.trouble or StoreError("busy", "too many puts are under way")
        return GaveUp(trouble.reason, trouble.detail, transient=trouble.transient)

    @property
    def worth_waiting(self) -> bool:
        return self._patient_until() > self._clock.monotonic()

    def _patient_until(self) -> float:
        if self.trouble is None or self.patience_s == float("inf"):
            return float("inf")
        return self._sick_since + (self.patience_s if self.trouble.transient else 0.0)

    def _succeeded(self) -> None:
        self._failures = 0
        self._failed_keys.clear()
        if self.trouble:
            self.trouble = None
            self._well_since = self._clock.monotonic()
            self.close()
            self._on_well()

    def _failed(self, key: str, error: StoreError, probe: bool) -> None:
        self._failures += 1
        self._failed_keys.add(key)
        enough_keys = len(self._failed_keys) >= min(FAILURES_TO_OPEN, len(self._keys))
        if self.trouble:
            if probe:
                self.trouble = error
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
                self._pause()
        elif self._failures >= FAILURES_TO_OPEN and (enough_keys or error.reason not in MAY_BE_THE_OBJECT):
            self._close(error)

    def _close(self, error: StoreError) -> None:
        if self._clock.monotonic() - self._well_since > WELL_S:
            self._pause_s = FIRST_PAUSE_S
        self.trouble = error
        self._sick_since = self._clock.monotonic()
        self._pause()
        self._on_sick(error.reason, error.detail)

    def _pause(self) -> None:
        self.close()
        self._pausing = asyncio.create_task(self._sleep(self._pause_s * random.uniform(0.5, 1.0)), name="store pause")

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._pausing = None
        self._probe_due = True
        self._pump()
