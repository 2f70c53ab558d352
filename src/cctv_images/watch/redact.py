"""The second net under secrets: known values are struck out of whatever is about to be logged.

The first net is that nobody logs them (SecretStr, slugs instead of exception texts).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretStr

MIN_SECRET = 4
"""Shorter values would strike out half of every line."""
MIN_INSIDE_BASE64 = 6


class Redactor:
    """Remembers secrets; old ones too, since a camera may still echo them after a reload."""

    def __init__(self) -> None:
        self._forms: list[str] = []

    def hide(self, secrets: Iterable[str]) -> None:
        forms = set(self._forms)
        for secret in secrets:
            if len(secret) >= MIN_SECRET:
                forms.update(_forms(secret))
        self._forms = sorted(forms, key=len, reverse=True)

    def scrub(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, "***")
        return text


def _forms(secret: str) -> Iterator[str]:
    """As it is, as URLs spell it, and inside any base64 (Basic's user:password puts it at any of three offsets)."""
    raw = secret.encode("utf-8", "surrogateescape")
    yield from (secret, quote(raw), quote(raw, safe=""), quote_plus(raw), base64.b64encode(raw).decode())
    for offset in range(3):
        first, end = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        inside = base64.b64encode(bytes(offset) + raw).decode()[first:end]
        if len(inside) >= MIN_INSIDE_BASE64:
            yield inside


def secrets_in(source: object) -> Iterator[str]:
    """Every SecretStr in settings, however deep; the values of a JSON object when one is spelled as JSON."""
    if isinstance(source, SecretStr):
        yield from _spelled(source.get_secret_value())
    elif isinstance(source, BaseModel):
        yield from secrets_in([value for _, value in source])
    elif is_dataclass(source) and not isinstance(source, type):
        yield from secrets_in([getattr(source, field.name) for field in fields(source)])
    elif isinstance(source, Mapping):
        yield from secrets_in(list(source.values()))
    elif isinstance(source, list | tuple | set | frozenset):
        for value in source:
            yield from secrets_in(value)


def _spelled(secret: str) -> Iterator[str]:
    yield secret
    try:
        parsed = json.loads(secret)
    except ValueError:
        return
    if isinstance(parsed, dict):
        yield from (value for value in parsed.values() if isinstance(value, str))
