"""Why a slot has no public picture, where it is not the camera's trouble. Words of the ledger: they never change."""

from __future__ import annotations

from enum import IntEnum

SERVICE_DOWN = "service_down"
DISABLED = "disabled"
OVERRUN = "overrun"
UPLINK = "uplink"
UNRECORDED = "unrecorded"
WAITING = "waiting"
NOT_CHOSEN = "not_chosen"
EXPIRED = "expired"
STORE = "store_"
"""Before the store's own reason, e.g. store_unreachable: captured, and not published."""

REASONS: dict[str, str] = {
    SERVICE_DOWN: "the service was not running, or was killed before it could write the slot down",
    DISABLED: "the camera is disabled: it was not asked",
    OVERRUN: "the cycle before took longer than the interval",
    UPLINK: "no picture while our own network was suspected: the camera is not to blame",
    UNRECORDED: "the cycle was cut off by a reload, the clock was set, or the ledger could not be written",
}


class Kept(IntEnum):
    """How far the archive has come with a slot's picture. The furthest stands; reports may come twice."""

    NOTHING = 0
    NOT_CHOSEN = 1
    """The archive keeps other cameras, or other slots."""
    ACCEPTED = 2
    """In the spool."""
    LOST = 3
    ARCHIVED = 4
