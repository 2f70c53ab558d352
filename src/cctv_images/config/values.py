"""Text from an operator -> a checked value. Each reader raises ValueError with what was expected, as half a sentence
that never repeats the value: it may be a secret."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from string import Formatter
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, SecretStr

from cctv_images.errors import plain

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
UNITS = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhd])+|[0-9]+(?:\.[0-9]+)?")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
MAX_SOCKET_PATH = 107
"""Bytes that the kernel takes in the address of a Unix socket."""


def read(parse: Callable[[str], object]) -> BeforeValidator:
    """A pydantic validator out of a reader of text; values that are not text are taken as they are."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def stripped(parse: Callable[[str], object]) -> BeforeValidator:
    return read(lambda text: parse(text.strip()))


def nearest(word: str, known: Sequence[str]) -> str:
    """'; did you mean X?' or nothing."""
    close = get_close_matches(word.upper(), [k.upper() for k in known], 1, 0.6)
    return next((f"; did you mean {k}?" for k in known if close and k.upper() == close[0]), "")


def shown(value: str) -> str:
    """A value as an error may show it: one line, without user-info or query, where a URL would carry a secret."""
    line = value.strip().splitlines()[0] if value.strip() else ""
    line = re.sub(r"//[^/@\s]*@", "//…@", line)
    return f'"{plain(re.sub(r"[?].*", "?…", line) if "://" in line else line, 100)}"'


def duration(low: float, high: float = 366 * DAY) -> BeforeValidator:
    def parse(text: str) -> float:
        if not DURATION.fullmatch(text):
            raise ValueError("expected seconds or a duration such as 90s, 5m, 6h or 1h30m")
        parts = re.findall(r"([0-9.]+)([smhd]?)", text)
        seconds = sum(float(number) * UNITS.get(unit, 1.0) for number, unit in parts)
        if not low <= seconds <= high:
            raise ValueError(f"expected a duration between {length(low)} and {length(high)}")
        return seconds

    return stripped(parse)


def length(seconds: float) -> str:
    """Seconds as an operator writes them: 90s, 5m, 6h."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def integer(low: int, high: int) -> BeforeValidator:
    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(text)

    return stripped(parse)


def choice(*words: str) -> BeforeValidator:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return text.lower()

    return stripped(parse)


def addresses(text: str) -> list[str]:
    """Separated by blanks. They hold secrets."""
    found = text.split()
    for number, address in enumerate(found, 1):
        if "://" not in address:
            raise ValueError(f"expected addresses such as mailtos://… or slack://…, no. {number} is none")
    return found


def json_object(text: str) -> dict[str, Any]:
    """A JSON object whose names are unique. Raises ValueError with the place of the mistake, never with the text."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f'expected each name once, "{plain(twice, 40)}" stands there twice')
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as exc:
        raise ValueError(f"expected JSON: {exc.msg} at character {exc.pos + 1}{_quoting(text)}") from None
    except RecursionError:
        raise ValueError("expected JSON, this is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError('expected a JSON object such as {"name": "value"}')
    return value


def _quoting(text: str) -> str:
    return ' (JSON wants double quotes, e.g. {"name": "value"})' if '"' not in text else ""


def text_map(text: str) -> dict[str, str]:
    value = json_object(text)
    wrong = [plain(name, 40) for name, entry in value.items() if not isinstance(entry, str) or not entry]
    if wrong:
        raise ValueError(f'expected text in quotes for "{wrong[0]}"')
    return value


def headers(text: str) -> dict[str, str]:
    value = text_map(text)
    for name, entry in value.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f'"{plain(name, 40)}" cannot be the name of a request header')
        if not entry.isprintable() or not entry.isascii():
            raise ValueError(f'the value for "{name}" has characters that a request header cannot carry')
    return value


