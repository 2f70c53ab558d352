"""Logins never lock an account: across rows, processes, restarts, kills, stepped clocks and broken disks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import sqlite3
import stat
import subprocess
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.clock import SimulatedClock
from cctv_images.errors import CameraError, ErrorState
from cctv_images.states import CameraState, Failure, Health, Policy, after_failure

HOUR = 3600.0
HOST = "recorder.example"
LOGIN = Login("viewer", SecretStr("unguessable-7391"))


class Device:
    """Counts wrong logins like the strictest locks that are known: five in 30 minutes."""

    def __init__(self, clock: SimulatedClock, *, right: bool = False) -> None:
        self.clock = clock
        self.right = right
        self.refused_at: deque[float] = deque()
        self.offers = 0
        self.most_in_an_hour = 0
        self.locked = False

    def takes(self) -> bool:
        self.offers += 1
        if self.right:
            return True
        now = self.clock.monotonic()
        self.refused_at.append(now)
        self.most_in_an_hour = max(self.most_in_an_hour, sum(now - then < HOUR for then in self.refused_at))
        self.locked |= sum(now - then < HOUR / 2 for then in self.refused_at) >= 5
        return False


@asynccontextmanager
async def opened(path: Path | None, clock: SimulatedClock, **more: object) -> AsyncIterator[LoginGuard]:
    guard = LoginGuard(path, clock, **more)  # type: ignore[arg-type]
    try:
        yield guard
    finally:
        await guard.close()


async def ask(
    guard: LoginGuard, device: Device, row: str = "1", login: Login = LOGIN, host: str = HOST, takes_s: float = 0
) -> CameraError | None:
    """One row's attempt; None = logged in."""
    try:
        async with guard.offer(host, login, row=row) as offer:
            await asyncio.sleep(takes_s)
            if not device.takes():
                return offer.refused()
            offer.accepted()
            return None
    except CameraError as error:
        return error


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "logins.sqlite"


async def test_one_refusal_answers_for_all_rows_that_ask_at_once(path: Path, clock: SimulatedClock) -> None:
    device = Device(clock)
    async with opened(path, clock) as guard:
        errors = await asyncio.gather(*(ask(guard, device, str(row), takes_s=0.01) for row in range(32)))
    assert device.offers == 1
    assert all(error and error.state is ErrorState.AUTH and error.counts for error in errors)
    assert sum("login withheld until" in error.detail for error in errors if error) == 31


async def test_the_refused_row_asks_once_more_in_its_next_cycle_and_then_nobody_for_an_hour(
    path: Path, clock: SimulatedClock
) -> None:
    device = Device(clock)
    async with opened(path, clock) as guard:
        await ask(guard, device, "1")
        await clock.advance(20)
        await ask(guard, device, "2")
        assert device.offers == 1
        await ask(guard, device, "1")
        assert device.offers == 2
        for minutes in range(59):
            await clock.advance(60)
            error = await ask(guard, device, str(minutes % 3))
            assert error is not None
            assert error.detail == "login withheld until 23:14 UTC"
        assert device.offers == 2
        await clock.advance(60)
        await ask(guard, device)
        assert device.offers == 3


async def test_a_login_that_is_right_at_the_second_try_works_for_all(path: Path, clock: SimulatedClock) -> None:
    device = Device(clock)
    async with opened(path, clock) as guard:
        await ask(guard, device, "1")
        device.right = True
        await clock.advance(300)
        assert await ask(guard, device, "2") is None
        assert await ask(guard, device, "1") is None


async def test_until_it_is_accepted_once_one_offer_is_in_flight_and_afterwards_all_work(
    path: Path, clock: SimulatedClock
) -> None:
    device = Device(clock, right=True)
    async with opened(path, clock) as guard:
        assert await asyncio.gather(*(ask(guard, device, str(row), takes_s=0.001) for row in range(32))) == [None] * 32


async def test_in_a_week_of_wrong_passwords_with_restarts_no_account_is_locked(
    path: Path, clock: SimulatedClock
) -> None:
    device, dice, rows = Device(clock), random.Random(7), [str(row) for row in range(32)]
    guard = LoginGuard(path, clock)
    while clock.monotonic() < 7 * 24 * HOUR:
        dice.shuffle(rows)
        burst = dice.choice([8, 32])
        for start in range(0, 32, burst):
            await asyncio.gather(*(ask(guard, device, row) for row in rows[start : start + burst]))
            await clock.advance(dice.choice([0, 1, 56]))
        await clock.advance(dice.choice([60, 240, 300, 900, 3000, 3600, 9000]))
        if dice.random() < 0.2:
            await guard.close()
            guard = LoginGuard(path, clock)
    await guard.close()
    assert not device.locked
    assert device.most_in_an_hour == 2
    assert device.offers > 24


