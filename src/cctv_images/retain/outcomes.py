"""What the nightly commands leave for the service to show and to log: small files in the state folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from cctv_images.files import write_atomically


@dataclass(frozen=True, slots=True)
class Verified:
    """One run of `ledger verify`."""

    date: str
    at: float
    """Epoch seconds."""
    expected: int = 0
    archived: int = 0
    gaps: int = 0
    error: str = ""
    """Why it could not look."""


@dataclass(frozen=True, slots=True)
class Retired:
    """One run of `retention` that deleted."""

    at: float
    before: float
    """Copies captured before this moment may be gone."""


T = TypeVar("T", Verified, Retired)
NAMES = {Verified: "ledger-verified.json", Retired: "retention.json"}


def leave(folder: Path, outcome: Verified | Retired) -> None:
    """Raises OSError."""
    write_atomically(folder / NAMES[type(outcome)], json.dumps(asdict(outcome)).encode())


def left(folder: Path, kind: type[T]) -> T | None:
    try:
        return kind(**json.loads((folder / NAMES[kind]).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
