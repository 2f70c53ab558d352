"""The content checks in the running daemon: a black camera, one that is stuck, and what the page and the log say."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import stop
from service import Service
from zoo import zoo_of

CAMERAS = {
    "black": ("pelco-open", "black"),
    "stuck": ("pelco-open", "none"),
}  # the zoo's pictures are all the same here
FAST = {"CCTV_INTERVAL": "1", "CCTV_TIMEOUT": "0.9", "CCTV_ATTEMPTS": "1", "CCTV_FROZEN_AFTER": "3"}


@pytest.fixture
def local(tmp_path: Path) -> Service:
    return Service(tmp_path, f"file://{tmp_path}/store")


async def test_suspects_are_flagged_in_log_api_and_metrics_and_go_on_being_published(local: Service) -> None:
    async with zoo_of(CAMERAS) as zoo:
        local.furnish(zoo, **FAST)
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["suspect"] for c in cameras.values()))
            cameras, metrics = await local.cameras(), await local.get("/metrics")
            await stop(daemon)
    assert {i: c["suspect"]["reason"] for i, c in cameras.items()} == {"black": "blank", "stuck": "frozen"}
    assert {c["health"] for c in cameras.values()} == {"ok"}
    assert {c["kind"] for c in cameras.values()} == {"picture"}
    assert 'cctv_images_camera_suspect{camera_id="stuck",reason="frozen"} 1' in metrics
    assert sorted(event["camera_id"] for event in local.events("camera_suspect")) == ["black", "stuck"]


async def test_where_it_is_asked_for_the_fallback_stands_in_their_place(local: Service) -> None:
    async with zoo_of(CAMERAS) as zoo:
        local.furnish(zoo, **FAST, CCTV_CONTENT_ACTION="fallback", CCTV_FAILURE_LIMIT="0")
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["kind"] == "fallback" for c in cameras.values()))
            cameras = await local.cameras()
            await stop(daemon)
    assert {i: c["error_state"] for i, c in cameras.items()} == {"black": "blank", "stuck": "frozen"}
    assert {i: c["suspect"] for i, c in cameras.items()} == {"black": None, "stuck": None}