async def test_a_camera_that_refuses_now_and_then_is_not_disabled(path: Path, clock: SimulatedClock) -> None:
    device = Device(clock, right=True)
    async with opened(path, clock) as guard:
        assert await ask(guard, device) is None
        for _ in range(20):
            device.right = False
            await clock.advance(300)
            error = await ask(guard, device)
            assert error is not None
            assert (error.counts, error.final) == (False, False)
            device.right = True
            for _ in range(11):
                await clock.advance(300)
                error = await ask(guard, device)
                assert error is not None
                assert (error.counts, error.final) == (False, False)
                assert "login withheld until" in error.detail
            await clock.advance(300)
            assert await ask(guard, device) is None
    assert device.most_in_an_hour == 1


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_proven_login_refused_twice_an_hour_apart_disables_the_cameras_of_that_device(
    path: Path, clock: SimulatedClock, restarts: bool
) -> None:
    device = Device(clock, right=True)
    guard = LoginGuard(path, clock)
    assert await ask(guard, device) is None
    device.right = False
    assert not (await ask(guard, device)).final  # type: ignore[union-attr]
    if restarts:
        await guard.close()
        guard = LoginGuard(path, clock)
    await clock.advance(HOUR)
    for row in ("2", "1", "3"):
        error = await ask(guard, device, row)
        assert error is not None
        step = after_failure(CameraState(Health.OK), Failure.of(error), Policy(refusal_limit=5))
        assert step.state.health is Health.DISABLED
    assert device.offers == 3
    await clock.advance(HOUR)
    device.right = True
    assert await ask(guard, device) is None
    await guard.close()


async def test_a_changed_password_is_offered_at_once_and_the_old_one_stays_counted(
    path: Path, clock: SimulatedClock
) -> None:
    wrong, right = Device(clock), Device(clock, right=True)
    async with opened(path, clock) as guard:
        for _ in range(3):
            await ask(guard, wrong)
        assert await ask(guard, right, login=Login("viewer", SecretStr("another"))) is None
        await ask(guard, wrong)
    assert wrong.offers == 2


async def test_devices_and_accounts_are_counted_apart_but_spellings_of_a_host_together(
    path: Path, clock: SimulatedClock
) -> None:
    device = Device(clock)
    async with opened(path, clock) as guard:
        for host in ("one", "ONE", "One", "one"):
            await ask(guard, device, host=host)
        assert device.offers == 2
        await ask(guard, device, host="two")
        await ask(guard, device, host="one", login=Login("other", LOGIN.password))
    assert device.offers == 4


async def test_offering_again_can_be_ordered(path: Path, clock: SimulatedClock) -> None:
    device = Device(clock)
    async with opened(path, clock) as guard:
        for _ in range(3):
            await ask(guard, device)
        await guard.clear("Recorder.example", "somebody else")
        assert await ask(guard, device) is not None
        assert device.offers == 2
        await guard.clear("Recorder.example")
        device.right = True
        assert await ask(guard, device) is None


async def test_a_refusal_is_told_once_until_the_login_works_again(path: Path, clock: SimulatedClock) -> None:
    told: list[tuple[str, str]] = []
    device = Device(clock)
    async with opened(path, clock, on_refused=lambda host, username: told.append((host, username))) as guard:
        for _ in range(3):
            await ask(guard, device)
        assert told == [(HOST, "viewer")]
        await clock.advance(HOUR)
        device.right = True
        await ask(guard, device)
        device.right = False
        await ask(guard, device)
    assert told == [(HOST, "viewer")] * 2


@pytest.mark.parametrize("step", [HOUR, -HOUR, 365 * 24 * HOUR])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_stepped_wall_clock_opens_nothing(
    path: Path, clock: SimulatedClock, step: float, restarts: bool
) -> None:
    device = Device(clock)
    guard = LoginGuard(path, clock)
    for _ in range(2):
        await ask(guard, device)
    clock.step(step)
    if restarts:
        await guard.close()
        guard = LoginGuard(path, clock)
    await clock.advance(HOUR - 1)
    await ask(guard, device)
    assert device.offers == 2
    await clock.advance(1)
    await ask(guard, device)
    assert device.offers == 3
    await guard.close()


async def test_after_the_machine_was_restarted_a_refusal_in_the_future_is_taken_for_now(path: Path) -> None:
    ahead = SimulatedClock(start=2_000_000_000)
    device = Device(ahead)
    async with opened(path, ahead, boot="one") as guard:
        for _ in range(2):
            await ask(guard, device)
    mended = SimulatedClock(start=1_700_000_000)
    async with opened(path, mended, boot="two") as guard:
        await ask(guard, device)
        await mended.advance(HOUR - 1)
        await ask(guard, device)
        assert device.offers == 2
        await mended.advance(2)
        await ask(guard, device)
        assert device.offers == 3


