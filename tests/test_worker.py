"""A day of one camera, or of a fleet, in simulated time: stages are handed in, so scripts stand for them here."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from cctv_images.acquire import FetchCycle, Still
from cctv_images.choices import AS_IT_CAME, FULL, USUAL, Choices, RenditionSpec
from cctv_images.clock import SimulatedClock
from cctv_images.errors import CameraError, ErrorState, ReasonClass, StoreError
from cctv_images.inventory.camera import Camera
from cctv_images.masks import Mask
from cctv_images.process.cards import USUAL_SIZE, Card
from cctv_images.process.content import SCENE, Look
from cctv_images.process.render import Picture, Processed, Rendition
from cctv_images.publish.store import Publication, Receipt
from cctv_images.records import Fleet
from cctv_images.rescue import Rescue
from cctv_images.roster import Roster
from cctv_images.states import Health, Policy
from cctv_images.suspicion import Reason
from cctv_images.uplink import UplinkGate
from cctv_images.worker import Tools

INTERVAL = 300.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


Answer = Callable[[Camera, float], "float | CameraError | Exception"]


class World:
    """Cameras that answer by a script (seconds taken, or an error) and a store that can be switched off."""

    def __init__(self, answer: Answer, *, policy: Policy | None = None, attempts: int = 1, hold: float = 900.0) -> None:
        self.clock = SimulatedClock()
        self.answer = answer
        self.asked: list[tuple[str, float]] = []
        self.busy: set[str] = set()
        self.public: dict[str, Publication] = {}
        self.puts: list[tuple[float, Publication]] = []
        self.store_up = True
        self.refused_keys: set[str] = set()
        self.events: list[str] = []
        self.cards: list[Card] = []
        self.looks: dict[str, Callable[[], Look]] = {}
        self.fleet = Fleet(self.clock.time())
        self.tools = Tools(
            clock=self.clock,
            acquirer=self,
            processor=self,
            publisher=self,
            fleet=self.fleet,
            gate=UplinkGate(hold),
            policy=policy or Policy(),
            fallback=self,
            key="image/{camera_id}.jpg",
            attempts=attempts,
            backoff_s=1,
            timeout_s=30,
            on_uplink=self.events.append,
        )
        self.roster = Roster(self.fleet, self.tools, INTERVAL, epoch_offset=1.7e9)

    async def fetch(self, camera: Camera, cycle: FetchCycle) -> Still:
        assert camera.camera_id not in self.busy, "two requests to one camera at a time"
        self.busy.add(camera.camera_id)
        self.asked.append((camera.camera_id, self.clock.monotonic()))
        try:
            answer = self.answer(camera, self.clock.monotonic())
            if isinstance(answer, Exception):
                await self.clock.sleep(1)
                raise answer
            await self.clock.sleep(answer)
        finally:
            self.busy.discard(camera.camera_id)
        return Still(b"picture", "image/jpeg", False, self.clock.time())

    async def room(self) -> None:
        pass

    async def process(self, data: bytes, camera: Camera, captured_at: float) -> Processed:
        others = [spec for spec in camera.choices.renditions if spec.name != FULL]
        made = tuple(Rendition(spec, spec.name.encode(), 1, 1, "md5") for spec in others)
        return Processed(Picture(data, 1280, 720, "md5"), made, self.looks.get(camera.camera_id, lambda: None)())

    async def renditions(self, card: Card, specs: tuple[RenditionSpec, ...]) -> tuple[Rendition, ...]:
        self.cards.append(card)
        return tuple(Rendition(spec, b"fallback", 1, 1, "md5") for spec in specs)

    async def put(self, camera_id: str, publication: Publication, deadline_s: float, behind: int) -> Receipt:
        if not self.store_up or publication.key in self.refused_keys:
            raise StoreError("unreachable", "nobody there")
        self.public[camera_id] = publication
        self.puts.append((self.clock.monotonic(), publication))
        return Receipt("md5", self.clock.time(), self.clock.time() + publication.ttl_s)

    def start(self, count: int = 1, spread: float = 60.0, choices: Choices = USUAL) -> None:
        cameras = [Camera(f"c{n}", "generic", host=f"127.0.0.{n}", choices=choices) for n in range(count)]
        self.roster.start(cameras, spread)

    def record(self, camera_id: str = "c0"):
        return self.fleet.cameras[camera_id]

    def times(self, camera_id: str = "c0") -> list[float]:
        return [moment for asked, moment in self.asked if asked == camera_id]


@pytest.fixture
async def world():
    worlds: list[World] = []

    def make(answer: Answer, **options) -> World:
        worlds.append(World(answer, **options))
        return worlds[-1]

    yield make
    for made in worlds:
        await made.roster.stop(list(made.roster.tasks))


def well(camera: Camera, now: float) -> float:
    return 1.0


def error(state: ErrorState) -> Answer:
    return lambda camera, now: CameraError(state, "scripted")


async def test_a_day_of_one_camera_meets_every_slot(world) -> None:
    w = world(well)
    w.start()
    await w.clock.advance(86_400)
    times = w.times()
    assert 288 <= len(times) <= 289
    gaps = {round(b - a, 3) for a, b in pairwise(times[1:])}
    assert gaps == {300.0}
    assert 149 <= times[1] - times[0] <= 451  # a slot closer than half an interval is merged into the first cycle
    assert w.fleet.slots_skipped == 0


async def test_an_overrunning_cycle_skips_slots_counts_them_and_never_doubles_up(world) -> None:
    w = world(lambda camera, now: 700.0)
    w.start()
    await w.clock.advance(86_400)
    assert w.record().skipped == w.fleet.slots_skipped
    assert abs(len(w.times()) + w.record().skipped - 288) <= 3


async def test_one_sick_camera_delays_nobody(world) -> None:
    w = world(lambda camera, now: 10_000.0 if camera.camera_id == "c0" else 1.0)
    w.start(20)
    await w.clock.advance(3600)
    assert all(len(w.times(f"c{n}")) >= 11 for n in range(1, 20))


async def test_an_exception_nobody_expected_is_internal_and_the_next_slot_comes(world) -> None:
    w = world(lambda camera, now: ValueError("boom"))
    w.start()
    await w.clock.advance(1000)
    assert w.record().state.error_state is ErrorState.INTERNAL
    assert w.public["c0"].kind == "fallback"
    assert len(w.times()) >= 3


async def test_a_failed_cycle_shows_the_fallback_once_and_a_picture_takes_it_away(world) -> None:
    sick = {"now": True}
    w = world(lambda camera, now: CameraError(ErrorState.TIMEOUT) if sick["now"] else 1.0)
    w.start(spread=0)
    await w.clock.advance(700)
    assert [p.kind for _, p in w.puts] == ["fallback"]
    assert w.public["c0"].error_state == "timeout"
    sick["now"] = False
    await w.clock.advance(300)
    assert w.public["c0"].kind == "picture"
    assert w.record().state.health is Health.OK


async def test_the_fallback_says_why_and_since_when_in_the_size_of_the_last_picture(world) -> None:
    outcome: dict[str, float | CameraError] = {"now": 1.0}
    w = world(lambda camera, now: outcome["now"])
    w.start(spread=0)
    await w.clock.advance(700)
    last = w.record().last_picture_at
    for state in (ErrorState.TIMEOUT, ErrorState.DNS, ErrorState.NOT_AN_IMAGE):
        outcome["now"] = CameraError(state)
        await w.clock.advance(300)
    told = [ReasonClass.NOT_REACHABLE, ReasonClass.NOT_A_PICTURE]
    assert w.cards == [Card("c0", reason, last, "UTC", (1280, 720)) for reason in told]
    assert [p.error_state for _, p in w.puts if p.kind == "fallback"] == ["timeout", "not_an_image"]


async def test_a_camera_that_never_gave_a_picture_has_none_since_its_first_cycle(world) -> None:
    w = world(error(ErrorState.AUTH))
    begun = w.clock.time()
    w.start(spread=0)
    await w.clock.advance(700)
    (card,) = w.cards
    assert (card.told, card.size) == (ReasonClass.BEING_CHECKED, USUAL_SIZE)
    assert begun <= card.since <= begun + 5


async def test_after_five_failed_cycles_the_task_ends_and_revive_brings_it_back(world) -> None:
    w = world(error(ErrorState.NOT_FOUND))
    w.start()
    await w.clock.advance(7200)
    assert len(w.times()) == 5
    assert w.record().state.health is Health.DISABLED
    assert await w.roster.revive(w.roster.disabled(), "test") == ["c0"]
    await w.clock.advance(7200)
    assert len(w.times()) == 10


async def test_attempts_are_made_with_growing_pauses_and_not_for_errors_that_stay(world) -> None:
    w = world(error(ErrorState.TIMEOUT), attempts=3)
    w.start(spread=0)
    await w.clock.advance(30)
    first, second, third = w.times()
    assert 1.7 <= second - first <= 2.3
    assert 2.4 <= third - second <= 3.6
    v = world(error(ErrorState.NOT_FOUND), attempts=3)
    v.start(spread=0)
    await v.clock.advance(30)
    assert len(v.times()) == 1


async def test_a_busy_camera_is_asked_again_when_it_said(world) -> None:
    w = world(lambda camera, now: CameraError(ErrorState.BUSY, retry_after_s=40), attempts=2)
    w.start(spread=0)
    await w.clock.advance(100)
    first, second = w.times()
    assert second - first >= 40


async def test_an_attempt_that_could_not_end_before_the_next_slot_is_not_begun(world) -> None:
    w = world(lambda camera, now: CameraError(ErrorState.BUSY, retry_after_s=3600), attempts=3)
    w.start(spread=0)
    await w.clock.advance(1000)
    assert w.fleet.slots_skipped == 0
    assert w.record().cycles[0].attempts == 1


async def test_a_mask_that_came_while_a_camera_was_paused_is_in_force_when_it_is_back(world) -> None:
    w = world(well)
    w.start(spread=0)
    await w.clock.advance(30)
    camera = w.record().camera
    masked = replace(camera, choices=Choices(masks=(Mask(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))),)))
    for paused in (camera, masked, masked):
        await w.roster.pause({"c0": replace(paused, enabled=False)})
        assert w.record().owed == (paused is masked)
    w.roster.start([masked], 0)
    await w.roster.pay_debts()
    assert w.public["c0"].kind == "fallback"


async def test_a_fallback_is_as_old_as_the_decision_to_show_it(world) -> None:
    """Else one that waits to be drawn would replace the picture that has come meanwhile."""
    w = world(error(ErrorState.UNREACHABLE))
    drawn, decided = w.renditions, []

    async def slowly(card: Card, specs: tuple[RenditionSpec, ...]) -> tuple[Rendition, ...]:
        decided.append(w.clock.time())
        await w.clock.sleep(8)
        return await drawn(card, specs)

    w.renditions = slowly
    w.start(spread=0)
    await w.clock.advance(60)
    assert [w.public["c0"].captured_at] == decided


async def test_a_fallback_the_store_did_not_take_is_owed_and_paid_also_when_disabled(world) -> None:
    w = world(error(ErrorState.UNREACHABLE))
    w.store_up = False
    w.start()
    await w.clock.advance(7200)
    assert w.record().state.health is Health.DISABLED
    assert w.record().owed
    w.store_up = True
    await w.roster.pay_debts()
    assert w.public["c0"].kind == "fallback"
    assert not w.record().owed


async def test_the_stores_trouble_is_never_the_cameras(world) -> None:
    w = world(well)
    w.store_up = False
    w.start()
    await w.clock.advance(7200)
    assert w.record().state.health is Health.OK
    assert w.fleet.put_failures > 20


async def test_when_our_network_fails_fallbacks_are_held_and_nobody_is_disabled(world) -> None:
    out = {"now": False}
    w = world(lambda camera, now: CameraError(ErrorState.UNREACHABLE) if out["now"] else 1.0)
    w.start(200)
    await w.clock.advance(900)
    out["now"] = True
    await w.clock.advance(600)
    fallbacks = sum(p.kind == "fallback" for p in w.public.values())
    assert w.events == ["uplink_suspected"]
    assert fallbacks <= 30, "only those heard before the suspicion could be raised"
    out["now"] = False
    await w.clock.advance(600)
    assert w.events == ["uplink_suspected", "uplink_recovered"]
    assert all(p.kind == "picture" for p in w.public.values())
    assert all(r.state.health is Health.OK for r in w.fleet.cameras.values())


async def test_the_hold_is_limited(world) -> None:
    out = {"now": False}
    w = world(lambda camera, now: CameraError(ErrorState.DNS) if out["now"] else 1.0, hold=900)
    w.start(100)
    await w.clock.advance(900)
    out["now"] = True
    await w.clock.advance(1500)
    assert all(p.kind == "fallback" for p in w.public.values())


async def second_by_second(w: World, seconds: int, rescue: Rescue) -> None:
    for _ in range(seconds):
        await w.clock.advance(1)
        await rescue.look()


async def test_when_all_are_disabled_scouts_notice_that_the_network_is_back(world) -> None:
    out = {"now": False}
    w = world(lambda camera, now: CameraError(ErrorState.DNS) if out["now"] else 1.0, hold=900)
    rescue = Rescue(w.fleet, w.tools.gate, w.roster, revive_after_s=0)
    w.tools.on_uplink = rescue.on_uplink
    w.start(30)
    await w.clock.advance(900)
    out["now"] = True
    await w.clock.advance(6000)
    assert len(w.roster.disabled()) == 30
    await second_by_second(w, 130, rescue)
    assert len(w.roster.disabled()) == 30
    assert w.fleet.uplink_suspected_since is not None
    out["now"] = False
    await second_by_second(w, 130, rescue)
    assert w.fleet.uplink_suspected_since is None
    await second_by_second(w, 400, rescue)
    assert not w.roster.disabled()
    assert all(p.kind == "picture" for p in w.public.values())


async def test_a_disabled_camera_is_asked_again_when_its_time_has_come_but_never_for_its_login(world) -> None:
    w = world(
        lambda camera, now: CameraError(ErrorState.AUTH if camera.camera_id == "c0" else ErrorState.NOT_FOUND),
        policy=Policy(failure_limit=1, refusal_limit=1),
    )
    rescue = Rescue(w.fleet, w.tools.gate, w.roster, revive_after_s=1000)
    w.start(2, spread=0)
    await w.clock.advance(10)
    w.clock.step(-3600)  # a clock that is set back is no reason to wait longer
    await second_by_second(w, 1010, rescue)
    assert (len(w.times("c0")), len(w.times("c1"))) == (1, 2)


async def test_a_single_camera_that_fails_is_not_taken_for_the_network(world) -> None:
    def one_gone(camera: Camera, now: float) -> float | CameraError:
        return CameraError(ErrorState.UNREACHABLE) if camera.camera_id == "c7" and now > 900 else 1.0

    w = world(one_gone)
    w.start(50)
    await w.clock.advance(2000)
    assert w.public["c7"].kind == "fallback"
    assert w.events == []


async def test_a_changed_row_starts_after_its_old_task_has_ended(world) -> None:
    w = world(lambda camera, now: 50.0)
    w.start(spread=0)
    await w.clock.advance(10)
    await w.roster.restart([Camera("c0", "axis", host="127.0.0.9")])
    await w.clock.advance(100)
    assert len(w.times()) == 2
    assert w.record().camera.recipe == "axis"


async def test_unchanged_cameras_do_not_miss_a_slot_while_others_come_and_go(world) -> None:
    w = world(well)
    w.start(10)
    await w.clock.advance(3000)
    before = len(w.times("c3"))
    await w.roster.remove(["c1"])
    await w.roster.pause({"c2": Camera("c2", "generic", enabled=False)})
    w.roster.start([Camera("new", "generic", host="127.0.0.99")], 1)
    await w.clock.advance(3000)
    assert len(w.times("c3")) == before + 10
    assert len(w.times("new")) >= 10
    assert w.record("c2").state.health is Health.PAUSED
    assert "c1" not in w.fleet.cameras


async def test_a_stop_lets_cycles_under_way_finish_and_ends_the_rest(world) -> None:
    w = world(lambda camera, now: 5.0)
    w.start(3, spread=0)
    await w.clock.advance(2)
    drained = asyncio.create_task(w.roster.drain(7))
    await w.clock.advance(5)
    await drained
    assert len(w.public) == 3
    assert not w.roster.tasks


async def test_a_cycle_that_ends_just_as_the_stop_begins_does_not_hold_it_up(world) -> None:
    w = world(well)
    last_put = asyncio.Event()

    async def put(camera_id: str, publication: Publication, deadline_s: float, behind: int) -> Receipt:
        if camera_id == "c1":
            await last_put.wait()
        return await w.put(camera_id, publication, deadline_s, behind)

    w.tools.publisher = SimpleNamespace(put=put)
    w.start(2, spread=0)
    await w.clock.advance(60)
    assert [w.record(i).cycling for i in ("c0", "c1")] == [False, True]
    last_put.set()
    async with asyncio.timeout(5):
        await w.roster.drain(7)
    assert len(w.public) == 2


async def test_a_failed_cycle_keeps_no_byte_of_what_came(world) -> None:
    class Bodies(World):
        async def fetch(self, camera: Camera, cycle: FetchCycle) -> Still:
            return replace(await super().fetch(camera, cycle), data=bytes(1_000_000))

        async def process(self, data: bytes, camera: Camera, captured_at: float) -> Processed:
            raise CameraError(ErrorState.TRUNCATED, "scripted")

    w = Bodies(well, attempts=2, policy=Policy(failure_limit=0))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        w.start(5)
        await w.clock.advance(3600)
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
        gc.enable()
    assert len(w.times()) > 20
    await w.roster.stop(list(w.roster.tasks))


async def test_a_scout_that_found_its_camera_well_works_on_whatever_becomes_of_the_others(world) -> None:
    def answer(camera: Camera, now: float) -> float | CameraError:
        back = 1.0 if camera.camera_id != "c0" else 250.0
        return CameraError(ErrorState.DNS) if now < 7000 else back

    w = world(answer)
    w.start(3, spread=0)
    await w.clock.advance(7200)
    scouting = asyncio.create_task(w.roster.scout(w.roster.disabled()))
    await w.clock.advance(10)
    await w.roster.remove(["c1"])
    await w.clock.advance(3600)
    assert await scouting
    assert 12 <= len([moment for moment in w.times("c2") if moment >= 7200]) <= 14
    assert len([moment for moment in w.times("c1") if moment >= 7200]) == 1


async def test_revivals_and_a_changed_row_at_once_leave_one_task_to_a_camera(world) -> None:
    w = world(error(ErrorState.NOT_FOUND))
    w.start(spread=0)
    await w.clock.advance(7200)
    asked = len(w.times())
    changed = Camera("c0", "generic", host="127.0.0.99")
    disabled = w.roster.disabled()
    await asyncio.gather(
        w.roster.revive(disabled, "one operator"),
        w.roster.restart([changed]),
        w.roster.revive(disabled, "another"),
        w.roster.restart([changed]),
        w.roster.revive(disabled, "a third"),
    )
    await w.clock.advance(7200)
    assert len(w.times()) - asked == 5
    assert w.record().camera is changed


async def test_a_camera_that_is_paused_owes_nothing_when_it_comes_back(world) -> None:
    w = world(error(ErrorState.NOT_FOUND))
    w.store_up = False
    w.start(spread=0)
    await w.clock.advance(60)
    assert w.record().owed
    await w.roster.pause({"c0": w.record().camera})
    w.store_up, w.answer = True, well
    w.start(spread=0)
    await w.clock.advance(60)
    assert [p.kind for _, p in w.puts] == ["picture"]


async def test_a_put_that_waits_in_vain_costs_no_slot(world) -> None:
    w = world(well)

    async def wait_in_vain(camera_id: str, publication: Publication, deadline_s: float) -> Receipt:
        await w.clock.sleep(deadline_s - w.clock.monotonic())
        raise StoreError("unreachable", "nobody there")

    w.put = wait_in_vain
    w.start()
    await w.clock.advance(86_400)
    assert w.fleet.slots_skipped == 0
    assert 288 <= len(w.times()) <= 289


SMALL = Choices((RenditionSpec("thumb", (480, 270)), RenditionSpec("tiny", (160, 90), webp=True), AS_IT_CAME))


async def test_full_is_put_last_and_all_carry_the_moment_of_one_picture(world) -> None:
    w = world(well)
    w.start(choices=SMALL)
    await w.clock.advance(100)
    assert [put.key for _, put in w.puts] == ["image/thumb/c0.jpg", "image/tiny/c0.webp", "image/c0.jpg"]
    assert [put.content_type for _, put in w.puts] == ["image/jpeg", "image/webp", "image/jpeg"]
    assert len({(put.captured_at, put.kind) for _, put in w.puts}) == 1
    assert w.fleet.published == {"picture": 1}


async def test_a_picture_whose_small_one_was_not_taken_is_not_put_so_that_it_is_never_newer(world) -> None:
    w = world(well)
    w.refused_keys.add("image/tiny/c0.webp")
    w.start(choices=SMALL)
    await w.clock.advance(100)
    assert [put.key for _, put in w.puts] == ["image/thumb/c0.jpg"]
    assert (w.fleet.published.total(), w.fleet.put_failures, w.record().kind) == (0, 1, None)
    w.refused_keys.clear()
    await w.clock.advance(INTERVAL)
    assert [put.key for _, put in w.puts][-1] == "image/c0.jpg"


async def test_the_fallback_takes_the_place_of_every_rendition_or_is_owed(world) -> None:
    w = world(error(ErrorState.TIMEOUT))
    w.refused_keys.add("image/thumb/c0.jpg")
    w.start(choices=SMALL)
    await w.clock.advance(100)
    assert [put.key for _, put in w.puts] == ["image/tiny/c0.webp", "image/c0.jpg"]
    assert w.record().kind == "fallback"
    assert w.record().owed
    w.refused_keys.clear()
    await w.roster.pay_debts()
    assert [(put.key, put.kind, put.error_state) for _, put in w.puts[2:]] == [
        ("image/thumb/c0.jpg", "fallback", "timeout"),
        ("image/tiny/c0.webp", "fallback", "timeout"),
        ("image/c0.jpg", "fallback", "timeout"),
    ]


# --- pictures that are not to be believed ---


def flat() -> Look:
    return Look(1.0, True, False, False, np.full((18, 32), 90 * 256, np.uint16), None)


def alive() -> Look:
    return replace(flat(), plain=0.4, empty=False, tiles=np.random.randint(9000, 50_000, (18, 32)).astype(np.uint16))


def stuck() -> Look:
    return replace(flat(), plain=0.4, empty=False)


def marks(logs: list[dict]) -> list[tuple[str, str]]:
    """Events of suspicions and of health, with their reasons."""
    return [
        (entry["event"], str(entry.get("reason") or entry.get("error_state")))
        for entry in logs
        if entry["event"].startswith("camera_")
    ]


@pytest.fixture
def logs() -> Iterator[list[dict]]:
    structlog.reset_defaults()
    with capture_logs() as found:
        yield found


async def test_a_suspicion_is_a_mark_beside_the_health_and_told_once_when_it_comes_and_when_it_goes(
    world, logs
) -> None:
    w = world(well)
    w.looks["c0"] = flat
    w.start(spread=0)
    await w.clock.advance(3000)
    assert w.record().suspect.reason is Reason.BLANK
    assert w.record().state.health is Health.OK
    assert w.public["c0"].kind == "picture"
    w.looks["c0"] = alive
    await w.clock.advance(3000)
    assert w.record().suspect is None
    assert marks(logs) == [("camera_suspect", "blank"), ("camera_believed", "blank")]


@pytest.mark.parametrize(
    ("look", "state", "told"), [(flat, "blank", "not_a_picture"), (stuck, "frozen", "being_checked")]
)
async def test_where_it_is_asked_for_blank_and_frozen_are_failures(logs, world, look, state: str, told: str) -> None:
    w = world(well, policy=Policy(failure_limit=0), attempts=3)
    w.tools.doubts.fails = True
    w.looks["c0"] = look
    w.start(spread=0)
    await w.clock.advance(4000)
    assert w.record().state.error_state == state
    assert w.record().suspect is None
    assert (w.public["c0"].kind, w.public["c0"].error_state) == ("fallback", state)
    assert [card.told for card in w.cards] == [told]
    assert w.cards[0].since == pytest.approx(w.puts[0][1].captured_at)
    assert w.record().cycles[-1].attempts == 1
    w.looks["c0"] = alive
    await w.clock.advance(900)
    assert w.public["c0"].kind == "picture"
    assert marks(logs) == [("camera_failing", state), ("camera_recovered", "None")]


async def test_one_view_under_two_ids_is_flagged_also_where_the_rest_fails(world) -> None:
    w = world(well)
    w.tools.doubts.fails = True
    scene = np.random.default_rng(1).normal(size=SCENE).astype(np.float32)
    for camera_id in ("c0", "c1"):
        w.looks[camera_id] = lambda: replace(alive(), scene=scene / np.linalg.norm(scene))
    w.start(3)
    await w.clock.advance(2000)
    assert {i: r.suspect.twin for i, r in w.fleet.cameras.items() if r.suspect} == {"c0": "c1", "c1": "c0"}
    assert {p.kind for p in w.public.values()} == {"picture"}
    await w.roster.remove(["c1"])
    await w.clock.advance(1000)
    assert w.record().suspect is None


async def test_a_changed_row_and_a_pause_begin_with_a_clean_slate(world) -> None:
    w = world(well)
    w.looks["c0"] = flat
    w.start(spread=0)
    await w.clock.advance(1000)
    assert w.record().suspect
    await w.roster.restart([w.record().camera])
    assert w.record().suspect is None
    await w.clock.advance(1500)
    assert w.record().suspect
    await w.roster.pause({"c0": replace(w.record().camera, enabled=False)})
    assert w.record().suspect is None
