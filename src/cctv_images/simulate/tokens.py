"""Reolink's login: a token for an account, a few sessions at most, every error a JSON list with status 200."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from cctv_images.simulate.answers import Asked, Step, whole
from cctv_images.simulate.login import Gatekeeper, Verdict

LEASE_S = 3600.0


@dataclass(slots=True)
class Desk:
    """One device's sessions."""

    limit: int
    sessions: dict[str, float] = field(default_factory=dict)
    """Token -> when its lease ends."""
    opened: int = 0

    def open(self, now: float) -> str | None:
        """A new token, or None where all sessions are taken."""
        self.sessions = {token: ends for token, ends in self.sessions.items() if ends > now}
        if len(self.sessions) >= self.limit:
            return None
        token = secrets.token_hex(8)
        self.sessions[token] = now + LEASE_S
        self.opened += 1
        return token

    def answer(self, gatekeeper: Gatekeeper, asked: Asked, body: bytes) -> Iterable[Step] | None:
        """None where the request may see the picture."""
        query = parse_qs(asked.target.partition("?")[2])
        command, token = query.get("cmd", [""])[0], query.get("token", [""])[0]
        if command == "Login":
            return self._log_in(gatekeeper, asked, body)
        if "password" in query:
            verdict = gatekeeper.check_plain(query.get("user", [""])[0], query["password"][0])
            return None if verdict is Verdict.GRANTED else said(asked, command, -7, "password wrong")
        if self.sessions.get(token, 0.0) <= gatekeeper.clock():
            return said(asked, command, -6, "please login first")
        if command == "Logout":
            del self.sessions[token]
            return _said(asked, [{"cmd": command, "code": 0, "value": {"rspCode": 200}}])
        return None

    def _log_in(self, gatekeeper: Gatekeeper, asked: Asked, body: bytes) -> Iterable[Step]:
        user = json.loads(body)[0]["param"]["User"]
        verdict = gatekeeper.check_plain(user["userName"], user["password"])
        if verdict is Verdict.LOCKED:
            return said(asked, "Login", -8, "Login has been locked")
        if verdict is not Verdict.GRANTED:
            return said(asked, "Login", -7, "login failed")
        token = self.open(gatekeeper.clock())
        if token is None:
            return said(asked, "Login", -5, "max session")
        given = {"Token": {"leaseTime": int(LEASE_S), "name": token}}
        return _said(asked, [{"cmd": "Login", "code": 0, "value": given}])


def said(asked: Asked, command: str, code: int, detail: str) -> list[Step]:
    """An error in Reolink's words."""
    return _said(asked, [{"cmd": command, "code": 1, "error": {"detail": detail, "rspCode": code}}])


def _said(asked: Asked, document: object) -> list[Step]:
    return whole(asked, json.dumps(document).encode(), content_type="text/html")
