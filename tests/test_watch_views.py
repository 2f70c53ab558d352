"""What people and machines see: pure functions of a fleet and a time."""

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cctv_images.errors import ErrorState, ReasonClass
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, CycleRecord, Fleet
from cctv_images.states import CameraState, Health
from cctv_images.suspicion import Reason, Suspect
from cctv_images.watch.metrics import metrics_text
from cctv_images.watch.views import (
    Totals,
    camera_json,
    cameras_json,
    health_verdict,
    status_line,
    summary_figures,
)

NOW, MONOTONIC = 1_700_000_000.0, 5_000.0


def record(camera_id: str = "134", health: Health = Health.OK, **more: object) -> CameraRecord:
    camera = Camera(
        camera_id, "pelco", "Sarix", host="10.20.30.40", port=8080, name="Lamar / 45th", credentials="wisenet"
    )
    made = CameraRecord(camera, interval_s=300.0, state=CameraState(health), next_due=MONOTONIC + 100)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def fleet(*records: CameraRecord, **more: object) -> Fleet:
    made = Fleet(started_at=NOW - 3_600, cameras={r.camera.camera_id: r for r in records}, starting=False)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def failing() -> CameraRecord:
    made = record(
        state=CameraState(Health.FAILING, 2, 0, ErrorState.TIMEOUT, "no answer within 30 s", ReasonClass.NOT_REACHABLE)
    )
    made.kind, made.since, made.last_picture_at = "fallback", NOW - 60, NOW - 400
    made.cycles.append(CycleRecord(NOW - 300, 31.0, 0.01234567, 3, ErrorState.TIMEOUT, "no answer within 30 s"))
    made.cycles.append(CycleRecord(NOW, 1.5, 0.0, 1, None, bytes=100_000, width=1280, height=720))
    made.failures.append(made.cycles[0])
    return made


def test_a_failing_camera_is_told_with_reason_and_remedy() -> None:
    told = camera_json(failing(), NOW, MONOTONIC)
    assert told["id"] == "134"
    assert told["health"] == "failing"
    assert told["error_state"] == "timeout"
    assert told["remedy"] == ErrorState.TIMEOUT.meaning.remedy
    assert told["detail"] == "no answer within 30 s"
    assert told["failures"] == 2
    assert told["kind"] == "fallback"
    assert told["captured_at"] is None
    assert told["since"] == "2023-11-14T22:12:20Z"
    assert told["next_due"] == "2023-11-14T22:15:00Z"


def test_the_last_cycles_come_newest_first_and_failures_have_a_list_of_their_own() -> None:
    told = camera_json(failing(), NOW, MONOTONIC)
    assert [cycle["error_state"] for cycle in told["last_cycles"]] == [None, "timeout"]
    assert told["last_failures"] == [told["last_cycles"][1]]
    assert told["last_cycles"][0]["width"] == 1280
    assert told["last_cycles"][1]["lateness_s"] == 0.012


def test_neither_addresses_nor_names_of_credentials_are_told() -> None:
    shown = fleet(failing(), inventory_source="https://api.example/list?token=canary-token")
    told = json.dumps(cameras_json(shown, NOW, MONOTONIC)) + metrics_text(shown)
    for private in ("10.20.30.40", "8080", "wisenet", "pelco", "canary-token"):
        assert private not in told


def test_a_camera_without_anything_known_is_told_too() -> None:
    told = camera_json(CameraRecord(Camera("1", "generic"), 300.0), NOW, MONOTONIC)
    assert told["health"] == "new"
    assert told["next_due"] is None
    assert told["since"] is None
    assert told["last_cycles"] == []


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (fleet(), (200, "ok")),
        (fleet(record(next_due=None)), (200, "ok")),
        (fleet(record(next_due=MONOTONIC - 59)), (200, "ok")),
        (fleet(record(), starting=True), (200, "starting")),
        (fleet(record(next_due=MONOTONIC - 61)), (503, "the slot of camera 134 is overdue by 61 s")),
        (fleet(record(next_due=MONOTONIC - 300, cycling=True)), (200, "ok")),
        (fleet(record(next_due=MONOTONIC - 361, cycling=True)), (503, "the slot of camera 134 is overdue by 61 s")),
        (
            fleet(record("a", next_due=MONOTONIC - 70), record("b", next_due=MONOTONIC - 99)),
            (503, "the slot of camera b is overdue by 99 s"),
        ),
        (fleet(record(next_due=MONOTONIC - 61), starting=True), (503, "the slot of camera 134 is overdue by 61 s")),
    ],
)
def test_health_is_bad_while_a_due_slot_is_overdue_by_more_than_a_minute(
    shown: Fleet, expected: tuple[int, str]
) -> None:
    assert health_verdict(shown, MONOTONIC) == expected


def test_health_is_bad_with_the_reason_while_the_store_takes_no_pictures() -> None:
    shown = fleet(record())
    shown.store.ok, shown.store.reason, shown.store.detail = False, "denied", "s3:PutObject is not allowed"
    assert health_verdict(shown, MONOTONIC) == (503, "the store takes no pictures: denied: s3:PutObject is not allowed")


