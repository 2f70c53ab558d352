"""Nodes that share an archive tell each other, in small files beside the copies, what has to be the same on all."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from cctv_images.clock import Clock, iso
from cctv_images.errors import StoreError, plain
from cctv_images.publish import Store
from cctv_images.publish.store import Publication
from cctv_images.retain.archive import OURS
from cctv_images.settings import Settings

log = structlog.get_logger()

FOLDER = f"{OURS}/nodes/"
DAY_S = 86400.0
EVERY_S, AGAIN_S = 3600.0, 60.0
MAX_BYTES = 10_000


class Neighbours:
    """A difference is told once, as settings_differ, and again when it changes."""

    def __init__(self, settings: Settings, clock: Clock, store: Callable[[], Store]) -> None:
        """store: what the archive is at the moment."""
        self._clock = clock
        self._store = store
        place = hashlib.sha256(str(settings.state_dir.absolute()).encode()).hexdigest()[:6]
        self._node = f"{socket.gethostname()}-{place}"
        self._ours = must_agree(settings)
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreError:  # the archive's trouble is told by whoever puts copies there
                await self._clock.sleep(AGAIN_S)
            else:
                await self._clock.sleep(EVERY_S)

    async def look(self) -> None:
        """Writes our file and reads the others'. Raises StoreError."""
        store, now = self._store(), self._clock.time()
        body = json.dumps({"node": self._node, "at": iso(now), "settings": self._ours}, indent=1).encode()
        await store.put(Publication(self._key, body, "settings", now, None, content_type="application/json"))
        found = [entry async for entry in store.list(FOLDER) if entry.key != self._key and entry.size <= MAX_BYTES]
        for key in (entry.key for entry in found if now - entry.modified < DAY_S):
            if theirs := _read((await store.get(key)).body, now):
                self._compare(plain(key.removeprefix(FOLDER).removesuffix(".json"), 80), theirs)

    @property
    def _key(self) -> str:
        return f"{FOLDER}{self._node}.json"

    def _compare(self, node: str, theirs: Mapping[str, object]) -> None:
        names = [name for name in self._ours if name in theirs and theirs[name] != self._ours[name]]
        told = "; ".join(f"{name} is {self._ours[name]} here and {plain(theirs[name], 100)} there" for name in names)
        if told and told != self._told.get(node):
            log.warning("settings_differ", node=node, detail=told)
        self._told[node] = told


def must_agree(settings: Settings) -> dict[str, str]:
    """Setting -> value, as text, of what nodes with one archive have in common. No secret."""
    return {
        "CCTV_STORE": settings.store,
        "CCTV_KEY": settings.key,
        "CCTV_INTERVAL": f"{settings.interval:g}",
        "CCTV_ARCHIVE": settings.archive,
        "CCTV_ARCHIVE_CAMERAS": " ".join(sorted(settings.archive_cameras)),
        "CCTV_ARCHIVE_EVERY": str(settings.archive_every),
        "CCTV_ARCHIVE_DAYS": str(settings.archive_days),
        "AWS_REGION": settings.aws.region or "",
        "AWS_ENDPOINT_URL_S3": settings.aws.endpoint_url or "",
    }


def _read(body: bytes, now: float) -> Mapping[str, object] | None:
    """What another node has written; None for what is older than a day, or no such file."""
    try:
        told = json.loads(body)
        at, theirs = datetime.fromisoformat(told["at"]).timestamp(), told["settings"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return theirs if isinstance(theirs, dict) and now - at < DAY_S else None
