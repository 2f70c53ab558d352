"""Looks at the fleet every few seconds, and sends what alerts.py decides. At most one message is under way; what is to
be told is worked out anew each time, so nothing queues up while a server hangs."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import ConfigError, plain
from cctv_images.files import write_atomically
from cctv_images.records import Fleet
from cctv_images.watch.alert_text import Message, message
from cctv_images.watch.alerts import Item, Memory, Policy, decide, observe
from cctv_images.watch.troubles import Trouble, snapshot

log = structlog.get_logger()

LOOK_S = 10.0
SEND_S = 60.0
"""Then the sender is killed."""
AGAIN_S = 60.0
"""After a message that nobody took."""
SENDER = "cctv_images.watch.alert_sender"
ANSWER = re.compile(r"([0-9]+) (\S+) (yes|no)\n")


class Alarm:
    """Raises nothing but a cancel. What has been told is kept in `path`, so that a restart tells nothing twice."""

    def __init__(
        self,
        urls: Sequence[str],
        policy: Policy,
        path: Path,
        fleet: Fleet,
        clock: Clock,
        node: str,
        send_s: float = SEND_S,
    ) -> None:
        self._send_s = send_s
        self._urls, self._policy, self._path = urls, policy, path
        self._fleet, self._clock, self._node = fleet, clock, node
        self._not_before = 0.0
        self._saved = Memory({})

    async def run(self) -> None:
        memory = self._saved = await asyncio.to_thread(_loaded, self._path)
        while True:
            await self._clock.sleep(LOOK_S)
            if self._fleet.inventory_loaded_at:
                memory = await self.look(memory)
                await self._save(memory)

    async def look(self, memory: Memory) -> Memory:
        now = self._clock.time()
        memory = observe(memory, snapshot(self._fleet), now, self._policy)
        told, after = decide(memory, now, self._policy)
        if not told or self._clock.monotonic() < self._not_before:
            return memory
        if await self._send(message(told, self._node, now)):
            return after
        self._not_before = self._clock.monotonic() + AGAIN_S
        return memory

    async def _send(self, alert: Message) -> bool:
        """Whether somebody has taken it."""
        record, results = self._fleet.alerts, await _ask_sender({"urls": self._urls, **asdict(alert)}, self._send_s)
        failed = _refused(len(self._urls), results)
        sent = len(failed) < len(self._urls)
        if sent:
            record.sent += 1
            log.info("alert_sent", title=alert.title)
        if failed and record.ok:
            log.error("alert_failed", addresses=", ".join(failed))
        record.ok = not failed
        return sent

    async def _save(self, memory: Memory) -> None:
        if memory == self._saved:
            return
        try:
            await asyncio.to_thread(write_atomically, self._path, json.dumps(asdict(memory)).encode())
            self._saved = memory
        except OSError as exc:
            log.warning("state_not_saved", detail=f"{self._path.name}: {exc.strerror}")


async def check_urls(urls: Sequence[str]) -> None:
    """Raises ConfigError where Apprise is missing or does not understand one of them. Nothing is sent."""
    if find_spec("apprise") is None:
        raise ConfigError('CCTV_ALERT_URLS: Apprise is not installed: install the extra "alerts".')
    results = await _ask_sender({"urls": list(urls)}, SEND_S)
    wrong = [str(number + 1) for number, _, taken in results if not taken]
    if wrong:
        raise ConfigError(f"CCTV_ALERT_URLS: Apprise does not understand the address no. {', '.join(wrong)}.")


async def try_urls(urls: Sequence[str], node: str) -> list[str]:
    """Sends a message that says that it is none. Names the addresses that did not take it."""
    test = Message(f"cctv-images on {plain(node, 60)}: a test", "Alerts reach you here. Nothing is wrong.", good=True)
    return _refused(len(urls), await _ask_sender({"urls": list(urls), **asdict(test)}, SEND_S))


def _refused(count: int, results: Sequence[tuple[int, str, bool]]) -> list[str]:
    failed = [f"{kind} (no. {number + 1})" for number, kind, taken in results if not taken]
    return failed + [f"no. {n + 1}" for n in range(count) if n not in {number for number, _, _ in results}]


async def _ask_sender(request: dict[str, Any], limit_s: float) -> list[tuple[int, str, bool]]:
    """(number, kind, success) of each url that was heard of in time."""
    lines: list[str] = []
    try:
        sender = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", SENDER), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
    except OSError:
        return []
    try:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(limit_s):
                await _exchange(sender, json.dumps(request).encode(), lines)
    finally:
        with suppress(ProcessLookupError):
            sender.kill()
        await sender.wait()
    words = [match.groups() for line in lines if (match := ANSWER.fullmatch(line))]  # what else a plugin prints: no
    return sorted((int(number), kind, taken == "yes") for number, kind, taken in words)


async def _exchange(sender: asyncio.subprocess.Process, request: bytes, lines: list[str]) -> None:
    assert sender.stdin
    assert sender.stdout
    sender.stdin.write(request)
    await sender.stdin.drain()
    sender.stdin.close()
    async for line in sender.stdout:
        lines.append(line.decode(errors="replace"))


def _loaded(path: Path) -> Memory:
    """Begun anew where it cannot be read: then what is wrong is told once more."""
    try:
        saved = json.loads(path.read_bytes())
        items = {name: Item(**item | {"trouble": Trouble(**item["trouble"])}) for name, item in saved["items"].items()}
        return Memory(items, float(saved["sent"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory({})
