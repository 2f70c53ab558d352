"""run: the daemon, or with --once one cycle per camera."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cctv_images.commands.common import env_file, run_async, settings_for
from cctv_images.process_images import serve
from cctv_images.records import CameraRecord
from cctv_images.settings import Settings
from cctv_images.watch.logs import configure_logging

GIL_TURN_S = 0.001
"""How long a thread may keep the event loop waiting. Each of uvloop's callbacks waits anew while pictures are read
through: among 350 hostile cameras the default, 5 ms, made every hundredth cycle 1.2 s late, this makes it 0.16 s."""


def run(args: argparse.Namespace) -> int:
    settings, file = settings_for(args), env_file(args)
    sys.setswitchinterval(GIL_TURN_S)
    if args.once:
        return _once(settings, file)
    log = configure_logging(settings)
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    code = runner.run(serve(settings, env_file=file))
    log.close()
    # Threads that hang on a dead disk or name server would hold up an ordinary end beyond the ten seconds of a stop.
    os._exit(code)


def _once(settings: Settings, file: Path | None) -> int:
    if settings.log_file is not None or not (sys.stderr.isatty() and sys.stdout.isatty()):
        configure_logging(settings)
        return run_async(serve(settings, env_file=file, once=True))
    with _progress(settings) as advance:
        return run_async(serve(settings, env_file=file, once=True, progress=advance))


@contextmanager
def _progress(settings: Settings) -> Iterator[Callable[[CameraRecord, int], None]]:
    """A bar at the bottom of the terminal; the log's lines pass above it."""
    columns = (TextColumn("one cycle per camera"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        from_log, to_us = os.pipe()
        with open(to_us, "w") as stream:
            printer = Thread(target=_print_lines, args=(from_log, bar.console), name="log-above-progress")
            printer.start()
            log = configure_logging(settings, stream=stream)
            try:
                yield lambda record, total: bar.update(task, advance=1, total=total)
            finally:
                log.close()
        printer.join()


def _print_lines(source: int, console: Console) -> None:
    with open(source, encoding="utf-8", errors="backslashreplace") as lines:
        for line in lines:
            console.print(Text(line.rstrip("\n")), soft_wrap=True)
