"""What people are told, when, and in how many messages; and that no server of theirs holds up the service."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from program import Program, stop, until
from s3 import free_ports
from structlog.testing import capture_logs

from cctv_images.clock import SimulatedClock
from cctv_images.errors import ConfigError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet
from cctv_images.states import CameraState, Health
from cctv_images.suspicion import Reason, Suspect
from cctv_images.watch.alarm import Alarm, check_urls, try_urls
from cctv_images.watch.alert_text import message
from cctv_images.watch.alerts import Memory, Policy, Told, decide, observe
from cctv_images.watch.troubles import snapshot

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
NOON = 1_800_000_000.0
POLICY = Policy(pause_s=10 * MINUTE, repeat_s=DAY)


@dataclass
class Story:
    """A fleet that goes through something, looked at every ten seconds, or every minute where it takes long."""

    fleet: Fleet = field(default_factory=lambda: Fleet(NOON))
    now: float = NOON
    policy: Policy = POLICY
    memory: Memory = field(default_factory=lambda: Memory({}))
    sent: list[tuple[float, list[Told]]] = field(default_factory=list)

    def cameras(self, count: int, net: str = "10.20.3.", name: str = "c") -> list[str]:
        ids = [f"{name}{n}" for n in range(count)]
        for n, camera_id in enumerate(ids, 1):
            camera = Camera(camera_id, "generic", host=f"{net}{n}", name=f"Street {n}")
            self.fleet.cameras[camera_id] = CameraRecord(camera, 300, CameraState(Health.OK), last_picture_at=NOON)
        return ids

    def fail(self, *ids: str, why: ErrorState = ErrorState.CONNECT_TIMEOUT) -> None:
        for camera_id in ids:
            self.fleet.cameras[camera_id].state = CameraState(Health.FAILING, 1, error_state=why)

    def mend(self, *ids: str) -> None:
        for camera_id in ids:
            self.fleet.cameras[camera_id].state = CameraState(Health.OK)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 60 if seconds > 300 else 10
            self.memory = observe(self.memory, snapshot(self.fleet), self.now, self.policy)
            told, self.memory = decide(self.memory, self.now, self.policy)
            if told:
                self.sent.append((self.now, told))

    @property
    def kinds(self) -> list[list[str]]:
        return [[t.kind for t in told] for _, told in self.sent]

    def text(self, n: int = -1) -> str:
        when, told = self.sent[n]
        alert = message(told, "node1", when)
        return f"{alert.title}\n{alert.body}"


# --- when ---


def test_a_segment_with_32_cameras_is_one_message_when_it_fails_and_one_when_it_is_back() -> None:
    story = Story()
    ids = story.cameras(32)
    for n, camera_id in enumerate(ids):  # each at its own slot, and each in its own way
        story.fail(camera_id, why=(ErrorState.CONNECT_TIMEOUT, ErrorState.UNREACHABLE, ErrorState.TIMEOUT)[n % 3])
        story.wait(10)
    story.wait(2 * HOUR)
    assert story.kinds == [["new"]]
    assert set(story.sent[0][1][0].items) == set(ids)
    for camera_id in ids:
        story.mend(camera_id)
        story.wait(10)
    story.wait(2 * HOUR)
    assert story.kinds == [["new"], ["recovered"]]
    assert set(story.sent[1][1][0].items) == set(ids)


def test_trouble_that_is_soon_over_is_not_told() -> None:
    story = Story()
    story.cameras(5)
    for _ in range(5):
        story.fail("c1")
        story.wait(5 * MINUTE)
        story.mend("c1")
        story.wait(HOUR)
    assert story.sent == []


@pytest.mark.parametrize("interval", [10, 300])
def test_a_camera_that_flaps_with_each_cycle_is_told_once(interval: float) -> None:
    story = Story()
    story.cameras(5)
    for _ in range(int(12 * HOUR / interval / 2)):
        story.fail("c1")
        story.wait(interval)
        story.mend("c1")
        story.wait(interval)
    assert story.kinds == [["new"]]
    story.wait(HOUR)
    assert story.kinds == [["new"], ["recovered"]]


def test_a_camera_that_flaps_slowly_is_soon_left_alone() -> None:
    story = Story()
    story.cameras(5)
    for _ in range(24):
        story.fail("c1")
        story.wait(HOUR)
        story.mend("c1")
        story.wait(HOUR)
    told_on_the_first_day = [when for when, _ in story.sent if when < NOON + DAY]
    assert len(told_on_the_first_day) <= 5
    assert len(story.sent) <= 7  # and a reminder a day


def test_trouble_that_lasts_is_told_again_once_in_a_while_all_of_it_together() -> None:
    story = Story()
    story.cameras(5)
    story.fail("c1")
    story.wait(3 * HOUR)
    story.fail("c2", why=ErrorState.AUTH)
    story.wait(3.5 * DAY)
    assert story.kinds == [["new"], ["new"]] + [["still", "still"]] * 3


def test_no_reminders_where_none_are_wanted() -> None:
    story = Story(policy=Policy(600, 0))
    story.cameras(5)
    story.fail("c1")
    story.wait(5 * DAY)
    assert story.kinds == [["new"]]


def test_between_two_messages_there_is_a_pause_whatever_happens() -> None:
    story = Story()
    ids = story.cameras(100)
    for n, camera_id in enumerate(ids):
        story.fail(camera_id, why=list(ErrorState)[n % 16])
        story.wait(2 * MINUTE)
    times = [when for when, _ in story.sent]
    assert len(times) > 10
    assert all(b - a >= POLICY.pause_s for a, b in pairwise(times))


def test_the_stores_trouble_is_told_within_minutes_and_once() -> None:
    story = Story()
    story.cameras(100)
    story.fleet.store.ok, story.fleet.store.reason = False, "denied"
    story.wait(3 * MINUTE)
    assert story.kinds == [["new"]]
    assert "the store takes no pictures (denied)" in story.text()
    story.wait(5 * HOUR)
    story.fleet.store.ok = True
    story.wait(HOUR)
    assert story.kinds == [["new"], ["recovered"]]


def test_an_outage_of_our_own_network_is_one_line() -> None:
    story = Story()
    ids = [*story.cameras(50), *story.cameras(50, "10.99.1.", "d")]
    story.fail(*ids)
    story.fleet.uplink_suspected_since = 1.0
    story.wait(HOUR)
    assert story.kinds == [["new"]]
    assert len(story.sent[0][1][0].items) == 101
    assert "our own network is suspected; 100 cameras" in story.text()


def test_segments_are_told_apart() -> None:
    story = Story()
    ids = [*story.cameras(5), *story.cameras(7, "10.99.1.", "d"), *story.cameras(3, "cam.west.example.org", "w")]
    for n in range(3):
        story.fleet.cameras[f"w{n}"].camera = Camera(f"w{n}", "generic", host=f"cam{n}.west.example.org")
    story.fail(*ids)
    story.wait(HOUR)
    assert [len(told.items) for told in story.sent[0][1]] == [7, 5, 3]


def test_a_camera_that_is_no_longer_run_is_forgotten() -> None:
    story = Story()
    story.cameras(5)
    story.fail("c1", "c2")
    story.wait(HOUR)
    del story.fleet.cameras["c1"]
    story.fleet.cameras["c2"].state = CameraState(Health.PAUSED)
    story.wait(2 * DAY)
    assert story.kinds == [["new"]]
    assert story.memory.items == {}


def test_a_restart_tells_nothing_twice_and_misses_no_recovery() -> None:
    story = Story()
    ids = story.cameras(5)
    story.fail("c1", "c2")
    story.wait(HOUR)
    for camera_id in ids:
        story.fleet.cameras[camera_id].state = CameraState()  # new: nobody knows yet
    story.wait(5 * MINUTE)
    story.fail("c1")
    story.mend("c0", "c2", "c3", "c4")
    story.wait(HOUR)
    assert story.kinds == [["new"], ["recovered"]]
    assert set(story.sent[1][1][0].items) == {"c2"}


def test_a_clock_that_is_set_back_does_not_silence_it_for_long() -> None:
    story = Story()
    story.cameras(5)
    story.fail("c1")
    story.wait(HOUR)
    story.now -= DAY
    story.fail("c2", why=ErrorState.AUTH)
    story.wait(HOUR)
    assert story.kinds == [["new"], ["new"]]


# --- in what words ---


def test_what_was_seen_by_a_clock_that_is_then_set_back_is_told_and_over_in_time() -> None:
    story = Story()
    story.cameras(3)
    story.fail("c1")
    story.wait(MINUTE)
    story.now -= 30 * DAY
    story.wait(HOUR)
    assert story.kinds == [["new"]]
    story.mend("c1")
    story.wait(MINUTE)
    story.now -= 30 * DAY
    story.wait(HOUR)
    assert story.kinds == [["new"], ["recovered"]]


def test_a_message_says_what_since_when_the_last_picture_and_what_to_do() -> None:
    story = Story()
    ids = story.cameras(32)
    story.fail(*ids)
    story.wait(HOUR)
    assert story.text() == (
        "cctv-images on node1: trouble: 32 cameras\n"
        "New:\n"
        "- 32 cameras of one segment without a picture: connect_timeout, since 2027-01-15 08:01 UTC; "
        "last picture 2027-01-15 08:00 UTC; check power, network and firewall: c0 Street 1, c1 Street 2, c2 Street 3, "
        "c3 Street 4, c4 Street 5, c5 Street 6, c6 Street 7, c7 Street 8 and 24 more"
    )
    story.mend(*ids)
    story.wait(HOUR)
    assert "recovered: 32 cameras\nRecovered:\n- 32 cameras of one segment after connect_timeout, from" in story.text()


def test_a_message_stays_short_and_names_no_address() -> None:
    story = Story()
    for n in range(40):
        ids = story.cameras(30, f"10.{n}.1.", f"n{n}-")
        story.fail(*ids)
    story.fleet.cameras["n0-0"].camera = Camera("n0-0", "generic", host="10.0.1.1", name="evil\x1b[31m\n" * 50)
    story.wait(HOUR)
    text = story.text()
    assert len(text) < 6000
    assert "trouble: 1200 cameras" in text
    assert "10." not in text
    assert "\x1b" not in text


def test_cameras_that_show_the_same_picture_again_and_again_are_told_too() -> None:
    story = Story()
    story.cameras(5)
    for camera_id in ("c1", "c2"):
        story.fleet.cameras[camera_id].suspect = Suspect(Reason.FROZEN, NOON)
    story.wait(HOUR)
    assert "- 2 cameras with doubtful pictures: frozen, since" in story.text()
    for record in story.fleet.cameras.values():
        record.suspect = None
    story.wait(HOUR)
    assert story.kinds == [["new"], ["recovered"]]


def test_what_the_ledger_the_archive_and_the_inventory_know_reaches_people() -> None:
    story = Story()
    story.cameras(5)
    fleet = story.fleet
    fleet.ledger.gaps, fleet.ledger.verified_date, fleet.inventory_stale = 3, "2027-01-14", True
    fleet.archive.ok, fleet.archive.reason, fleet.archive.spool_trouble = False, "timeout", "spool_full"
    story.wait(5 * MINUTE)
    (told,) = [story.text()]
    for words in (
        "the ledger has gaps (3 slots of 2027-01-14)",
        "the camera list cannot be read",
        "the archive takes no copies (timeout)",
        "pictures are lost to the archive (spool_full)",
    ):
        assert words in told


def test_a_camera_that_never_gave_a_picture_says_so() -> None:
    story = Story()
    story.cameras(1)
    story.fleet.cameras["c0"].last_picture_at = None
    story.fail("c0", why=ErrorState.AUTH)
    story.wait(HOUR)
    assert "no picture since the service started" in story.text()


# --- to whom ---


class Hook:
    """A webhook, as Slack's or anybody's."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        self.hangs = False

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(await request.json())
        if self.hangs:
            await asyncio.sleep(3600)
        return web.Response(status=self.status)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_ports(1)[0]
    await web.TCPSite(runner, "127.0.0.1", port).start()
    made.url = f"json://user:s3cret@127.0.0.1:{port}/token-4711"
    yield made
    await runner.cleanup()


