"""A folder as a store."""

from __future__ import annotations

from pathlib import Path

from cctv_images.clock import Clock
from cctv_images.publish.store import Publication, Receipt, StoredObject


class FolderStore:
    @classmethod
    async def open(cls, path: Path, *, clock: Clock | None = None) -> FolderStore:
        raise NotImplementedError

    async def put(self, publication: Publication) -> Receipt:
        raise NotImplementedError

    async def get(self, key: str) -> StoredObject:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def canary(self) -> list[str]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
