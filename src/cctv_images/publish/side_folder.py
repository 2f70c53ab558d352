"""A folder as one side of a sync."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import mimetypes
import os
import re
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from io import FileIO
from pathlib import Path

from cctv_images.clock import iso
from cctv_images.errors import StoreError
from cctv_images.publish.folder import (
    CALL_S,
    NO_ATTRIBUTES,
    TEMPORARY,
    FolderStore,
    keep_attributes,
    unlink_unless_written,
)
from cctv_images.publish.folder_listing import OURS, Beyond, PassedOver
from cctv_images.publish.side import CARRIED, CHANGED, FIRST, LAST, THERE, About, Body, Side
from cctv_images.publish.store import Entry

AT_ONCE = 1 << 20
"""Bytes that are read or written at a time."""
HEADERS = {name.lower(): name for name in CARRIED}
METADATA = "x-amz-meta-"
"""Before the name of metadata that is called like a header."""
LEFT = re.compile(r"\.[0-9a-f]{16}\.cctv-tmp")
"""What a killed run can have left. Others that end so may be a person's."""
SHARED = re.compile(r"[a-z0-9_.-]+")
"""Names of attributes that can be names of metadata."""
SLOWEST = 4 << 20
"""Bytes per second at which a disk gives back what was written."""
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class FolderSide(FolderStore):
    """A source is only read. From a destination, what a killed run left half-written goes while it is listed.

    Files can be read by everybody if the folder can.
    """

    passed_over: PassedOver = staticmethod(lambda path, why: None)
    """Told the path below the folder."""
    writable = False
    keeps_attributes = True
    """False once a file system took none: then body and captured-at are all that is kept there."""
    folds = False
    """Whether the file system takes upper for lower case."""

    async def begin(self, *, writable: bool) -> None:
        """Raises StoreError where there is no such folder, or where it may not be written."""
        await self._in_thread(lambda: self._begin(writable))

    def leave_out(self, other: FolderSide) -> None:
        """Its objects are none of this one's, and nothing is written or deleted there, even if a link leads there."""
        self.beyond = Beyond(other._root, other.root.resolve())

    def holds(self, other: Side) -> bool:
        if not isinstance(other, FolderSide):
            return False
        path = other.root.resolve()
        return any(self.root.samefile(above) for above in (path, *path.parents))

    async def _still_there(self) -> None:
        """Raises StoreError where the root is not the folder that it was: its files would only seem to have gone."""
        if await self._in_thread(self._identity) != self._root:
            raise StoreError("unreachable", f"the folder {self.root} is not the one that it was", transient=False)

    async def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]:  # type: ignore[override]
        async for entry in super().list(prefix, start_after, self._pass_over):
            yield entry

    async def look(self, key: str) -> About | None:
        path = self._path(key)
        if (found := await self._in_thread(lambda: _look(path))) is None:
            await self._still_there()
        return found

    @asynccontextmanager
    async def reading(self, key: str) -> AsyncIterator[_Reading]:
        path = self._path(key)
        reading = await self._in_thread(lambda: _Reading(path, self._in_thread))
        with reading.file:
            yield reading

    async def write(self, key: str, body: Body, over: About | None) -> None:
        path, first = self._path(key), await body.part(AT_ONCE)
        if len(first) < AT_ONCE:
            body.verify()
            await self._in_thread(lambda: self._write_small(path, first, body.about, over))
            return
        temporary, fd = await self._claim(path)
        with FileIO(fd, "r+b") as file, _unlinked_unless_done(temporary):
            part = first
            while part:
                await self._in_thread(lambda: _write_all(file, part))  # noqa: B023 - awaited before it changes
                part = await body.part(AT_ONCE)
            md5 = body.verify()
            read_back_s = CALL_S + body.about.size / SLOWEST
            await self._in_thread(
                lambda: self._give_name(file, _md5(file) == md5, body.about, temporary, path, over), read_back_s
            )

    async def copy(self, source: Side, key: str, over: About | None) -> bool:
        return False

    async def _claim(self, path: Path) -> tuple[Path, int]:
        claiming = asyncio.ensure_future(self._in_thread(lambda: self._claimed(path)))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with suppress(StoreError, OSError):
                temporary, fd = await claiming
                os.close(fd)
                temporary.unlink()
            raise

    def _begin(self, writable: bool) -> None:
        self.writable = writable
        if not self.root.is_dir():
            raise StoreError("missing", f"there is no folder {self.root}", transient=False)
        self._root = self._identity()
        if not self.root.stat().st_mode & stat.S_IROTH:
            self.file_mode, self.folder_mode = 0o640, 0o750
        if writable:
            temporary, fd = self._claimed(self.root / "try")
            os.close(fd)
            self.folds = temporary.with_name(temporary.name.upper()).exists()
            temporary.unlink()

    def _identity(self) -> tuple[int, int]:
        found = os.stat(self.root)
        return found.st_dev, found.st_ino

    def _pass_over(self, path: str, why: str) -> None:
        name = os.path.basename(path.rstrip("/"))
        if why != OURS or not (name == TEMPORARY or LEFT.fullmatch(name)):
            self.passed_over(path[len(os.path.join(self.root, "")) :], why)
        elif self.writable and name != TEMPORARY and not self._is_forbidden(Path(path)):
            with suppress(OSError):  # no permission, or it is no file
                unlink_unless_written(path)

    def _is_forbidden(self, path: Path) -> bool:
        return self.beyond is not None and self.beyond.holds(path.parent)

    def _claimed(self, path: Path) -> tuple[Path, int]:
        if self._is_forbidden(path):
            raise StoreError("refused", f"{path}: a link leads into the other place", transient=False)
        return super()._claimed(path)

    def _write_small(self, path: Path, data: bytes, about: About, over: About | None) -> None:
        temporary, fd = self._claimed(path)
        with FileIO(fd, "r+b") as file, _unlinked_unless_done(temporary):
            _write_all(file, data)
            good = os.pread(fd, len(data) + 1, 0) == data
            self._give_name(file, good, about, temporary, path, over)

    def _give_name(
        self, file: FileIO, good: bool, about: About, temporary: Path, path: Path, over: About | None
    ) -> None:
        """good: whether it was read back as it should be. Raises OSError, StoreError. Nothing of it is seen before the
        last step."""
        if not good:
            raise StoreError("io", "what was written is not what is read back")
        os.fchmod(file.fileno(), self.file_mode)
        self.keeps_attributes = _describe(file.fileno(), path, about)
        if over is None:
            self._appear(temporary, path)
            return
        if self._is_twin(path):
            raise _twin(path)
        there = _look(path)
        if there is None or (there.size, there.modified) != (over.size, over.modified):
            raise StoreError(CHANGED, "it has been replaced at the destination")
        os.replace(temporary, path)

    def _appear(self, temporary: Path, path: Path) -> None:
        """Gives the file its name unless there is one of that name, in one step where the file system has links."""
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise self._there(path) from None
        except OSError as exc:
            if exc.errno not in NO_LINKS:
                raise
            with self._changing:
                if os.path.lexists(path):
                    raise self._there(path) from None
                os.rename(temporary, path)
        else:
            os.unlink(temporary)

    def _there(self, path: Path) -> StoreError:
        if path.is_dir():
            return StoreError("refused", f"{path}: a folder stands where the file should be", transient=False)
        if self._is_twin(path):
            return _twin(path)
        return StoreError(THERE, "an object is there already at the destination", transient=False)

    def _is_twin(self, path: Path) -> bool:
        return self.folds and path.name not in os.listdir(path.parent)


