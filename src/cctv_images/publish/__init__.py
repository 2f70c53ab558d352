"""Put pictures where people look, with an expiry.

open_store(settings) -> Store: what CCTV_STORE names. Publisher: what the cameras talk to.
"""

from __future__ import annotations

from typing import Protocol

from cctv_images.publish.options import AwsSettings, S3Options
from cctv_images.publish.publisher import Publisher
from cctv_images.publish.store import Publication, Receipt, Store, StoredObject

__all__ = [
    "AwsSettings",
    "Publication",
    "Publisher",
    "Receipt",
    "S3Options",
    "Store",
    "StoredObject",
    "open_store",
]


class StoreSettings(Protocol):
    """The part of the settings that a store needs."""

    @property
    def store(self) -> str: ...
    @property
    def s3_options(self) -> S3Options: ...
    @property
    def cache_control(self) -> str | None: ...
    @property
    def aws(self) -> AwsSettings: ...


async def open_store(settings: StoreSettings) -> Store:
    """Raises ConfigError for an address that cannot be one, with the nearest valid form. Asks the network nothing."""
    raise NotImplementedError
