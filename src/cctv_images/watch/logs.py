"""The log: one line per change, in `text` for tail -F or in `json` for machines. Nothing else configures logging.

Every value, whoever it came from, leaves here as one printable line of at most 200 characters without known secrets.
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

import structlog

from cctv_images.clock import iso
from cctv_images.errors import plain
from cctv_images.watch.output import FileSink, Sink, StreamSink, Writer
from cctv_images.watch.redact import Redactor, secrets_in

LEAD = ("camera_id", "model", "health", "error_state", "failures", "detail")
"""Camera events begin with these, in this order."""
OWN_WORDS = frozenset({"camera_id", "health", "error_state", "kind"})
"""Our own closed or checked values: a camera with the id 1234 keeps it although somebody's password is 1234."""
LONGEST = 4_000
"""Characters of one foreign value that are looked at."""
TRACEBACK_LENGTH = 2_000
LIBRARY_REPEAT_S = 60.0
COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}

Fields = dict[str, Any]
Render = Callable[[str, str, Fields], str]
"""(level, event, cleaned fields) -> one line."""

_redactor = Redactor()


class LogSettings(Protocol):
    @property
    def log_file(self) -> Path | None: ...
    @property
    def log_format(self) -> str: ...
    @property
    def log_level(self) -> str: ...


def configure_logging(settings: LogSettings, *, stream: TextIO | None = None) -> Writer:
    """Sends structlog and the standard library's logging to the log file, else to `stream` (standard output).

    Hides the settings' secrets, too. Raises ConfigError when the log file cannot be opened. The writer that is
    returned closes itself at the end of the process.
    """
    out = stream or sys.stdout
    sink: Sink = FileSink(settings.log_file) if settings.log_file else StreamSink(_descriptor(out))
    render = _json_line if settings.log_format == "json" else _text_renderer(None if settings.log_file else out)
    hide_secrets(settings)
    writer = Writer(sink, lambda count: render("warning", "log_lines_dropped", {"count": count}))
    atexit.register(writer.close)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[_Processor(render)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(writer),
        cache_logger_on_first_use=False,
    )
    _adopt_library_logging(max(level, logging.WARNING))
    return writer


def hide_secrets(source: object) -> None:
    """Strikes every secret in `source` (settings, strings, collections of SecretStr) out of all later lines."""
    _redactor.hide([source] if isinstance(source, str) else secrets_in(source))


def hide_texts(secrets: Iterable[str]) -> None:
    """The same for secrets that are plain strings already."""
    _redactor.hide(secrets)


def _descriptor(stream: TextIO | None) -> int:
    """A stream in place of sys.stdout may have none: then the process's own. A process may be without any stdout."""
    if stream is None:
        return os.open(os.devnull, os.O_WRONLY)
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return 1


class _Lines:
    """What structlog calls with a finished line."""

    def __init__(self, writer: Writer) -> None:
        self._put = writer.put

    def msg(self, line: str) -> None:
        self._put(line)

    log = debug = info = warning = error = critical = msg


class _Processor:
    def __init__(self, render: Render) -> None:
        self._render = render

    def __call__(self, _logger: object, level: str, event_dict: MutableMapping[str, Any]) -> str:
        event = plain(event_dict.pop("event", ""))
        failure = event_dict.pop("exc_info", None)
        fields = {key: event_dict.pop(key) for key in LEAD if key in event_dict} | dict(event_dict)
        cleaned = {key: _clean(value, key in OWN_WORDS) for key, value in fields.items()}
        return self._render(level, event, cleaned | _failure_fields(failure))


def _clean(value: object, own: bool = False) -> Any:
    """Anything as what JSON knows, each text in it plain, short and without secrets."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, BaseException):
        return type(value).__name__  # never str(exc): it may hold an address with a password in it
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    text = str(value)[:LONGEST]
    return plain(text if own else _redactor.scrub(text))


def _failure_fields(failure: object) -> Fields:
    """An exception as its type and the way it took, innermost call first; no message, no local variables."""
    if failure is True:
        failure = sys.exc_info()
    if isinstance(failure, tuple):
        failure = failure[1]
    if not isinstance(failure, BaseException):
        return {}
    way = " < ".join(_calls(failure.__traceback__))
    return {"exception": type(failure).__name__, "traceback": way[:TRACEBACK_LENGTH]}


def _calls(trace: TracebackType | None) -> list[str]:
    frames = reversed(traceback.extract_tb(trace))
    return [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames]


def _json_line(level: str, event: str, fields: Fields) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": now, "level": level, "event": event} | fields)


def _text_renderer(out: TextIO | None) -> Render:
    """out: the stream that is written to, or None for a file."""
    stamped = out is None or not _is_journal(out)
    coloured = out is not None and out.isatty() and "NO_COLOR" not in os.environ

    def line(level: str, event: str, fields: Fields) -> str:
        head = f"{level:<7} {event:<20}"
        if coloured and level in COLOURS:
            head = f"{COLOURS[level]}{head}\x1b[0m"
        pairs = [f"{key}={_text_value(value)}" for key, value in fields.items()]
        return " ".join([*([iso(time.time())] if stamped else []), head, *pairs]).rstrip()

    return line


def _text_value(value: Any) -> str:
    if isinstance(value, list | dict):
        value = plain(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
        quoted = " " in value
    elif isinstance(value, str):
        quoted = not value or any(c in value for c in ' "=\\')
    else:
        return json.dumps(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if quoted else str(value)


def _is_journal(out: TextIO) -> bool:
    """journald stamps each line itself. JOURNAL_STREAM names its socket (systemd.exec(5)), but children that were
    redirected inherit the variable, so the stream itself is compared."""
    stat = os.fstat(_descriptor(out))
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def _adopt_library_logging(level: int) -> None:
    """aiohttp, botocore, asyncio and Python's own warnings speak through the same door."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler())
    root.setLevel(level)
    logging.captureWarnings(True)


class _LibraryHandler(logging.Handler):
    """A library's record as one `library_message`; the same text at most once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        key, now = (record.name, str(record.msg)[:80]), time.monotonic()
        if now - self._said.get(key, float("-inf")) < LIBRARY_REPEAT_S:
            return
        if len(self._said) > 1_000:
            self._said.clear()
        self._said[key] = now
        level = record.levelname.lower() if record.levelname.lower() in COLOURS else "error"
        log = structlog.get_logger()
        getattr(log, level)("library_message", **_library_fields(record), exc_info=record.exc_info)


def _library_fields(record: logging.LogRecord) -> Fields:
    """The first line only: asyncio's further ones hold a repr of the exception, which may hold anything."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError):
        message = str(record.msg)
    first, _, rest = message.partition("\n")
    fields: Fields = {"library": record.name, "message": _without_url_secrets(first)}
    if task := re.search(r"name='([^']*)'", rest):
        fields["task"] = task[1]
    return fields


def _without_url_secrets(text: str) -> str:
    return re.sub(r"\?[^\s'\"<>]+", "?…", re.sub(r"(?<=://)[^/@\s]*@", "", text))
