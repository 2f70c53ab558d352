"""The archive's keys, read strictly: what is not exactly of their form is none of our copies."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import NamedTuple

KEY = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})/([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{2})([0-9]{2})([0-9]{2})Z"
    r"(?:-(?:[2-9]|[1-9][0-9]{1,8}))?\.jpg"
)


class Copy(NamedTuple):
    camera_id: str
    captured_at: int
    """Epoch seconds."""

    @classmethod
    def of(cls, key: str) -> Copy | None:
        """None for a key that is not exactly {camera_id}/{YYYY}/{MM}/{DD}/{HHMMSS}Z.jpg, or …Z-2.jpg."""
        if not (match := KEY.fullmatch(key)):
            return None
        camera_id, *moment = match.groups()
        try:
            captured_at = datetime.strptime("".join(moment), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(camera_id, int(captured_at.timestamp()))


def folder(camera_id: str, day: date) -> str:
    """What a camera's keys of that day begin with."""
    return f"{camera_id}/{day:%Y/%m/%d}/"