def alarm_over(story: Story, tmp_path: Path, *urls: str, send_s: float = 60) -> tuple[Alarm, SimulatedClock]:
    clock = SimulatedClock(NOON)
    return Alarm(urls, Policy(20, DAY), tmp_path / "alerts.json", story.fleet, clock, "node1", send_s), clock


async def looked(alarm: Alarm, clock: SimulatedClock, memory: Memory, seconds: float = 60) -> Memory:
    for _ in range(int(seconds / 10)):
        await clock.advance(10)
        memory = await alarm.look(memory)
    return memory


async def test_a_webhook_gets_the_message(hook: Hook, tmp_path: Path) -> None:
    story = Story()
    story.fail(*story.cameras(3))
    alarm, clock = alarm_over(story, tmp_path, hook.url)
    memory = await looked(alarm, clock, Memory({}))
    assert [got["title"] for got in hook.got] == ["cctv-images on node1: trouble: 3 cameras"]
    assert hook.got[0]["type"] == "warning"
    story.mend("c0", "c1", "c2")
    await looked(alarm, clock, memory)
    assert [got["type"] for got in hook.got] == ["warning", "success"]
    assert (story.fleet.alerts.ok, story.fleet.alerts.sent) == (True, 2)


async def test_mail_reaches_a_mail_server(tmp_path: Path) -> None:
    class Box:
        mails: list[bytes] = []  # noqa: RUF012

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            self.mails.append(envelope.content)
            return "250 OK"

    server = Controller(Box(), hostname="127.0.0.1", port=free_ports(1)[0])
    server.start()
    try:
        story = Story()
        story.fail(*story.cameras(3))
        url = f"mailto://127.0.0.1:{server.port}?from=cctv@example.org&to=duty@example.org&mode=insecure"
        alarm, clock = alarm_over(story, tmp_path, url)
        await looked(alarm, clock, Memory({}))
    finally:
        server.stop()
    (mail,) = [email.message_from_bytes(content, policy=email.policy.default) for content in Box.mails]
    assert mail["subject"] == "cctv-images on node1: trouble: 3 cameras"
    assert "c0 Street 1" in mail.get_body(("plain", "html")).get_content()


