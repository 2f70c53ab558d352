"""One sync of the command: its lock, its folder, its progress, and the report whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

from rich.console import Console
from rich.progress import Progress, TextColumn

from cctv_images.clock import RealClock
from cctv_images.commands import CommandError
from cctv_images.commands.common import print_json, say
from cctv_images.commands.sync_sides import Misused, opened
from cctv_images.errors import EX_BAD, EX_CONFIG, EX_OK, EX_USAGE, ConfigError, StoreError
from cctv_images.publish.side import Side
from cctv_images.publish.side_folder import FolderSide
from cctv_images.publish.side_s3 import S3Side
from cctv_images.retain.sync import report
from cctv_images.retain.sync.engine import Failed, Options, Sync
from cctv_images.retain.sync.records import Refused, Run, Uploads, alone, new_id
from cctv_images.retain.sync.tally import Moved, Tally
from cctv_images.settings import Settings

TOLD_S = 60.0
"""A line is logged, and the report is written."""
SHOWN_S = 0.5
"""A terminal is told."""
RATE_OVER_S = 15.0


class SyncRun:
    def __init__(
        self,
        settings: Settings,
        root: Path,
        source: str,
        destination: str,
        options: Options,
        given: Mapping[str, str],
        as_json: bool,
    ) -> None:
        """root: the folder of all runs. given: how the ends are reached, by the names of the options."""
        self._settings, self._root, self._options, self._given = settings, root, options, given
        self._as_json = as_json
        self._clock = RealClock()
        asked = {"selection": options.selection.document(), "options": options.document(), "ends": dict(given)}
        now = self._clock.time()
        self._account = report.Account(new_id(now), source, destination, asked, now)
        self._tally = Tally()

    async def go(self) -> int:
        """The exit code. Raises CommandError where the same sync is running, or where nothing can be kept of it."""
        account = self._account
        selection = self._options.selection.document()
        pair = {
            "source": _where(account.source),
            "destination": _where(account.destination),
            "selection": selection,
            **{name: value for name, value in self._given.items() if not name.endswith("_region")},
        }
        pair["cameras"] = sorted(self._options.selection.cameras)
        try:
            with alone(self._root / "locks", pair, account.run_id) as uploads:
                run = Run(self._root, account.run_id)
                try:
                    return await self._to_the_end(run, uploads)
                finally:
                    run.close()
        except Refused as exc:
            raise CommandError(f"{exc}.") from None
        except BrokenPipeError:
            raise
        except OSError as exc:
            where = exc.filename or self._root
            raise CommandError(f"the report of this sync cannot be kept: {where}: {exc.strerror}.") from None

    async def _to_the_end(self, run: Run, uploads: Uploads) -> int:
        account, code = self._account, EX_BAD
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        run.write(self._document())
        try:
            await self._work(run, uploads)
            account.state = report.FINISHED
        except asyncio.CancelledError:
            account.state = "interrupted"
        except (Failed, StoreError, ConfigError, Misused) as exc:
            account.state = "failed"
            account.error = exc.detail if isinstance(exc, StoreError) else str(exc)
            code = {ConfigError: EX_CONFIG, Misused: EX_USAGE}.get(type(exc), EX_BAD)
        except BaseException as exc:
            account.state, account.error = "failed", f"our fault: {type(exc).__name__}"
            run.write(self._document())
            raise
        document = run.write(self._document())
        self._tell_end(run, document)
        return EX_OK if document["complete"] else code

    async def _work(self, run: Run, uploads: Uploads) -> None:
        account, options = self._account, self._options
        ends, writable, pool = (account.source, account.destination), not options.report_only, options.concurrency + 2
        async with opened(self._settings, ends, self._given, writable, pool, self._clock) as (source, destination):
            if writable and isinstance(destination, S3Side):
                await take_back(destination, uploads)
                if uploads.left:
                    account.notes.append("the parts of large objects that a killed run has left cannot be taken back")
            sync = Sync(source, destination, options, run, self._clock)
            self._tally = sync.tally
            if isinstance(source, FolderSide):
                source.passed_over = sync.pass_over
            try:
                await self._beside(sync.go(), self._tell(run))
            finally:
                account.notes += _notes(destination, self._tally)
        if writable:
            uploads.tidy()

    async def _beside(self, work: Awaitable[None], telling: Awaitable[None]) -> None:
        """Until the work is done or either fails."""
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(telling)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _tell(self, run: Run) -> None:
        """How it is going: on a terminal all the time, else a line a minute; and the report as it is by then."""
        bar = Progress(TextColumn("{task.description}"), console=Console(stderr=True), transient=True)
        shown = bar if sys.stderr.isatty() else None
        past = deque([(self._clock.monotonic(), Moved())])
        due = past[0][0] + TOLD_S
        with shown or nullcontext():
            line = bar.add_task("")
            while True:
                await self._clock.sleep(SHOWN_S)
                now = self._clock.monotonic()
                past.append((now, self._tally.moved))
                while len(past) > 2 and past[1][0] < now - (RATE_OVER_S if shown else TOLD_S):
                    past.popleft()
                said = report.progress(self._tally, past[0][1], now - past[0][0])
                bar.update(line, description=said)
                if now >= due:
                    due += TOLD_S
                    run.write(self._document())
                    if not shown:
                        self._log(said)

    def _document(self) -> dict[str, Any]:
        return report.document(self._account, self._tally, self._clock.time())

    def _log(self, text: str) -> None:
        with suppress(OSError):  # a full disk under the log
            sys.stderr.write(f"sync {self._account.run_id}: {text}\n")
            sys.stderr.flush()

    def _tell_end(self, run: Run, document: Mapping[str, Any]) -> None:
        """The exit code is about the objects even if nothing can be written on standard output or error."""
        try:
            self._say_end(run, document)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            _give_up(sys.stdout)
            self._log(f"standard output cannot be written ({exc.strerror}); the report is in {run.folder}")
        if not document["complete"]:
            with suppress(OSError):
                sys.stderr.write(f"cctv-images: {report.verdict(document)}\n")
        try:
            sys.stderr.flush()
        except OSError:
            _give_up(sys.stderr)

    def _say_end(self, run: Run, document: Mapping[str, Any]) -> None:
        if self._as_json:
            print_json(document)
        else:
            for line in report.sentences(document):
                say(line)
            say(f"report       {run.folder}")
            if document["complete"]:
                say(report.verdict(document))


def _give_up(stream: TextIO) -> None:
    """Else Python tries once more to write what could not be written, and exits 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _where(address: str) -> str:
    """The same for the same folder, however it is called."""
    return f"file://{os.path.realpath(unquote(address[7:]))}" if address.startswith("file:///") else address


def _notes(destination: Side, tally: Tally) -> list[str]:
    moved = tally.moved.objects - tally.by_server.objects
    if isinstance(destination, S3Side) and moved and destination.conditional is not True:
        return [
            "the destination's server is not known to hold to If-None-Match: it was looked at just before each write"
        ]
    if isinstance(destination, FolderSide) and moved and not destination.keeps_attributes:
        return ["the destination's file system has no extended attributes: only bodies and captured-at are kept"]
    return []


async def take_back(destination: S3Side, uploads: Uploads) -> None:
    """The parts of large objects that a killed run of the same sync has left, and a place to note those of this one."""
    destination.begun, destination.ended = uploads.begin, uploads.end
    for key, upload in [*uploads.left]:
        with suppress(StoreError):  # it stays noted
            await destination.abort(key, upload)
    uploads.tidy()
