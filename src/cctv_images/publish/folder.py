"""A folder as a store: a file per key, the rest in extended attributes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import mimetypes
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from cctv_images.clock import Clock, RealClock, iso
from cctv_images.errors import ConfigError, StoreError, plain
from cctv_images.publish.canary import try_out
from cctv_images.publish.folder_listing import Beyond, PassedOver, Walk
from cctv_images.publish.store import Entry, Lack, Publication, Receipt, Stat, StoredObject

T = TypeVar("T")

CALL_S = 25.0
LISTED, LIST_S = 1000, 600.0
"""So many entries are looked for at a time, in so many seconds. Before the first, all names of a folder are read."""
THREADS = 4
CLAIMS = 5
TEMPORARY = ".cctv-tmp"
NO_ATTRIBUTES = {errno.ENOTSUP, errno.EPERM, errno.ENOSYS}
TOO_LARGE = {errno.ERANGE, errno.E2BIG}
"""ext4 says ENOSPC, too, where there is room."""

REASONS: dict[int, tuple[str, str, bool]] = {
    errno.ENOSPC: ("full", "no space left", True),
    errno.EDQUOT: ("full", "over quota", True),
    errno.EROFS: ("denied", "the file system is read-only", False),
    errno.EACCES: ("denied", "no permission", False),
    errno.EPERM: ("denied", "no permission", False),
    errno.ENOENT: ("missing", "there is no such file", False),
    errno.ENOTDIR: ("refused", "a file stands where a folder should be", False),
    errno.EISDIR: ("refused", "a folder stands where the file should be", False),
    errno.EEXIST: ("refused", "something that is no folder stands there", False),
    errno.ELOOP: ("refused", "a link leads in a circle", False),
    errno.ENAMETOOLONG: ("refused", "the name is too long", False),
}


class Wanted:
    """Whether somebody still waits: a hung file system may let a call go on when a newer one has long been served."""

    def __init__(self) -> None:
        self._wanted = True

    def __enter__(self) -> Wanted:
        return self

    def __exit__(self, *_: object) -> None:
        self._wanted = False

    def check(self) -> None:
        if not self._wanted:
            raise StoreError("timeout", "nobody waited for it any more")


class FolderStore:
    """Each object is replaced in one rename: readers see the old or the new one, whole.

    It is not flushed to the disk: after a power cut the next cycle brings a new picture anyway.
    """

    exclusive = False
    file_mode, folder_mode = 0o644, 0o755
    beyond: Beyond | None = None

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="folder-store")
        self._changing = threading.Lock()

    @classmethod
    async def open(cls, path: Path, *, clock: Clock | None = None) -> FolderStore:
        """Makes the folder if its parent is there, and clears away what a crash left. Raises ConfigError.

        Another store on the same folder, in this process or another, is not disturbed.
        """
        if not path.is_absolute():
            raise ConfigError(f"the store's folder {path} is not an absolute path")
        store = cls(path, clock or RealClock())
        try:
            await store._in_thread(store._prepare)
        except StoreError as error:
            await store.close()
            if error.reason == "missing":
                raise ConfigError(f"the store's folder {path} is not there, nor is its parent") from None
            raise ConfigError(f"the store's folder {path} cannot be used: {error.detail}") from None
        return store

    async def put(self, publication: Publication) -> Receipt:
        path = self._path(publication.key)
        with Wanted() as wanted:
            return await self._in_thread(lambda: self._write(path, publication, wanted))

    async def head(self, key: str) -> Stat | None:
        path = self._path(key)
        return await self._in_thread(lambda: _stat(path))

    async def get(self, key: str) -> StoredObject:
        path = self._path(key)
        return await self._in_thread(lambda: _read(path, key))

    async def delete(self, key: str) -> None:
        path = self._path(key)
        with Wanted() as wanted:
            await self._in_thread(lambda: self._remove(path, wanted))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Folders that become empty go, too."""
        paths = [self._path(key) for key in keys]
        with Wanted() as wanted:
            await self._in_thread(lambda: self._remove_all(paths, wanted), LIST_S)

    async def canary(self, key: str, *, archive: bool = False) -> Sequence[Lack]:
        folder = self._path(key).parent
        read, write = f"read permission in {folder}", f"write permission in {folder}"
        rights = {"put": write, "get": read, "list": read, "delete": write}
        lost = f"the file system of {self.root} has no extended attributes: only body and captured-at are kept"
        return await try_out(self, key, rights, lost, self._clock, archive=archive)

    async def list(
        self, prefix: str = "", start_after: str = "", passed_over: PassedOver = lambda path, why: None
    ) -> AsyncIterator[Entry]:
        await self._in_thread(self._check_root)
        walk = iter(Walk(self.root, prefix, start_after, TEMPORARY, passed_over, self.beyond))
        while entries := await self._in_thread(lambda: [*islice(walk, LISTED)], LIST_S):
            for entry in entries:
                yield entry

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T], limit_s: float = CALL_S) -> T:
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise StoreError("timeout", f"the folder {self.root} did not answer within {limit_s:.0f} s") from None
        except OSError as exc:
            reason, why, transient = REASONS.get(exc.errno or 0, ("io", exc.strerror or "input/output error", True))
            place = exc.filename if isinstance(exc.filename, str | bytes) else self.root  # else a file's number
            raise StoreError(reason, f"{os.fsdecode(place)}: {why}", transient=transient) from None

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if "\0" in key or any(part in ("", ".", "..") or part.endswith(TEMPORARY) for part in parts):
            raise StoreError("refused", f"{key!r} is no key for a folder", transient=False)
        return self.root.joinpath(*parts)

    def _check_root(self) -> None:
        """Raises StoreError where the folder is known not to be the one that it was."""

    def _prepare(self) -> None:
        if not self.root.is_dir():
            self.root.mkdir()
            self.root.chmod(self.folder_mode)
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(".") and name.endswith(TEMPORARY):
                    unlink_unless_written(os.path.join(folder, name))

    def _write(self, path: Path, publication: Publication, wanted: Wanted) -> Receipt:
        now = self._clock.time()
        receipt = Receipt(
            publication.md5 or hashlib.md5(publication.body, usedforsecurity=False).hexdigest(),
            now,
            None if publication.ttl_s is None else now + publication.ttl_s,
        )
        temporary, fd = self._claimed(path)
        try:
            with open(fd, "wb", buffering=0):
                os.fchmod(fd, self.file_mode)
                _write_all(fd, path, publication, receipt)
                self._finish(fd, temporary, path, wanted, new=publication.new)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        return receipt

    def _finish(self, fd: int, temporary: Path, path: Path, wanted: Wanted, *, new: bool) -> None:
        """Gives what has been written its name."""
        with self._changing:
            wanted.check()
            os.replace(temporary, path)

    def _remove_all(self, paths: Sequence[Path], wanted: Wanted) -> None:
        for path in paths:
            self._remove(path, wanted)
        for folder in {path.parent for path in paths}:
            with suppress(OSError):  # not empty, or gone
                while folder != self.root:
                    folder.rmdir()
                    folder = folder.parent

    def _remove(self, path: Path, wanted: Wanted) -> None:
        with self._changing:
            wanted.check()
            path.unlink(missing_ok=True)

    def _claimed(self, path: Path) -> tuple[Path, int]:
        """A file of our own beside `path`. One may have been cleared away between its making and its lock."""
        for left in reversed(range(CLAIMS)):
            temporary = self._temporary(path)
            fd = self._create(temporary)
            if (_claim(fd) and os.fstat(fd).st_nlink) or not left:
                break
            temporary.unlink(missing_ok=True)
            os.close(fd)
        return temporary, fd

    def _temporary(self, path: Path) -> Path:
        return path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")

    def _create(self, temporary: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(temporary, flags, self.file_mode)
        except FileNotFoundError:
            if not self.root.is_dir():  # Unmounted, perhaps: never fill the disk behind the mount point.
                raise StoreError("unreachable", f"the folder {self.root} is not there any more") from None
            make_folders(temporary.parent, self.folder_mode)
            return os.open(temporary, flags, self.file_mode)


def _claim(fd: int) -> bool:
    """Until fd is closed, by whatever end of the process. False: another one writes there, or locks do not work."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unlink_unless_written(path: str) -> None:
    """A reload opens the store anew, and `check --online` does beside the daemon, while puts are under way."""
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if _claim(fd):
                os.unlink(path)
        finally:
            os.close(fd)


def make_folders(path: Path, mode: int) -> list[Path]:
    """Makes those that are missing, with that mode whatever the service's umask; returns them."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
    return missing


def keep_attributes(fd: int, path: Path, attributes: Mapping[str, str]) -> bool:
    """Whether the file system keeps any. path: what the file will be called. Raises OSError, and StoreError for one
    that is longer than the file system keeps them."""
    for name, value in attributes.items():
        try:
            os.setxattr(fd, f"user.{name}", value.encode())
        except OSError as exc:
            if exc.errno in NO_ATTRIBUTES:
                return False
            if exc.errno in TOO_LARGE or (exc.errno == errno.ENOSPC and os.fstatvfs(fd).f_bavail):
                why = f"the file system keeps no attribute as long as {plain(name, 40)}"
                raise StoreError("refused", f"{path}: {why}", transient=False) from None
            raise
    return True


def _write_all(fd: int, path: Path, publication: Publication, receipt: Receipt) -> None:
    rest = memoryview(publication.body)
    while rest:
        rest = rest[os.write(fd, rest) :]
    attributes = {
        "content-type": publication.content_type,
        "kind": publication.kind,
        "captured-at": iso(publication.captured_at),
        "expires": iso(receipt.expires_at) if receipt.expires_at else None,
        "error-state": publication.error_state,
        "content-md5": receipt.etag if publication.hashed else None,
    }
    keep_attributes(fd, path, {name: value for name, value in attributes.items() if value})
    os.utime(fd, (publication.captured_at, publication.captured_at))


def _stat(path: Path) -> Stat | None:
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        return None
    return Stat(len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())


def _read(path: Path, key: str) -> StoredObject:
    with path.open("rb") as file:
        body = file.read()
        try:
            names = [name for name in os.listxattr(file.fileno()) if name.startswith("user.")]
            metadata = {n.removeprefix("user."): os.getxattr(file.fileno(), n).decode(errors="replace") for n in names}
        except OSError as exc:
            if exc.errno not in NO_ATTRIBUTES:
                raise
            metadata = {}
    content_type = metadata.pop("content-type", None) or mimetypes.guess_type(key)[0] or "application/octet-stream"
    expires = metadata.pop("expires", None)
    moment = datetime.fromisoformat(expires).timestamp() if expires else None
    return StoredObject(key, body, content_type, moment, metadata)
