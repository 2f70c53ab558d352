"""HTTP logins as cameras really speak them: RFC 7616, RFC 2617 and what is sent instead. Pure functions.

Header values are text as aiohttp gives it: UTF-8 with surrogateescape, so that every byte survives. A value made from
such a challenge may hold lone surrogates (a realm in Latin-1): it goes on the wire as
`value.encode("utf-8", "surrogateescape")`, which aiohttp's own writer cannot do.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cctv_images.acquire.logins import Login

Hash = Callable[[bytes], str]

MAX_READ = 8192
"""Characters of all header values together that are read; real ones take some hundred."""

_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]++)(?:[ \t]++|$)(?!=)")
_NEXT_NAME = re.compile(r"\s++(?=[^\s=]*=)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _hash(name: str) -> Hash:
    return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()


HASHES: dict[str, Hash] = {
    key: _hash(name)
    for key, name in (("sha256", "sha256"), ("sha512256", "sha512_256"), ("sha512", "sha512"), ("md5", "md5"))
    if name in hashlib.algorithms_available
}
"""Supported algorithms, the preferred one first. SHA-256 stands before SHA-512-256, which few have tested; SHA-512 is
in no RFC, but httpbin speaks it."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a camera offers."""

    scheme: str
    """In lower case: "digest", "basic" or whatever else was offered."""
    params: Mapping[str, str]
    """Lower-case name -> value as it stood between the quotes, escapes included."""

    @property
    def algorithm(self) -> str:
        """In lower case without hyphens or "-sess": "md5", "sha256", …"""
        return self._algorithm.removesuffix("sess")

    @property
    def session(self) -> bool:
        return self._algorithm.endswith("sess")

    @property
    def _algorithm(self) -> str:
        return self.params.get("algorithm", "").strip().casefold().replace("-", "") or "md5"

    @property
    def qop(self) -> str | None:
        """The quality of protection to use. Unknown ones are ignored (RFC 2617 3.2.1), an empty list is none."""
        offered = re.split(r"[,\s]+", self.params.get("qop", "").casefold())
        return next((qop for qop in ("auth", "auth-int") if qop in offered), None)

    @property
    def stale(self) -> bool:
        """The login was right and only the nonce too old: not a refusal."""
        return self.params.get("stale", "").strip().casefold() == "true"

    @property
    def usable(self) -> bool:
        return self.scheme == "basic" or (
            self.scheme == "digest" and self.algorithm in HASHES and "nonce" in self.params
        )


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Every challenge of all WWW-Authenticate values, in their order. What cannot be read is left out, never raised."""
    challenges, left = list[Challenge](), MAX_READ
    for value in values:
        challenges += _parse(value[:left])
        left -= min(left, len(value))
    return challenges


def choose(challenges: Iterable[Challenge], *, digest_only: bool = False) -> Challenge | None:
    """The challenge to answer: the strongest usable Digest; Basic only where no Digest at all was offered.

    digest_only: this camera has offered Digest before, so Basic would be a downgrade.
    """
    offered = list(challenges)
    digests = [challenge for challenge in offered if challenge.scheme == "digest"]
    if digests or digest_only:
        strength = list(HASHES)
        return min((c for c in digests if c.usable), key=lambda c: strength.index(c.algorithm), default=None)
    return next((challenge for challenge in offered if challenge.scheme == "basic"), None)


def authorization(
    challenge: Challenge, login: Login, method: str, target: str, *, cnonce: str | None = None, body: bytes = b""
) -> str:
    """The Authorization value that answers a usable challenge.

    target is the request target exactly as sent, query included. Each answer is the nonce's first use (nc 00000001).
    """
    user, password = (_credential(text, challenge) for text in (login.username, login.password.get_secret_value()))
    if challenge.scheme == "basic":
        return "Basic " + base64.b64encode(user + b":" + password).decode()
    return "Digest " + ", ".join(
        _answer(challenge, user, password, method, target, cnonce or os.urandom(8).hex(), body)
    )


def _answer(
    challenge: Challenge, user: bytes, password: bytes, method: str, target: str, cnonce: str, body: bytes
) -> Iterator[str]:
    digest, params, qop = HASHES[challenge.algorithm], challenge.params, challenge.qop
    realm, nonce = _unescaped(params.get("realm", "")), _unescaped(params["nonce"])
    a1 = b":".join((user, realm, password))
    if challenge.session:
        a1 = b":".join((digest(a1).encode(), nonce, cnonce.encode()))
    a2 = f"{method}:{target}".encode("utf-8", "surrogateescape")
    if qop == "auth-int":
        a2 += b":" + digest(body).encode()
    middle = b":".join((b"00000001", cnonce.encode(), qop.encode())) + b":" if qop else b""
    response = digest(digest(a1).encode() + b":" + nonce + b":" + middle + digest(a2).encode())
    hashed = params.get("userhash", "").strip().casefold() == "true"
    name = digest(user + b":" + realm) if hashed else _escaped(user)
    yield f'username="{name}"'
    yield f'realm="{params.get("realm", "")}"'
    yield f'nonce="{params["nonce"]}"'
    yield f'uri="{target}"'
    if params.get("algorithm", "").strip():
        yield f"algorithm={params['algorithm'].strip()}"
    yield f'response="{response}"'
    if "opaque" in params:
        yield f'opaque="{params["opaque"]}"'
    if qop:
        # Some Dahua refuse these two when they are quoted (scrypted issue 2122).
        yield f"qop={qop}"
        yield "nc=00000001"
    if qop or challenge.session:
        yield f'cnonce="{cnonce}"'
    if hashed:
        yield "userhash=true"


def _credential(text: str, challenge: Challenge) -> bytes:
    """UTF-8 where the camera asks for it or where Latin-1, the old default, has no such letter."""
    if challenge.params.get("charset", "").strip().casefold() != "utf-8":
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            pass
    return text.encode("utf-8", "surrogateescape")


def _escaped(user: bytes) -> str:
    return re.sub(r'(["\\])', r"\\\1", user.decode("utf-8", "surrogateescape"))


def _unescaped(value: str) -> bytes:
    """What a quoted value means. A backslash before anything but a quote or a backslash is taken as itself, because
    realms like DOMAIN\\camera are sent without escaping."""
    return re.sub(r'\\(["\\])', r"\1", value).encode("utf-8", "surrogateescape")


def _parse(value: str) -> Iterator[Challenge]:
    scheme, params = None, dict[str, str]()
    for item in _items(value):
        if head := _SCHEME.match(item):
            if scheme:
                yield Challenge(scheme, params)
            scheme, params = head[1].lower(), {}
            item = item[head.end() :]
        for name, content in _params(item):
            params.setdefault(name, content)
    if scheme:
        yield Challenge(scheme, params)


def _items(value: str) -> Iterator[str]:
    """The parts between commas that stand outside of quotes."""
    start, position, quoted = 0, 0, False
    while position < len(value):
        if quoted and value[position] == "\\":
            position += 1
        elif value[position] == '"':
            quoted = not quoted
        elif value[position] == "," and not quoted:
            yield value[start:position].strip()
            start = position + 1
        position += 1
    yield value[start:].strip()


def _params(item: str) -> Iterator[tuple[str, str]]:
    """The name=value pairs of one part: one, as it should be, or several where somebody forgot the commas."""
    while "=" in item:
        name, _, rest = item.partition("=")
        rest = rest.lstrip()
        if rest.startswith('"'):
            content, item = _quoted(rest)
        else:
            content, item = _bare(rest)
        if not _CONTROL.search(content):
            yield name.strip().lower(), content


def _quoted(rest: str) -> tuple[str, str]:
    """The content of the quoted string at the beginning, and what follows it. Without an end it goes to the end."""
    position = 1
    while position < len(rest) and rest[position] != '"':
        position += 2 if rest[position] == "\\" else 1
    content = rest[1:position] if position <= len(rest) else rest[1:-1]
    return content, rest[position + 1 :].lstrip()


def _bare(rest: str) -> tuple[str, str]:
    """An unquoted value, which may hold blanks ("IP Camera"), up to the next word with an equals sign."""
    following = _NEXT_NAME.search(rest)
    end, then = following.span() if following else (len(rest), len(rest))
    return re.sub(r'(["\\])', r"\\\1", " ".join(rest[:end].split())), rest[then:]
