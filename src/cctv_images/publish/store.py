"""What a store is: a few verbs over one value, the same for S3 and a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cctv_images.errors import StoreError


@dataclass(frozen=True, slots=True)
class Publication:
    """One object on its way to the store. `expires` is not here: it is computed at the upload, from ttl_s."""

    key: str
    body: bytes = field(repr=False)
    kind: str
    """"picture" or "fallback"."""
    captured_at: float
    """Epoch seconds, UTC: when the picture's first byte came, or when the fallback was called for."""
    ttl_s: float | None
    """Seconds from upload to Expires: the camera's interval. None: it does not expire."""
    error_state: str | None = None
    content_type: str = "image/jpeg"
    md5: str | None = None
    """Hex MD5 of the body where somebody has computed it already; else the store does."""
    new: bool = False
    """It must not replace anything: put raises StoreError("exists") where the key is taken, if the store can tell."""
    hashed: bool = False
    """Whether the MD5 stands in the metadata, too, as content-md5."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that the store has taken an object."""

    etag: str
    """Hex MD5 of the body, without quotes."""
    uploaded_at: float
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is in the store."""

    key: str
    body: bytes = field(repr=False)
    content_type: str
    expires: float | None
    metadata: dict[str, str]
    """captured-at, kind, error-state, content-md5."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says of an object without giving it."""

    size: int
    md5: str | None
    """Hex. Of the body as it is stored where the store can tell (a folder, an ETag), else of the metadata."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What a canary has found to be missing."""

    sentence: str
    error: StoreError | None = None
    """What the store answered; None where it answered well and did not keep what it was given."""

    @property
    def is_mistake(self) -> bool:
        """A person has to change a setting or a right; waiting does not help."""
        return self.error is not None and not self.error.transient and self.error.reason in MISTAKES


MISTAKES = frozenset({"denied", "keys", "missing", "no_bucket", "refused", "region"})


class Entry(NamedTuple):
    """An object as a listing knows it."""

    key: str
    size: int
    etag: str | None
    """As the store says it, without quotes; a folder has none. It is the MD5 only if it looks like one, and not even
    then where the bucket encrypts with keys of its own."""
    modified: float
    """Epoch seconds."""


class Store(Protocol):
    """All verbs raise StoreError; get raises StoreError("missing") for a key that is not there, head returns None.

    put returns only when the store's answer proves the object was taken (contract section 7); it makes one try:
    retries are the publisher's.
    """

    exclusive: bool
    """Whether `new` is known to be obeyed."""

    async def put(self, publication: Publication) -> Receipt: ...

    async def head(self, key: str) -> Stat | None: ...

    async def get(self, key: str) -> StoredObject: ...

    async def delete(self, key: str) -> None: ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Returns only when each of them is gone, or was not there. After an error some may be."""

    async def canary(self, key: str, *, archive: bool = False) -> Sequence[Lack]:
        """Writes, reads back, compares and deletes `key`; never raises StoreError. archive: as something that is
        kept, not shown: without expiry, and proven by a look without reading; finds out about `exclusive`."""

    async def close(self) -> None: ...

    def list(self, prefix: str = "", start_after: str = "") -> AsyncIterator[Entry]:
        """All objects whose key begins with `prefix` and is greater than `start_after`.

        Raises StoreError whenever it cannot go on: it never just ends. A folder and S3 itself list in the order of the
        keys' UTF-8 bytes, which is that of Python's strings; some servers do not (SeaweedFS: `cam/…` before `cam-1/…`).
        """
