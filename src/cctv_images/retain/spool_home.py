"""Where a spool's entries lie, by archive; who may use it; and what would be orphaned there.

spool/lock                                     held by the one process that uses it
spool/<archive>/address                        names the archive that all entries below wait for
spool/<archive>/new/…                          being written; of no worth after a crash
spool/<archive>/20261122T1057/<entry>.jpg      accepted; the name says all that is known of it (spooled.py)
spool/<archive>/damaged/<entry>.jpg            what is no longer the bytes that were accepted, for a person to look at
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cctv_images.errors import ConfigError, plain
from cctv_images.retain.spooled import Spooled

HOME, MINUTE = re.compile("[0-9a-f]{12}"), re.compile(r"\d{8}T\d{4}")
LOCK_S = 2.0
"""How long to wait for a process that is being torn down."""


def tag(archive: str) -> str:
    """The name of the folder of what waits for it."""
    return hashlib.sha256(archive.encode()).hexdigest()[:12]


def is_known(root: Path, archive: str) -> bool:
    """Whether it has been in use before."""
    return (root / tag(archive)).is_dir()


def orphans_mistake(root: Path, archive: str) -> str | None:
    """The sentence of settings under which what waits for another archive would never be archived.

    archive: "" = none is kept. Raises OSError.
    """
    if not root.is_dir():
        return None
    for home in sorted(root.iterdir()):
        if home.name == tag(archive) or not HOME.fullmatch(home.name):
            continue
        if number := sum(1 for _ in scan(home)):
            now = f"is {plain(archive)}" if archive else "is not set"
            waiting = f"{number} pictures wait" if number > 1 else "one picture waits"
            return (
                f"CCTV_ARCHIVE {now}, and {waiting} in {home} for {_address(home)}: set it back until they have been "
                "archived, or move that folder away."
            )
    return None


def scan(home: Path) -> Iterator[Spooled]:
    """All entries, the oldest minute first. Entries may come and go meanwhile."""
    for folder in minutes(home):
        yield from in_folder(home / folder)


def minutes(home: Path) -> list[str]:
    """Names of the folders with entries."""
    return sorted(name for name in os.listdir(home) if MINUTE.fullmatch(name))


def in_folder(folder: Path) -> Iterator[Spooled]:
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for item in found:
            if entry := Spooled.of(item.name):
                yield entry


def locked(path: Path) -> int:
    """Holds the file's lock until the descriptor is closed. Raises ConfigError where another process has it."""
    lock, until = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(lock)
                raise ConfigError(
                    f"CCTV_STATE_DIR: the spool {path.parent} is in use by another process, the service perhaps."
                ) from None
        time.sleep(0.1)


def _address(home: Path) -> str:
    try:
        return plain((home / "address").read_text().strip())
    except OSError:
        return "another archive"
