"""Logins, and the guard that keeps them from locking an account.

The rules: of one account on one device at most two offers are refused in any 60 minutes. Until the device has accepted
an account, one offer at a time is in flight for it, and its refusal answers for all rows. A login that has worked
before and is refused is withheld for 60 minutes, then offered once more: some cameras refuse now and then (Dahua).
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from cctv_images.acquire.mass_refusal import MassRefusal
from cctv_images.acquire.refusal_file import why
from cctv_images.acquire.refusals import Account, Granted, InFlight, Moment, RefusalCount, Verdict, Withheld
from cctv_images.clock import Clock, iso
from cctv_images.errors import CameraError, ErrorState

VOUCHES_S = 10.0
"""How long an acceptance lets any number of rows log in at once. Later, one row goes first: the password may have been
changed meanwhile, and 32 rows of a recorder that learn it together would lock the account."""
PATIENCE_S = 5.0
"""How long a hung answer holds up the other rows of a device that has accepted the account."""
CHANGED = ": several devices that had accepted its password refuse it; it has probably been changed"
POLL_S = 0.2
"""How often another process's offer is looked at."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account. Its repr shows no password."""

    username: str
    password: SecretStr

    def __post_init__(self) -> None:
        if any(not c.isprintable() for c in self.username):
            raise ValueError("a user name holds printable characters only")


@dataclass(slots=True)
class _Standing:
    """What this process knows of an account."""

    account: Account
    login: Login
    proven: bool = False
    """Accepted in this process, and not refused since: asks nothing of the disk."""
    vouched_until: float = 0.0
    """Monotonic seconds."""
    refusals: int = 0
    told: bool = False
    """on_refused has been called for this run of refusals."""
    holder: Offer | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Offer:
    """A login on its way to a camera. One of the three is called as soon as the answer's status is known, which gives
    the next row its turn; none at all means that no answer came."""

    def __init__(self, guard: LoginGuard, standing: _Standing, asker: str) -> None:
        self._guard = guard
        self._standing = standing
        self._asker = asker
        self._open = True
        self.refusals_before = standing.refusals
        self.since = asyncio.get_running_loop().time()
        self.granted = Granted(None, proven=standing.proven, last_chance=False)

    def accepted(self) -> None:
        """Answered with what only somebody who is logged in is given."""
        self._close("accepted")

    def answered(self) -> None:
        """Answered, but neither way: 503, say."""
        self._close("answered")

    def refused(self) -> CameraError:
        """Answered 401 or 403, and not with stale=true. Returns the error to raise."""
        self._close("refused")
        again = "; it has worked before and is offered once more in an hour"
        soft = self.granted.proven and not self.granted.last_chance
        return CameraError(
            ErrorState.AUTH,
            f"the camera refused the login of {self._standing.account.username}{again if soft else ''}",
            counts=not soft,
            final=self.granted.last_chance,
        )

    def _close(self, verdict: Verdict) -> None:
        if self._open:
            self._open = False
            self._guard._settle(self, self._standing, self._asker, verdict)