def test_a_summary_tells_what_happened_since_the_last_one() -> None:
    shown = fleet(record("a"), record("b", Health.FAILING), record("c", Health.DISABLED))
    shown.published.update(picture=100, fallback=3)
    before = Totals.of(shown, MONOTONIC)
    shown.published.update(picture=40, fallback=1)
    shown.failed.update(timeout=2, dns=1)
    shown.latenesses.extend([0.001] * 98 + [0.2, 0.3])
    assert summary_figures(shown, before, MONOTONIC + 60) == {
        "new": 0,
        "ok": 1,
        "failing": 1,
        "disabled": 1,
        "paused": 0,
        "published": 40,
        "fallbacks": 1,
        "failed": 3,
        "lateness_p50": 0.001,
        "lateness_p99": 0.3,
        "seconds": 60.0,
    }


def test_the_status_line_names_only_what_there_is() -> None:
    assert status_line(fleet(record("a"), record("b", Health.FAILING))) == "1 ok, 1 failing; store ok"
    sick = fleet(starting=True, uplink_suspected_since=NOW)
    sick.store.ok, sick.store.reason = False, "timeout"
    assert status_line(sick) == "starting; no cameras; store failed (timeout); our own network is suspected"


def samples(shown: Fleet) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics_text(shown))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_prometheus_reads_the_metrics_and_finds_every_series_from_the_start() -> None:
    found = samples(fleet())
    assert found["cctv_images_cameras", (("health", "failing"),)] == 0
    assert found["cctv_images_published_total", (("kind", "fallback"),)] == 0
    for state in ErrorState:
        assert found["cctv_images_failed_total", (("error_state", state.value),)] == 0
    assert found["cctv_images_store_up", ()] == 1
    assert found["cctv_images_uplink_suspected", ()] == 0
    assert ("process_resident_memory_bytes", ()) in found


def test_metrics_count_what_happened() -> None:
    shown = fleet(
        record("a", last_picture_at=NOW), record("b", Health.FAILING), slots_skipped=7, cycles_total=12_345_678
    )
    shown.published["picture"] = 12_345_670
    shown.failed["timeout"] = 8
    shown.store.ok = False
    found = samples(shown)
    assert found["cctv_images_camera_up", (("camera_id", "a"),)] == 1
    assert found["cctv_images_camera_up", (("camera_id", "b"),)] == 0
    assert found["cctv_images_camera_last_picture_timestamp_seconds", (("camera_id", "a"),)] == NOW
    assert ("cctv_images_camera_last_picture_timestamp_seconds", (("camera_id", "b"),)) not in found
    assert found["cctv_images_cycles_total", ()] == 12_345_678
    assert found["cctv_images_published_total", (("kind", "picture"),)] == 12_345_670
    assert found["cctv_images_failed_total", (("error_state", "timeout"),)] == 8
    assert found["cctv_images_slots_skipped_total", ()] == 7
    assert found["cctv_images_store_up", ()] == 0


def test_a_scrape_of_a_thousand_cameras_does_not_hold_up_the_loop() -> None:
    shown = fleet(*(record(str(number), last_picture_at=NOW) for number in range(1_000)))
    shown.latenesses.extend([0.001] * 4_096)
    taken = []
    for _ in range(5):
        began = time.thread_time()
        metrics_text(shown)
        taken.append(time.thread_time() - began)
    assert min(taken) < 0.02


def suspects() -> Fleet:
    return fleet(
        record("1", suspect=Suspect(Reason.FROZEN, NOW - 1800)),
        record("2", suspect=Suspect(Reason.DUPLICATE, NOW - 900, "3")),
        record("3"),
    )


def test_a_suspect_camera_is_told_beside_its_health() -> None:
    told = camera_json(suspects().cameras["2"], NOW, MONOTONIC)
    assert told["health"] == "ok"
    assert told["suspect"] == {
        "reason": "duplicate",
        "detail": "the same view as camera 3",
        "since": "2023-11-14T21:58:20Z",
        "same_as": "3",
    }
    assert camera_json(record(), NOW, MONOTONIC)["suspect"] is None
    assert cameras_json(suspects(), NOW, MONOTONIC)["fleet"]["suspects"] == {"blank": 0, "frozen": 1, "duplicate": 1}


def test_metrics_name_who_is_suspect_and_for_what() -> None:
    found = {family.name: family.samples for family in text_string_to_metric_families(metrics_text(suspects()))}
    assert {s.labels["reason"]: s.value for s in found["cctv_images_suspects"]} == {
        "blank": 0,
        "frozen": 1,
        "duplicate": 1,
    }
    named = [(s.labels["camera_id"], s.labels["reason"]) for s in found["cctv_images_camera_suspect"]]
    assert named == [("1", "frozen"), ("2", "duplicate")]
