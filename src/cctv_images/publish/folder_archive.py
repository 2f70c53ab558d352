"""A folder for copies that are kept."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cctv_images.clock import Clock, RealClock
from cctv_images.errors import ConfigError, StoreError
from cctv_images.files import sync_folder
from cctv_images.publish.folder import TEMPORARY, FolderStore, Wanted, make_folders, unlink_unless_written

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}


class FolderArchive(FolderStore):
    """What is `new` replaces nothing, and each object is on the disk for good when `put` returns.

    Files are begun in a folder of ours at the top. Where that is missing this is not the folder that it was (a disk
    that is not mounted): nothing is written there, `put` and `list` raise StoreError("unreachable").
    """

    exclusive = True
    file_mode, folder_mode = 0o640, 0o750

    def __init__(self, root: Path, clock: Clock) -> None:
        super().__init__(root, clock)
        self._begun = root / TEMPORARY

    @classmethod
    async def open_archive(cls, path: Path, *, known: bool, clock: Clock | None = None) -> FolderArchive:
        """known: it has been in use before, so it is not made anew. Raises ConfigError for one that is not known."""
        archive = cls(path, clock or RealClock())
        try:
            await archive._in_thread(archive._clear if known else archive._prepare)
        except StoreError as error:
            if not known:
                await archive.close()
                raise ConfigError(f"the archive's folder {path} cannot be used: {error.detail}") from None
        return archive

    def _prepare(self) -> None:
        for folder in (self.root, self._begun):
            if not folder.is_dir():
                folder.mkdir()
                folder.chmod(self.folder_mode)
        self._clear()

    def _clear(self) -> None:
        for name in os.listdir(self._begun):
            unlink_unless_written(os.path.join(self._begun, name))

    def _check_root(self) -> None:
        if not self._begun.is_dir():
            why = f"{self.root} is not the folder that it was (a disk that is not mounted?): it lacks {TEMPORARY}"
            raise StoreError("unreachable", why)

    def _temporary(self, path: Path) -> Path:
        return self._begun / secrets.token_hex(8)

    def _create(self, temporary: Path) -> int:
        try:
            return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file_mode)
        except FileNotFoundError:
            self._check_root()
            raise

    def _finish(self, fd: int, temporary: Path, path: Path, wanted: Wanted, *, new: bool) -> None:
        os.fsync(fd)
        made = make_folders(path.parent, self.folder_mode)
        with self._changing:
            wanted.check()
            if new:
                _name_first(temporary, path)
            else:
                os.replace(temporary, path)
        for folder in (path.parent, *(new.parent for new in made)):
            sync_folder(folder)


def _name_first(temporary: Path, path: Path) -> None:
    """Like a rename that replaces nothing."""
    try:
        os.link(temporary, path)
    except OSError as exc:
        if exc.errno in NO_LINKS and not path.exists():
            os.rename(temporary, path)
            return
        if exc.errno in NO_LINKS | {errno.EEXIST}:
            raise StoreError("exists", f"{path} is taken", transient=False) from None
        raise
    with suppress(OSError):
        os.unlink(temporary)
