"""One camera's task: `run` for ever, `cycle` once. The only file that knows the road from camera to store."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from cctv_images.acquire import FetchCycle, Still
from cctv_images.choices import FULL, RenditionSpec
from cctv_images.clock import Clock
from cctv_images.doubts import Doubts
from cctv_images.errors import OUR_NETWORK, CameraError, ErrorState, ReasonClass, StoreError
from cctv_images.inventory.camera import Camera
from cctv_images.process.cards import USUAL_SIZE, Card
from cctv_images.process.content import Look
from cctv_images.process.render import Picture, Processed, Rendition
from cctv_images.publish.store import Publication, Receipt
from cctv_images.records import CameraRecord, CycleRecord, Fleet
from cctv_images.retain.reasons import OVERRUN, STORE, UPLINK
from cctv_images.schedule import Timetable
from cctv_images.states import CameraState, Failure, Health, Policy, Show, Step, after_failure, after_picture
from cctv_images.uplink import WINDOW_S, UplinkGate, Verdict

log = structlog.get_logger()

BACKOFF_CAP_S = 30.0
BUSY_PAUSE_S = 5.0
"""A busy camera is asked again no sooner than this within a cycle."""
DEBT_TRY_S = 25.0
LAST_MOMENT_S = 1.0
"""Before the next slot: a put that has waited in vain for so long ends here, and costs no slot."""


class Fetches(Protocol):
    async def fetch(self, camera: Camera, cycle: FetchCycle) -> Still: ...


class Processes(Protocol):
    async def room(self) -> None: ...

    async def process(self, data: bytes, camera: Camera, captured_at: float) -> Processed: ...


class FallsBack(Protocol):
    async def renditions(self, card: Card, specs: tuple[RenditionSpec, ...]) -> tuple[Rendition, ...]: ...


class Publishes(Protocol):
    async def put(self, camera_id: str, publication: Publication, deadline_s: float, behind: int) -> Receipt: ...


class Accounts(Protocol):
    """Takes down what became of a slot. Waits for nothing and raises nothing."""

    def cycle(self, camera_id: str, slot: float, *, captured: bool, published: bool, reason: str | None) -> None: ...

    def skipped(self, camera_id: str, slot: float, reason: str) -> None: ...


@dataclass(slots=True)
class Tools:
    """What all workers share. Built once, by process_images."""

    clock: Clock
    acquirer: Fetches
    processor: Processes
    publisher: Publishes
    fleet: Fleet
    gate: UplinkGate
    policy: Policy
    fallback: FallsBack
    key: str
    """Template of the object key, with {camera_id}."""
    attempts: int
    backoff_s: float
    timeout_s: float
    account: Accounts | None = None
    doubts: Doubts = field(default_factory=Doubts)
    keep: Callable[[str, float, float, float, Picture], None] | None = None
    """Called with camera_id, interval_s, slot, captured_at and each verified picture, where there is an archive."""
    on_uplink: Callable[[str], None] = lambda event: None
    keep_copy: Callable[[str, bytes], None] | None = None
    """Called with key and body of what the store has taken as `full`, where the page cannot read the store itself."""


class CameraWorker:
    """Runs one camera. Writes its record; touches nothing of another camera."""

    def __init__(self, record: CameraRecord, tools: Tools, timetable: Timetable) -> None:
        self.record = record
        self.tools = tools
        self.timetable = timetable
        self.log = log.bind(camera_id=record.camera.camera_id, model=record.camera.model or record.camera.recipe)
        self._vouched = False
        """The camera gave a picture in its last cycle that counted: its results speak for our network."""
        self._suspicion = tools.doubts.begin(record.camera)
        self._overran = False
        self.last_turn = False
        """Set to end the task when the cycle under way is over."""
        self.slot = 0.0
        """Epoch seconds of the slot that the cycle under way belongs to."""

    async def run(self, first_delay_s: float) -> None:
        """One cycle per slot until the camera is disabled or the task is cancelled."""
        clock, record = self.tools.clock, self.record
        slot = clock.monotonic() + first_delay_s
        while True:
            record.next_due = slot
            await clock.sleep(slot - clock.monotonic())
            await self.turn(slot)
            if record.state.health is Health.DISABLED or self.last_turn:
                record.next_due = None
                return
            slot, missed = self.timetable.next_slot(slot, clock.monotonic())
            self._account_for(missed, slot)

    async def turn(self, slot: float) -> None:
        """One cycle. Whatever goes wrong in it, the next one comes."""
        self.record.cycling = True
        self.slot = self._slot_of(slot)
        try:
            await self.cycle(slot)
        except Exception as exc:  # noqa: BLE001 - the last net between one camera and the rest
            self._account(captured=False, reason=self._report_internal(exc).state)
        finally:
            self.record.cycling = False

    async def cycle(self, slot: float) -> None:
        """fetch -> process -> publish, or the fallback; at most until the camera's next slot."""
        tools, record, started = self.tools, self.record, self.tools.clock.monotonic()
        following = self.timetable.slot_after(slot + self.timetable.interval_s / 2)
        deadline = max(following - LAST_MOMENT_S, started + DEBT_TRY_S)
        if record.owed and tools.fleet.store.ok:
            await self.pay_debt()
        memory = FetchCycle()
        try:
            processed, captured_at = await self._capture(memory, deadline + LAST_MOMENT_S)
        except CameraError as exc:
            error = exc.with_traceback(None)  # which would hold this frame, and this frame the error
        except Exception as exc:  # noqa: BLE001 - whatever a camera provokes becomes an error_state
            error = self._report_internal(exc)
        else:
            done = self._cycle_record(slot, started, memory.attempts, picture=processed.picture)
            return await self._pictured(processed, captured_at, done, deadline)
        done = self._cycle_record(slot, started, memory.attempts, error=error)
        await self._failed(Failure.of(error), done, deadline)

    async def _capture(self, memory: FetchCycle, deadline: float) -> tuple[Processed, float]:
        """Up to `attempts` tries with backoff, none that could not be over by the deadline; raises the last
        CameraError. Most cameras answer at once: building an AsyncRetrying for that costs a twentieth of a cycle."""
        tools = self.tools
        while True:
            memory.attempts += 1
            try:
                return await self._attempt(memory)
            except CameraError as error:
                pause = self._pause(error, memory.attempts)
                late = tools.clock.monotonic() + pause + tools.timeout_s > deadline
                if late or memory.attempts >= tools.attempts or not error.state.meaning.retry:
                    raise
                facts = {"error_state": error.state, "detail": error.detail, "attempt": memory.attempts}
            self.log.debug("attempt_failed", **facts)
            await tools.clock.sleep(pause)

    async def _attempt(self, memory: FetchCycle) -> tuple[Processed, float]:
        """What is raised holds no frame and so no byte of the answer: it is kept until the next attempt is over."""
        await self.tools.processor.room()
        still = await self.tools.acquirer.fetch(self.record.camera, memory)
        self.record.lenient = still.lenient
        try:
            processed = await self.tools.processor.process(still.data, self.record.camera, still.captured_at)
            self._doubt(processed.look, still.captured_at)
            return processed, still.captured_at
        except CameraError as error:
            del still
            raise error.with_traceback(None) from None

    def _doubt(self, look: Look | None, captured_at: float) -> None:
        """Sets or takes away the mark. Raises CameraError where what is blank or frozen is a failure."""
        record, doubts, now = self.record, self.tools.doubts, self.tools.clock.monotonic()
        if look is None:
            return
        camera_id, was = record.camera.camera_id, record.suspect
        suspect = doubts.judge(self._suspicion, camera_id, look, captured_at, now, record.interval_s)
        if suspect and (error := doubts.failure(suspect)):
            record.suspect, record.last_picture_at = None, suspect.since
            raise error
        record.suspect = suspect
        if suspect and (was is None or (was.reason, was.twin) != (suspect.reason, suspect.twin)):
            self.log.warning("camera_suspect", reason=suspect.reason, detail=suspect.detail)
        elif was and suspect is None:
            self.log.info("camera_believed", reason=was.reason, detail=was.detail)

    def _pause(self, error: CameraError, attempts: int) -> float:
        pause: float = min(self.tools.backoff_s * 2 ** min(attempts - 1, 10), BACKOFF_CAP_S)
        pause *= random.uniform(0.8, 1.2)
        if error.state is ErrorState.BUSY:
            pause = max(pause, error.retry_after_s or BUSY_PAUSE_S)
        return pause

    async def _pictured(self, processed: Processed, captured_at: float, done: CycleRecord, deadline: float) -> None:
        self._tell_gate(failed=False)
        self._vouched = True
        picture, self.record.trouble_since = processed.picture, None
        self.record.last_picture_at, self.record.last_size = captured_at, (picture.width, picture.height)
        self._take(after_picture(self.record.state), done)
        if keep := self.tools.keep:
            keep(self.record.camera.camera_id, self.record.interval_s, self.slot, captured_at, processed.picture)
        refused = await self._put(processed.renditions, "picture", captured_at, deadline)
        self._account(captured=True, reason=refused and f"{STORE}{refused}")
        if not refused:
            self.record.owed = False
            self.log.debug("picture_published", bytes=done.bytes)

    async def _failed(self, failure: Failure, done: CycleRecord, deadline: float) -> None:
        ours, record = failure.error_state in OUR_NETWORK, self.record
        record.trouble_since = record.trouble_since or self.tools.clock.time()
        self._tell_gate(failed=ours)
        if ours and self._vouched:
            failure = replace(failure, held=await self._uplink_verdict() is Verdict.HELD)
        if self.tools.gate.suspected_since is None:
            self._vouched = False
        step = after_failure(record.state, failure, self.tools.policy)
        self._take(step, done)
        self._account(captured=False, reason=UPLINK if failure.held else failure.error_state)
        if step.show is Show.FALLBACK:
            await self.show_fallback(deadline)

    async def _uplink_verdict(self) -> Verdict:
        """Waits, at most a minute, while the last results look as if our own network were at fault."""
        clock, gate = self.tools.clock, self.tools.gate
        until = clock.monotonic() + WINDOW_S
        while (verdict := gate.verdict(clock.monotonic())) is Verdict.SUSPICIOUS and clock.monotonic() < until:
            await clock.sleep(1.0)
        return verdict

    def _tell_gate(self, failed: bool) -> None:
        camera_id, now = self.record.camera.camera_id, self.tools.clock.monotonic()
        if self._vouched and (event := self.tools.gate.record(camera_id, now, failed)):
            self.tools.on_uplink(event)

    async def show_fallback(self, deadline: float) -> None:
        """Puts the fallback in the camera's place, or owes it."""
        self.record.owed = True
        await self.pay_debt(deadline)

    async def pay_debt(self, deadline: float | None = None) -> None:
        clock, record = self.tools.clock, self.record
        state, decided = record.state.error_state, clock.time()  # a picture that comes while it is drawn is newer
        renditions = await self.tools.fallback.renditions(self._card(), record.camera.choices.renditions)
        if not await self._put(renditions, "fallback", decided, deadline or clock.monotonic() + DEBT_TRY_S, state):
            record.owed = False
            self.log.info("fallback_published", health=record.state.health, error_state=state)

    def _card(self) -> Card:
        record, choices = self.record, self.record.camera.choices
        return Card(
            record.camera.name or record.camera.camera_id,
            record.state.told or ReasonClass.BEING_CHECKED,
            record.last_picture_at or record.trouble_since,
            choices.time_zone,
            record.last_size or USUAL_SIZE,
        )

    async def _put(
        self,
        renditions: Sequence[Rendition],
        kind: str,
        captured_at: float,
        deadline: float,
        error_state: ErrorState | None = None,
    ) -> str:
        """Why the store did not take one of them, or "". They go one after the other, `full` last. After one that was
        not taken no picture is put, so that it is never newer than its small ones, but every fallback is: each hides
        something stale."""
        behind, refused = sum(len(rendition.body) for rendition in renditions), ""
        for rendition in renditions:
            behind -= len(rendition.body)
            if not refused or kind == "fallback":
                publication = self._publication(rendition, kind, captured_at, error_state)
                shown = rendition.spec.name == FULL
                refused = await self._put_one(publication, deadline, behind, shown=shown) or refused
        return refused

    def _publication(
        self, rendition: Rendition, kind: str, captured_at: float, error_state: ErrorState | None
    ) -> Publication:
        spec, ttl_s = rendition.spec, self.record.interval_s
        key = spec.key(self.tools.key, self.record.camera.camera_id)
        return Publication(key, rendition.body, kind, captured_at, ttl_s, error_state, spec.content_type, rendition.md5)

    async def _put_one(self, publication: Publication, deadline: float, behind: int, *, shown: bool) -> str:
        """Why the store did not take it, or "". The store's trouble is reported by the publisher, once; it is not the
        camera's. shown: it is what the record and the page speak of."""
        tools, record = self.tools, self.record
        try:
            receipt = await tools.publisher.put(record.camera.camera_id, publication, deadline, behind)
        except StoreError as error:
            self.log.debug("put_failed", kind=publication.kind, reason=error.reason, detail=error.detail)
            tools.fleet.put_failures += 1
            return error.reason
        if shown:
            tools.fleet.published[publication.kind] += 1
            record.kind, record.captured_at = publication.kind, publication.captured_at
            record.expires_at, record.etag = receipt.expires_at, receipt.etag
            if tools.keep_copy:
                tools.keep_copy(publication.key, publication.body)
        return ""

    def _take(self, step: Step, done: CycleRecord) -> None:
        """Makes the step the camera's state and writes the account; logs the change, not the condition."""
        record, fleet, was = self.record, self.tools.fleet, self.record.state
        if (was.health, was.error_state) != (step.state.health, step.state.error_state):
            record.since = self.tools.clock.time()
        if step.event == "camera_disabled":
            record.disabled_at = self.tools.clock.monotonic()
        record.state = step.state
        record.cycles.append(done)
        if done.error_state:
            record.failures.append(done)
            fleet.failed[done.error_state] += 1
        fleet.cycles_total += 1
        fleet.durations.append(done.seconds)
        fleet.latenesses.append(done.lateness_s)
        if step.event:
            self._log_change(step.event, step.state, was)

    def _log_change(self, event: str, state: CameraState, was: CameraState) -> None:
        facts = {"health": state.health, "error_state": state.error_state, "failures": state.failures}
        if event == "camera_recovered":
            self.log.info("camera_recovered", **{**facts, "failures": was.failures}, detail=f"after {was.error_state}")
        elif event == "camera_disabled":
            self.log.error("camera_disabled", **facts, detail=state.detail)
        else:
            self.log.warning("camera_failing", **facts, detail=state.detail)

    def _report_internal(self, exc: Exception) -> CameraError:
        self.log.error("internal_error", error_state=ErrorState.INTERNAL, detail=f"our fault: {type(exc).__name__}")
        self.log.debug("internal_traceback", exc_info=exc)
        return CameraError(ErrorState.INTERNAL, f"our fault: {type(exc).__name__}")

    def _cycle_record(
        self,
        slot: float,
        started: float,
        attempts: int,
        *,
        picture: Picture | None = None,
        error: CameraError | None = None,
    ) -> CycleRecord:
        now = self.tools.clock.monotonic()
        return CycleRecord(
            slot=self.tools.clock.time() - (now - slot),
            seconds=now - started,
            lateness_s=started - slot,
            attempts=attempts,
            error_state=error.state if error else None,
            detail=error.detail if error else "",
            bytes=len(picture.data) if picture else 0,
            width=picture.width if picture else 0,
            height=picture.height if picture else 0,
        )

    def _slot_of(self, moment: float) -> float:
        """Monotonic seconds -> epoch seconds of the slot that a cycle due then belongs to."""
        return self.timetable.filled(self.tools.clock.time() - self.tools.clock.monotonic() + moment)

    def _account(self, *, captured: bool, reason: str) -> None:
        """reason: why no picture was published, or ""."""
        if self.tools.account:
            camera_id = self.record.camera.camera_id
            self.tools.account.cycle(
                camera_id, self.slot, captured=captured, published=captured and not reason, reason=reason or None
            )

    def _account_for(self, missed: int, following: float) -> None:
        """The `missed` slots before the one that follows were left out."""
        if account := self.tools.account:
            for back in range(missed, 0, -1):
                slot = self._slot_of(following - back * self.record.interval_s)
                account.skipped(self.record.camera.camera_id, slot, OVERRUN)
        if missed:
            self.record.skipped += missed
            self.tools.fleet.slots_skipped += missed
            if not self._overran:
                self.log.warning("slots_skipped", skipped=missed, health=self.record.state.health)
        self._overran = missed > 0
