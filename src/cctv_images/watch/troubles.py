"""What is wrong at a moment: a pure function of the Fleet. Camera by camera, and part by part of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network

from cctv_images.errors import OUR_NETWORK, ErrorState
from cctv_images.records import CameraRecord, Fleet
from cctv_images.states import Health
from cctv_images.suspicion import Suspect

NO_CONNECTION = OUR_NETWORK | {ErrorState.TIMEOUT, ErrorState.DISCONNECTED}
"""What a segment that falls away does to the cameras behind it, each in its own way."""
UPLINK = "uplink"


@dataclass(frozen=True, slots=True)
class Trouble:
    cause: str
    """Equal for what has probably the same cause."""
    reason: str
    """An error_state, or a few words."""
    name: str = ""
    """Of the camera, for people."""
    plight: str = "without a picture"
    """Its own, in words."""
    remedy: str = ""
    last_picture_at: float | None = None
    segment: bool = False
    """The cause is one of a segment's: a switch, a link."""
    ours: bool = False
    """The service's own trouble, not a camera's."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys are camera ids, or names of parts (which begin with a colon)."""

    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    well: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


def is_camera(name: str) -> bool:
    return not name.startswith(":")


def snapshot(fleet: Fleet) -> Snapshot:
    """Before the first inventory nothing is known of any camera."""
    parts = dict(_parts(fleet))
    troubles = {name: trouble for name, trouble in parts.items() if trouble is not None}
    well, unknown = {name for name, trouble in parts.items() if trouble is None}, set()
    for camera_id, record in fleet.cameras.items():
        health = record.state.health
        if health in (Health.FAILING, Health.DISABLED) and record.state.error_state:
            troubles[camera_id] = _camera(record, record.state.error_state, fleet.uplink_suspected_since is not None)
        elif health is Health.OK and record.suspect:
            troubles[camera_id] = _doubtful(record, record.suspect)
        elif health is Health.OK:
            well.add(camera_id)
        elif health is not Health.PAUSED:
            unknown.add(camera_id)
    return Snapshot(troubles, frozenset(well), frozenset(unknown))


def _parts(fleet: Fleet) -> Iterator[tuple[str, Trouble | None]]:
    store, suspected = fleet.store, fleet.uplink_suspected_since is not None
    why = ": ".join(filter(None, (store.reason, store.detail)))
    yield ":store", None if store.ok else _ours("the store takes no pictures", why)
    yield ":uplink", _ours("our own network is suspected", cause=UPLINK) if suspected else None
    yield ":inventory", _ours("the camera list cannot be read") if fleet.inventory_stale else None
    gaps = f"{fleet.ledger.gaps} slots of {fleet.ledger.verified_date}"
    yield ":gaps", _ours("the ledger has gaps", gaps) if fleet.ledger.gaps else None
    archive = fleet.archive
    why = ": ".join(filter(None, (archive.reason, archive.detail)))
    yield ":archive", None if archive.ok else _ours("the archive takes no copies", why)
    yield ":spool", _ours("pictures are lost to the archive", archive.spool_trouble) if archive.spool_trouble else None
    yield ":ledger", None if fleet.ledger.ok else _ours("the ledger cannot be written")


def _ours(what: str, why: str = "", cause: str = "") -> Trouble:
    return Trouble(cause or what, f"{what} ({why})" if why else what, ours=True)


def _camera(record: CameraRecord, state: ErrorState, suspected: bool) -> Trouble:
    cause, segment = state.value, False
    if state in OUR_NETWORK and suspected:
        cause = UPLINK
    elif state in NO_CONNECTION:
        cause, segment = f"no connection {_segment(record.camera.host)}", True
    return Trouble(
        cause,
        state.value,
        record.camera.name,
        remedy=state.meaning.remedy,
        last_picture_at=record.last_picture_at,
        segment=segment,
    )


def _doubtful(record: CameraRecord, suspect: Suspect) -> Trouble:
    reason, shown = suspect.reason.value, record.last_picture_at
    return Trouble(f"looks {reason}", reason, record.camera.name, "with doubtful pictures", "look at the camera", shown)


@lru_cache(maxsize=20_000)
def _segment(host: str) -> str:
    """What cameras with one switch or link in front of them share: the network of 256 addresses, or the domain."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host.partition(".")[2] or host
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))
