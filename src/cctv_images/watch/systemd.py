"""Talking to systemd: readiness, status, and a watchdog that is fed only while the service does its work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from cctv_images.clock import Clock
from cctv_images.records import Fleet
from cctv_images.watch.views import overdue_reason, status_line

log = structlog.get_logger()

LAG_LIMIT_S = 5.0
EXECUTOR_LIMIT_S = 10.0
TICK_S = 1.0
STATUS_EVERY_S = 10.0
LAG_FADES = 0.8
"""Per tick: a hiccup of the loop stays visible for some scrapes of /metrics and is forgiven within seconds."""

Gate = Callable[[], Awaitable[str | None]]
"""None while the service is well, else the reason why not."""


def notify(*assignments: str) -> None:
    """sd_notify(3), e.g. notify("READY=1"). Without NOTIFY_SOCKET, or when nobody listens there, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1.0)
        channel.sendto("\n".join(assignments).encode(), address)


def notify_reloading() -> None:
    """READY=1 must follow, also when the reload was refused."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval_s() -> float | None:
    """Seconds within which systemd wants to hear from this process, or None."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6


def service_gate(
    fleet: Fleet,
    clock: Clock,
    executors: Mapping[str, Callable[[], Awaitable[object]]],
    executor_limit_s: float = EXECUTOR_LIMIT_S,
) -> Gate:
    """The watchdog's question. Having nothing due is healthy, and a sick store is no reason to restart.

    executors: name -> a no-op that runs through it, e.g. {"image threads": verifier.alive}.
    """

    async def gate() -> str | None:
        if late := overdue_reason(fleet, clock.monotonic()):
            return late
        if fleet.loop_lag_s > LAG_LIMIT_S:
            return f"the event loop lags by {fleet.loop_lag_s:.1f} s"
        for name, no_op in executors.items():
            try:
                async with asyncio.timeout(executor_limit_s):
                    await no_op()
            except TimeoutError:
                return f"the {name} did not answer within {executor_limit_s:.0f} s"
        return None

    return gate


class Heartbeat:
    """Measures the loop's lag, keeps STATUS= fresh, and feeds the watchdog while the gate is open."""

    def __init__(self, fleet: Fleet, gate: Gate, tick_s: float = TICK_S) -> None:
        self._fleet = fleet
        self._gate = gate
        self._tick_s = tick_s
        self._withheld = False

    async def run(self) -> None:
        """For ever. If this ends, the process should, too."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure_lag(), name="loop-lag")
            tasks.create_task(self._keep_status(), name="status-line")
            if interval_s := watchdog_interval_s():
                tasks.create_task(self._feed(interval_s / 2), name="watchdog")

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._tick_s
            await asyncio.sleep(self._tick_s)
            self._fleet.loop_lag_s = max(loop.time() - due, self._fleet.loop_lag_s * LAG_FADES)

    async def _keep_status(self) -> None:
        while True:
            notify(f"STATUS={status_line(self._fleet)}")
            await asyncio.sleep(STATUS_EVERY_S)

    async def _feed(self, every_s: float) -> None:
        """While the gate is shut it is tried again soon, so that a hiccup at the wrong moment costs no restart."""
        while True:
            reason = await self._gate()
            if reason is None:
                notify("WATCHDOG=1")
            if reason and not self._withheld:
                log.error("watchdog_withheld", reason=reason)
            elif reason is None and self._withheld:
                log.warning("watchdog_resumed")
            self._withheld = reason is not None
            await asyncio.sleep(min(self._tick_s, every_s) if self._withheld else every_s)
