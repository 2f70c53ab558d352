"""Where log lines go. The event loop never waits for a disk or a pipe: a thread writes, from a bounded queue."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cctv_images.errors import ConfigError

QUEUE_LINES = 10_000
"""Some megabytes. When the disk stalls for longer than that, lines are counted instead of kept: pictures go on."""
NOTICE_EVERY_S = 60.0
FILE_MODE = 0o640


class Sink(Protocol):
    def write(self, data: memoryview) -> int:
        """As os.write: how many bytes were taken, or OSError."""

    def close(self) -> None: ...


class StreamSink:
    """Standard output or error."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: memoryview) -> int:
        return os.write(self._fd, data)

    def close(self) -> None:
        """The stream belongs to the process."""


class FileSink:
    """Appends to a file and follows its name: after logrotate's rename the next line stands in the new file.

    O_APPEND also makes copytruncate right: the next line begins at the new end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = self._open()
        except OSError as exc:
            reason = exc.strerror if path.parent.is_dir() else f"the folder {path.parent} does not exist"
            raise ConfigError(f"CCTV_LOG_FILE: {path} cannot be written: {reason}") from None

    def _open(self) -> int:
        append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            fd = os.open(self._path, append | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            fd = os.open(self._path, append | os.O_NONBLOCK, FILE_MODE)  # a pipe's reader is not waited for
            os.set_blocking(fd, True)
        else:
            os.fchmod(fd, FILE_MODE)  # whatever the umask: the unit has 0077, and group adm is to read it
        self._identity = _identity(os.fstat(fd))
        return fd

    def write(self, data: memoryview) -> int:
        if not self._in_place():
            old, self._fd = self._fd, self._open()
            os.close(old)
        return os.write(self._fd, data)

    def _in_place(self) -> bool:
        try:
            return _identity(os.stat(self._path)) == self._identity
        except FileNotFoundError:
            return False

    def close(self) -> None:
        os.close(self._fd)


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


class Writer:
    """Takes lines from any thread, writes them from its own. A failing sink costs lines, never the service."""

    def __init__(self, sink: Sink, report_lost: Callable[[int], str], limit: int = QUEUE_LINES) -> None:
        """report_lost renders the line that says how many are missing."""
        self._sink = sink
        self._report_lost = report_lost
        self._limit = limit
        self._queue: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._overflowed = self._unwritten = self._reported = 0
        self._torn = False
        self._noticed = float("-inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        if self._queue.qsize() >= self._limit:
            self._overflowed += 1
        elif not self._closed:
            self._queue.put(line)

    def flush(self, timeout_s: float = 2.0) -> None:
        if not self._closed:
            written = threading.Event()
            self._queue.put(written)
            written.wait(timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Writes what is waiting; a stalled disk holds up the end of the process no longer than this."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._write(item)
        self._sink.close()

    def _write(self, line: str) -> None:
        lost = self._overflowed + self._unwritten - self._reported
        lines = [self._report_lost(lost), line] if lost else [line]
        left = memoryview(("\n" * self._torn + "\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
        try:
            while left:
                left = left[self._sink.write(left) :]
                self._torn = True
        except OSError as exc:  # a full disk may have taken half a line: the next one begins on a line of its own
            self._unwritten += 1
            self._notice(exc)
        else:
            self._torn = False
            self._reported += lost

    def _notice(self, exc: OSError) -> None:
        if time.monotonic() - self._noticed < NOTICE_EVERY_S:
            return
        self._noticed = time.monotonic()
        with contextlib.suppress(OSError, ValueError):  # stderr may be on the same disk, or closed
            sys.stderr.write(f"cctv-images: the log cannot be written: {exc.strerror}; the service goes on\n")
