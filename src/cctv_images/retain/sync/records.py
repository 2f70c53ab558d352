"""What a run leaves behind: a folder with a small report and gzipped lists. And who may run at all."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cctv_images.files import write_atomically
from cctv_images.retain.sync.report import told

REPORT = "report.json"
LISTS = ("missing", "different", "failed")
RUNNING, KILLED = "running", "killed"


class Refused(Exception):
    """The same sync is running already; the text names it."""


class Unreadable(Exception):
    """There is no such run, or its report cannot be read; the text says which."""


@contextmanager
def alone(root: Path, pair: Mapping[str, Any], run_id: str) -> Iterator[Uploads]:
    """Holds the pair's lock until the end, however the process ends, and gives what a killed run has left.

    pair: source, destination and what else makes two syncs one. Raises Refused, OSError.
    """
    root.mkdir(mode=0o750, parents=True, exist_ok=True)
    name = hashlib.sha256(json.dumps(pair, sort_keys=True).encode()).hexdigest()[:16]
    with open(os.open(root / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = lock.read().strip() or "just begun"
            raise Refused(f"a sync of {pair['source']} to {pair['destination']} is already running ({said})") from None
        lock.truncate()
        lock.write(f"{run_id}, process {os.getpid()}\n")
        lock.flush()
        yield Uploads(root / f"{name}.uploads")


class Uploads:
    """The copies in parts that were begun, in a file that outlives a killed run. Raises OSError."""

    def __init__(self, path: Path) -> None:
        """With those that earlier runs have left, but for a line that was cut off."""
        self._path = path
        self.left: dict[tuple[str, str], None] = {}
        """Key and id of each that has not ended, in order."""
        with suppress(FileNotFoundError, ValueError):
            for line in path.read_text().splitlines():
                key, upload = json.loads(line)
                self.left[key, upload] = None

    def begin(self, key: str, upload: str) -> None:
        self.left[key, upload] = None
        with self._path.open("a") as file:
            file.write(_line(key, upload))

    def end(self, key: str, upload: str) -> None:
        """In the file it stays until it is tidied."""
        self.left.pop((key, upload), None)

    def tidy(self) -> None:
        if self.left:
            write_atomically(self._path, "".join(_line(*each) for each in self.left).encode())
        else:
            self._path.unlink(missing_ok=True)


def _line(key: str, upload: str) -> str:
    return json.dumps([key, upload]) + "\n"


class Run:
    """A run's folder. Raises OSError."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.folder = root / run_id
        self.folder.mkdir(mode=0o750, parents=True)
        self._alive = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self.lists: dict[str, KeyList] = {}

    def begin_lists(self) -> None:
        """Empty ones, in the place of those that there are."""
        for old in self.lists.values():
            old.close()
        self.lists = {name: KeyList(self.folder / f"{name}.jsonl.gz") for name in LISTS}

    def write(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """The report as it is now, with what the lists hold so far; given back as it was written."""
        for each in self.lists.values():
            each.flush()
        lists = {name: {"file": each.path.name, "lines": each.lines} for name, each in self.lists.items() if each.lines}
        whole = {**report, "lists": lists}
        write_atomically(self.folder / REPORT, json.dumps(whole, indent=1).encode())
        return whole

    def close(self) -> None:
        for each in self.lists.values():
            each.close()
            if not each.lines:
                each.path.unlink()
        os.close(self._alive)


class KeyList:
    """One JSON object a line, packed as it comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._file = gzip.open(path, "wb", compresslevel=6)  # noqa: SIM115 - closed with the run

    def add(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
        self.lines += 1

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def new_id(now: float) -> str:
    """Ids sort by time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(2)}"


def history(root: Path) -> list[dict[str, Any]]:
    """The reports of all runs, the last one first; without those that cannot be read. Raises Unreadable."""
    found = []
    try:
        names = sorted(os.listdir(root), reverse=True)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise Unreadable(f"{root} cannot be read ({exc.strerror})") from None
    for name in names:
        try:
            found.append(load(root, name))
        except Unreadable:
            continue
    return found


def load(root: Path, run_id: str) -> dict[str, Any]:
    """Raises Unreadable."""
    folder = root / run_id
    try:
        if "/" in run_id or not (folder / REPORT).is_file():
            raise Unreadable(f"there is no sync {run_id} in {root}")
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
        if report["state"] == RUNNING and not _lives(folder):
            report["state"] = KILLED
        told(report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise Unreadable(f"the report of {run_id} cannot be read ({type(exc).__name__})") from None
    return report


def _lives(folder: Path) -> bool:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
