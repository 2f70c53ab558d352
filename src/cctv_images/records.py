"""What is known of each camera and of the fleet at a moment: what workers write and views read."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from cctv_images.errors import ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.states import CameraState
from cctv_images.suspicion import Suspect


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One cycle that is over."""

    slot: float
    """Epoch seconds at which it was due."""
    seconds: float
    lateness_s: float
    attempts: int
    error_state: ErrorState | None
    detail: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class CameraRecord:
    """One camera's current account. Written by its worker only."""

    camera: Camera
    interval_s: float
    state: CameraState = field(default_factory=CameraState)
    since: float = 0.0
    """Epoch seconds of the last change of health or error_state."""
    disabled_at: float = 0.0
    """Monotonic seconds of the last time it was disabled."""
    kind: str | None = None
    """What the store shows, as far as is proven: "picture", "fallback" or None (unknown)."""
    captured_at: float | None = None
    expires_at: float | None = None
    etag: str | None = None
    last_picture_at: float | None = None
    last_size: tuple[int, int] | None = None
    """Width and height of it."""
    trouble_since: float | None = None
    """Epoch seconds of the first failed cycle after it."""
    suspect: Suspect | None = None
    """The mark beside the health: there are pictures, and they are not to be believed."""
    owed: bool = False
    """A fallback that has not been taken by the store yet."""
    next_due: float | None = None
    """Monotonic seconds of the next (or running) slot; None when no cycle is to come."""
    cycling: bool = False
    skipped: int = 0
    lenient: bool = False
    """The tolerant reader is in use for this camera."""
    cycles: deque[CycleRecord] = field(default_factory=lambda: deque(maxlen=8))
    failures: deque[CycleRecord] = field(default_factory=lambda: deque(maxlen=8))
    """Failures are remembered longer than successes."""


@dataclass(slots=True)
class StoreRecord:
    """The store's health, ours to mend."""

    ok: bool = True
    reason: str = ""
    detail: str = ""
    since: float = 0.0
    waiting: int = 0
    """Pictures that wait for the store to answer again."""


@dataclass(slots=True)
class LedgerRecord:
    """Whether the account of slots is being written."""

    ok: bool = True
    dropped: int = 0
    """Reports that found no room while the ledger could not be written."""
    verified_at: float = 0.0
    """Epoch seconds of the last `ledger verify` that could look; 0 = never."""
    verified_date: str = ""
    gaps: int = 0
    """What it found."""


@dataclass(slots=True)
class ArchiveRecord:
    """Where dated copies are kept, if they are."""

    address: str = ""
    """Empty: nothing is kept."""
    ok: bool = True
    reason: str = ""
    detail: str = ""
    since: float = 0.0
    spool_trouble: str = ""
    """Why pictures are being lost, e.g. spool_full; empty while none are."""
    spooled: int = 0
    """Accepted, and not in the archive yet."""
    spooled_bytes: int = 0
    spool_limit: int = 0
    archived: int = 0
    """Copies that the archive has confirmed since the start."""
    lost: Counter[str] = field(default_factory=Counter)
    """Pictures that should have been kept and are not, since the start, by reason."""


@dataclass(slots=True)
class AlertRecord:
    """Whether messages reach people."""

    ok: bool = True
    """The last one was taken by all addresses."""
    sent: int = 0


@dataclass(slots=True)
class Fleet:
    """All there is to show. Views are pure functions of a Fleet and a time."""

    started_at: float
    """Epoch seconds."""
    cameras: dict[str, CameraRecord] = field(default_factory=dict)
    store: StoreRecord = field(default_factory=StoreRecord)
    ledger: LedgerRecord = field(default_factory=LedgerRecord)
    archive: ArchiveRecord = field(default_factory=ArchiveRecord)
    alerts: AlertRecord = field(default_factory=AlertRecord)
    inventory_source: str = ""
    inventory_loaded_at: float = 0.0
    inventory_stale: bool = False
    rejected_rows: list[str] = field(default_factory=list)
    uplink_suspected_since: float | None = None
    starting: bool = True
    """Until the first cycle of every camera is over."""
    fingerprint: str = ""
    loop_lag_s: float = 0.0
    published: Counter[str] = field(default_factory=Counter)
    """Objects taken by the store since the start, by kind."""
    failed: Counter[str] = field(default_factory=Counter)
    """Failed cycles since the start, by error_state."""
    put_failures: int = 0
    """Objects that the store had not taken when their time was over."""
    cycles_total: int = 0
    slots_skipped: int = 0
    latenesses: deque[float] = field(default_factory=lambda: deque(maxlen=4096))
    """Seconds by which recent cycles began after their slot."""
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=4096))