def secret(parse: Callable[[str], object]) -> Callable[[SecretStr | None], SecretStr | None]:
    """A check of what a secret holds."""

    def check(value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse(value.get_secret_value())
        return value

    return check


def log_file(text: str) -> str:
    if text.strip().lower() in ("stdout", "stderr", "-"):
        raise ValueError("expected a file, or nothing for stdout")
    return text


def logins(text: str) -> dict[str, Any]:
    """name -> {"username": …, "password": …}. All mistakes in one ValueError."""
    value = json_object(text)
    mistakes = [m for name, entry in value.items() for m in _login_mistakes(plain(name, 40), entry)]
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return value


def _login_mistakes(name: str, entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return [f'expected {{"username": …, "password": …}} for "{name}"']
    known = ("username", "password")
    mistakes = [f'"{name}" lacks its {key}' for key in known if key not in entry]
    mistakes += [f'"{name}" has an unknown "{plain(k, 40)}"{nearest(k, known)}' for k in entry if k not in known]
    mistakes += [f'the {k} of "{name}" is not text in quotes' for k in known if not isinstance(entry.get(k, ""), str)]
    if isinstance(user := entry.get("username"), str):
        try:
            username(user)
        except ValueError as exc:
            mistakes.append(f'the username of "{name}": {exc}')
    return mistakes


def username(text: str) -> str:
    if not text or ":" in text or not text.isprintable():
        raise ValueError("expected a name without colon and control characters")
    return text


def networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for word in re.split(r"[\s,]+", text.strip(", ")):
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError:
            raise ValueError(f"expected networks such as 10.20.0.0/16{_network_meant(word)}") from None
    return found


def _network_meant(word: str) -> str:
    try:
        return f"; did you mean {ipaddress.ip_network(word, strict=False)} for {shown(word)}?"
    except ValueError:
        return f", {shown(word)} is none"


def split_url(text: str) -> SplitResult:
    """An address without blanks and credentials."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError("expected an address that can be one (host, port)") from None
    if url.username is not None or url.password is not None:
        raise ValueError("expected no user name or password in the address: addresses are shown and logged")
    if not text.isprintable() or " " in text:
        raise ValueError("expected an address without blanks")
    return url


def http_url(text: str) -> str:
    url = split_url(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("expected an http:// or https:// address")
    return text


def place(text: str) -> str:
    """A path, or an http(s) address."""
    return http_url(text) if "://" in text else text


def key_template(text: str) -> str:
    """Path-like, relative, and with {camera_id} as its only variable part."""
    form = "expected a key such as image/{camera_id}.jpg"
    try:
        fields = [field for field in Formatter().parse(text) if field[1] is not None]
    except ValueError:
        raise ValueError(f"{form}; its braces do not match") from None
    if not fields or any(name != "camera_id" or spec or conversion for _, name, spec, conversion in fields):
        raise ValueError(f"{form}, with {{camera_id}} in it and nothing else in braces")
    if any(part in ("", ".", "..") for part in text.split("/")) or "\\" in text or not text.isprintable():
        raise ValueError(f"{form}, without a slash at its ends, empty parts and dots")
    if len(text) > 500:
        raise ValueError(f"{form}, at most 500 characters long")
    return text


def words(text: str) -> frozenset[str]:
    found = frozenset(re.split(r"[\s,]+", text)) - {""}
    if not found:
        raise ValueError("expected one word at least")
    return found


def header_value(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise ValueError("expected what can stand in a header line, such as public, max-age=60")
    return text


def region(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", text):
        raise ValueError("expected the name of a region such as us-east-1")
    return text


def listen(text: str) -> str:
    """host:port, [IPv6]:port, or nothing = off. Port 0 takes a free one."""
    if not text:
        return text
    form = "expected host:port such as 127.0.0.1:8080, or nothing to switch the page off"
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise ValueError(form + (f"; did you mean 127.0.0.1:{text.strip(':')}?" if text.strip(":").isdigit() else ""))
    return text


def socket_path(text: str) -> str:
    if len(text.encode(errors="surrogateescape")) > MAX_SOCKET_PATH:
        raise ValueError(
            f"expected a path of at most {MAX_SOCKET_PATH} bytes, the kernel takes no longer socket address"
        )
    return text


def fingerprint_text(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{12}", text.lower()):
        raise ValueError("expected the 12 characters that `check` prints as fingerprint")
    return text.lower()


def columns(known: Sequence[str]) -> Callable[[str], Mapping[str, str]]:
    def parse(text: str) -> Mapping[str, str]:
        value = text_map(text)
        if wrong := next((name for name in value if name not in known), None):
            hint = nearest(wrong, known) or f"; the columns are {', '.join(known)}"
            raise ValueError(f'"{plain(wrong, 40)}" is no column of ours{hint}')
        return value

    return parse
