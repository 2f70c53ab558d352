"""What the settings ask to be kept, put together; and whether store and archive are what the settings say."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import ConfigError, StoreError
from cctv_images.publish import Store, open_archive
from cctv_images.publish.store import Lack
from cctv_images.records import ArchiveRecord
from cctv_images.retain.archive import Archive
from cctv_images.retain.ledger import Ledger
from cctv_images.retain.spool import Spool
from cctv_images.retain.spool_home import is_known, orphans_mistake
from cctv_images.settings import Settings

log = structlog.get_logger()

PROVE_S = 10.0
"""What a canary may take; longer is an outage."""
OURS = ".cctv-images"
"""What is not a copy lies below this in the archive: no camera's id begins with a dot."""


def spool_folder(settings: Settings) -> Path:
    return settings.state_dir / "spool"


async def open_archiving(settings: Settings, clock: Clock, ledger: Ledger, record: ArchiveRecord) -> Archive | None:
    """None where nothing is kept. Raises ConfigError, also for what waits for another archive."""
    root = spool_folder(settings)
    if not settings.archive:
        if mistake := await asyncio.to_thread(orphans_mistake, root, ""):
            raise ConfigError(mistake)
        return None
    record.address, record.spool_limit = settings.archive, settings.spool_bytes
    store = await reopen_store(settings, clock)
    spool = Spool(root, settings.archive, settings.spool_bytes)
    try:
        trouble = await asyncio.to_thread(spool.open)
    except ConfigError:
        await store.close()
        raise
    if trouble:
        log.error("spool_failed", reason="start", detail=trouble)
    return Archive(
        spool,
        store,
        ledger,
        clock,
        record,
        cameras=settings.archive_cameras,
        every=settings.archive_every,
        when_full=settings.spool_full,
        rate=settings.archive_rate,
        connections=settings.archive_connections,
    )


async def reopen_store(settings: Settings, clock: Clock) -> Store:
    return await open_archive(settings, known=is_known(spool_folder(settings), settings.archive), clock=clock)


class Proof(NamedTuple):
    mistakes: list[str]
    """Sentences that name the variable."""
    outage: StoreError | None


async def prove_store(settings: Settings, store: Store) -> Proof:
    """Puts a canary where pictures are published."""
    key = settings.key.format(camera_id=f"cctv-images-canary-{secrets.token_hex(4)}")
    return await _prove(store, key, f"CCTV_STORE = {settings.store}", archive=False)


async def prove_archive(settings: Settings, store: Store) -> Proof:
    key = f"{OURS}/canary-{secrets.token_hex(4)}"
    return await _prove(store, key, f"CCTV_ARCHIVE = {settings.archive}", archive=True)


async def _prove(store: Store, key: str, name: str, *, archive: bool) -> Proof:
    try:
        async with asyncio.timeout(PROVE_S):
            lacks: Sequence[Lack] = await store.canary(key, archive=archive)
    except TimeoutError:
        return Proof([], StoreError("timeout", f"the canary was not through within {PROVE_S:.0f} s"))
    mistakes = [f"{name}: {lack.sentence}" for lack in lacks if lack.is_mistake]
    outage = next((lack.error for lack in lacks if lack.error), None)
    for lack in lacks:
        if not lack.error:
            log.warning("store_lacks", detail=f"{name}: {lack.sentence}")
    return Proof(mistakes, None if mistakes else outage)
