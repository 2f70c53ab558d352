"""The count of refused logins: one SQLite file that every process of this service shares.

What is promised here is the number: of one account on one device at most two offers are refused in any 60 minutes,
whoever asks and whatever dies in between. Therefore an offer stands in the file before it is sent, and one whose
process died counts as refused. Times are the monotonic clock's while the machine has not been restarted since, so
that a step of the wall clock opens nothing; across restarts the wall clock's, where the future is taken for now.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

from cctv_images.acquire.refusal_file import create, prepare

T = TypeVar("T")

WINDOW_S = 3600.0
REFUSED_AT_MOST = 2
ASKED_AT_MOST = 4
"""Offers in a window to an account that was never accepted, answered or not: some cameras that count wrong logins do
not answer them, and the strictest lock we know of takes five."""
ANSWERS_FOR_S = 60.0
"""How long the first refusal of an account that was never accepted answers for the device's other rows."""
LEASE_S = 120.0
"""An offer pending for longer is taken for refused, however alive its process."""
BUSY_S = 5.0
EVERYWHERE = "*"
"""Stands for a host where a secret is withheld from all devices."""

Verdict = Literal["accepted", "refused", "answered", "unanswered"]


@dataclass(frozen=True, slots=True)
class Moment:
    wall: float
    mono: float
    boot: str
    """The machine's boot id; "" = unknown."""


@dataclass(frozen=True, slots=True)
class Account:
    host: str
    username: str
    secret: str

    def __repr__(self) -> str:
        return f"Account({self.username!r} on {self.host!r})"


@dataclass(frozen=True, slots=True)
class Granted:
    offer: int | None
    """None = not recorded."""
    proven: bool
    last_chance: bool
    """Proven, and refused once since: asked again after the window."""


@dataclass(frozen=True, slots=True)
class Withheld:
    seconds: float
    counts: bool = True
    final: bool = False
    everywhere: bool = False
    """Refused by so many devices that its password has probably been changed."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another process awaits the answer to an offer of the same account."""


@dataclass(frozen=True, slots=True)
class _Offer:
    id: int
    state: str
    asker: str
    owner: str
    age: float

    @property
    def left(self) -> float:
        """Seconds until it counts no more."""
        return WINDOW_S + (LEASE_S if self.state == "pending" else 0) - self.age

    @property
    def in_flight(self) -> bool:
        return self.state == "pending" and self.age < LEASE_S and _alive(self.owner)


