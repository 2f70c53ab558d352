"""The archive: dated copies of verified pictures, behind a spool on the disk.

1. A picture is *accepted* when its file in the spool is written, flushed and named, and the folder flushed. What is
   accepted reaches the archive with exactly its bytes, or is named in the ledger as lost with a reason: through kill
   -9 at any instant, power cuts, full or read-only disks, and an outage of the archive while the spool has room.
2. It leaves the spool only when the archive has said of the copy that it has the picture's size and MD5, and the
   ledger has written that down, or could not within five seconds.
3. One picture has one name in the archive, {camera_id}/{YYYY}/{MM}/{DD}/{HHMMSS}Z.jpg, however often it is sent. No
   copy replaces another one: a different picture of the same second is called …Z-2.jpg; the spool decides that.
4. Nothing half-written is ever seen, in the spool or in the archive.
5. Keeping never delays publishing: a cycle hands its picture over in microseconds. What the disk cannot take in time,
   or what finds the spool full, is lost with a reason: counted, in the ledger, one log line until the spool is well.
6. While the archive catches up, every other copy is the newest there is; requests are bounded in number and in rate.
7. Only what was verified is archived, as it is published: no fallbacks, nothing unmasked. The public picture is never
   touched from here.
8. Where pictures wait for another archive than the one that is set, the service does not start (exit 78, their number).

Not promised: a picture between its capture and its acceptance (milliseconds; 32 MiB of them at most) is lost by a
crash. A disk that is lost, or that lies about flushing, takes the spool along. Two nodes that archive the same cameras
into one place are kept apart by the archive's conditional put; where it has none, two pictures of one second may meet
there. An archive that loses what it has confirmed is noticed by `ledger verify`, not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Literal, Protocol

from cctv_images.clock import Clock
from cctv_images.errors import StoreError
from cctv_images.publish.store import Store
from cctv_images.records import ArchiveRecord
from cctv_images.retain.drain import Drain
from cctv_images.retain.intake import Account, Intake
from cctv_images.retain.reasons import Kept
from cctv_images.retain.spool import Draft, Spool
from cctv_images.schedule import fraction

OURS = ".cctv-images"
"""What is not a copy lies below this in the archive: no camera's id begins with a dot."""


class Picture(Protocol):
    @property
    def data(self) -> bytes: ...
    @property
    def md5(self) -> str: ...


class Archive:
    """keep() is what cycles call, run() is a task of the service's household."""

    def __init__(
        self,
        spool: Spool,
        store: Store,
        account: Account,
        clock: Clock,
        record: ArchiveRecord,
        *,
        cameras: Collection[str],
        every: int,
        when_full: Literal["newest", "oldest"],
        rate: float,
        connections: int,
    ) -> None:
        """cameras: those to keep, none = all. every: keeps every so-manieth slot."""
        self._spool, self._account = spool, account
        self._clock, self._record = clock, record
        self._cameras, self._every = frozenset(cameras), every
        self._drain = Drain(spool, store, account, clock, record, rate=rate, at_once=connections)
        self._intake = Intake(spool, account, record, when_full, self._drain.on_accepted)
        self.look()

    def keep(self, camera_id: str, interval_s: float, slot: float, captured_at: float, picture: Picture) -> None:
        """Never waits and never raises. slot: epoch seconds, on the camera's phase."""
        if self._chooses(camera_id, interval_s, slot):
            self._intake.keep(Draft(camera_id, slot, captured_at, picture.data, picture.md5))
        else:
            self._account.kept(camera_id, slot, Kept.NOT_CHOSEN)

    def _chooses(self, camera_id: str, interval_s: float, slot: float) -> bool:
        """The same after every restart; a share of the slots is spread over all of them."""
        if self._cameras and camera_id not in self._cameras:
            return False
        own = fraction(camera_id)
        return round(slot / interval_s - own) % self._every == int(own * self._every)

    async def run(self) -> None:
        await self._drain.run()

    async def drain(self, limit_s: float) -> None:
        """Until the spool is empty, the archive in trouble, or the time over: for one who does not stay."""
        await asyncio.to_thread(self._intake.close)
        until = self._clock.monotonic() + limit_s
        running = asyncio.create_task(self._drain.run(), name="archive")
        while not self._drain.is_idle and self._record.ok and self._clock.monotonic() < until:
            await self._clock.sleep(0.1)
        running.cancel()
        await asyncio.wait([running])
        self.look()

    def suspect(self, error: StoreError) -> None:
        """It is known to be in trouble: that is told, and waited for."""
        self._drain.suspect(error)

    async def swap(self, store: Store) -> None:
        await self._drain.swap(store).close()

    @property
    def store(self) -> Store:
        return self._drain.store

    def look(self) -> None:
        """Brings the record's figures up to date."""
        self._record.spooled, self._record.spooled_bytes = self._spool.entries, self._spool.bytes

    async def close(self) -> None:
        """What is in memory goes to the spool, what is in the spool stays there."""
        await asyncio.to_thread(self._intake.close)
        await self._drain.close()
        await self.store.close()
        self._spool.close()