async def test_what_no_server_took_is_sent_again_and_what_one_took_is_not(hook: Hook, tmp_path: Path) -> None:
    story = Story()
    story.fail(*story.cameras(3))
    dead = f"json://127.0.0.1:{free_ports(1)[0]}/"
    hook.status = 500
    alarm, clock = alarm_over(story, tmp_path, hook.url, dead)
    with capture_logs() as logs:
        memory = await looked(alarm, clock, Memory({}), 200)
        tried = len(hook.got)
        assert tried >= 2
        assert not story.fleet.alerts.ok
        hook.status = 200
        await looked(alarm, clock, memory, 300)
    assert len(hook.got) == tried + 1
    assert [entry["event"] for entry in logs] == ["alert_failed", "alert_sent"]
    assert logs[0]["addresses"] == "json (no. 1), json (no. 2)"
    assert "s3cret" not in str(logs)
    assert "4711" not in str(logs)


async def test_a_server_that_hangs_ends_with_its_process(hook: Hook, tmp_path: Path) -> None:
    hook.hangs = True
    story = Story()
    story.fail(*story.cameras(3))
    alarm, clock = alarm_over(story, tmp_path, hook.url + "?rto=3000", send_s=2)
    begin = time.monotonic()
    await looked(alarm, clock, Memory({}), 40)
    assert time.monotonic() - begin < 20
    assert not story.fleet.alerts.ok


