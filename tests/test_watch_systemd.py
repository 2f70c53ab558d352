"""systemd: readiness, status, and a watchdog that is fed only while the service does its work."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cctv_images.clock import SimulatedClock
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet
from cctv_images.watch.systemd import Heartbeat, notify, notify_reloading, service_gate, watchdog_interval_s


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def heard(systemd: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_systemd_hears_what_it_is_told(systemd: socket.socket) -> None:
    notify("READY=1", "STATUS=411 ok")
    assert heard(systemd) == ["READY=1\nSTATUS=411 ok"]


def test_a_reload_is_announced_with_the_monotonic_time(systemd: socket.socket) -> None:
    notify_reloading()
    state, stamp = heard(systemd)[0].split("\n")
    assert state == "RELOADING=1"
    assert abs(int(stamp.removeprefix("MONOTONIC_USEC=")) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 60


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"cctv-images-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("STOPPING=1")
        assert heard(listener) == ["STOPPING=1"]


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("60000000", "{own}", 60.0),
        ("60000000", "", 60.0),
        ("60000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_interval_is_read_only_when_it_is_meant_for_this_process(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, expected: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid.format(own=os.getpid()))
    assert watchdog_interval_s() == expected


async def answers() -> None:
    pass


async def never_answers() -> None:
    await asyncio.Event().wait()


def fleet_with_a_slot(next_due: float | None) -> Fleet:
    return Fleet(0.0, {"134": CameraRecord(Camera("134", "pelco"), 300.0, next_due=next_due)})


async def test_the_gate_is_open_when_nothing_is_due_and_while_the_store_is_sick() -> None:
    fleet = fleet_with_a_slot(None)
    fleet.store.ok = False
    assert await service_gate(fleet, SimulatedClock(), {"image threads": answers})() is None


async def test_the_gate_shuts_for_an_overdue_slot_and_for_a_lagging_loop() -> None:
    fleet, clock = fleet_with_a_slot(0.0), SimulatedClock()
    gate = service_gate(fleet, clock, {})
    assert await gate() is None
    await clock.advance(61)
    assert await gate() == "the slot of camera 134 is overdue by 61 s"
    fleet.cameras.clear()
    fleet.loop_lag_s = 5.5
    assert await gate() == "the event loop lags by 5.5 s"


async def test_the_gate_shuts_when_an_executor_does_not_answer() -> None:
    executors = {"login threads": answers, "image threads": never_answers}
    gate = service_gate(Fleet(0.0), SimulatedClock(), executors, executor_limit_s=0.01)
    assert "the image threads did not answer" in str(await gate())


async def beat(seconds: float, fleet: Fleet, gate: Callable[[], Awaitable[str | None]]) -> None:
    task = asyncio.create_task(Heartbeat(fleet, gate).run())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def open_gate() -> None:
    return None


async def test_the_watchdog_is_fed_twice_per_interval(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    await beat(1.0, Fleet(0.0), open_gate)
    assert 4 <= heard(systemd).count("WATCHDOG=1") <= 11


async def test_a_shut_gate_is_told_once_starves_the_watchdog_and_may_open_again(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    reasons: list[str | None] = ["stuck"] * 5

    async def gate() -> str | None:
        return reasons.pop() if reasons else None

    with capture_logs() as logs:
        await beat(1.5, Fleet(0.0), gate)
    assert [line["event"] for line in logs] == ["watchdog_withheld", "watchdog_resumed"]
    assert logs[0]["reason"] == "stuck"
    assert "WATCHDOG=1" in heard(systemd)


async def test_without_a_watchdog_the_status_is_kept_and_nothing_is_fed(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    await beat(0.1, Fleet(0.0, starting=False), open_gate)
    assert heard(systemd) == ["STATUS=no cameras; store ok"]


async def test_a_blocked_loop_is_seen_as_lag() -> None:
    fleet = Fleet(0.0)
    task = asyncio.create_task(Heartbeat(fleet, open_gate, tick_s=0.05).run())
    await asyncio.sleep(0.02)
    time.sleep(0.5)
    await asyncio.sleep(0.01)
    assert fleet.loop_lag_s > 0.3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