async def test_an_offer_without_an_answer_is_no_refusal_but_is_not_repeated_for_ever(
    path: Path, clock: SimulatedClock
) -> None:
    sent, counted = 0, False
    async with opened(path, clock) as guard:
        for _ in range(12):
            try:
                async with guard.offer(HOST, LOGIN, row="1"):
                    sent += 1
            except CameraError as error:
                counted |= error.counts
            await clock.advance(60)
    assert (sent, counted) == (4, False)


async def test_a_busy_camera_may_be_asked_again_and_again(path: Path, clock: SimulatedClock) -> None:
    async with opened(path, clock) as guard:
        for _ in range(12):
            async with guard.offer(HOST, LOGIN, row="1") as offer:
                offer.answered()


async def test_a_proven_login_costs_no_disk(path: Path, clock: SimulatedClock) -> None:
    device = Device(clock, right=True)
    async with opened(path, clock) as guard:
        assert await ask(guard, device) is None
        await guard.clear("barrier")
        path.unlink()
        for row in range(100):
            assert await ask(guard, device, str(row)) is None
    assert not path.exists()


async def test_a_hung_answer_holds_up_the_other_rows_of_a_working_device_for_seconds_only(
    clock: SimulatedClock,
) -> None:
    device = Device(clock, right=True)
    async with opened(None, clock) as guard:
        assert await ask(guard, device) is None
        await clock.advance(300)
        hung = [asyncio.create_task(ask(guard, device, f"hung {n}", takes_s=60)) for n in range(2)]
        await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            assert await asyncio.gather(*(ask(guard, device, str(row)) for row in range(10))) == [None] * 10
        for task in hung:
            task.cancel()
        await asyncio.wait(hung)


async def test_a_password_that_is_changed_on_the_device_is_not_learnt_by_many_rows_at_once(
    path: Path, clock: SimulatedClock
) -> None:
    device = Device(clock, right=True)
    async with opened(path, clock) as guard:
        assert await asyncio.gather(*(ask(guard, device, str(row)) for row in range(32))) == [None] * 32
        await clock.advance(300)
        device.right = False
        errors = await asyncio.gather(*(ask(guard, device, str(row), takes_s=0.01) for row in range(32)))
    assert device.offers == 33
    assert all(error and not error.counts for error in errors)


async def test_a_device_that_works_takes_the_logins_of_many_rows_at_once(clock: SimulatedClock) -> None:
    device = Device(clock, right=True)
    async with opened(None, clock) as guard:
        assert await ask(guard, device) is None
        async with asyncio.timeout(20):
            assert (
                await asyncio.gather(*(ask(guard, device, str(row), takes_s=1) for row in range(100))) == [None] * 100
            )


async def test_a_cancelled_attempt_leaves_the_next_one_free(path: Path, clock: SimulatedClock) -> None:
    device = Device(clock, right=True)
    async with opened(path, clock) as guard:
        for turns in range(3):
            task = asyncio.create_task(ask(guard, device, takes_s=60))
            waiting = asyncio.create_task(ask(guard, device, "2", takes_s=60))
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            task.cancel()
            waiting.cancel()
            await asyncio.wait([task, waiting])
        async with asyncio.timeout(10):
            assert await ask(guard, device) is None


async def test_the_scheme_of_a_device_is_remembered_until_it_is_cleared(path: Path, clock: SimulatedClock) -> None:
    async with opened(path, clock) as guard:
        assert await guard.scheme(HOST) is None
        await guard.remember_scheme(HOST.upper(), "digest")
        assert await guard.scheme(HOST) == "digest"
    async with opened(path, clock) as guard:
        assert await guard.scheme(HOST) == "digest"
        await guard.clear(HOST)
        assert await guard.scheme(HOST) is None


async def test_the_file_is_its_owners_alone_and_gives_no_password_away(path: Path, clock: SimulatedClock) -> None:
    async with opened(path, clock) as guard:
        await ask(guard, Device(clock))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    held, secret = path.read_bytes(), LOGIN.password.get_secret_value().encode()
    plain_hashes = (hash_(secret).digest() for hash_ in (hashlib.md5, hashlib.sha1, hashlib.sha256))
    for trace in (secret, base64.b64encode(b"viewer:" + secret), secret.hex().encode(), *plain_hashes):
        assert trace not in held
    assert "unguessable" not in repr(LOGIN) + repr(guard._standings) + str(LOGIN)


