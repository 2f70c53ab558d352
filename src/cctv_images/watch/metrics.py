"""What /metrics says: text written by hand, since a scrape of 1,000 cameras may hold up the loop for 20 ms only.

prometheus_client adds what is known of the process. A label per camera *and* error_state would be 34,000 series and a
quarter of a second per scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

from cctv_images import __version__
from cctv_images.errors import ErrorState
from cctv_images.records import ArchiveRecord, Fleet
from cctv_images.states import Health
from cctv_images.watch.views import health_counts, percentile, suspect_counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]

_process = CollectorRegistry()
ProcessCollector(registry=_process)
GCCollector(registry=_process)


def metrics_text(fleet: Fleet) -> str:
    """The Prometheus exposition. Series that may come are there from the start, with 0."""
    return "".join((*_fleet_series(fleet), *_camera_series(fleet), generate_latest(_process).decode()))


def _fleet_series(fleet: Fleet) -> Iterator[str]:
    yield _series("build_info", "gauge", "Always 1.", [({"version": __version__, "settings": fleet.fingerprint}, 1)])
    yield _series("cameras", "gauge", "Cameras by health.", _labelled("health", health_counts(fleet)))
    doubted = "Cameras whose pictures are not to be believed, by reason."
    yield _series("suspects", "gauge", doubted, _labelled("reason", suspect_counts(fleet)))
    yield _single("cycles_total", "counter", "Cycles that are over.", fleet.cycles_total)
    kinds = {kind: fleet.published[kind] for kind in ("picture", "fallback")}
    yield _series("published_total", "counter", "Objects that the store has taken.", _labelled("kind", kinds))
    reasons = {state.value: fleet.failed[state.value] for state in ErrorState}
    yield _series("failed_total", "counter", "Failed cycles.", _labelled("error_state", reasons))
    yield _single("slots_skipped_total", "counter", "Slots left out by cycles that overran.", fleet.slots_skipped)
    yield _single("store_up", "gauge", "1 while the store takes objects.", fleet.store.ok)
    yield _single("ledger_up", "gauge", "1 while the account of slots is written.", fleet.ledger.ok)
    lost_reports = "Reports on slots that found no room while the ledger could not be written."
    yield _single("ledger_dropped_total", "counter", lost_reports, fleet.ledger.dropped)
    unexplained = "Slots that the last `ledger verify` found neither archived nor explained."
    yield _single("ledger_gaps", "gauge", unexplained, fleet.ledger.gaps)
    looked = "When `ledger verify` could look last; 0 before the first time."
    yield _single("ledger_verified_timestamp_seconds", "gauge", looked, fleet.ledger.verified_at)
    yield _single("alerts_up", "gauge", "0 after an alert that an address did not take.", fleet.alerts.ok)
    yield _single("alerts_sent_total", "counter", "Alerts that an address has taken.", fleet.alerts.sent)
    yield _single("store_waiting", "gauge", "Pictures that wait for the store.", fleet.store.waiting)
    yield from _archive_series(fleet.archive)
    suspected = fleet.uplink_suspected_since is not None
    yield _single("uplink_suspected", "gauge", "1 while our own network is suspected.", suspected)
    yield _single("inventory_stale", "gauge", "1 while the last good inventory is in use.", fleet.inventory_stale)
    yield _single("inventory_rejected_rows", "gauge", "Rows that cannot be used.", len(fleet.rejected_rows))
    yield _single("loop_lag_seconds", "gauge", "How late the event loop runs.", fleet.loop_lag_s)
    for name, values in (("lateness", fleet.latenesses), ("duration", fleet.durations)):
        recent = {f"{share}": percentile(values, share) for share in (0.5, 0.9, 0.99)}
        help_text = f"Cycle {name}, quantiles of the last {values.maxlen} cycles."
        yield _series(f"cycle_{name}_seconds", "gauge", help_text, _labelled("quantile", recent))


def _archive_series(archive: ArchiveRecord) -> Iterator[str]:
    yield _single("archive_enabled", "gauge", "1 where pictures are kept.", bool(archive.address))
    yield _single("archive_up", "gauge", "1 while the archive takes copies.", archive.ok)
    yield _single("archived_total", "counter", "Copies that the archive has confirmed.", archive.archived)
    help_text = "Pictures that should have been kept and are not."
    yield _series("archive_lost_total", "counter", help_text, _labelled("reason", archive.lost))
    yield _single("spool_entries", "gauge", "Pictures accepted that are not in the archive yet.", archive.spooled)
    yield _single("spool_bytes", "gauge", "Their bytes.", archive.spooled_bytes)
    yield _single("spool_limit_bytes", "gauge", "How many may wait (CCTV_SPOOL_BYTES).", archive.spool_limit)


def _camera_series(fleet: Fleet) -> Iterator[str]:
    """Ids need no escaping: the inventory lets only letters, digits, dot, underscore and hyphen in."""
    up = [f'cctv_images_camera_up{{camera_id="{i}"}} {r.state.health is Health.OK:d}' for i, r in fleet.cameras.items()]
    yield _block("camera_up", "gauge", "1 while the camera's last cycle gave a picture.", up)
    doubted = [
        f'cctv_images_camera_suspect{{camera_id="{i}",reason="{r.suspect.reason}"}} 1'
        for i, r in fleet.cameras.items()
        if r.suspect
    ]
    help_text = "1 for each camera whose pictures are not to be believed, and why."
    yield _block("camera_suspect", "gauge", help_text, doubted)
    taken = [
        f'cctv_images_camera_last_picture_timestamp_seconds{{camera_id="{i}"}} {r.last_picture_at:.3f}'
        for i, r in fleet.cameras.items()
        if r.last_picture_at is not None
    ]
    help_text = "When the camera's last picture was taken; its age is time() minus this."
    yield _block("camera_last_picture_timestamp_seconds", "gauge", help_text, taken)


def _labelled(label: str, values: Mapping[str, float]) -> Iterable[Sample]:
    return (({label: name}, value) for name, value in values.items())


def _single(name: str, kind: str, help_text: str, value: float) -> str:
    return _series(name, kind, help_text, [({}, value)])


def _series(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> str:
    lines = [f"cctv_images_{name}{_labels(labels)} {value:.12g}" for labels, value in samples]
    return _block(name, kind, help_text, lines)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _block(name: str, kind: str, help_text: str, lines: list[str]) -> str:
    return "\n".join([f"# HELP cctv_images_{name} {help_text}", f"# TYPE cctv_images_{name} {kind}", *lines]) + "\n"