class RefusalCount:
    """The file, and the one thread that touches it: disks stall, the event loop must not. path None = kept in memory.

    The futures end in sqlite3.Error or OSError when the count cannot be kept; `why` puts that into words.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="logins")
        self._waiting: SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]] = SimpleQueue()
        self._keys: dict[str, bytes] = {}
        self._owner = f"{os.getpid()} {_birth(os.getpid())}"

    def admit(
        self, account: Account, asker: str, now: Moment, *, waited: bool
    ) -> Future[Granted | Withheld | InFlight]:
        """May this account be offered now? What is granted stands in the file. waited: a refusal answered for asker."""
        return self._write(lambda db: self._admit(db, account, asker, now, waited))

    def resolve(self, account: Account, granted: Granted, asker: str, verdict: Verdict, now: Moment) -> Future[None]:
        """Writes down what became of an offer."""
        return self._write(lambda db: self._resolve(db, account, granted, asker, verdict, now))

    def untroubled(self, account: Account, now: Moment) -> Future[bool]:
        """Accepted before and nothing against it since: for when the file can be read but not written."""
        return self._read(lambda db: self._untroubled(db, account, now))

    def withhold(self, account: Account, now: Moment) -> Future[None]:
        """From all devices, for an hour: its password has probably been changed."""
        return self._write(lambda db: self._withhold(db, account, now))

    def clear(self, host: str, username: str | None) -> Future[None]:
        """Forgets refusals (of all accounts where username is None) and the scheme. What is in flight stays."""
        return self._write(lambda db: _clear(db, host, username))

    def schemes(self) -> Future[dict[str, str]]:
        return self._read(lambda db: dict(db.execute("SELECT host, scheme FROM device").fetchall()))

    def remember_scheme(self, host: str, scheme: str) -> Future[None]:
        return self._write(lambda db: _remember_scheme(db, host, scheme))

    def close(self) -> None:
        """Blocks until everything is written."""
        self._thread.submit(self._forget_connection)
        self._thread.shutdown()

    # From here on: in the thread.

    def _admit(
        self, db: sqlite3.Connection, account: Account, asker: str, now: Moment, waited: bool
    ) -> Granted | Withheld | InFlight:
        id_, proven, final = self._find(db, account) or self._add(db, account)
        if changed := self._find(db, replace(account, host=EVERYWHERE)):
            left = max((offer.left for offer in _offers(db, changed[0], now)), default=0.0)
            if left > 0:
                return Withheld(left, counts=False, everywhere=True)
        offers = _offers(db, id_, now)
        _prune(db, offers, proven)
        offers = [offer for offer in offers if offer.left > 0 or offer.state == "refused"]
        if withheld := _withheld(offers, proven, final, asker, waited):
            return withheld
        if any(offer.in_flight for offer in offers):
            return InFlight()
        last_chance = proven and any(offer.state == "refused" for offer in offers)
        db.execute("UPDATE account SET final = 0 WHERE id = ? AND final", (id_,))
        return Granted(_record(db, id_, "pending", asker, self._owner, now), proven, last_chance)

    def _resolve(
        self, db: sqlite3.Connection, account: Account, granted: Granted, asker: str, verdict: Verdict, now: Moment
    ) -> None:
        id_, proven, _ = self._find(db, account) or self._add(db, account)
        if granted.offer is not None:
            db.execute("DELETE FROM offer WHERE id = ?", (granted.offer,))
        if verdict == "accepted":
            db.execute("UPDATE account SET proven = 1, final = 0 WHERE id = ?", (id_,))
            db.execute("UPDATE offer SET state = 'forgiven' WHERE account = ? AND state = 'refused'", (id_,))
            db.execute("DELETE FROM offer WHERE account = ? AND state = 'unanswered'", (id_,))
        elif verdict == "refused":
            _record(db, id_, "refused", asker, self._owner, now)
            if granted.last_chance:
                db.execute("UPDATE account SET proven = 0, final = 1 WHERE id = ?", (id_,))
        elif verdict == "unanswered" and not proven:
            _record(db, id_, "unanswered", asker, self._owner, now)

    def _withhold(self, db: sqlite3.Connection, account: Account, now: Moment) -> None:
        account = replace(account, host=EVERYWHERE)
        id_, _, _ = self._find(db, account) or self._add(db, account)
        db.execute("DELETE FROM offer WHERE account = ?", (id_,))
        _record(db, id_, "refused", "", self._owner, now)

    def _untroubled(self, db: sqlite3.Connection, account: Account, now: Moment) -> bool:
        found = self._find(db, account)
        return found is not None and found[1] and not _offers(db, found[0], now)

    def _find(self, db: sqlite3.Connection, account: Account) -> tuple[int, bool, bool] | None:
        """(id, proven, final) of an account that stands in the file."""
        row = db.execute(
            "SELECT id, proven, final FROM account WHERE host = ? AND username = ? AND secret = ?",
            (account.host, account.username, self._hidden(db, account)),
        ).fetchone()
        return None if row is None else (row[0], bool(row[1]), bool(row[2]))

    def _add(self, db: sqlite3.Connection, account: Account) -> tuple[int, bool, bool]:
        values = (account.host, account.username, self._hidden(db, account))
        added = db.execute("INSERT INTO account (host, username, secret) VALUES (?, ?, ?)", values)
        assert added.lastrowid is not None
        return added.lastrowid, False, False

    def _hidden(self, db: sqlite3.Connection, account: Account) -> bytes:
        """The secret, salted and hashed the slow way, so that the file does not give it away."""
        if account.secret not in self._keys:
            salt = db.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()
            if salt is None:
                raise sqlite3.DatabaseError("no salt")
            secret = account.secret.encode("utf-8", "surrogatepass")
            self._keys[account.secret] = hashlib.scrypt(secret, salt=salt[0], n=2**10, r=8, p=1, dklen=32)
        key = self._keys[account.secret]
        return hmac.digest(key, f"{account.host}\0{account.username}".encode("utf-8", "surrogatepass"), "sha256")

    def _read(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        return self._thread.submit(lambda: job(self._connection()))

    def _write(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """All that wait are written in one transaction: after a start a thousand cameras share a few flushes."""
        future: Future[T] = Future()
        self._waiting.put((job, future))
        self._thread.submit(self._write_waiting)
        return future

    def _write_waiting(self) -> None:
        jobs = [(job, future) for job, future in self._taken() if future.set_running_or_notify_cancel()]
        if not jobs:
            return
        failed: Exception = RuntimeError("the refusal count broke off")
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            results = [job(db) for job, _ in jobs]
            db.execute("COMMIT")
            for (_, future), result in zip(jobs, results, strict=True):
                future.set_result(result)
        except (sqlite3.Error, OSError) as error:
            failed = error
        finally:
            for _, future in jobs:
                if not future.done():
                    self._forget_connection()
                    future.set_exception(failed)

    def _taken(self) -> Iterator[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]]:
        with contextlib.suppress(Empty):
            while True:
                yield self._waiting.get_nowait()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            if self._path is not None:
                create(self._path)
            db = sqlite3.connect(self._path or ":memory:", timeout=BUSY_S, isolation_level=None)
            try:
                prepare(db)
            except sqlite3.Error:
                db.close()
                raise
            self._db = db
            self._keys.clear()
        return self._db

    def _forget_connection(self) -> None:
        if self._db is not None and self._path is not None:
            self._db.close()
            self._db = None
        elif self._db is not None:
            self._db.rollback()


def _withheld(offers: list[_Offer], proven: bool, final: bool, asker: str, waited: bool) -> Withheld | None:
    refused = [offer for offer in offers if offer.state == "refused" and offer.left > 0]
    dead = [offer for offer in offers if offer.state == "pending" and not offer.in_flight]
    counted = refused + dead + [offer for offer in offers if offer.state == "forgiven"]
    until = max((offer.left for offer in counted), default=0.0)
    if refused and (final or proven):
        return Withheld(until, counts=final, final=final)
    if len(counted) >= REFUSED_AT_MOST:
        return Withheld(until, counts=not proven)
    if proven:
        return None
    if refused and (waited or refused[0].asker != asker) and refused[0].age < ANSWERS_FOR_S:
        return Withheld(ANSWERS_FOR_S - refused[0].age)
    asked = sorted(offer.left for offer in offers if offer.left > 0)
    return Withheld(asked[-ASKED_AT_MOST], counts=False) if len(asked) >= ASKED_AT_MOST else None


def _offers(db: sqlite3.Connection, account: int, now: Moment) -> list[_Offer]:
    rows = db.execute("SELECT id, state, asker, owner, wall, mono, boot FROM offer WHERE account = ?", (account,))
    offers = [
        (_Offer(id_, state, asker, owner, _age(wall, mono, boot, now)), wall)
        for id_, state, asker, owner, wall, mono, boot in rows.fetchall()
    ]
    ahead = [(now.wall, now.mono, now.boot, offer.id) for offer, wall in offers if offer.age == 0 and wall > now.wall]
    if ahead:
        db.executemany("UPDATE offer SET wall = ?, mono = ?, boot = ? WHERE id = ?", ahead)
    return [offer for offer, _ in offers]


def _age(wall: float, mono: float, boot: str, now: Moment) -> float:
    if boot and boot == now.boot and mono <= now.mono:
        return now.mono - mono
    return max(0.0, now.wall - wall)


def _prune(db: sqlite3.Connection, offers: list[_Offer], proven: bool) -> None:
    """What counts no more; but a proven account's refusal is kept until it is accepted again, or refused again."""
    gone = [(offer.id,) for offer in offers if offer.left <= 0 and not (proven and offer.state == "refused")]
    if gone:
        db.executemany("DELETE FROM offer WHERE id = ?", gone)


