"""The files below a folder, in the order of S3's keys, however many there are."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cctv_images.errors import StoreError
from cctv_images.publish.side import NAME
from cctv_images.publish.store import Entry
from cctv_images.sorting import DiskSort

MAX_NAMES = 100_000
"""Names of one folder that are sorted in memory; more are sorted on the disk."""
OURS, SPECIAL, LOOP, ACROSS = "temporary file", "not a file", "link in a circle", "link into the other place"

PassedOver: TypeAlias = Callable[[str, str], None]
"""Told of what is no object: its path, and which of the above it is."""
Identity: TypeAlias = tuple[int, int]


class Beyond(NamedTuple):
    """Another folder, that a walk does not go into, nor through a link to what lies in it."""

    identity: Identity
    path: Path
    """Without links."""

    def holds(self, path: str | Path) -> bool:
        """Whatever links lead there."""
        return Path(os.path.realpath(path)).is_relative_to(self.path)  # resolve() raises for a link in a circle


class Walk:
    """An iterator over the entries whose key begins with `prefix` and is greater than `start_after`.

    Links are followed; what is gone when its turn comes is left out. Raises OSError, and StoreError where the root has
    become another folder meanwhile (unmounted, renamed): its files would be missing without an error.
    """

    def __init__(
        self,
        root: Path,
        prefix: str,
        start_after: str,
        ours: str,
        passed_over: PassedOver,
        beyond: Beyond | None = None,
    ) -> None:
        """ours: how names of temporary files end."""
        self._root = os.fsencode(root)
        self._prefix, self._after, self._ours = prefix.encode(), start_after.encode(), ours.encode()
        self._passed_over = passed_over
        self._beyond = beyond

    def __iter__(self) -> Iterator[Entry]:
        before = _identity(os.stat(self._root))
        yield from self._below(b"", (before,))
        if _identity(os.stat(self._root)) != before:
            raise StoreError("unreachable", f"the folder {os.fsdecode(self._root)} is another one than before")

    def _below(self, folder: bytes, above: tuple[Identity, ...]) -> Iterator[Entry]:
        """folder: a path below the root that ends in a slash, or nothing. above: those it lies in."""
        for name in self._sorted_names(folder):
            path = folder + name
            found = self._stat(path)
            if found is None:
                continue
            if name.endswith(b"/"):
                identity = _identity(found)
                if self._leads_beyond(path, identity):
                    self._pass_over(path, ACROSS)
                elif identity in above:
                    self._pass_over(path, LOOP)
                else:
                    yield from self._below(path, (*above, identity))
            elif not stat.S_ISREG(found.st_mode):
                self._pass_over(path, SPECIAL)
            else:
                yield Entry(path.decode(), found.st_size, None, found.st_mtime)

    def _sorted_names(self, folder: bytes) -> Iterator[bytes]:
        names = self._names(folder)
        some = [*islice(names, MAX_NAMES + 1)]
        if len(some) <= MAX_NAMES:
            some.sort()
            yield from some
        else:
            with closing(DiskSort(1)) as sort:
                sort.add((name,) for name in chain(some, names))
                for (name,) in sort.sorted():
                    yield name

    def _names(self, folder: bytes) -> Iterator[bytes]:
        """Those that may hold something wanted; a folder's ends in a slash, as it does in the keys."""
        try:
            scan = os.scandir(os.path.join(self._root, folder))
        except (FileNotFoundError, NotADirectoryError):
            if folder:
                return
            raise
        with scan:
            for item in scan:
                name = item.name + b"/" if _leads_to_folder(item) else item.name
                path = folder + name
                if item.name.endswith(self._ours):
                    self._pass_over(path, OURS)
                elif self._is_wanted(path):
                    try:
                        name.decode()
                    except UnicodeDecodeError:
                        self._pass_over(path, NAME)
                    else:
                        yield name

    def _is_wanted(self, path: bytes) -> bool:
        if not path.endswith(b"/"):
            return path.startswith(self._prefix) and path > self._after
        size = min(len(path), len(self._prefix))
        return path[:size] == self._prefix[:size] and path >= self._after[: len(path)]

    def _leads_beyond(self, folder: bytes, identity: Identity) -> bool:
        if self._beyond is None:
            return False
        path = os.fsdecode(os.path.join(self._root, folder.rstrip(b"/")))
        return identity == self._beyond.identity or (os.path.islink(path) and self._beyond.holds(path))

    def _stat(self, path: bytes) -> os.stat_result | None:
        try:
            return os.stat(os.path.join(self._root, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
            self._pass_over(path, LOOP)
            return None

    def _pass_over(self, path: bytes, why: str) -> None:
        self._passed_over(os.fsdecode(os.path.join(self._root, path)), why)


def _leads_to_folder(item: os.DirEntry[bytes]) -> bool:
    try:
        return item.is_dir()
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        return False


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