def test_a_user_name_that_would_break_a_header_is_no_user_name() -> None:
    with pytest.raises(ValueError, match="printable"):
        Login("a\r\nX-Evil: 1", SecretStr(""))


def damage(path: Path) -> None:
    path.write_bytes(b"not a database, " * 100)


def drop_a_table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE account")
    db.close()


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("breaks", "reason"), [(damage, "damaged"), (drop_a_table, "damaged"), (become_a_folder, "cannot be opened")]
)
async def test_where_the_count_cannot_be_kept_nothing_new_is_offered(
    path: Path, clock: SimulatedClock, breaks: Callable[[Path], None], reason: str
) -> None:
    device = Device(clock, right=True)
    async with opened(path, clock) as guard:
        await guard.clear("makes the file")
    breaks(path)
    async with opened(path, clock) as guard:
        error = await ask(guard, device)
        assert error is not None
        assert error.detail == f"login withheld: the refusal count cannot be kept (logins.sqlite: {reason})"
        assert not error.counts
        with pytest.raises(CameraError):
            await guard.clear(HOST)
        assert await guard.scheme(HOST) is None
    assert device.offers == 0


HELPERS = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from pydantic import SecretStr
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.clock import RealClock
from cctv_images.errors import CameraError

LOGIN = Login("viewer", SecretStr("unguessable-7391"))
guard = LoginGuard(Path(sys.argv[1]), RealClock())

def say(word):
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()

async def ask(host, verdict, row="1", takes_s=0.0):
    try:
        async with guard.offer(host, LOGIN, row=row) as offer:
            say("offered")
            await asyncio.sleep(takes_s)
            verdict(offer)
    except CameraError as error:
        say(error.detail)
"""


def start(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HELPERS + script, str(path)], stdout=subprocess.PIPE, text=True)


def words(processes: Iterable[subprocess.Popen[str]]) -> Counter[str]:
    return Counter(line for process in processes for line in process.communicate(timeout=60)[0].splitlines())


def test_processes_that_hammer_one_account_together_are_refused_twice_at_most(path: Path) -> None:
    path.parent.mkdir()
    script = """
async def main():
    async def row(name):
        for _ in range(15):
            await ask("camera", lambda offer: offer.refused(), name, 0.02)
    await asyncio.gather(*(row(str(n)) for n in range(4)))
    await guard.close()
asyncio.run(main())
"""
    said = words([start(script, path) for _ in range(3)])
    assert said["offered"] == 2
    assert said.total() == 3 * 4 * 15


def test_two_processes_that_find_a_working_password_changed_are_refused_twice_at_most(path: Path) -> None:
    path.parent.mkdir()
    script = """
changed = Path(sys.argv[1]).with_name("changed")
async def main():
    def verdict(offer):
        if changed.exists():
            say("refused")
            offer.refused()
        else:
            offer.accepted()
    for n in range(400):
        if n == 200:
            changed.touch()
        await ask("camera", verdict, str(n % 4), 0.002)
    await guard.close()
asyncio.run(main())
"""
    said = words([start(script, path) for _ in range(2)])
    assert 1 <= said["refused"] <= 2


def test_killed_between_offer_and_answer_an_offer_counts_as_refused(path: Path) -> None:
    script = 'asyncio.run(ask("camera", lambda offer: os.kill(os.getpid(), signal.SIGKILL)))'
    said = sum((words([start(script, path)]) for _ in range(5)), Counter[str]())
    assert said["offered"] == 2
    assert sum(count for word, count in said.items() if word.startswith("login withheld until")) == 3


def on_a_full_disk(path: Path, verdict: str) -> Counter[str]:
    """What happens to a login that has worked before ("old") and one that has not ("new"), three times each."""
    accept = 'asyncio.run(ask("old", lambda offer: offer.accepted())); asyncio.run(guard.close())'
    assert words([start(accept, path)]) == {"offered": 1}
    script = f"""
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
async def main():
    for _ in range(3):
        await ask("old", lambda offer: offer.{verdict}())
        await ask("new", lambda offer: offer.{verdict}())
asyncio.run(main())
"""
    return words([start(script, path)])


def test_on_a_full_disk_only_what_has_worked_before_is_offered(path: Path) -> None:
    said = on_a_full_disk(path, "accepted")
    assert said.pop("offered") == 3
    assert [(("the refusal count cannot be kept" in word), count) for word, count in said.items()] == [(True, 3)]


def test_on_a_full_disk_what_has_worked_before_is_not_offered_again_after_a_refusal(path: Path) -> None:
    assert on_a_full_disk(path, "refused")["offered"] == 1
