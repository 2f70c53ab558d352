"""Lanes, retries and the store's breaker, in simulated time; at the end with a real store that is killed."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from s3 import Weed

from cctv_images.clock import RealClock, SimulatedClock
from cctv_images.errors import StoreError
from cctv_images.publish import AwsSettings, Publication, Publisher, Receipt, StoredObject, gate, publisher
from cctv_images.publish.s3 import S3Store


class Shelf:
    """A store in memory whose trouble is switched on and off, and whose puts may be held up."""

    def __init__(self) -> None:
        self.objects: dict[str, Publication] = {}
        self.tries: list[str] = []
        self.trouble: StoreError | None = None
        self.sick_keys: set[str] | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.under_way = self.most_under_way = 0
        self.closed = False

    async def put(self, publication: Publication) -> Receipt:
        assert not self.closed
        self.tries.append(publication.key)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
            if self.trouble and (self.sick_keys is None or publication.key in self.sick_keys):
                raise self.trouble
            self.objects[publication.key] = publication
            return Receipt("0", 0.0, 0.0)
        finally:
            self.under_way -= 1

    async def get(self, key: str) -> StoredObject:
        raise NotImplementedError("a publisher only writes")

    async def delete(self, key: str) -> None:
        self.tries.append(key)
        await self.open.wait()
        self.objects.pop(key, None)

    async def canary(self, key: str) -> list[str]:
        return []

    async def close(self) -> None:
        assert not self.under_way
        self.closed = True

    async def break_off(self) -> None:
        """As a closed session does: what is under way fails."""
        self.trouble = DOWN
        self.open.set()


DOWN = StoreError("unreachable", "nobody there")
DENIED = StoreError("denied", "no right", transient=False)


@dataclasses.dataclass
class Scene:
    clock: SimulatedClock
    shelf: Shelf
    publisher: Publisher
    events: list[str]

    def picture(self, key: str = "a", *, body: bytes = b"x", age_s: float = 0.0) -> Publication:
        return Publication(key, body, "picture", self.clock.time() - age_s, 300.0)

    def put(self, publication: Publication, within_s: float = 300.0) -> asyncio.Task[Receipt]:
        deadline = self.clock.monotonic() + within_s
        return asyncio.create_task(self.publisher.put(publication.key, publication, deadline))

    async def fall_ill(self) -> list[asyncio.Task[Receipt]]:
        """Three cameras find out."""
        self.shelf.trouble = DOWN
        tasks = [self.put(self.picture(f"ill{i}"), within_s=3600) for i in range(3)]
        await self.clock.advance(0.001)
        return tasks


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    clock, shelf, events = SimulatedClock(), Shelf(), []
    made = Publisher(
        shelf,
        clock,
        on_sick=lambda reason, detail: events.append(f"sick {reason} {detail}"),
        on_well=lambda: events.append("well"),
    )
    yield Scene(clock, shelf, made, events)
    shelf.open.set()
    await made.close()


async def failure(task: asyncio.Task[Receipt]) -> str:
    with pytest.raises(StoreError) as caught:
        await task
    return caught.value.reason


# retries


async def test_a_transient_failure_is_tried_again_until_the_store_takes_it(scene: Scene) -> None:
    scene.shelf.trouble = DOWN
    task = scene.put(scene.picture())
    await scene.clock.advance(0.001)
    scene.shelf.trouble = None
    await scene.clock.advance(60)
    assert await task
    assert scene.shelf.tries.count("a") >= 2


async def test_a_lasting_failure_is_told_at_once(scene: Scene) -> None:
    scene.shelf.trouble = DENIED
    assert await failure(scene.put(scene.picture())) == "denied"
    assert scene.shelf.tries == ["a"]


async def test_trying_ends_at_the_deadline_with_the_stores_own_reason(scene: Scene) -> None:
    scene.shelf.trouble = DOWN
    task = scene.put(scene.picture(), within_s=120)
    await scene.clock.advance(119)
    assert not task.done()
    await scene.clock.advance(1.1)
    assert task.done()
    assert await failure(task) == "unreachable"
    assert scene.publisher.waiting == 0


async def test_a_try_that_the_deadline_cuts_short_says_nothing_about_the_store(scene: Scene) -> None:
    scene.shelf.open.clear()
    tasks = [scene.put(scene.picture(f"k{i}"), within_s=0.05) for i in range(5)]
    for task in tasks:
        assert await failure(task) == "timeout"
    assert scene.events == []


# lanes


async def test_puts_of_one_key_never_overlap(scene: Scene) -> None:
    scene.shelf.open.clear()
    first = scene.put(scene.picture(body=b"1"))
    await scene.clock.advance(1)
    second = scene.put(scene.picture(body=b"2"))
    await scene.clock.advance(1)
    assert scene.shelf.tries == ["a"]
    scene.shelf.open.set()
    assert await first
    assert await second
    assert scene.shelf.objects["a"].body == b"2"
    assert scene.shelf.most_under_way == 1


async def test_a_newer_picture_replaces_a_waiting_one(scene: Scene) -> None:
    scene.shelf.open.clear()
    first = scene.put(scene.picture(body=b"1"))
    await scene.clock.advance(1)
    second = scene.put(scene.picture(body=b"2"))
    await scene.clock.advance(1)
    third = scene.put(scene.picture(body=b"3"))
    assert await failure(second) == "superseded"
    scene.shelf.open.set()
    assert await first
    assert await third
    assert scene.shelf.objects["a"].body == b"3"
    assert scene.shelf.tries == ["a", "a"]


async def test_a_newer_picture_replaces_one_that_pauses_between_tries_or_waits_for_the_store(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    await scene.clock.advance(1)
    newer = scene.put(scene.picture("ill0", body=b"newer"))
    assert await failure(waiting[0]) == "superseded"
    scene.shelf.trouble = None
    await scene.clock.advance(120)
    assert await newer
    assert scene.shelf.objects["ill0"].body == b"newer"


async def test_a_failed_put_is_not_repeated_when_a_newer_one_waits(scene: Scene) -> None:
    scene.shelf.open.clear()
    first = scene.put(scene.picture(body=b"1"))
    await scene.clock.advance(1)
    second = scene.put(scene.picture(body=b"2"))
    await scene.clock.advance(1)
    scene.shelf.trouble = DOWN
    scene.shelf.open.set()
    assert await failure(first) == "superseded"
    scene.shelf.trouble = None
    await scene.clock.advance(60)
    assert await second


async def test_an_older_picture_never_replaces_a_newer_one(scene: Scene) -> None:
    assert await scene.put(scene.picture(body=b"new"))
    assert await failure(scene.put(scene.picture(body=b"old", age_s=1))) == "superseded"
    scene.shelf.open.clear()
    under_way = scene.put(scene.picture(body=b"newest"))
    await scene.clock.advance(1)
    assert await failure(scene.put(scene.picture(body=b"old", age_s=2))) == "superseded"
    scene.shelf.open.set()
    assert await under_way
    assert scene.shelf.objects["a"].body == b"newest"


async def test_a_clock_that_is_set_back_does_not_hold_up_pictures(scene: Scene) -> None:
    assert await scene.put(scene.picture(body=b"before"))
    scene.clock.step(-3600)
    assert await scene.put(scene.picture(body=b"after"))
    assert await scene.put(scene.picture(body=b"and on"))


async def test_a_deleted_object_is_not_brought_back_by_a_late_put(scene: Scene) -> None:
    scene.shelf.open.clear()
    put = scene.put(scene.picture())
    await scene.clock.advance(1)
    deleted = asyncio.create_task(scene.publisher.delete("a", "a", scene.clock.monotonic() + 60))
    await scene.clock.advance(1)
    assert await failure(scene.put(scene.picture(age_s=2))) == "superseded"
    scene.shelf.open.set()
    await put
    await deleted
    assert scene.shelf.objects == {}


async def test_a_cancelled_put_frees_its_lane_and_its_place(scene: Scene) -> None:
    scene.shelf.open.clear()
    first = scene.put(scene.picture())
    await scene.clock.advance(1)
    second = scene.put(scene.picture(body=b"2"))
    await scene.clock.advance(1)
    first.cancel()
    scene.shelf.open.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second
    assert scene.publisher.waiting == 0


# the breaker


async def test_the_stores_sickness_and_recovery_are_told_once_each_and_nothing_is_lost(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    waiting += [scene.put(scene.picture(f"k{i}"), within_s=3600) for i in range(1000)]
    await scene.clock.advance(600)
    assert scene.events == ["sick unreachable nobody there"]
    assert scene.publisher.waiting == 1003
    scene.shelf.trouble = None
    await scene.clock.advance(gate.LONGEST_PAUSE_S * 2)
    assert scene.events == ["sick unreachable nobody there", "well"]
    await asyncio.gather(*waiting)
    assert len(scene.shelf.objects) == 1003
    assert scene.shelf.most_under_way <= gate.AT_ONCE


async def test_a_sick_store_is_probed_by_one_put_at_a_time_ever_more_seldom(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    waiting += [scene.put(scene.picture(f"k{i}"), within_s=3600) for i in range(100)]
    counts = []
    for _ in range(4):
        scene.shelf.tries.clear()
        await scene.clock.advance(300)
        counts.append(len(scene.shelf.tries))
    assert 8 <= counts[0] <= 20
    assert all(5 <= count <= 11 for count in counts[1:])
    assert scene.shelf.most_under_way <= 3
    for task in waiting:
        task.cancel()


async def test_those_who_waited_are_let_go_a_bounded_number_at_a_time(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    waiting += [scene.put(scene.picture(f"k{i}"), within_s=3600) for i in range(500)]
    await scene.clock.advance(1)
    scene.shelf.trouble = None
    scene.shelf.most_under_way = 0
    await scene.clock.advance(120)
    await asyncio.gather(*waiting)
    assert scene.shelf.most_under_way <= gate.AT_ONCE


async def test_one_camera_whose_object_is_refused_does_not_close_the_store_for_the_others(scene: Scene) -> None:
    assert await scene.put(scene.picture("good1"))
    assert await scene.put(scene.picture("good2"))
    scene.shelf.trouble, scene.shelf.sick_keys = DENIED, {"bad"}
    for _ in range(10):
        assert await failure(scene.put(scene.picture("bad"))) == "denied"
    assert scene.events == []
    assert await scene.put(scene.picture("good1"))


async def test_a_right_that_all_cameras_lack_is_the_stores_sickness(scene: Scene) -> None:
    scene.shelf.trouble = DENIED
    assert await failure(scene.put(scene.picture("a"))) == "denied"
    assert await failure(scene.put(scene.picture("b"))) == "denied"
    waits = scene.put(scene.picture("c"))
    await scene.clock.advance(30)
    assert scene.events == ["sick denied no right"]
    scene.shelf.trouble = None
    await scene.clock.advance(120)
    assert await waits
    assert scene.events[1:] == ["well"]


async def test_a_fleet_of_one_camera_finds_out_as_well(scene: Scene) -> None:
    scene.shelf.trouble = DENIED
    for _ in range(2):
        assert await failure(scene.put(scene.picture())) == "denied"
    waits = scene.put(scene.picture(), within_s=100)
    await scene.clock.advance(101)
    assert await failure(waits) == "denied"
    assert scene.events == ["sick denied no right"]


async def test_who_wants_to_know_now_does_not_wait_for_a_lasting_trouble(scene: Scene) -> None:
    scene.publisher.be_impatient(30)
    scene.shelf.trouble = DENIED
    reasons = [await failure(scene.put(scene.picture(f"k{i}"))) for i in range(50)]
    assert set(reasons) == {"denied"}
    assert len(scene.shelf.tries) <= 5


async def test_who_wants_to_know_now_waits_a_little_for_an_outage(scene: Scene) -> None:
    scene.publisher.be_impatient(30)
    waiting = await scene.fall_ill()
    waiting += [scene.put(scene.picture(f"k{i}")) for i in range(50)]
    await scene.clock.advance(29)
    assert not any(task.done() for task in waiting)
    await scene.clock.advance(70)
    late = scene.put(scene.picture("late"))
    await scene.clock.advance(1)
    assert [await failure(task) for task in [*waiting, late]] == ["unreachable"] * 54


async def test_a_store_that_falls_ill_again_at_once_is_not_asked_more_often_for_that(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    await scene.clock.advance(600)
    scene.shelf.trouble = None
    await scene.clock.advance(60)
    await asyncio.gather(*waiting)
    again = await scene.fall_ill()
    scene.shelf.tries.clear()
    await scene.clock.advance(25)
    assert scene.shelf.tries == []
    assert len(scene.events) == 3
    for task in again:
        task.cancel()


async def test_the_oldest_waiting_picture_is_dropped_when_too_many_bytes_wait(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "MAX_WAITING_BYTES", 1000)
    await scene.fall_ill()
    await scene.clock.advance(3)
    waiting = [scene.put(scene.picture(f"k{i}", body=b"x" * 300), within_s=3600) for i in range(5)]
    await scene.clock.advance(0.01)
    assert [task.done() for task in waiting] == [True, True, False, False, False]
    assert await failure(waiting[0]) == "no_room"
    for task in waiting:
        task.cancel()


async def test_what_is_held_behind_a_waiting_put_counts_as_waiting(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "MAX_WAITING_BYTES", 1000)
    await scene.fall_ill()
    await scene.clock.advance(3)
    deadline = scene.clock.monotonic() + 3600
    small = [scene.picture(f"thumb/k{i}", body=b"x" * 10) for i in range(4)]
    waiting = [asyncio.create_task(scene.publisher.put("1", one, deadline, behind=300)) for one in small]
    await scene.clock.advance(0.01)
    assert [task.done() for task in waiting] == [True, False, False, False]
    for task in waiting:
        task.cancel()


async def test_a_new_store_is_tried_at_once_and_the_old_one_closed_after_its_last_put(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    await scene.clock.advance(600)
    scene.shelf.trouble = None
    scene.shelf.open.clear()
    slow = scene.put(scene.picture("slow"))
    await scene.clock.advance(60)
    assert scene.shelf.under_way == 1
    new = Shelf()
    await scene.publisher.swap(new)
    await scene.clock.advance(0.01)
    assert not scene.shelf.closed
    assert len(new.tries) >= 1
    scene.shelf.open.set()
    await scene.clock.advance(60)
    await asyncio.gather(slow, *waiting)
    assert scene.shelf.closed
    assert scene.events[1:] == ["well"]


async def test_stopping_ends_what_waits_and_lets_finish_what_is_under_way(scene: Scene) -> None:
    waiting = await scene.fall_ill()
    scene.shelf.trouble = None
    await scene.clock.advance(5)
    await asyncio.gather(*waiting)
    scene.shelf.open.clear()
    under_way = scene.put(scene.picture())
    await scene.clock.advance(0.01)
    waits = scene.put(scene.picture(body=b"next"))
    await scene.clock.advance(0.01)
    closing = asyncio.create_task(scene.publisher.close())
    assert await failure(waits) == "stopping"
    assert not closing.done()
    scene.shelf.open.set()
    await closing
    assert await under_way
    assert scene.shelf.closed
    assert await failure(scene.put(scene.picture())) == "stopping"


async def test_stopping_does_not_wait_long_for_a_store_that_hangs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "LAST_PUTS_S", 0.05)
    monkeypatch.setattr(Shelf, "close", lambda shelf: shelf.break_off())
    scene.shelf.open.clear()
    hangs = scene.put(scene.picture())
    await scene.clock.advance(0.01)
    await scene.publisher.close()
    assert await failure(hangs) == "stopping"


# with a real store


async def test_a_store_that_is_killed_and_comes_back_has_lost_nothing(tmp_path: Path) -> None:
    weed, events = Weed(tmp_path), []
    await asyncio.to_thread(weed.start)
    try:
        bucket = f"cctv-{uuid.uuid4().hex[:8]}"
        await weed.make_bucket(bucket)
        settings = AwsSettings(
            access_key_id=weed.access_key,
            secret_access_key=SecretStr(weed.secret_key),
            region=weed.region,
            endpoint_url=weed.endpoint,
        )
        clock = RealClock()
        store = await S3Store.open(bucket, aws=settings)
        made = Publisher(
            store, clock, on_sick=lambda r, d: events.append("sick"), on_well=lambda: events.append("well")
        )
        rounds = [await _round(made, clock, number) for number in range(2)]
        await asyncio.to_thread(weed.kill9)
        rounds.append(await _round(made, clock, 2))
        await asyncio.sleep(1)
        assert events == ["sick"]
        assert not any(task.done() for task in rounds[2])
        await asyncio.to_thread(weed.restart)
        for tasks in rounds:
            await asyncio.gather(*tasks)
        assert events == ["sick", "well"]
        for camera in range(40):
            assert (await store.get(f"image/{camera}.jpg")).body == f"picture 2 of {camera}".encode()
        await made.close()
    finally:
        weed.kill9()


async def _round(made: Publisher, clock: RealClock, number: int) -> list[asyncio.Task[Receipt]]:
    tasks = []
    for camera in range(40):
        body = f"picture {number} of {camera}".encode()
        publication = Publication(f"image/{camera}.jpg", body, "picture", clock.time(), 300.0)
        tasks.append(asyncio.create_task(made.put(str(camera), publication, clock.monotonic() + 120)))
    if number < 2:
        await asyncio.wait(tasks)
    return tasks
