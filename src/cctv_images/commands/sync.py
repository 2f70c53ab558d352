"""sync: from the words on the command line to a run, or to what is known of earlier ones."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table

from cctv_images.commands import CommandError
from cctv_images.commands.common import be_quiet, console, print_json, run_async, say, settings_for
from cctv_images.commands.sync_run import SyncRun
from cctv_images.errors import EX_OK, EX_USAGE
from cctv_images.retain.sync import report
from cctv_images.retain.sync.engine import Options
from cctv_images.retain.sync.records import Unreadable, history, load
from cctv_images.retain.sync.selection import Selection

OPTIONS = ("report_only", "update", "checksum", "concurrency", "max_bytes_per_second")
KEYS = re.compile(r"://[^/]*@")
ENDING = re.compile(r"(?<=[^:/])/+$|(?<=:///)/+$")
ENDS = ("profile", "endpoint", "region")


def sync(args: argparse.Namespace) -> int:
    be_quiet()
    settings = settings_for(args, optional=("CCTV_INVENTORY", "CCTV_STORE"))
    root = settings.state_dir.absolute() / "syncs"
    match args.source, args.destination:
        case "history", None:
            return _history(root, args.json)
        case "show", str(run_id):
            return _show(root, run_id, args.json)
        case str(source), str(destination):
            ends = {f"{side}_{end}" for side in ("source", "destination") for end in ENDS}
            given = {name: value for name in sorted(ends) if (value := getattr(args, name))}
            if mistake := _mistake(args, source, destination, *given.values()):
                args.usage_error(mistake)
            selection = Selection(args.prefix, frozenset(args.camera), args.first, args.last)
            options = Options(selection, **{name: getattr(args, name) for name in OPTIONS})
            addresses = (ENDING.sub("", source), ENDING.sub("", destination))
            run = SyncRun(settings, root, *addresses, options, given, args.json)
            return run_async(run.go())
    args.usage_error("expected SOURCE and DESTINATION, or history, or show ID")
    return EX_USAGE


def _mistake(args: argparse.Namespace, *words: str) -> str | None:
    """What is wrong before anything is opened or written down. words: addresses and the like."""
    if any(KEYS.search(word) for word in words):
        return "an address holds no keys and no password: it would be shown and logged with them"
    try:
        "".join((args.prefix, *(word for word in words if not word.startswith("file:")))).encode()
    except UnicodeEncodeError:
        return "the keys of objects are UTF-8, and what was asked for is not"
    if args.first and args.last and args.first > args.last:
        return f"--from {args.first} is after --to {args.last}"
    return None


def _history(root: Path, as_json: bool) -> int:
    try:
        reports = history(root)
    except Unreadable as exc:
        raise CommandError(f"{exc}.") from None
    if as_json:
        print_json(reports)
        return EX_OK
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "state", "verdict", "copied", "", "took", "source", "destination"):
        table.add_column(heading, justify="right" if heading in ("copied", "", "took") else "left")
    for each in reports:
        moved = {unit: each["copied"][unit] + each["updated"][unit] for unit in ("objects", "bytes")}
        verdict = "complete" if each["complete"] else "not complete"
        figures = (f"{moved['objects']:,}", decimal(moved["bytes"]), report.duration(each["seconds"]))
        table.add_row(each["id"], each["state"], verdict, *figures, each["source"], each["destination"])
    console().print(table if reports else f"No sync has run yet: there is nothing in {root}.")
    return EX_OK


def _show(root: Path, run_id: str, as_json: bool) -> int:
    try:
        found = load(root, run_id)
    except Unreadable as exc:
        raise CommandError(f"{exc}.") from None
    if as_json:
        say(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for line in report.sentences(found):
            say(line)
        say(f"report       {root / run_id}")
        say(report.verdict(found))
    return EX_OK
