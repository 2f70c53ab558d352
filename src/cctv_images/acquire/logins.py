"""Logins, and the guard that keeps them from locking an account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from cctv_images.clock import Clock


@dataclass(frozen=True, slots=True)
class Login:
    """An account. Its repr shows no password."""

    username: str
    password: SecretStr


class Offer:
    """A login on its way to a camera. Exactly one of the three is called when the answer's status is known; none at all
    means that no answer came."""

    def accepted(self) -> None:
        """Answered with what only somebody who is logged in is given."""

    def refused(self) -> None:
        """Answered 401 or 403, and not with stale=true."""

    def answered(self) -> None:
        """Answered, but neither way (503, say)."""


class LoginGuard:
    """Decides whether a login may be offered. One per process; all processes share the file at path."""

    def __init__(
        self, path: Path | None, clock: Clock, *, on_refused: Callable[[str, str], None] = lambda host, username: None
    ) -> None:
        self._schemes: dict[str, str] = {}

    @asynccontextmanager
    async def offer(self, host: str, login: Login, *, row: str = "") -> AsyncIterator[Offer]:
        """Waits for its turn; raises CameraError(AUTH) when the login is withheld. row: the camera_id that asks."""
        yield Offer()

    async def clear(self, host: str, username: str | None = None) -> None:
        """Forgets refusals and the remembered scheme of a device (`revive --offer-login`)."""
        self._schemes.pop(host.lower(), None)

    async def remember_scheme(self, host: str, scheme: str) -> None:
        self._schemes[host.lower()] = scheme

    async def scheme(self, host: str) -> str | None:
        return self._schemes.get(host.lower())

    async def close(self) -> None: ...