async def test_addresses_that_apprise_does_not_understand_are_named_by_their_number() -> None:
    await check_urls(["json://127.0.0.1/"])
    with pytest.raises(ConfigError) as caught:
        await check_urls(["json://127.0.0.1/", "nosuch://token-4711", "mailto://"])
    assert str(caught.value) == "CCTV_ALERT_URLS: Apprise does not understand the address no. 2, 3."


async def test_a_test_message_says_that_it_is_one_and_who_did_not_take_it(hook: Hook) -> None:
    dead = f"json://127.0.0.1:{free_ports(1)[0]}/token-4712"
    assert await try_urls([hook.url, dead], "node1") == ["json (no. 2)"]
    assert [(told["title"], told["type"]) for told in hook.got] == [("cctv-images on node1: a test", "success")]


async def test_what_has_been_told_outlives_a_restart(hook: Hook, tmp_path: Path) -> None:
    story = Story()
    story.fail(*story.cameras(3))
    story.fleet.inventory_loaded_at = NOON
    kept = tmp_path / "alerts.json"
    for life in range(2):
        alarm, clock = alarm_over(story, tmp_path, hook.url)
        running = asyncio.create_task(alarm.run())
        for looks in range(600):
            await asyncio.sleep(0.1)
            await clock.advance(10)
            if looks > 20 and (life or (kept.exists() and json.loads(kept.read_text())["sent"])):
                break
        running.cancel()
        await asyncio.wait([running])
    assert len(hook.got) == 1
    assert json.loads((tmp_path / "alerts.json").read_text())["items"].keys() == {"c0", "c1", "c2"}


async def test_the_service_tells_people_and_keeps_the_address_to_itself(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text(f"camera_id,address,model\nc1,127.0.0.1:{free_ports(1)[0]},pelco\n")
    env = {
        "CCTV_INVENTORY": "cameras.csv",
        "CCTV_STORE": f"file://{tmp_path}/store",
        "CCTV_LISTEN": "",
        "CCTV_INTERVAL": "2",
        "CCTV_TIMEOUT": "0.5",
        "CCTV_ATTEMPTS": "1",
        "CCTV_ALERT_PAUSE": "10",
        "CCTV_LOG_FILE": str(tmp_path / "log"),
        "CCTV_ALERT_URLS": hook.url,
    }
    program = Program(tmp_path, env)
    async with program.running("run") as daemon:
        await until(lambda: hook.got)
        assert await stop(daemon) == 0
    assert "1 camera without a picture: unreachable" in hook.got[0]["message"]
    assert "s3cret" not in (tmp_path / "log").read_text()
    for command in ("check", "run"):
        done = await program(command, CCTV_ALERT_URLS="nosuch://token-4711")
        assert done.code == 78
        assert "CCTV_ALERT_URLS: Apprise does not understand the address no. 1." in done.err
        assert "4711" not in done.err
