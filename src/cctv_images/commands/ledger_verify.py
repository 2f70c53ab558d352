"""ledger verify: a day of the ledger against the archive's listing. Its outcome is left for the service."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

from cctv_images.commands import CommandError
from cctv_images.commands.common import be_quiet, print_json, run_async, say, settings_for
from cctv_images.commands.ledger import opened, unreadable
from cctv_images.errors import EX_BAD, EX_OK, StoreError, plain
from cctv_images.publish import open_archive
from cctv_images.retain.account import Account, Unreadable
from cctv_images.retain.outcomes import Retired, Verified, leave, left
from cctv_images.retain.verify import Gap, Nothing, Verdict, verify
from cctv_images.settings import Settings


def ledger_verify(args: argparse.Namespace) -> int:
    if args.date is None:
        args.usage_error("ledger verify takes --date D")
    if args.csv or args.camera:
        args.usage_error("ledger verify looks at all cameras of a day; it takes --date and --json")
    be_quiet()
    settings = settings_for(args, optional=("CCTV_INVENTORY", "CCTV_STORE"))
    with closing(opened(settings)) as account:
        try:
            begins = min(account.days(), default=args.date)
            verdicts = run_async(_verify(settings, account, args))
        except (Unreadable, StoreError) as exc:
            _leave(settings, Verified(str(args.date), time.time(), error=plain(exc)))
            if isinstance(exc, Unreadable):
                raise unreadable(settings, exc) from None
            raise CommandError(f"the archive {settings.archive} cannot be looked at: {plain(exc)}.") from None
    total = _total(verdicts.values())
    if args.date < begins and not left(settings.state_dir, Verified):  # the first night of a new service
        if args.json:
            print_json(_document(args.date, total, verdicts))
        else:
            say(f"The ledger begins on {begins}: nothing to verify yet on {args.date}.")
        return EX_OK
    if not total.expected:
        raise CommandError(f"the ledger knows of no slot on {args.date}: there is nothing to verify.")
    _leave(settings, Verified(str(args.date), time.time(), total.expected, total.archived, len(total.gaps)))
    if args.json:
        print_json(_document(args.date, total, verdicts))
    else:
        say(_sentence(args.date, total, settings))
    return EX_BAD if total.gaps else EX_OK


async def _verify(settings: Settings, account: Account, args: argparse.Namespace) -> dict[str, Verdict]:
    """Names gaps as they are found."""
    retired = left(settings.state_dir, Retired)
    store = await open_archive(settings, known=True) if settings.archive else None
    verdicts = {}
    try:
        async for camera_id, verdict in verify(
            account, store or Nothing(), args.date, retired.before if retired else 0
        ):
            verdicts[camera_id] = verdict
            for line in [] if args.json else _gaps(verdict.gaps):
                say(f"{camera_id}: {line}")
    finally:
        if store:
            await store.close()
    return verdicts


def _leave(settings: Settings, outcome: Verified) -> None:
    """An older day says nothing of the last one's gaps."""
    before = left(settings.state_dir, Verified)
    if before and before.date > outcome.date:
        return
    try:
        leave(settings.state_dir, outcome)
    except OSError as exc:
        say(f"The outcome cannot be left for the service: {plain(settings.state_dir)}: {exc.strerror}.")


def _gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    """Runs of the same kind in one line each."""
    for what, run in groupby(gaps, lambda gap: gap.what):
        slots = [gap.slot for gap in run]
        ends = " to ".join(f"{datetime.fromtimestamp(slot, UTC):%H:%M:%S}" for slot in sorted({slots[0], slots[-1]}))
        yield f"{len(slots)} slot{'s' * (len(slots) > 1)}, {ends} UTC: {what}"


def _total(verdicts: Any) -> Verdict:
    total = Verdict()
    for verdict in verdicts:
        total.expected += verdict.expected
        total.archived += verdict.archived
        total.reasons += verdict.reasons
        total.gaps += verdict.gaps
        total.further += verdict.further
    return total


def _sentence(day: date, total: Verdict, settings: Settings) -> str:
    why = ", ".join(f"{plain(reason)} {count}" for reason, count in total.reasons.most_common())
    parts = [f"{day}: {total.expected} slots expected = {total.archived} archived"]
    parts += [f"{total.reasons.total()} with a reason ({why})"] if why else []
    parts += [f"{len(total.gaps)} gaps" if len(total.gaps) != 1 else "1 gap"] if total.gaps else []
    further = f" The archive has {total.further} copies beyond one a slot." if total.further else ""
    none = "" if settings.archive else " CCTV_ARCHIVE is not set: nothing is kept."
    return " + ".join(parts) + "." + further + none


def _document(day: date, total: Verdict, verdicts: dict[str, Verdict]) -> dict[str, Any]:
    cameras = [{"camera_id": camera_id} | _figures(verdict) for camera_id, verdict in verdicts.items()]
    return {"date": str(day), "ok": not total.gaps, "total": _figures(total), "cameras": cameras}


def _figures(verdict: Verdict) -> dict[str, Any]:
    gaps = [
        {"slot": f"{datetime.fromtimestamp(slot, UTC):%Y-%m-%dT%H:%M:%SZ}", "what": what} for slot, what in verdict.gaps
    ]
    return {
        "expected": verdict.expected,
        "archived": verdict.archived,
        "reasons": dict(verdict.reasons.most_common()),
        "further": verdict.further,
        "gaps": gaps,
    }
