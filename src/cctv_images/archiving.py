"""What the settings ask to be kept, put together; and whether store and archive are what the settings say."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from cctv_images.clock import Clock
from cctv_images.errors import ConfigError, StoreError, plain
from cctv_images.neighbours import Neighbours
from cctv_images.publish import Publisher, Store, open_archive
from cctv_images.publish.store import Lack
from cctv_images.records import ArchiveRecord
from cctv_images.retain.archive import OURS, Archive
from cctv_images.retain.ledger import Ledger
from cctv_images.retain.reasons import LOSSES
from cctv_images.retain.spool import Spool
from cctv_images.retain.spool_home import is_known, orphans_mistake
from cctv_images.settings import Settings

log = structlog.get_logger()

PROVE_S = 10.0
"""What a canary may take; longer is an outage."""


def spool_folder(settings: Settings) -> Path:
    return settings.state_dir / "spool"


def orphans(settings: Settings) -> str | None:
    """The sentence of a spool whose pictures would never be archived, or that cannot be looked at."""
    try:
        return orphans_mistake(spool_folder(settings), settings.archive)
    except OSError as exc:
        return f"CCTV_STATE_DIR = {plain(settings.state_dir)}: the spool cannot be read ({exc.strerror})."


async def open_archiving(settings: Settings, clock: Clock, ledger: Ledger, record: ArchiveRecord) -> Archive | None:
    """None where nothing is kept. Raises ConfigError, also for what waits for another archive."""
    root = spool_folder(settings)
    if not settings.archive:
        if mistake := await asyncio.to_thread(orphans, settings):
            raise ConfigError(mistake)
        return None
    record.address, record.spool_limit = settings.archive, settings.spool_bytes
    record.lost = Counter(dict.fromkeys(LOSSES, 0))
    try:
        known = is_known(root, settings.archive)
    except OSError as exc:
        raise ConfigError(f"CCTV_STATE_DIR = {plain(settings.state_dir)}: {exc.strerror}.") from None
    store = await open_archive(settings, known=known, clock=clock)
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


async def prove(
    settings: Settings, store: Store, publisher: Publisher, archive: Archive | None, neighbours: Neighbours | None
) -> None:
    """Whether store and archive are what the settings say, by canaries; and what other nodes say.

    Raises ConfigError for what a person has to mend, with the variable's name; an outage is told and waited for.
    """
    token = secrets.token_hex(4)
    key = settings.key.format(camera_id=f"cctv-images-canary-{token}")
    canaries = [_canary(store.canary(key), f"CCTV_STORE = {settings.store}")]
    if archive:
        name = f"CCTV_ARCHIVE = {settings.archive}"
        canaries.append(_canary(archive.store.canary(f"{OURS}/canary-{token}", archive=True), name))
    stores, *archives = await asyncio.gather(*canaries)
    if mistakes := [sentence for proof in (stores, *archives) for sentence in proof.mistakes]:
        raise ConfigError(mistakes)
    if stores.outage:
        publisher.suspect(stores.outage)
    if archive and archives[0].outage:
        archive.suspect(archives[0].outage)
    elif neighbours:
        with suppress(StoreError, TimeoutError):  # looked at again beside the cycles
            async with asyncio.timeout(PROVE_S):
                await neighbours.look()


class _Proof(NamedTuple):
    mistakes: list[str]
    outage: StoreError | None


async def _canary(canary: Awaitable[Sequence[Lack]], name: str) -> _Proof:
    try:
        async with asyncio.timeout(PROVE_S):
            lacks = await canary
    except TimeoutError:
        return _Proof([], StoreError("timeout", f"the canary was not through within {PROVE_S:.0f} s"))
    for lack in lacks:
        if not lack.error:
            log.warning("store_lacks", detail=f"{name}: {lack.sentence}")
    mistakes = [f"{name}: {lack.sentence}" for lack in lacks if lack.is_mistake]
    return _Proof(mistakes, next((lack.error for lack in lacks if lack.error), None))
