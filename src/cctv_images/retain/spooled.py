"""A picture on its way to the archive: what its file in the spool is called, and what its copy will be called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

STAMP = "%Y%m%dT%H%M%SZ"
NAME = re.compile(
    r"(?P<camera_id>[A-Za-z0-9][A-Za-z0-9._-]{0,63})~(?P<stamp>\d{8}T\d{6}Z)~(?P<number>[1-9]\d{0,8})"
    r"~(?P<slot>-?\d+(?:\.\d+)?)~(?P<size>\d{1,12})~(?P<md5>[0-9a-f]{32})\.jpg"
)


@dataclass(frozen=True, slots=True)
class Spooled:
    """The file holds the picture's bytes and nothing else; all that is known of it is its name."""

    camera_id: str
    stamp: str
    """When it was captured: UTC, to the second, e.g. 20261122T105733Z."""
    number: int
    """1, or more where there is another picture of the same camera and second."""
    slot: float
    """Epoch seconds."""
    size: int
    md5: str

    @classmethod
    def of(cls, name: str) -> Spooled | None:
        """None for a name that is none of ours."""
        if not (match := NAME.fullmatch(name)):
            return None
        camera_id, stamp, number, slot, size, md5 = match.groups()
        return cls(camera_id, stamp, int(number), float(slot), int(size), md5)

    @property
    def name(self) -> str:
        return f"{self.camera_id}~{self.stamp}~{self.number}~{self.slot!r}~{self.size}~{self.md5}.jpg"

    @property
    def folder(self) -> str:
        """One a minute, so that none becomes too large to be read, and so that they sort by time."""
        return self.stamp[:13]

    @property
    def moment(self) -> tuple[str, str]:
        """What two pictures must not share without a number."""
        return self.camera_id, self.stamp

    @property
    def captured_at(self) -> float:
        return datetime.strptime(self.stamp, STAMP).replace(tzinfo=UTC).timestamp()

    @property
    def key(self) -> str:
        """{camera_id}/{YYYY}/{MM}/{DD}/{HHMMSS}Z.jpg, or …Z-2.jpg"""
        day, time = self.stamp[:8], self.stamp[9:]
        further = f"-{self.number}" if self.number > 1 else ""
        return f"{self.camera_id}/{day[:4]}/{day[4:6]}/{day[6:]}/{time}{further}.jpg"


def stamp(moment: float) -> str:
    """Epoch seconds -> the stamp."""
    return datetime.fromtimestamp(moment, UTC).strftime(STAMP)
