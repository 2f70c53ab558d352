"""Where the inventory comes from: a file or an http(s) address, and the last good one kept for when that is out."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from cctv_images.clock import Clock
from cctv_images.errors import ConfigError
from cctv_images.files import write_atomically
from cctv_images.inventory.address import parse_address
from cctv_images.inventory.parse import Inventory, parse
from cctv_images.inventory.rows import Rules
from cctv_images.inventory.web import InventoryUnavailable, read_web

TIME_LIMIT_S = 30.0
MAX_BYTES = 32 * 2**20
LAST_GOOD = "inventory.last-good.json"

__all__ = ["InventorySource", "InventoryUnavailable", "Loaded"]

_MISTAKES = {
    errno.ENOENT: "does not exist",
    errno.EISDIR: "is a folder",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "may not be read by this user",
    errno.EPERM: "may not be read by this user",
    errno.ELOOP: "is a link that leads in circles",
    errno.ENAMETOOLONG: "has too long a name",
}
"""What is wrong with the path itself; every other error of reading (a share that is gone) is an outage."""


@dataclass(frozen=True, slots=True)
class Loaded:
    inventory: Inventory
    document: bytes
    """What it was read from, all pages as one."""
    saved_at: float | None = None
    """Epoch seconds at which it was kept, when it is the last good one; None when it is fresh."""


@dataclass(frozen=True, slots=True)
class InventorySource:
    """source is a path or an http(s) address; headers go to that address's host alone and may be secret."""

    source: str
    rules: Rules
    state_dir: Path
    clock: Clock
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    time_limit_s: float = TIME_LIMIT_S
    max_bytes: int = MAX_BYTES

    @property
    def name(self) -> str:
        """The source for people: without the query, which may hold a token."""
        return self.source.partition("?")[0] if self._is_web else self.source

    async def load(self) -> Loaded:
        """Reads and checks it, within the time limit.

        Raises ConfigError: missing, unreadable, a folder, too large, refused, malformed, empty.
        Raises InventoryUnavailable: an outage; the last good one serves meanwhile.
        """
        try:
            async with asyncio.timeout(self.time_limit_s):
                document = await (self._web() if self._is_web else asyncio.to_thread(self._file))
        except TimeoutError:
            raise InventoryUnavailable(f"{self.name} was not read within {self.time_limit_s:g} s.") from None
        return Loaded(await self._parse(document), document)

    async def keep(self, loaded: Loaded) -> str | None:
        """Keeps an inventory that was accepted as the last good one; not one that a reload refused.

        Returns None, or the sentence that says why it could not be kept.
        """
        text = loaded.document.decode("utf-8-sig")
        entry = {"source": self._fingerprint, "saved_at": self.clock.time(), "document": text}
        try:
            # Addresses are not public: for the service alone.
            await asyncio.to_thread(write_atomically, self.state_dir / LAST_GOOD, json.dumps(entry).encode(), 0o600)
        except OSError as error:
            return f"the last good inventory cannot be kept in {self.state_dir}: {os.strerror(error.errno or 0)}."
        return None

    async def last_good(self) -> Loaded | None:
        """The last good inventory of this very source, checked anew; None where there is none that can be used."""
        try:
            entry = json.loads(await asyncio.to_thread((self.state_dir / LAST_GOOD).read_bytes))
            if entry["source"] != self._fingerprint:
                return None
            document, saved_at = str(entry["document"]).encode(), float(entry["saved_at"])
            return Loaded(await self._parse(document), document, saved_at)
        except (OSError, ValueError, TypeError, KeyError, ConfigError):
            return None

    @property
    def _is_web(self) -> bool:
        return self.source.lower().startswith(("http://", "https://"))

    @property
    def _fingerprint(self) -> str:
        """Tells sources apart without repeating an address that may hold a token."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    async def _parse(self, document: bytes) -> Inventory:
        return await asyncio.to_thread(parse, document, source_name=self.name, rules=self.rules)

    async def _web(self) -> bytes:
        try:
            parse_address(self.source)
        except ValueError as error:
            raise ConfigError(f"CCTV_INVENTORY cannot be asked: {error}.") from None
        return await read_web(URL(self.source), self.headers, self.name, max_bytes=self.max_bytes)

    def _file(self) -> bytes:
        try:
            with open(self.source, "rb", opener=_open_at_once) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ConfigError(f"{self.name} is no file.")
                data = b"" if status.st_size > self.max_bytes else file.read(self.max_bytes + 1)
        except OSError as error:
            return self._unreadable(error)
        if status.st_size > self.max_bytes or len(data) > self.max_bytes:
            raise ConfigError(f"{self.name} is larger than {self.max_bytes // 2**20} MiB: that is no inventory.")
        return data

    def _unreadable(self, error: OSError) -> bytes:
        mistake = _MISTAKES.get(error.errno or 0)
        if mistake:
            raise ConfigError(f"{self.name} {mistake}.") from None
        raise InventoryUnavailable(f"{self.name} cannot be read: {os.strerror(error.errno or 0)}.") from None


def _open_at_once(path: str, flags: int) -> int:
    """Opening a pipe would otherwise wait for its writer for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
