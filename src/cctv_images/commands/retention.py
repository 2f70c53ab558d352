"""retention: removes archive copies that have had their day."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

from cctv_images.commands import CommandError
from cctv_images.commands.common import be_quiet, run_async, say, settings_for
from cctv_images.errors import EX_BAD, EX_OK, StoreError, plain
from cctv_images.publish import Store, open_archive
from cctv_images.retain.outcomes import Retired, leave, left
from cctv_images.retain.retention import Plan, Share, Tally, carry_out, count, plan
from cctv_images.settings import Settings


def retention(args: argparse.Namespace) -> int:
    be_quiet()
    settings = settings_for(args, optional=("CCTV_INVENTORY", "CCTV_STORE"))
    if not settings.archive:
        say("CCTV_ARCHIVE is not set: nothing is kept.")
        return EX_OK
    if not settings.archive_days and not settings.archive_bytes:
        say("Copies are kept for ever: neither CCTV_ARCHIVE_DAYS nor CCTV_ARCHIVE_BYTES is set.")
        return EX_OK
    return run_async(_retire(settings, dry_run=args.dry_run, force=args.force))


async def _retire(settings: Settings, *, dry_run: bool, force: bool) -> int:
    archive = await open_archive(settings, known=True)
    try:
        tally = await count(archive)
        made = plan(tally, time.time(), settings.archive_days, settings.archive_bytes, force=force)
        _explain(made, tally, settings)
        if made.goes.copies and not dry_run:
            await _delete(made, archive, settings)
    except StoreError as error:
        raise CommandError(f"the archive {settings.archive}: {plain(error)}. Nothing more is deleted.") from None
    finally:
        await archive.close()
    if made.is_cut:
        more = Share(made.due.copies - made.goes.copies, made.due.bytes - made.goes.bytes)
        say(f"Due as well: {_amount(more)}. That is more than a night's: look at clock and settings, then use --force.")
    return EX_BAD if made.is_cut else EX_OK


async def _delete(made: Plan, archive: Store, settings: Settings) -> None:
    before = left(settings.state_dir, Retired)
    try:
        leave(settings.state_dir, Retired(time.time(), max(made.before, before.before if before else 0.0)))
    except OSError as exc:
        raise CommandError(
            f"CCTV_STATE_DIR = {plain(settings.state_dir)}: {exc.strerror}. Nothing is deleted."
        ) from None
    done: list[int] = []
    try:
        await carry_out(made, archive, done.append)
    finally:
        say(f"Deleted: {sum(done)} copies.")


def _explain(made: Plan, tally: Tally, settings: Settings) -> None:
    limits = [f"{settings.archive_days} days"] if settings.archive_days else []
    limits += [_bytes(settings.archive_bytes)] if settings.archive_bytes else []
    say(f"The archive {settings.archive} holds {_amount(made.held)}; to be kept: {' and '.join(limits)}.")
    if tally.others:
        say(f"{tally.others} keys are no copies of ours and are left alone.")
    if made.goes.copies:
        moment = datetime.fromtimestamp(made.before, UTC)
        say(f"Have had their day: {_amount(made.goes)}, captured before {moment:%Y-%m-%d %H:%M} UTC.")
    else:
        say("None has had its day.")


def _amount(share: Share) -> str:
    return f"{share.copies} copies ({_bytes(share.bytes)})"


def _bytes(number: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
