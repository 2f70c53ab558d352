"""Put pictures where people look, with an expiry.

open_store(settings) -> Store: what CCTV_STORE names. open_archive(settings) -> Store: what CCTV_ARCHIVE names.
Publisher: what the cameras talk to.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from cctv_images.clock import Clock
from cctv_images.errors import ConfigError
from cctv_images.publish.folder import FolderStore
from cctv_images.publish.folder_archive import FolderArchive
from cctv_images.publish.options import AwsSettings, S3Options
from cctv_images.publish.publisher import Publisher
from cctv_images.publish.store import Entry, Publication, Receipt, Store, StoredObject

__all__ = [
    "AwsSettings",
    "Entry",
    "Publication",
    "Publisher",
    "Receipt",
    "S3Options",
    "Store",
    "StoredObject",
    "open_archive",
    "open_store",
]

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
FORM = "expected s3://bucket, s3://bucket/prefix or file:///folder"


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


class ArchiveSettings(Protocol):
    """The part of the settings that an archive needs."""

    @property
    def archive(self) -> str: ...
    @property
    def s3_options(self) -> S3Options: ...
    @property
    def archive_s3_options(self) -> S3Options | None: ...
    @property
    def aws(self) -> AwsSettings: ...


async def open_store(settings: StoreSettings, clock: Clock | None = None) -> Store:
    """Raises ConfigError for an address that cannot be one, with the nearest valid form. Asks the network nothing."""
    address = parse_address(settings.store)
    if isinstance(address, Path):
        try:
            return await FolderStore.open(address, clock=clock)
        except ConfigError as exc:
            raise ConfigError(f"CCTV_STORE = {settings.store}: {exc}.") from None
    return await _open_bucket(*address, settings.aws, settings.s3_options, settings.cache_control, clock)


async def open_archive(settings: ArchiveSettings, *, known: bool, clock: Clock | None = None) -> Store:
    """known: a folder has been in use before, so it is not made anew. Raises ConfigError; asks the network nothing."""
    address = parse_address(settings.archive)
    if isinstance(address, Path):
        try:
            return await FolderArchive.open_archive(address, known=known, clock=clock)
        except ConfigError as exc:
            raise ConfigError(f"CCTV_ARCHIVE = {settings.archive}: {exc}.") from None
    return await _open_bucket(*address, settings.aws, settings.archive_s3_options or settings.s3_options, None, clock)


async def _open_bucket(
    bucket: str, prefix: str, aws: AwsSettings, options: S3Options, cache_control: str | None, clock: Clock | None
) -> Store:
    from cctv_images.publish.s3 import S3Store  # half a second of botocore that commands without a store do not need

    return await S3Store.open(bucket, prefix, aws=aws, options=options, cache_control=cache_control, clock=clock)


def parse_address(text: str) -> Path | tuple[str, str]:
    """CCTV_STORE as a folder, or as bucket and prefix. Raises ConfigError."""
    if match := re.fullmatch(r"s3://([^/]*)/?(.*)", text):
        bucket, prefix = match[1], match[2].strip("/")
        _check_bucket(text, bucket, prefix)
        return bucket, prefix
    if match := re.fullmatch(r"file://(/.+)", text):
        return Path(unquote(match[1]))
    raise ConfigError(f"CCTV_STORE is {text!r}: {FORM}{_meant(text)}")


def _check_bucket(text: str, bucket: str, prefix: str) -> None:
    if not BUCKET.fullmatch(bucket) or ".." in bucket or re.fullmatch(r"[\d.]+", bucket):
        near = re.sub(r"[^a-z0-9.-]+", "-", bucket.lower()).strip("-.")
        meant = f"; did you mean s3://{near}/{prefix}".rstrip("/") + "?" if BUCKET.fullmatch(near) else ""
        rule = "a bucket's name is 3 to 63 of a-z 0-9 . - between letters or digits"
        raise ConfigError(f"CCTV_STORE is {text!r}: {rule}{meant}")
    if bucket.endswith("--x-s3"):
        raise ConfigError(f"CCTV_STORE is {text!r}: a directory bucket cannot show pictures to the public")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise ConfigError(f"CCTV_STORE is {text!r}: a prefix has no empty parts and no dots")


def _meant(text: str) -> str:
    if text.startswith("/"):
        return f"; did you mean file://{text}?"
    if match := re.fullmatch(r"(s3|file)[:/]*([^:/].*)", text, re.IGNORECASE):
        return f"; did you mean {'s3://' if match[1].lower() == 's3' else 'file:///'}{match[2]}?"
    return ""