class LoginGuard:
    """Decides whether a login may be offered. One per process; all processes share the file at path (None: no file)."""

    def __init__(
        self,
        path: Path | None,
        clock: Clock,
        *,
        on_refused: Callable[[str, str], None] = lambda host, username: None,
        on_changed: Callable[[Login], None] = lambda login: None,
        boot: str | None = None,
    ) -> None:
        """on_refused(host, username) is called once per run of refusals; on_changed(login) once, when so many devices
        refuse a login that its password has probably been changed. boot: the machine's boot id, for tests."""
        self._clock = clock
        self._on_refused = on_refused
        self._on_changed = on_changed
        self._mass = MassRefusal()
        self._boot = _boot_id() if boot is None else boot
        self._name = path.name if path else "memory"
        self._count = RefusalCount(path)
        self._standings: dict[Account, _Standing] = {}
        self._schemes: dict[str, str] | None = None

    @asynccontextmanager
    async def offer(self, host: str, login: Login, *, row: str = "") -> AsyncIterator[Offer]:
        """Waits for its turn and lets a login be sent. row: the camera_id that asks; "" for an address alone.

        Raises CameraError(AUTH) where the login is withheld. A row confirms a refusal in its next cycle; the device's
        other rows take it as theirs for a minute.
        """
        account = Account(host.lower(), login.username, login.password.get_secret_value())
        standing = self._standings.setdefault(account, _Standing(account, login))
        waited = await self._turn(standing)
        if left := self._mass.withheld(_secret(account), self._clock.monotonic()):
            raise self._error(Withheld(left, counts=False, everywhere=True))
        standing.holder = offer = Offer(self, standing, row)
        try:
            if not standing.proven:
                offer.granted = await self._admitted(standing, row, waited)
            yield offer
        finally:
            offer._close("unanswered")

    async def clear(self, host: str, username: str | None = None) -> None:
        """Forgets a device's refusals and its remembered scheme (`revive --offer-login`). CameraError if it cannot."""
        host = host.lower()
        for account, standing in self._standings.items():
            if account.host == host and username in (None, account.username):
                standing.told = False
                self._mass.forget(_secret(account))
        if self._schemes is not None:
            self._schemes.pop(host, None)
        try:
            await asyncio.wrap_future(self._count.clear(host, username))
        except (sqlite3.Error, OSError) as error:
            raise self._unkept(error) from None

    async def scheme(self, host: str) -> str | None:
        """The strongest scheme this device has ever offered, or None: what may not be gone below."""
        if self._schemes is None:
            with suppress(sqlite3.Error, OSError):
                self._schemes = await asyncio.wrap_future(self._count.schemes())
        return (self._schemes or {}).get(host.lower())

    async def remember_scheme(self, host: str, scheme: str) -> None:
        if await self.scheme(host) != scheme:
            self._schemes = {**(self._schemes or {}), host.lower(): scheme}
            self._count.remember_scheme(host.lower(), scheme)

    async def close(self) -> None:
        """Writes what is still to be written."""
        await asyncio.to_thread(self._count.close)

    async def _turn(self, standing: _Standing) -> bool:
        """Waits until another offer of the account is answered; True if one was refused meanwhile."""
        refusals = standing.refusals
        loop = asyncio.get_running_loop()
        while (holder := standing.holder) is not None and self._clock.monotonic() >= standing.vouched_until:
            left = holder.since + PATIENCE_S - loop.time() if standing.proven else None
            if left is not None and left <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await standing.changed.wait()
        return standing.refusals != refusals

    async def _admitted(self, standing: _Standing, row: str, waited: bool) -> Granted:
        account = standing.account
        while True:
            asked = self._count.admit(account, row, self._now(), waited=waited)
            try:
                verdict = await asyncio.wrap_future(asked)
            except asyncio.CancelledError:
                asked.add_done_callback(lambda done: self._withdraw(account, row, done))
                raise
            except (sqlite3.Error, OSError) as error:
                return await self._unrecorded(standing, error)
            if isinstance(verdict, Granted):
                return verdict
            if isinstance(verdict, Withheld):
                raise self._error(verdict)
            waited = True
            await asyncio.sleep(POLL_S)

    async def _unrecorded(self, standing: _Standing, error: Exception) -> Granted:
        """When the count cannot be kept, only what has worked before, and was not refused since, is offered."""
        with suppress(sqlite3.Error, OSError):
            untroubled = await asyncio.wrap_future(self._count.untroubled(standing.account, self._now()))
            if untroubled and not standing.told:
                return Granted(None, proven=True, last_chance=False)
        raise self._unkept(error) from None

    def _unkept(self, error: Exception) -> CameraError:
        reason = f"login withheld: the refusal count cannot be kept ({self._name}: {why(error)})"
        return CameraError(ErrorState.AUTH, reason, counts=False)

    def _withdraw(self, account: Account, row: str, asked: Future[Granted | Withheld | InFlight]) -> None:
        """An offer was granted to somebody who had gone: it was never sent."""
        if not asked.cancelled() and asked.exception() is None and isinstance(granted := asked.result(), Granted):
            self._count.resolve(account, granted, row, "answered", self._now())

    def _settle(self, offer: Offer, standing: _Standing, row: str, verdict: Verdict) -> None:
        if verdict == "accepted" and standing.refusals == offer.refusals_before:
            standing.proven = True
            standing.vouched_until = self._clock.monotonic() + VOUCHES_S
            standing.told = False
            self._mass.accepted(_secret(standing.account))
        if verdict == "refused":
            standing.proven = False
            standing.vouched_until = 0.0
            standing.refusals += 1
            self._tell(standing, worked=offer.granted.proven)
        if offer.granted.offer is not None or verdict == "refused":
            self._count.resolve(standing.account, offer.granted, row, verdict, self._now())
        if standing.holder is offer:
            standing.holder = None
        standing.changed.set()
        standing.changed = asyncio.Event()

    def _tell(self, standing: _Standing, *, worked: bool) -> None:
        """Says of a refusal what it means: for this device, or for all that share the password."""
        account, now = standing.account, self._clock.monotonic()
        told, standing.told = standing.told, True
        secret = _secret(account)
        if worked and self._mass.refused(secret, account.host, now):
            self._count.withhold(account, self._now())
            if self._mass.tell(secret):
                self._on_changed(standing.login)
        elif not told and not self._mass.withheld(secret, now):
            self._on_refused(account.host, account.username)

    def _error(self, withheld: Withheld) -> CameraError:
        until = math.ceil((self._clock.time() + withheld.seconds) / 60) * 60
        return CameraError(
            ErrorState.AUTH,
            f"login withheld until {iso(until)[11:16]} UTC" + (CHANGED if withheld.everywhere else ""),
            counts=withheld.counts,
            final=withheld.final,
        )

    def _now(self) -> Moment:
        return Moment(self._clock.time(), self._clock.monotonic(), self._boot)


def _secret(account: Account) -> tuple[str, str]:
    return account.username, account.secret


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
