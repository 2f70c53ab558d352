"""The disk in front of the archive: what is in it is there for good until it is removed. Layout: spool_home.py."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

from cctv_images.errors import ConfigError
from cctv_images.files import sync_folder, write_atomically
from cctv_images.retain.reasons import FAILED, FULL
from cctv_images.retain.spool_home import in_folder, locked, minutes, orphans_mistake, scan, tag
from cctv_images.retain.spooled import Spooled, stamp

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
MISTAKES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}
"""A person has to change something."""
PAGE = 1000
RESERVE_BYTES, RESERVE_SHARE = 64 << 20, 20
"""Of the disk so much stays free, a twentieth at most: the ledger must be able to write down what was lost."""
OPEN_FOLDERS = 4
"""Minutes whose entries are known by heart: the clock may have been set back."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A picture that asks to be accepted."""

    camera_id: str
    slot: float
    captured_at: float
    data: bytes = field(repr=False)
    md5: str


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str
    """spool_full or spool_failed."""
    detail: str


class Damaged(Exception):
    """What was read is not what was accepted."""


class Spool:
    """Raises OSError where it says nothing else. Any thread may call; only one accepts."""

    def __init__(self, root: Path, archive: str, limit: int) -> None:
        self.home = root / tag(archive)
        self.limit = limit
        self.entries = 0
        self.bytes = 0
        self._root, self._archive = root, archive
        self._counting = threading.Lock()
        self._naming = threading.Lock()
        """Held while names are given, and while folders are taken away."""
        self._numbers = count()
        self._folders: OrderedDict[str, dict[tuple[str, str], list[str]]] = OrderedDict()
        """Folder -> camera and second -> MD5s in the order of their numbers, for those last written to."""
        self._lock: int | None = None
        self._counted = self._proven = False

    def open(self) -> str:
        """Counts what is there; returns the trouble with the disk, if any: it is tried again with each picture.

        Raises ConfigError where another process has the spool, entries wait for another archive, or a right is missing.
        """
        try:
            if mistake := orphans_mistake(self._root, self._archive):
                raise ConfigError(mistake)
            self._furnish()
        except OSError as exc:
            if exc.errno in MISTAKES:
                raise ConfigError(f"CCTV_STATE_DIR: {exc.filename or self._root}: {exc.strerror}.") from None
            return exc.strerror or type(exc).__name__
        return ""

    def _furnish(self) -> None:
        """Takes the lock, removes what is half-written, counts; then proves the disk."""
        new = self.home / "new"
        if self._lock is None:
            for folder in (self._root, self.home, new):
                folder.mkdir(0o750, exist_ok=True)
            self._lock = locked(self._root / "lock")
        if not self._counted:
            for name in os.listdir(new):
                os.unlink(new / name)
            sizes = [entry.size for entry in self.scan()]
            self._count(len(sizes), sum(sizes))
            self._counted = True
        if not self._proven:
            if not (self.home / "address").exists():
                write_atomically(self.home / "address", f"{self._archive}\n".encode())
            for folder in (self.home, self._root, self._root.parent):
                sync_folder(folder)
            canary = os.urandom(32)
            _write_flushed(new / "canary", canary)
            read = (new / "canary").read_bytes()
            (new / "canary").unlink()
            if read != canary:
                raise OSError(errno.EIO, "what is read back is not what was written", str(new))
            self._proven = True

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- in ---

    def accept(self, drafts: Sequence[Draft]) -> list[Spooled | Refused]:
        """Returns when each is on the disk for good: written, flushed, named, and the folder flushed; or refused."""
        try:
            self._furnish()
        except OSError as exc:
            return [_refusal(exc)] * len(drafts)
        results: list[Spooled | Refused] = []
        folders: dict[str, list[int]] = {}
        for draft in drafts:
            try:
                result: Spooled | Refused = self._no_room(len(draft.data)) or self._place(draft)
            except OSError as exc:
                result = _refusal(exc)
            if isinstance(result, Spooled):
                folders.setdefault(result.folder, []).append(len(results))
            results.append(result)
        for folder, places in folders.items():
            try:
                sync_folder(self.home / folder)
            except OSError as exc:
                for place in places:
                    self._take_back(results[place])
                    results[place] = _refusal(exc)
        return results

    def _no_room(self, size: int) -> Refused | None:
        if self.bytes + size > self.limit:
            return Refused(FULL, f"its limit is {self.limit} bytes")
        disk = os.statvfs(self.home)
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_SHARE)
        if disk.f_bavail * disk.f_frsize - size < reserve:
            return Refused(FULL, f"the disk is full but for a reserve of {reserve >> 20} MiB")
        return None

    def _place(self, draft: Draft) -> Spooled:
        """All but the last flush."""
        temporary = self.home / "new" / str(next(self._numbers))
        try:
            _write_flushed(temporary, draft.data)
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            _write_flushed(temporary, draft.data)  # a new file: after a failed flush nobody knows what the old one has
        with self._naming:
            try:
                entry = self._named(draft)
                was_there = os.path.exists(self._path(entry))
                os.rename(temporary, self._path(entry))
            except OSError:
                _forget(temporary)
                raise
        if not was_there:
            self._count(1, entry.size)
        return entry

    def _named(self, draft: Draft) -> Spooled:
        """Its number is decided here, for as long as it lies in the spool."""
        entry = Spooled(draft.camera_id, stamp(draft.captured_at), 1, draft.slot, len(draft.data), draft.md5)
        moments = self._moments(entry.folder)
        others = moments.setdefault(entry.moment, [])
        if entry.md5 not in others:
            others.append(entry.md5)
        return replace(entry, number=others.index(entry.md5) + 1)

    def _moments(self, folder: str) -> dict[tuple[str, str], list[str]]:
        """Makes the folder, too."""
        if (known := self._folders.get(folder)) is None:
            known = {}
            for entry in sorted(in_folder(self.home / folder), key=lambda entry: entry.number):
                numbered = known.setdefault(entry.moment, [])
                numbered += [""] * (entry.number - len(numbered))
                numbered[entry.number - 1] = entry.md5
            self._folders[folder] = known
            if len(self._folders) > OPEN_FOLDERS:
                self._folders.popitem(last=False)
        self._folders.move_to_end(folder)
        path = self.home / folder
        if not path.is_dir():
            path.mkdir(0o750)
            try:
                sync_folder(self.home)
            except OSError:
                path.rmdir()
                raise
        return known

    def _take_back(self, entry: Spooled | Refused) -> None:
        """One whose folder could not be flushed: if it is there after a crash, it is archived all the same."""
        if isinstance(entry, Spooled):
            with suppress(OSError):
                self.remove([entry])

    # --- out ---

    def scan(self) -> Iterator[Spooled]:
        return scan(self.home)

    def pages(self) -> Iterator[list[Spooled]]:
        """The same, so many at a time."""
        entries = self.scan()
        while page := [*islice(entries, PAGE)]:
            yield page

    def read(self, entry: Spooled) -> bytes:
        """Raises Damaged; FileNotFoundError when it has gone."""
        with open(self._path(entry), "rb", buffering=0) as file:
            data = file.read()
        if len(data) != entry.size or hashlib.md5(data, usedforsecurity=False).hexdigest() != entry.md5:
            raise Damaged(entry.name)
        return data

    def renumber(self, entry: Spooled) -> Spooled:
        """For one whose number is another picture's in the archive: the next that is free, for good."""
        with self._naming:
            taken = [other.number for other in in_folder(self.home / entry.folder) if other.moment == entry.moment]
            renumbered = replace(entry, number=max(taken, default=entry.number) + 1)
            os.rename(self._path(entry), self._path(renumbered))
            sync_folder(self.home / entry.folder)
            self._folders.pop(entry.folder, None)  # is read again
        return renumbered

    def remove(self, entries: Iterable[Spooled]) -> None:
        """Those that are gone already are passed over."""
        for entry in entries:
            with suppress(FileNotFoundError):
                os.unlink(self._path(entry))
                self._count(-1, -entry.size)

    def sweep(self) -> None:
        """Removes folders that have become empty, but for those that are still written to."""
        for folder in minutes(self.home):
            with self._naming, suppress(OSError):
                if folder not in self._folders:
                    os.rmdir(self.home / folder)

    def set_aside(self, entry: Spooled) -> None:
        (self.home / "damaged").mkdir(0o750, exist_ok=True)
        with suppress(FileNotFoundError):
            os.rename(self._path(entry), self.home / "damaged" / entry.name)
            self._count(-1, -entry.size)

    def oldest(self, size: int) -> list[Spooled]:
        """The oldest entries that make so many bytes together."""
        found: list[Spooled] = []
        for folder in minutes(self.home):
            for entry in sorted(in_folder(self.home / folder), key=lambda entry: entry.stamp):
                if size <= 0:
                    return found
                found.append(entry)
                size -= entry.size
        return found

    # --- inside ---

    def _path(self, entry: Spooled) -> str:
        return f"{self.home}/{entry.folder}/{entry.name}"

    def _count(self, entries: int, size: int) -> None:
        with self._counting:
            self.entries += entries
            self.bytes += size


def _write_flushed(path: Path, data: bytes) -> None:
    """Leaves nothing behind where it fails."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640), "wb", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
    except OSError:
        _forget(path)
        raise


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _refusal(exc: OSError) -> Refused:
    return Refused(FULL if exc.errno in NO_ROOM else FAILED, exc.strerror or type(exc).__name__)
