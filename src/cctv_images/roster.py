"""The cameras at work: one named task each, started, stopped, restarted and revived without touching the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog

from cctv_images.errors import ReasonClass
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet
from cctv_images.schedule import Timetable, first_delay
from cctv_images.states import CameraState, Health, revived
from cctv_images.worker import CameraWorker, Tools

log = structlog.get_logger()

PACE_S = 0.05
"""First cycles of cameras that come back together keep at least this distance on average."""


class Roster:
    """Owns the workers and their tasks; the fleet's records are theirs."""

    def __init__(
        self,
        fleet: Fleet,
        tools: Tools,
        interval_s: float,
        epoch_offset: float,
        restore: Callable[[CameraRecord], None] = lambda record: None,
    ) -> None:
        """restore: tells a new record what is known from before the start."""
        self.fleet = fleet
        self.tools = tools
        self.interval_s = interval_s
        self.epoch_offset = epoch_offset
        self.restore = restore
        self.workers: dict[str, CameraWorker] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()
        """Held from the end of old tasks to the start of new ones: never two tasks of one camera."""
        self._ended = False

    def start(self, cameras: Iterable[Camera], spread_s: float) -> None:
        """Starts tasks for cameras that have none; first cycles are spread over spread_s seconds."""
        for camera in cameras:
            self._start(self.enlist(camera), spread_s)

    def enlist(self, camera: Camera) -> CameraWorker:
        """A worker, without a task yet. What is known of a camera outlives a change of its row."""
        interval = camera.interval_s or self.interval_s
        record = self.fleet.cameras.get(camera.camera_id)
        if record is None:
            record = CameraRecord(camera, interval, since=self.tools.clock.time())
            self.restore(record)
        if set(camera.choices.masks) - set(record.camera.choices.masks):
            record.owed = True  # what is public shows what nobody may see any longer
        record.camera, record.interval_s, record.suspect = camera, interval, None
        if record.state.health is Health.PAUSED:
            record.state = CameraState(told=ReasonClass.SWITCHED_OFF if record.kind == "fallback" else None)
        self.fleet.cameras[camera.camera_id] = record
        worker = CameraWorker(record, self.tools, Timetable.of(camera.camera_id, interval, self.epoch_offset))
        self.workers[camera.camera_id] = worker
        return worker

    def _start(self, worker: CameraWorker, spread_s: float) -> None:
        camera_id, record = worker.record.camera.camera_id, worker.record
        if self._ended:
            return
        delay = first_delay(camera_id, spread_s, record.interval_s)
        self.tasks[camera_id] = asyncio.create_task(worker.run(delay), name=f"camera:{camera_id}")

    async def stop(self, camera_ids: Iterable[str]) -> None:
        """Ends the tasks of these cameras; a request under way is dropped, a put under way ends as the store says."""
        ending = [task for camera_id in camera_ids if (task := self.tasks.pop(camera_id, None))]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def restart(self, cameras: Iterable[Camera]) -> None:
        """Rows that changed: the old task ends before the new one asks anything."""
        changed = list(cameras)
        async with self._changing:
            await self.stop(camera.camera_id for camera in changed)
            for camera in changed:
                record = self.fleet.cameras[camera.camera_id]
                record.lenient = False
                if record.state.health is Health.DISABLED:
                    record.state = revived(record.state)
            self.start(changed, PACE_S * len(changed))

    async def pause(self, cameras: Mapping[str, Camera]) -> None:
        """Cameras that are not enabled in the inventory are shown, and not asked."""
        async with self._changing:
            await self.stop(cameras)
            for camera_id, camera in cameras.items():
                self.workers.pop(camera_id, None)
                new = CameraRecord(camera, camera.interval_s or self.interval_s)
                record = self.fleet.cameras.setdefault(camera_id, new)
                rests = record.state.health is Health.PAUSED
                if not rests:
                    record.since = self.tools.clock.time()
                more_masks = set(camera.choices.masks) - set(record.camera.choices.masks)
                # What is shown now is CCTV_REMOVED's matter; what may no longer be seen goes once it runs again.
                record.owed = bool(more_masks) or (rests and record.owed)
                record.camera, record.state, record.next_due = camera, CameraState(Health.PAUSED), None
                self.tools.doubts.likenesses.forget(camera_id)
                record.suspect = None

    async def remove(self, camera_ids: Iterable[str]) -> None:
        gone = list(camera_ids)
        async with self._changing:
            await self.stop(gone)
            for camera_id in gone:
                self.workers.pop(camera_id, None)
                self.fleet.cameras.pop(camera_id, None)
                self.tools.doubts.likenesses.forget(camera_id)

    def disabled(self) -> list[CameraRecord]:
        return [r for r in self.fleet.cameras.values() if r.state.health is Health.DISABLED]

    async def revive(self, records: Iterable[CameraRecord], why: str) -> list[str]:
        """Puts disabled cameras back to work; returns their ids."""
        async with self._changing:
            back = [r for r in records if r.state.health is Health.DISABLED and self._runs(r)]
            ids = [record.camera.camera_id for record in back]
            await self.stop(ids)
            for record in back:
                record.state = revived(record.state)
                self._log_revival(record, why)
                self._start(self.workers[record.camera.camera_id], PACE_S * len(back))
        return ids

    def _runs(self, record: CameraRecord) -> bool:
        """Whether it is still this very record that its camera's worker writes: a reload may have been faster."""
        worker = self.workers.get(record.camera.camera_id)
        return worker is not None and worker.record is record

    @staticmethod
    def _log_revival(record: CameraRecord, why: str) -> None:
        log.info(
            "camera_revived",
            camera_id=record.camera.camera_id,
            model=record.camera.model,
            health=record.state.health,
            error_state=record.state.error_state,
            failures=0,
            detail=why,
        )

    async def scout(self, records: Iterable[CameraRecord]) -> bool:
        """Asks a few disabled cameras once, each in its own task; whether half or more gave a picture.

        One that did goes on from there at once, whatever becomes of the others.
        """
        async with self._changing:
            scouts = [r for r in records if r.state.health is Health.DISABLED and not r.cycling and self._runs(r)]
            tasks = [asyncio.create_task(self._scout(r), name=f"scout:{r.camera.camera_id}") for r in scouts]
            self.tasks |= {r.camera.camera_id: task for r, task in zip(scouts, tasks, strict=True)}
        if tasks:
            await asyncio.wait(tasks)
        well = [r for r in scouts if r.state.health is Health.OK]
        return bool(scouts) and 2 * len(well) >= len(scouts)

    async def _scout(self, record: CameraRecord) -> None:
        worker = self.workers[record.camera.camera_id]
        await worker.turn(self.tools.clock.monotonic())
        if record.state.health is Health.OK:
            self._start(worker, record.interval_s)

    async def pay_debts(self) -> None:
        """Puts the fallbacks that are owed; the publisher paces them."""
        owing = [w for w in self.workers.values() if w.record.owed and not w.record.cycling]
        debts = [asyncio.create_task(w.pay_debt(), name=f"debt:{w.record.camera.camera_id}") for w in owing]
        if debts:
            await asyncio.wait(debts)
            for debt in debts:
                debt.result()

    async def drain(self, seconds: float) -> None:
        """Ends all tasks: sleeping ones at once, cycles under way when they are over or the time is."""
        self._ended = True
        for worker in self.workers.values():
            worker.last_turn = True
        asleep = [camera_id for camera_id in self.tasks if not self.fleet.cameras[camera_id].cycling]
        await self.stop(asleep)
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=seconds)
        await self.stop(list(self.tasks))
