"""A store as one side of a sync: objects with all that belongs to them, created only where there is none."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cctv_images.errors import StoreError
from cctv_images.publish.store import Entry

WHOLE = 8 << 20
"""Bytes of the largest object that goes to S3 in one piece. A camera's picture never is larger, so that its ETag stays
its MD5."""
PART = 5 << 20
"""Of a larger one, what is held and sent at a time: the least that S3 takes."""
CARRIED = (
    "Content-Type",
    "Expires",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
)
"""Headers that belong to an object, besides its metadata."""
THERE, CHANGED = "there", "changed"
"""Reasons of StoreErrors: an object is there that should not be; it is not the one that was seen."""
NAME = "name is not UTF-8"
"""Why a file of a folder can have no key."""
HASHED_IN_LOOP = 1 << 20
FIRST, LAST = 0.0, 253_402_300_799.0
"""Epoch seconds that can be a date up to the year 9999; what other software writes beside an object may be any."""


@dataclass(frozen=True, slots=True)
class About:
    """An object without its bytes."""

    size: int
    modified: float
    """Epoch seconds."""
    etag: str | None
    md5: str | None
    """Hex; None where the store does not say."""
    headers: Mapping[str, str]
    """Those of CARRIED that it has."""
    metadata: Mapping[str, str]

    @property
    def captured_at(self) -> float | None:
        try:
            moment = datetime.fromisoformat(self.metadata["captured-at"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return None
        return moment if FIRST <= moment <= LAST else None

    @property
    def moment(self) -> float:
        """By which it is newer or older than another one."""
        return self.modified if self.captured_at is None else self.captured_at


class Reading(Protocol):
    about: About

    async def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end. Raises StoreError."""


class Body:
    """The bytes of one object on their way: counted and hashed, and paced where a rate was asked for."""

    def __init__(self, reading: Reading, pace: Callable[[int], Awaitable[None]]) -> None:
        self.about = reading.about
        self._reading = reading
        self._pace = pace
        self._size = 0
        self._hash = hashlib.md5(usedforsecurity=False)

    async def part(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end. Raises StoreError."""
        pieces, missing = list[bytes](), size
        while missing and (some := await self._reading.read(missing)):
            await self._pace(len(some))
            pieces.append(some)
            missing -= len(some)
        part = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._size += len(part)
        if len(part) <= HASHED_IN_LOOP:
            self._hash.update(part)
        else:
            await asyncio.to_thread(self._hash.update, part)
        return part

    def verify(self) -> str:
        """The MD5, once all was read. Raises StoreError unless it is what the source said it would be."""
        md5 = self._hash.hexdigest()
        if self._size != self.about.size:
            raise StoreError(CHANGED, f"{self._size} bytes were read instead of {self.about.size}")
        if self.about.md5 not in (None, md5):
            raise StoreError(CHANGED, "what was read does not have the hash that the source says")
        return md5


class Side(Protocol):
    """All raise StoreError. Nothing here deletes."""

    async def begin(self, *, writable: bool) -> None:
        """Looks whether the place is there, and may be written if it should be."""

    def holds(self, other: Side) -> bool:
        """Whether the other one is at the same place, or inside this one."""

    def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]: ...

    async def look(self, key: str) -> About | None:
        """None: there is no such object."""

    def reading(self, key: str) -> AbstractAsyncContextManager[Reading]: ...

    async def write(self, key: str, body: Body, over: About | None) -> None:
        """Puts an object with its headers and metadata, proven by size and hash, whole or not at all. over: what it may
        replace; None creates it. Raises StoreError(THERE) where there is one already, CHANGED where `over` has gone."""

    async def copy(self, source: Side, key: str, over: About | None) -> bool:
        """Like write, without the bytes passing through here; False where that cannot be done."""

    async def close(self) -> None: ...