def _record(db: sqlite3.Connection, account: int, state: str, asker: str, owner: str, now: Moment) -> int:
    values = (account, state, asker, owner, now.wall, now.mono, now.boot)
    added = db.execute(
        "INSERT INTO offer (account, state, asker, owner, wall, mono, boot) VALUES (?, ?, ?, ?, ?, ?, ?)", values
    )
    assert added.lastrowid is not None
    return added.lastrowid


def _clear(db: sqlite3.Connection, host: str, username: str | None) -> None:
    named = {"host": host, "username": username}
    chosen = "SELECT id FROM account WHERE host = :host AND (:username IS NULL OR username = :username)"
    offers = db.execute(f"SELECT id, state, owner FROM offer WHERE account IN ({chosen})", named).fetchall()  # noqa: S608
    gone = [(id_,) for id_, state, owner in offers if state != "pending" or not _alive(owner)]
    db.executemany("DELETE FROM offer WHERE id = ?", gone)
    db.execute(f"UPDATE account SET final = 0 WHERE id IN ({chosen})", named)  # noqa: S608
    db.execute("DELETE FROM device WHERE host = :host", named)
    named_so = chosen.replace("SELECT id", "SELECT username")
    changed = f"SELECT id FROM account WHERE host = :all AND username IN ({named_so})"  # noqa: S608
    db.execute(f"DELETE FROM offer WHERE account IN ({changed})", named | {"all": EVERYWHERE})  # noqa: S608


def _remember_scheme(db: sqlite3.Connection, host: str, scheme: str) -> None:
    db.execute("INSERT OR REPLACE INTO device (host, scheme) VALUES (?, ?)", (host, scheme))


def _alive(owner: str) -> bool:
    pid, _, birth = owner.partition(" ")
    return pid.isdecimal() and birth != "" and _birth(int(pid)) == birth


def _birth(pid: int) -> str:
    """When a process began, in ticks since the machine did: its id alone may have been given to another meanwhile."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
