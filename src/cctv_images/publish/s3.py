"""A bucket as a store."""

from __future__ import annotations

from cctv_images.clock import Clock
from cctv_images.publish.options import AwsSettings, S3Options
from cctv_images.publish.store import Publication, Receipt, StoredObject


class S3Store:
    @classmethod
    async def open(
        cls,
        bucket: str,
        prefix: str = "",
        *,
        aws: AwsSettings,
        options: S3Options | None = None,
        cache_control: str | None = None,
        pool: int = 128,
        clock: Clock | None = None,
    ) -> S3Store:
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
