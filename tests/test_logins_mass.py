"""A password that several devices refuse at once has been changed; and no make's lock is ever reached."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from raw_camera import acquirer
from zoo import PERSONAS, camera

from cctv_images.acquire import FetchCycle
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.acquire.mass_refusal import DEVICES, WINDOW_S, MassRefusal
from cctv_images.clock import SimulatedClock
from cctv_images.errors import CameraError, ErrorState
from cctv_images.simulate.pictures import StaticPictures
from cctv_images.simulate.server import Zoo

HOUR = 3600.0
LOGIN = Login("viewer", SecretStr("unguessable-7391"))


class Fleet:
    """Devices that share one password; which of them still take it."""

    def __init__(self, size: int) -> None:
        self.hosts = [f"camera-{n}.example" for n in range(size)]
        self.taking = set(self.hosts)
        self.offers: Counter[str] = Counter()
        self.refused: list[str] = []
        self.changed: list[Login] = []

    @asynccontextmanager
    async def guard(self, path: Path | None, clock: SimulatedClock) -> AsyncIterator[LoginGuard]:
        guard = LoginGuard(
            path, clock, on_refused=lambda host, _: self.refused.append(host), on_changed=self.changed.append
        )
        try:
            yield guard
        finally:
            await guard.close()

    async def ask(self, guard: LoginGuard, host: str, login: Login = LOGIN) -> CameraError | None:
        try:
            async with guard.offer(host, login, row=host) as offer:
                self.offers[host] += 1
                await asyncio.sleep(0)
                if host not in self.taking:
                    return offer.refused()
                offer.accepted()
                return None
        except CameraError as error:
            return error

    async def cycle(self, guard: LoginGuard, clock: SimulatedClock, login: Login = LOGIN) -> list[CameraError | None]:
        came = []
        for host in self.hosts:
            came.append(await self.ask(guard, host, login))
            await clock.advance(300 / len(self.hosts))
        return came


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logins.sqlite"


@pytest.mark.parametrize("restarts", [False, True])
async def test_after_three_devices_have_refused_a_password_nobody_offers_it_for_an_hour(
    path: Path, clock: SimulatedClock, restarts: bool
) -> None:
    fleet = Fleet(100)
    async with fleet.guard(path, clock) as guard:
        assert set(await fleet.cycle(guard, clock)) == {None}
        await clock.advance(300)
        fleet.taking.clear()
        came = await fleet.cycle(guard, clock)
        assert sum(fleet.offers.values()) == 103
        assert all(error and error.state is ErrorState.AUTH and not error.counts for error in came)
        assert all("probably been changed" in error.detail for error in came[3:] if error)
    async with fleet.guard(path, clock) as guard:
        if not restarts:
            return
        for _ in range(10):
            await fleet.cycle(guard, clock)
        assert sum(fleet.offers.values()) == 103
    assert (fleet.changed, fleet.refused) == ([LOGIN], fleet.hosts[:2])


async def test_people_are_told_once_even_where_hundreds_refuse_at_the_same_moment(clock: SimulatedClock) -> None:
    fleet = Fleet(300)
    async with fleet.guard(None, clock) as guard:
        await asyncio.gather(*(fleet.ask(guard, host) for host in fleet.hosts))
        await clock.advance(300)
        fleet.taking.clear()
        await asyncio.gather(*(fleet.ask(guard, host) for host in fleet.hosts))
        assert fleet.changed == [LOGIN]
        assert len(fleet.refused) == 2
        for _ in range(3):
            await clock.advance(HOUR + 60)
            for host in fleet.hosts:
                await fleet.ask(guard, host)
        assert fleet.changed == [LOGIN]
    assert max(fleet.offers.values()) <= 5


async def test_a_changed_password_is_offered_at_once(path: Path, clock: SimulatedClock) -> None:
    fleet = Fleet(10)
    async with fleet.guard(path, clock) as guard:
        await fleet.cycle(guard, clock)
        fleet.taking.clear()
        await fleet.cycle(guard, clock)
        fleet.taking.update(fleet.hosts)
        assert set(await fleet.cycle(guard, clock, Login("viewer", SecretStr("the new one")))) == {None}


@pytest.mark.parametrize("restarts", [False, True])
async def test_offering_again_can_be_ordered(path: Path, clock: SimulatedClock, restarts: bool) -> None:
    fleet = Fleet(10)
    async with fleet.guard(path, clock) as guard:
        await fleet.cycle(guard, clock)
        fleet.taking.clear()
        await fleet.cycle(guard, clock)
        fleet.taking.update(fleet.hosts)
        if not restarts:
            await guard.clear(fleet.hosts[0])
            assert await fleet.ask(guard, fleet.hosts[0]) is None
            assert await fleet.ask(guard, fleet.hosts[9]) is None
    async with fleet.guard(path, clock) as guard:
        if restarts:
            await guard.clear(fleet.hosts[0], "viewer")
        assert await fleet.ask(guard, fleet.hosts[0]) is None


async def test_after_the_hour_it_is_tried_again_and_works_on(path: Path, clock: SimulatedClock) -> None:
    fleet = Fleet(10)
    async with fleet.guard(path, clock) as guard:
        await fleet.cycle(guard, clock)
        fleet.taking.clear()
        await fleet.cycle(guard, clock)
        fleet.taking.update(fleet.hosts)
        await clock.advance(HOUR)
        assert set(await fleet.cycle(guard, clock)) == {None}


async def test_a_fleet_in_which_some_refuse_now_and_then_goes_on(clock: SimulatedClock) -> None:
    fleet, dice = Fleet(500), random.Random(3)
    async with fleet.guard(None, clock) as guard:
        await asyncio.gather(*(fleet.ask(guard, host) for host in fleet.hosts))
        for _ in range(5):
            for host in fleet.hosts:
                fleet.taking = set(fleet.hosts) if dice.random() > 0.02 else set(fleet.hosts) - {host}
                await fleet.ask(guard, host)
                await clock.advance(300 / len(fleet.hosts))
    assert fleet.changed == []
    assert len(fleet.refused) > 20


async def test_three_devices_that_never_took_it_say_nothing_about_the_others(clock: SimulatedClock) -> None:
    fleet = Fleet(10)
    fleet.taking = set(fleet.hosts[5:])
    async with fleet.guard(None, clock) as guard:
        came = await fleet.cycle(guard, clock)
    assert [error is None for error in came] == [False] * 5 + [True] * 5
    assert fleet.changed == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 200)), max_size=60))
@settings(max_examples=200)
def test_withheld_means_that_several_devices_refused_it_lately(answers: list[tuple[bool, int, int]]) -> None:
    mass, now, refusals = MassRefusal(), 0.0, list[tuple[float, int]]()
    for accepted, host, seconds in answers:
        now += seconds
        if accepted:
            mass.accepted(("u", "p"))
            continue
        refusals.append((now, host))
        if mass.refused(("u", "p"), str(host), now):
            assert len({h for at, h in refusals if now - at < WINDOW_S}) >= DEVICES
            assert mass.withheld(("u", "p"), now) == HOUR
            assert mass.withheld(("u", "other"), now) == 0


LOCKING = [name for name, persona in PERSONAS.items() if persona.login is not None]


async def test_in_a_week_of_wrong_passwords_no_make_locks_the_account(path: Path, clock: SimulatedClock) -> None:
    """Every persona that wants a login, asked as the daemon does, with restarts, and with the strictest lock that is
    known of any make: five refusals in half an hour."""
    dice = random.Random(11)
    animals = []
    for number, name in enumerate(LOCKING):
        made = PERSONAS[name]
        assert made.login is not None
        strict = replace(made, login=replace(made.login, lock_after=made.login.lock_after or 5))
        animals.append(camera(strict, camera_id=name, number=number))
    async with Zoo(animals, pictures=StaticPictures(), clock=clock.monotonic) as zoo:
        rows = [replace(zoo.camera(name), credentials=None) for name in LOCKING]
        while clock.monotonic() < 7 * 24 * HOUR:
            wrong = Login("viewer", SecretStr("wrong"))
            async with acquirer(default_login=wrong, guard=LoginGuard(path, clock), timeout_s=20) as fetcher:
                for _ in range(dice.choice([1, 3, 20])):

                    async def attempts(row: object) -> None:
                        cycle = FetchCycle()
                        for _ in range(2):
                            with pytest.raises(CameraError):
                                await fetcher.fetch(row, cycle)  # type: ignore[arg-type]

                    await asyncio.gather(*(attempts(row) for row in rows))
                    await clock.advance(dice.choice([300, 3000, 7200, 14400, 21600]))
        for name in LOCKING:
            counts = zoo.login_counts(name)
            assert (counts.lockouts, counts.basic_despite_digest, counts.basic_unasked) == (0, 0, 0), name
            assert 0 < counts.refused < 2 * 7 * 24, name