class _Reading:
    """Raises OSError where there is no such file. Its beginning, mostly the whole, is read at once."""

    def __init__(self, path: Path, in_thread: Callable[[Callable[[], bytes]], Awaitable[bytes]]) -> None:
        self.file = FileIO(path)
        try:
            self._before = os.fstat(self.file.fileno())
            self.about = _about(self.file.fileno(), self._before, path)
            self._in_thread = in_thread
            self._first = self._next(AT_ONCE)
            self._ended = len(self._first) == self.about.size and not self._next(1)
        except BaseException:
            self.file.close()
            raise

    async def read(self, size: int) -> bytes:
        if self._first or self._ended:
            some, self._first = self._first[:size], self._first[size:]
            return some
        return await self._in_thread(lambda: self._next(size))

    def _next(self, size: int) -> bytes:
        some = self.file.read(size) or b""
        now = os.fstat(self.file.fileno())
        if not some and (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
            raise StoreError(CHANGED, "the file changed while it was read")
        return some


def _twin(path: Path) -> StoreError:
    why = "the disk takes upper for lower case, and another key has this name"
    return StoreError("refused", f"{path}: {why}", transient=False)


@contextmanager
def _unlinked_unless_done(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _md5(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _look(path: Path) -> About | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError("refused", f"{path}: something stands there that is not a file", transient=False)
        return _about(fd, found, path)
    finally:
        os.close(fd)


def _about(fd: int, found: os.stat_result, path: Path) -> About:
    """A file's modification time is its captured-at where nothing else says it."""
    headers = {"Content-Type": mimetypes.guess_type(path.name)[0] or "application/octet-stream"}
    modified = min(max(found.st_mtime, FIRST), LAST)
    metadata = {"captured-at": iso(modified)}
    for name, value in _attributes(fd).items():
        if header := HEADERS.get(name):
            headers[header] = _http_date(value) if header == "Expires" else value
        else:
            metadata[name.removeprefix(METADATA)] = value
    return About(found.st_size, found.st_mtime, None, None, headers, metadata)


def _attributes(fd: int) -> dict[str, str]:
    """Those that can be headers."""
    try:
        names = [name for name in os.listxattr(fd) if name.startswith("user.")]
        found = {name.removeprefix("user."): os.getxattr(fd, name).decode(errors="replace") for name in names}
    except OSError as exc:
        if exc.errno not in NO_ATTRIBUTES:
            raise
        return {}
    return {name: value for name, value in found.items() if SHARED.fullmatch(name) and value.isprintable()}


def _describe(fd: int, path: Path, about: About) -> bool:
    """Whether the file system keeps more than body and time."""
    headers = {name.lower(): _iso_date(value) if name == "Expires" else value for name, value in about.headers.items()}
    metadata = {f"{METADATA if name in HEADERS else ''}{name}": value for name, value in about.metadata.items()}
    kept = keep_attributes(fd, path, {**headers, **metadata})
    os.utime(fd, (about.moment, about.moment))
    return kept


def _iso_date(value: str) -> str:
    """An Expires header as a folder store writes it; as it is where it is no date."""
    try:
        return iso(parsedate_to_datetime(value).timestamp())
    except (ValueError, OverflowError):
        return value


def _http_date(value: str) -> str:
    try:
        return format_datetime(datetime.fromisoformat(value).astimezone(UTC), usegmt=True)
    except (ValueError, OverflowError):
        return value
