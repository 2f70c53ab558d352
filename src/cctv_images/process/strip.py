"""Which of a JPEG's segments are published: what decoding needs, and nothing that tells of device, place or owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

APP0, APP1, APP2, APP14, COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
DROPPED = frozenset(range(0xE0, 0xF0)) | {COM, 0x01}
JFIF, EXIF, PROFILE, ADOBE = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0", b"Adobe"
ORIENTATION = 0x0112
MAX_TAGS = 512


@dataclass(slots=True)
class Notes:
    """What the dropped segments said about showing the picture."""

    orientation: int = 1
    """As in EXIF: 1 = upright, 2 to 8 = turned or mirrored."""
    profile_parts: dict[int, bytes] = field(default_factory=dict)

    @property
    def profile(self) -> bytes:
        """The ICC colour profile; empty where there is none."""
        return b"".join(part for _, part in sorted(self.profile_parts.items()))


def published(marker: int, segment: bytes, notes: Notes) -> bytes:
    """The segment as it is published, empty where it is not; what it says goes into the notes.

    JFIF goes without its thumbnail, Adobe's without its flags' tail (a decoder takes the meaning of the colours from
    these two), EXIF is reduced to the orientation of a picture that is not upright.
    """
    if marker not in DROPPED:
        return segment
    body = segment[4:]
    if marker == APP0 and body.startswith(JFIF) and len(body) >= 14:
        return b"\xff\xe0\0\x10" + body[:12] + b"\0\0"
    if marker == APP14 and body.startswith(ADOBE) and len(body) >= 12:
        return b"\xff\xee\0\x0e" + body[:12]
    if marker == APP2 and body.startswith(PROFILE):
        notes.profile_parts.setdefault(int.from_bytes(body[12:13]), body[14:])
    if marker == APP1 and body.startswith(EXIF) and notes.orientation == 1:
        notes.orientation = _orientation(body[6:])
        return _turned(notes.orientation) if notes.orientation > 1 else b""
    return b""


def _orientation(tiff: bytes) -> int:
    """Of the first directory (TIFF 6.0; EXIF 2.32, tag 274); 1 for whatever makes no sense."""
    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"
    at = int.from_bytes(tiff[4:8], order)
    count = min(int.from_bytes(tiff[at : at + 2], order), MAX_TAGS)
    for start in range(at + 2, at + 2 + 12 * count, 12):
        if int.from_bytes(tiff[start : start + 2], order) == ORIENTATION:
            value = int.from_bytes(tiff[start + 8 : start + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def _turned(orientation: int) -> bytes:
    """An EXIF segment of one tag."""
    tag = ORIENTATION.to_bytes(2) + b"\0\x03\0\0\0\x01" + orientation.to_bytes(2) + b"\0\0"
    body = EXIF + b"MM\0*\0\0\0\x08" + b"\0\x01" + tag + bytes(4)
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body
