"""ledger: the account of slots as a table, JSON or CSV; verify: the account against the archive's listing."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, fields
from datetime import date
from typing import Any

from cctv_images.commands import CommandError
from cctv_images.commands.common import say, settings_for
from cctv_images.errors import EX_OK, plain
from cctv_images.parts import LEDGER
from cctv_images.retain.account import Account, Figures, Unreadable
from cctv_images.settings import Settings

DAYS = 7
NUMBERS = [field.name for field in fields(Figures) if field.name != "reasons"]
SHOWN = ("expected", "captured", "published", "archived", "lost")

Day = tuple[date, dict[str, Figures]]


def ledger(args: argparse.Namespace) -> int:
    if args.action == "verify":
        from cctv_images.commands.ledger_verify import ledger_verify  # what the table does not need

        return ledger_verify(args)
    settings = settings_for(args, optional=("CCTV_INVENTORY", "CCTV_STORE"))
    with closing(opened(settings)) as account:
        try:
            show = _print_json if args.json else _print_csv if args.csv else _print_table
            show(account, _days(account, args))
        except Unreadable as exc:
            raise unreadable(settings, exc) from None
    return EX_OK


def opened(settings: Settings) -> Account:
    try:
        return Account(settings.state_dir / LEDGER, time.time())
    except Unreadable as exc:
        raise unreadable(settings, exc) from None


def unreadable(settings: Settings, exc: Unreadable) -> CommandError:
    return CommandError(f"the ledger {plain(settings.state_dir / LEDGER)}: {plain(exc)}.")


def _days(account: Account, args: argparse.Namespace) -> Iterator[Day]:
    days = account.days(args.camera)
    chosen = [args.date] if args.date else days if args.camera else days[-DAYS:]
    for day in chosen:
        yield day, account.figures(day, args.camera)


def _total(cameras: dict[str, Figures]) -> Figures:
    total = Figures()
    for figures in cameras.values():
        total.join(figures)
    return total


def _print_table(account: Account, days: Iterator[Day]) -> None:
    width = max(map(len, (*account.cameras, "all 10000")))
    say(f"{'day':10}  {'camera':{width}}  {'  '.join(SHOWN)}  why not")
    for day, cameras in days:
        for camera_id, figures in cameras.items():
            say(_line(day, camera_id, width, figures))
        if len(cameras) != 1:
            say(_line(day, f"all {len(cameras)}", width, _total(cameras)))


def _line(day: date, camera: str, width: int, figures: Figures) -> str:
    numbers = "  ".join(f"{getattr(figures, name):{len(name)}}" for name in SHOWN)
    return f"{day}  {camera:{width}}  {numbers}  {_why(figures)}".rstrip()


def _why(figures: Figures) -> str:
    counts = figures.reasons.most_common()
    counts += [(word, n) for word, n in (("waiting", figures.waiting), ("not_chosen", figures.not_chosen)) if n]
    return ", ".join(f"{plain(reason)} {count}" for reason, count in counts)


def _print_csv(account: Account, days: Iterator[Day]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("date", "camera_id", *NUMBERS, "reasons"))
    for day, cameras in days:
        for camera_id, figures in cameras.items():
            why = " ".join(f"{reason}={count}" for reason, count in figures.reasons.most_common())
            out.writerow((day, camera_id, *(getattr(figures, name) for name in NUMBERS), why))


def _print_json(account: Account, days: Iterator[Day]) -> None:
    """Day by day: the whole would be large."""
    say('{"days": [')
    for n, (day, cameras) in enumerate(days):
        rows = [{"camera_id": camera_id} | _document(figures) for camera_id, figures in cameras.items()]
        text = json.dumps({"date": str(day), "total": _document(_total(cameras)), "cameras": rows}, indent=1)
        say(("," if n else "") + text)
    say("]}")


def _document(figures: Figures) -> dict[str, Any]:
    return asdict(figures) | {"reasons": dict(figures.reasons.most_common())}
