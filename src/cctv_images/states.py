"""Health as a pure function: (state, outcome, policy) -> next state and what to show. No await, no clock, no log.

new --a--> ok <--b-- failing --d--> disabled        paused: not enabled in the inventory
 +---c--> failing <--c-- ok
a first picture, b a picture after trouble, c a failed cycle, d too many failed or refused cycles in a row
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from cctv_images.errors import CameraError, ErrorState, ReasonClass


class Health(StrEnum):
    NEW = "new"
    OK = "ok"
    FAILING = "failing"
    DISABLED = "disabled"
    PAUSED = "paused"


class Show(StrEnum):
    """What a step asks to be published."""

    NOTHING = "nothing"
    PICTURE = "picture"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Policy:
    failure_limit: int = 5
    """Failed cycles in a row after which a camera is disabled; 0 = never."""
    refusal_limit: int = 2
    fallback_after: int = 1


@dataclass(frozen=True, slots=True)
class CameraState:
    health: Health = Health.NEW
    failures: int = 0
    """Failed cycles in a row."""
    refusals: int = 0
    """Failed cycles in a row that ended as `auth`."""
    error_state: ErrorState | None = None
    detail: str = ""
    told: ReasonClass | None = None
    """What the fallback that has been called for says; None where none has been. Only a picture cures it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A cycle without a picture. counts is False while our own network is suspected, or for an outcome that
    says nothing new about the camera: it is shown, but moves no limit."""

    error_state: ErrorState
    detail: str = ""
    counts: bool = True
    held: bool = False
    """Fallbacks are held (uplink gate): show nothing for now."""
    final: bool = False
    """Disables the camera at once, whatever the limits say."""

    @classmethod
    def of(cls, error: CameraError) -> Failure:
        return cls(error.state, error.detail, error.counts, final=error.final)


@dataclass(frozen=True, slots=True)
class Step:
    state: CameraState
    show: Show
    event: str | None
    """The log event of this change, or None where nothing changed for people."""


def after_picture(was: CameraState) -> Step:
    event = "camera_recovered" if was.health in (Health.FAILING, Health.DISABLED) else None
    return Step(CameraState(Health.OK), Show.PICTURE, event)


def after_failure(was: CameraState, failure: Failure, policy: Policy) -> Step:
    counted = failure.counts and not failure.held
    failures = was.failures + 1 if counted else was.failures
    refusals = (was.refusals + 1 if failure.error_state is ErrorState.AUTH else 0) if counted else was.refusals
    disabled = failure.final or 0 < policy.failure_limit <= failures or refusals >= policy.refusal_limit
    health = Health.DISABLED if disabled and counted else Health.FAILING
    # A failure that does not count (a login withheld) still leaves people without a picture.
    seen = failures >= policy.fallback_after or health is Health.DISABLED or not failure.counts
    told = failure.error_state.meaning.told
    due = (seen or was.told is not None) and not failure.held and was.told is not told
    now = CameraState(health, failures, refusals, failure.error_state, failure.detail, told if due else was.told)
    return Step(now, Show.FALLBACK if due else Show.NOTHING, _event(was, now))


def _event(was: CameraState, now: CameraState) -> str | None:
    if now.health is Health.DISABLED:
        return "camera_disabled" if was.health is not Health.DISABLED else None
    changed = was.health is not Health.FAILING or was.error_state is not now.error_state
    return "camera_failing" if changed else None


def revived(was: CameraState) -> CameraState:
    """Back to work with a clean count. What people are told stays what it was."""
    return replace(was, health=Health.FAILING, failures=0, refusals=0)
