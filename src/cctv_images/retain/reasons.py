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


FULL, FAILED, SLOW = "spool_full", "spool_failed", "spool_slow"
DAMAGED, STOPPING, INTERNAL = "damaged", "stopping", "internal"
LOSSES: dict[str, tuple[str, str]] = {
    FULL: (
        "the spool is at `CCTV_SPOOL_BYTES`, or its disk is full but for a reserve (5 %, 64 MiB at most, for the "
        "ledger); `CCTV_SPOOL_FULL` says whether the newest or the oldest go",
        "mend the archive, make room, raise the limit",
    ),
    FAILED: ("the disk gave an error, or has become read-only", "look at the kernel's log; mend the disk, restart"),
    SLOW: ("the disk did not take pictures as fast as they came", "a faster disk, `CCTV_ARCHIVE_EVERY`"),
    DAMAGED: (
        "the disk gave back other bytes than were accepted; they are in `spool/*/damaged/`",
        "replace the disk",
    ),
    STOPPING: ("the disk hung while the service stopped", "look at the disk"),
    INTERNAL: ("our fault", "report it"),
}
"""Why a picture that was to be kept is not: what it means, and what a person does."""


class Kept(IntEnum):
    """How far the archive has come with a slot's picture. The furthest stands; reports may come twice."""

    NOTHING = 0
    NOT_CHOSEN = 1
    """The archive keeps other cameras, or other slots."""
    ACCEPTED = 2
    """In the spool."""
    LOST = 3
    ARCHIVED = 4
