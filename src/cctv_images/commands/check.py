"""check: every mistake before the first request; with --online, what store and cameras say."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cctv_images.clock import RealClock
from cctv_images.commands import kept, pictures, surroundings
from cctv_images.commands.common import be_quiet, env_file, print_json, run_async, say, settings_for
from cctv_images.commands.mismatch import find_makes, write_corrections
from cctv_images.commands.online import Online, show_online, try_online
from cctv_images.config.values import length
from cctv_images.errors import EX_BAD, EX_OK, ConfigError, plain
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.parse import Inventory
from cctv_images.inventory.source import InventoryUnavailable
from cctv_images.parts import check_alerts, inventory_source, try_alerts
from cctv_images.settings import Settings, fingerprint


@dataclass(slots=True)
class Report:
    settings: Settings
    inventory: Inventory | None = None
    outage: str = ""
    """Why the inventory could not be read, when that is nobody's mistake."""
    notes: list[str] = field(default_factory=list)
    online: Online | None = None
    deaf: list[str] | None = None
    """Addresses that did not take the test message; None where none was sent."""

    @property
    def cameras(self) -> Mapping[str, Camera]:
        return self.inventory.cameras if self.inventory else {}

    @property
    def good(self) -> bool:
        rejected = self.inventory is None or self.inventory.rejected
        return not (rejected or self.outage or self.deaf or (self.online and not self.online.good))


def check(args: argparse.Namespace) -> int:
    be_quiet()
    if args.find and not args.online:
        args.usage_error("--find goes with --online")
    if args.csv and not args.find:
        args.usage_error("--csv goes with --find")
    try:
        report = run_async(_check(args))
    except ConfigError as exc:
        if args.json:
            print_json({"ok": False, "mistakes": exc.problems})
        raise
    if args.json:
        print_json(_document(report))
    else:
        _show(report, env_file(args))
    return EX_OK if report.good else EX_BAD


async def _check(args: argparse.Namespace) -> Report:
    settings = settings_for(args)
    report = Report(settings, notes=_notes(settings))
    mistakes = surroundings.mistakes(settings)
    try:
        await check_alerts(settings)
    except ConfigError as exc:
        mistakes += exc.problems
    try:
        report.inventory = (await inventory_source(settings, RealClock()).load()).inventory
    except ConfigError as exc:
        mistakes += exc.problems
    except InventoryUnavailable as exc:
        report.outage = plain(exc)
    if mistakes:
        raise ConfigError(mistakes)
    report.notes += kept.notes(settings, report.cameras) if report.inventory else []
    report.notes += pictures.notes(report.cameras.values())
    if args.alert:
        report.deaf = await try_alerts(settings)
    if args.online:
        report.online = await try_online(settings, list(report.cameras.values()))
        if args.find:
            report.online.mismatches = await find_makes(settings, report.online.answers)
        if args.csv:
            write_corrections(args.csv, report.online.mismatches)
    return report


def _notes(settings: Settings) -> list[str]:
    """What is no mistake and yet worth knowing."""
    notes = []
    if settings.inventory_is_remote and settings.default_login and not settings.camera_networks:
        notes.append(
            "the default login is offered to no camera: an http(s) inventory wants CCTV_CAMERA_NETWORKS for that"
        )
    if settings.cache_control:
        notes.append("CCTV_CACHE_CONTROL: a CDN obeys it instead of Expires and may show a picture for longer")
    return notes


def _document(report: Report) -> dict[str, Any]:
    settings, inventory = report.settings, report.inventory
    rejected = inventory.rejected if inventory else []
    document: dict[str, Any] = {
        "ok": report.good,
        "mistakes": [],
        "fingerprint": fingerprint(settings),
        "store": settings.store,
        "archive": settings.archive or None,
        "spool": kept.lasts(settings, report.cameras) if settings.archive else None,
        "interval_s": settings.interval,
        "inventory_out_of_reach": report.outage or None,
        "cameras": len(inventory.cameras) if inventory else None,
        "makes": dict(_makes(inventory)),
        "states": dict(inventory.counts) if inventory else {},
        "rejected": [{r.unit: r.line, "camera_id": r.camera_id, "reason": r.reason} for r in rejected],
        "notes": report.notes,
    }
    if report.deaf is not None:
        document["alert"] = {"not_taken_by": report.deaf}
    return document | ({"online": report.online.document()} if report.online else {})


def _makes(inventory: Inventory | None) -> list[tuple[str, int]]:
    """Recipes by the number of their cameras, the most frequent first."""
    return Counter(camera.recipe for camera in inventory.cameras.values()).most_common() if inventory else []


def _show(report: Report, file: Path | None) -> None:
    settings, inventory = report.settings, report.inventory
    say(f"settings   {f'{plain(file)} and ' if file else ''}environment, fingerprint {fingerprint(settings)}")
    if inventory is None:
        say(f"inventory  out of reach: {report.outage}")
    else:
        _show_inventory(inventory, inventory_source(settings, RealClock()).name)
    say(f"store      {settings.store}, key {settings.key}")
    attempts = f"{settings.attempts} attempt{'s' * (settings.attempts > 1)} of at most {length(settings.timeout)}"
    say(f"schedule   a picture of each camera every {length(settings.interval)}, {attempts}")
    say(pictures.shown(settings, report.cameras.values()))
    for line in kept.shown(settings, report.cameras):
        say(line)
    for note in report.notes:
        say(f"note       {note}")
    if report.deaf is not None:
        say(f"alert      a test message was sent, not taken by: {', '.join(report.deaf) or 'none'}")
    if report.online:
        show_online(report.online)
    say("")
    say(_verdict(report))


def _verdict(report: Report) -> str:
    """Everything that is not good, in one sentence."""
    rejected = len(report.inventory.rejected) if report.inventory else 0
    online = report.online or Online()
    parts = [
        "the inventory is out of reach" if report.outage else "",
        f"{rejected} row{'s' * (rejected > 1)} of the inventory rejected" if rejected else "",
        "alerts do not reach everybody" if report.deaf else "",
        "the store fails" if online.store else "",
        "the archive fails" if online.archive else "",
        f"{len(online.failing)} of {len(online.answers)} cameras gave no picture" if online.failing else "",
    ]
    found = "; ".join(part for part in parts if part)
    return f"{found[:1].upper()}{found[1:]}." if found else "No mistakes found."


def _show_inventory(inventory: Inventory, name: str) -> None:
    makes = ", ".join(f"{recipe} {count}" for recipe, count in _makes(inventory))
    states = ", ".join(f"{plain(state)} {count}" for state, count in inventory.counts.most_common())
    say(f"inventory  {plain(name)}: {len(inventory.cameras)} cameras" + (f" ({makes})" if makes else ""))
    say(f"           rows by state: {states or 'none'}")
    for row in inventory.rejected:
        say(f"rejected   {row}")
