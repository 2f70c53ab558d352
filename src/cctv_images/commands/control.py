"""status, revive and reload: asking the running daemon."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from cctv_images.commands import CommandError
from cctv_images.commands.common import console, env_file, print_json, run_async, say
from cctv_images.errors import EX_BAD, EX_OK, plain
from cctv_images.settings import control_socket
from cctv_images.watch.control import ControlError, request

PACKAGED = Path("/run/cctv-images/control.sock")
"""Where the unit's RuntimeDirectory= puts it: found without settings, for a shell on the daemon's machine."""
WORST_FIRST = ("disabled", "failing", "new", "ok", "paused")
STYLES = {"disabled": "red", "failing": "yellow", "ok": "green", "paused": "dim"}


def status(args: argparse.Namespace) -> int:
    answer = _ask(args, "status")
    well = bool(answer.get("fleet", {}).get("well", True))
    if args.json:
        print_json(answer)
    else:
        _show(answer)
    return EX_OK if well else EX_BAD


def revive(args: argparse.Namespace) -> int:
    if args.all == bool(args.camera_ids):
        args.usage_error("revive takes camera ids, or --all")
    wish = {"all": True} if args.all else {"ids": args.camera_ids}
    say(_sentence(_ask(args, "revive", wish | {"offer_login": args.offer_login})))
    return EX_OK


def reload(args: argparse.Namespace) -> int:
    say(_sentence(_ask(args, "reload", {"force": args.force})))
    return EX_OK


def _ask(args: argparse.Namespace, command: str, wish: dict[str, Any] | None = None) -> dict[str, Any]:
    path, chosen = control_socket(env_file(args))
    if not chosen and not os.path.lexists(path) and PACKAGED.exists():
        path = PACKAGED
    try:
        return run_async(request(path, command, wish))
    except ControlError as exc:
        reason = plain(exc, 2000)
        raise CommandError(reason if reason.endswith((".", "?")) else f"{reason}.") from None


def _sentence(answer: dict[str, Any]) -> str:
    """What the daemon has done, e.g. "started 3, stopped 0"."""
    parts = [
        f"{plain(key).replace('_', ' ')} {_value(value)}"
        for key, value in answer.items()
        if value not in (None, [], "")
    ]
    return (", ".join(parts) or "done") + "."


def _value(value: object) -> str:
    return " ".join(plain(v) for v in value) if isinstance(value, list) else plain(value)


def _show(answer: dict[str, Any]) -> None:
    fleet, cameras = answer.get("fleet", {}), answer.get("cameras", [])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("camera", "health", "error_state", "for", "picture"):
        table.add_column(heading, no_wrap=True)
    table.add_column("fails", justify="right")
    table.add_column("name", no_wrap=True, max_width=34)
    table.add_column("detail", overflow="fold")
    for camera in sorted(cameras, key=_badness):
        table.add_row(*_cells(camera, fleet.get("time")))
    out = console()
    out.print(table)
    out.print(Text(_headline(fleet), "" if fleet.get("well", True) else "red"))
    if archive := fleet.get("archive", {}).get("address"):
        out.print(_archive_line(archive, fleet["archive"]))


def _archive_line(address: str, archive: dict[str, Any]) -> Text:
    trouble = [f"failed ({archive['reason']})"] if not archive["ok"] else []
    trouble += [f"pictures are being lost ({archive['losing']})"] if archive["losing"] else []
    figures = f"{archive['archived']} archived since the start, {archive['spooled']} in the spool"
    return Text(f"archive {address}: {'; '.join([*trouble, figures])}", "red" if trouble else "")


def _cells(camera: dict[str, Any], now: str | None) -> list[Text]:
    health = str(camera.get("health"))
    picture = _age(camera.get("last_picture_at"), now)
    shown = [
        *(camera.get("id"), health, camera.get("error_state"), _age(camera.get("since"), now)),
        f"{picture} ago" if picture else "never",
        *(camera.get("failures") or "", camera.get("name"), camera.get("detail") or _doubt(camera.get("suspect"))),
    ]
    return [Text(plain(cell or ""), STYLES.get(health, "") if i == 1 else "") for i, cell in enumerate(shown)]


def _doubt(suspect: dict[str, Any] | None) -> str:
    return f"suspect, {suspect.get('reason')}: {suspect.get('detail')}" if suspect else ""


def _age(moment: str | None, now: str | None) -> str:
    """From one ISO 8601 moment to the other, in its two largest units."""
    if not moment or not now:
        return ""
    seconds = max(0, int((datetime.fromisoformat(now) - datetime.fromisoformat(moment)).total_seconds()))
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // next_size:02d}{next_unit}"
    return f"{seconds}s"


def _badness(camera: dict[str, Any]) -> tuple[int, str, str]:
    health = camera.get("health")
    rank = WORST_FIRST.index(health) if health in WORST_FIRST else 0
    return rank, str(camera.get("error_state") or ""), str(camera.get("id"))


def _headline(fleet: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {health}" for health, count in fleet.get("health", {}).items() if count)
    store = fleet.get("store", {})
    store_says = (
        "store ok" if store.get("ok", True) else f"store {plain(store.get('reason'))}: {plain(store.get('detail'))}"
    )
    parts = [f"{fleet.get('cameras', 0)} cameras: {counts or 'none'}", store_says]
    if fleet.get("uplink_suspected_since"):
        parts.append("our own network is suspected")
    if fleet.get("rejected_rows"):
        parts.append(f"{fleet['rejected_rows']} rows rejected")
    parts += [f"verdict: {plain(fleet.get('verdict'))}", f"fingerprint {fleet.get('fingerprint')}"]
    return " · ".join(parts)
