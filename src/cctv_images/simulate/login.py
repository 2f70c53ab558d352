"""The camera's side of the login: challenges as makes word them, strict checking, and the lock behind it.

Written apart from acquire.digest on purpose: a mistake shared by both sides would never be seen.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import unquote

_PART = re.compile(r'([A-Za-z0-9_-]+)=("(?:[^"\\]|\\.)*"|[^\s,]*)')
Hash = Callable[[str], str]
_HASHES: dict[str, Hash] = {
    "MD5": lambda text: hashlib.md5(text.encode("latin-1"), usedforsecurity=False).hexdigest(),
    "SHA-256": lambda text: hashlib.sha256(text.encode("latin-1")).hexdigest(),
}
_REMEMBERED_NONCES = 32
_LOCK_WINDOW_S = 1800.0
_BAR_S = 10.0


@dataclass(frozen=True, slots=True)
class LoginStyle:
    """How a make asks for a login. `challenges` are WWW-Authenticate values with {nonce} in them, one a header."""

    challenges: tuple[str, ...]
    one_shot: bool = False
    """Each nonce is good for one request; a second use is refused like a wrong password (Dahua)."""
    bare_tokens: bool = False
    """Refuses qop and nc in quotes (Dahua)."""
    path_bound: bool = False
    """A nonce is good for the target that it was given for (Hikvision)."""
    mute_on_unasked_basic: bool = False
    """Closes without an answer when Basic arrives unasked (Hikvision)."""
    lock_after: int | None = None
    """Refused offers within 30 minutes after which the account is locked for 30 minutes."""
    admin_lock_after: int | None = None
    """The same for offers of the user admin (Hikvision); None = no other."""
    lock_by_address: bool = False
    """Locks the caller out, not the account (Hikvision)."""
    lock_per_second: int | None = None
    """Refused offers within a second after which the caller is barred for ten (Axis; both numbers assumed)."""
    query: bool = False
    """The login stands in the query; there are no challenges."""
    lock_renews: bool = False
    """Each attempt during the lock starts it anew (Dahua)."""

    @property
    def basic(self) -> bool:
        return any(re.search(r"\bbasic\b", c, re.IGNORECASE) for c in self.challenges)

    @property
    def digest(self) -> bool:
        return any(re.search(r"\bdigest\b", c, re.IGNORECASE) for c in self.challenges)

    @property
    def algorithms(self) -> frozenset[str]:
        sha = frozenset({"SHA-256"} if any("SHA-256" in c for c in self.challenges) else ())
        md5 = any(re.search(r"\bdigest\b", c, re.IGNORECASE) and "SHA-256" not in c for c in self.challenges)
        return sha | ({"MD5"} if md5 else set())


BASIC = LoginStyle(('Basic realm="camera"',))
DIGEST = LoginStyle(('Digest realm="camera", qop="auth", nonce="{nonce}", algorithm=MD5',))
PLAIN_DIGEST = LoginStyle(('Digest realm="camera", nonce="{nonce}"',))
DIGEST_AND_BASIC = LoginStyle((*DIGEST.challenges, *BASIC.challenges))
BASIC_AND_DIGEST = LoginStyle((*BASIC.challenges, *DIGEST.challenges))
BASIC_AND_DIGEST_IN_ONE = LoginStyle((", ".join(BASIC_AND_DIGEST.challenges),))
DIGEST_AND_BASIC_IN_ONE = LoginStyle((", ".join(DIGEST_AND_BASIC.challenges),))
AXIS = LoginStyle(DIGEST_AND_BASIC.challenges, lock_per_second=3)
AVTECH = LoginStyle(('Digest realm="AVTECH", nonce="{nonce}"', 'Basic realm="AVTECH"'))
AVTECH_REVERSED = LoginStyle(AVTECH.challenges[::-1])
CAPITALS = LoginStyle(('Digest Realm="camera", Nonce="{nonce}", Qop="auth"',))
FOREIGN_REALM = LoginStyle(('Digest realm="Skåbu", qop="auth", nonce="{nonce}"',))
SONY = LoginStyle(('Digest realm="onvif device", qop="auth,auth-int", nonce="{nonce}", opaque="2d4"',))
DAHUA = LoginStyle(
    ('Digest realm="Login to 4E0123PAG",qop="auth",nonce="{nonce}",opaque="5ccc069c403ebaf9f0171e9517f40e41"',),
    one_shot=True,
    bare_tokens=True,
    lock_after=5,
    lock_renews=True,
)
HIKVISION = LoginStyle(
    ('Digest qop="auth", realm="IP Camera(C1234)", nonce="{nonce}"',),
    path_bound=True,
    mute_on_unasked_basic=True,
    lock_after=5,
    admin_lock_after=7,
    lock_by_address=True,
)
HIKVISION_BASIC = LoginStyle(('Basic realm="DS-2CD2132-I"',), lock_after=5, admin_lock_after=7, lock_by_address=True)
HIKVISION_SHA256 = LoginStyle(
    ('Digest realm="IP Camera(C1234)", nonce="{nonce}", algorithm="SHA-256", stale="FALSE"',),
    lock_after=5,
    admin_lock_after=7,
    lock_by_address=True,
)
MD5_AND_SHA256 = LoginStyle(
    (
        'Digest realm="camera", qop="auth", nonce="{nonce}", algorithm=MD5',
        'Digest realm="camera", qop="auth", nonce="{nonce}", algorithm=SHA-256',
    )
)


QUERY = LoginStyle((), query=True)
QUERY_LOCKS = LoginStyle((), query=True, lock_after=5)
TOKEN = LoginStyle((), lock_after=5)


class Verdict(Enum):
    GRANTED = auto()
    ASKED = auto()
    """No credentials: 401 with the challenges."""
    STALE = auto()
    """Right or wrong cannot be told: 401 with stale=true."""
    REFUSED = auto()
    LOCKED = auto()
    MUTE = auto()


@dataclass(slots=True)
class LoginCounts:
    offers: int = 0
    """Requests that carried credentials."""
    refused: int = 0
    """Offers answered 401 or 403 without stale=true."""
    basic_unasked: int = 0
    """Basic that no challenge had asked for since the last one."""
    basic_despite_digest: int = 0
    """Basic sent to a camera that offers Digest."""
    lockouts: int = 0


@dataclass(slots=True)
class Gatekeeper:
    """One camera's login. Holds nonces and the lock; `clock` gives monotonic seconds."""

    style: LoginStyle
    username: str
    password: str = field(repr=False)
    clock: Callable[[], float]
    counts: LoginCounts = field(default_factory=LoginCounts)
    locked_until: float = 0.0
    caller: str = ""
    """Address of whom is answered now."""
    _barred: dict[str, float] = field(default_factory=dict)
    """Caller -> until when."""
    _nonces: OrderedDict[str, tuple[str, int]] = field(default_factory=OrderedDict)
    _refusals: dict[str, list[float]] = field(default_factory=dict)
    _basic_asked: bool = False

    def challenges(self, target: str, *, stale: bool = False) -> list[str]:
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = (target, 0)
        while len(self._nonces) > _REMEMBERED_NONCES:
            self._nonces.popitem(last=False)
        self._basic_asked = self.style.basic
        shown = f'nonce="{nonce}"' + (", stale=true" if stale else "")
        asked = [c.replace(', stale="FALSE"', "") if stale else c for c in self.style.challenges]
        return [c.replace('nonce="{nonce}"', shown).replace("{nonce}", nonce) for c in asked]

    def check(self, method: str, target: str, authorization: str | None) -> Verdict:
        if authorization is None:
            return Verdict.LOCKED if self.locked else Verdict.ASKED
        self.counts.offers += 1
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() == "basic":
            return self._check_basic(rest)
        if scheme.lower() != "digest" or not self.style.digest:
            return self.refuse()
        return self._check_digest(method, target, rest)

    def check_query(self, template: str, target: str) -> Verdict:
        """template: the target with {username} and {password} in it."""
        pattern = re.escape(template).replace(r"\{username\}", "(?P<u>[^&]*)").replace(r"\{password\}", "(?P<p>[^&]*)")
        found = re.fullmatch(pattern, target)
        if found is None:
            return Verdict.LOCKED if self.locked else Verdict.ASKED
        return self.check_plain(unquote(found["u"]), unquote(found["p"]))

    def check_plain(self, username: str, password: str) -> Verdict:
        self.counts.offers += 1
        right = (username, password) == (self.username, self.password)
        return Verdict.GRANTED if right and not self.locked else self.refuse()

    @property
    def locked(self) -> bool:
        return self.clock() < max(self.locked_until, self._barred.get(self.caller, 0.0))

    def lock(self, seconds: float = _LOCK_WINDOW_S) -> None:
        if self.style.lock_by_address or self.style.lock_per_second:
            self._barred[self.caller] = self.clock() + seconds
        else:
            self.locked_until = self.clock() + seconds
        self.counts.lockouts += 1

    def refuse(self, username: str = "") -> Verdict:
        """Counts a refused offer, and locks where the make does."""
        self.counts.refused += 1
        now = self.clock()
        if self.locked:
            if self.style.lock_renews:
                self.locked_until = now + _LOCK_WINDOW_S
            return Verdict.LOCKED
        style = self.style
        who = self.caller if style.lock_by_address or style.lock_per_second else ""
        mine = self._refusals[who] = [t for t in self._refusals.get(who, []) if now - t < _LOCK_WINDOW_S] + [now]
        limit = style.admin_lock_after if username == "admin" and style.admin_lock_after else style.lock_after
        if style.lock_per_second and sum(now - t < 1.0 for t in mine) >= style.lock_per_second:
            self.lock(_BAR_S)
        elif limit is not None and len(mine) >= limit:
            self.lock()
        return Verdict.REFUSED

    def _check_basic(self, encoded: str) -> Verdict:
        asked, self._basic_asked = self._basic_asked, False
        self.counts.basic_despite_digest += self.style.digest
        if not asked:
            self.counts.basic_unasked += 1
            if self.style.mute_on_unasked_basic:
                self.counts.refused += 1
                return Verdict.MUTE
        try:
            offered = base64.b64decode(encoded, validate=True)
        except ValueError:
            return self.refuse()
        right = offered.decode("latin-1") in _as_sent(f"{self.username}:{self.password}")
        return Verdict.GRANTED if right and self.style.basic and not self.locked else self.refuse()

    def _check_digest(self, method: str, target: str, rest: str) -> Verdict:
        raw = {k.lower(): v for k, v in _PART.findall(rest)}
        if self.style.bare_tokens and any(raw.get(k, "").startswith('"') for k in ("qop", "nc", "algorithm")):
            return self.refuse()
        values = {k: _unquoted(v) for k, v in raw.items()}
        if not self._proves(method, target, values):
            return self.refuse(values.get("username", ""))
        known = self._nonces.get(values.get("nonce", ""))
        if known is None or (self.style.path_bound and known[0] != target):
            return Verdict.STALE
        if self.style.one_shot and known[1]:
            return self.refuse()
        self._nonces[values["nonce"]] = (known[0], known[1] + 1)
        return self.refuse() if self.locked else Verdict.GRANTED

    def _proves(self, method: str, target: str, got: dict[str, str]) -> bool:
        """RFC 7616: the response of user, realm and password over the nonce, the method and the target as sent."""
        algorithm = got.get("algorithm", "MD5").upper()
        base = algorithm.removesuffix("-SESS")
        offered = _of_challenges(self.style.challenges, base)
        if base not in self.style.algorithms or offered is None or got.get("uri") != target:
            return False
        realm, qops, opaque = offered
        qop = got.get("qop")
        if (qop is None) == bool(qops) or (qop is not None and qop not in qops) or got.get("opaque", "") != opaque:
            return False
        if got.get("username") not in _as_sent(self.username) or got.get("realm") != realm:
            return False
        accounts = [f"{name}:{realm}:{word}" for name in _as_sent(self.username) for word in _as_sent(self.password)]
        return got.get("response") in {_response(_HASHES[base], a, algorithm, method, target, got) for a in accounts}


