"""What one attempt did, step by step, for `probe`. Nothing secret gets in."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from cctv_images.errors import plain

_SECRET_IN_QUERY = re.compile(r"([?&;][\w.-]*(?:pas|pwd|psw|token|secret|auth|key|user|usr)[\w.-]*)=[^&;\s]*", re.I)
MAX_SHOWN = 1000
"""Characters of a target; a camera's redirect may be of any length."""
_SECRET_HEADERS = frozenset(("authorization", "set-cookie", "cookie"))


@dataclass(frozen=True, slots=True)
class Step:
    at_ms: float
    """Milliseconds since the attempt's begin."""
    phase: str
    """resolve, connect, request, answer, login, redirect, body, tolerant, error, tls."""
    text: str
    lines: tuple[str, ...] = ()


@dataclass(slots=True)
class Trace:
    steps: list[Step] = field(default_factory=list)
    _begin: float = field(default_factory=time.perf_counter)
    _secrets: set[str] = field(default_factory=set, repr=False)

    def hide(self, secret: str) -> None:
        """From now on: cameras echo what they are sent."""
        self._secrets.add(secret)

    def add(self, phase: str, text: str, lines: Iterable[str] = ()) -> None:
        at_ms = (time.perf_counter() - self._begin) * 1000
        shown = [plain(veiled(line, *self._secrets)) for line in (text, *lines)]
        self.steps.append(Step(at_ms, phase, shown[0], tuple(shown[1:])))


def shown_target(target: str) -> str:
    """Path and query with the values of whatever may be a credential hidden."""
    return _SECRET_IN_QUERY.sub(r"\1=***", target[:MAX_SHOWN])


def veiled(text: str, *secrets: str) -> str:
    """Text without the secrets, as they are or as URLs spell them."""
    for secret in filter(None, secrets):
        for spelling in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
            text = text.replace(spelling, "***")
    return text


def shown_headers(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Header lines; login values and cookies hidden."""
    return [f"{name}: {'***' if name.lower() in _SECRET_HEADERS else shown_target(value)}" for name, value in headers]
