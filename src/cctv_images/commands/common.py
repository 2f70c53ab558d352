"""What several commands need: settings, a loop, tables, silence."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cctv_images.settings import Settings, load_settings, scrub_environment

T = TypeVar("T")


def env_file(args: argparse.Namespace) -> Path | None:
    """The file given, else .env where it is there; absolute, since a daemon reads it again."""
    if args.env_file is not None:
        return Path(args.env_file).absolute()
    found = Path(".env").absolute()
    return found if os.path.lexists(found) else None


def settings_for(args: argparse.Namespace, optional: Collection[str] = ()) -> Settings:
    """Raises ConfigError. optional: required settings that this command can do without."""
    scrub_environment()
    return load_settings(env_file(args), optional=optional)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def be_quiet() -> None:
    """Commands that explain by themselves want no log lines in between."""
    structlog.configure(processors=[_drop])


def _drop(_logger: object, _level: str, _event: object) -> Any:
    raise structlog.DropEvent


def console() -> Console:
    """For tables. Nothing from a camera is read as markup; nothing is cut where no terminal says how wide."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 400)


def progress(doing: str) -> Progress | None:
    """On standard error, and only for eyes."""
    if not sys.stderr.isatty():
        return None
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def print_json(document: object) -> None:
    say(json.dumps(document, indent=2, ensure_ascii=False))