def _response(h: Hash, secret: str, algorithm: str, method: str, target: str, got: dict[str, str]) -> str:
    ha1 = h(secret)
    if algorithm.endswith("-SESS"):
        ha1 = h(f"{ha1}:{got.get('nonce')}:{got.get('cnonce')}")
    ha2 = h(f"{method}:{target}:{h('')}" if got.get("qop") == "auth-int" else f"{method}:{target}")
    middle = f":{got.get('nc')}:{got.get('cnonce')}:{got['qop']}" if "qop" in got else ""
    return h(f"{ha1}:{got.get('nonce')}{middle}:{ha2}")


def _of_challenges(challenges: tuple[str, ...], algorithm: str) -> tuple[str, tuple[str, ...], str] | None:
    """(realm, qops, opaque) of the Digest challenge with that algorithm."""
    for challenge in challenges:
        start = re.search(r"\bdigest\b", challenge, re.IGNORECASE)
        if start is None:
            continue
        part = challenge[start.end() :].split(", Basic ")[0]
        values = {k.lower(): _unquoted(v) for k, v in _PART.findall(part)}
        if values.get("algorithm", "MD5") == algorithm:
            qops = tuple(q.strip() for q in values.get("qop", "").split(",") if q.strip())
            return values.get("realm", ""), qops, values.get("opaque", "")
    return None


def _as_sent(text: str) -> set[str]:
    """Text as it may stand in a header that is read as Latin-1: sent in UTF-8, or in Latin-1 itself."""
    plain = {text} if all(ord(c) < 256 for c in text) else set()
    return plain | {text.encode().decode("latin-1")}


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
