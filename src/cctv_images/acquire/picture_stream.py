"""Where a picture ends in bytes that may go on: JPEG by its own segments, never by multipart syntax.

Multipart as cameras write it (boundaries with and without their dashes, sent twice, LF only, no lengths) breaks
every parser; the picture inside does not. A thumbnail in an APP segment has markers of its own, so segment
lengths are followed instead of searching blindly.
"""

from __future__ import annotations

import re

SOI = b"\xff\xd8\xff"
EOI = b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"

_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends entropy-coded data: not a stuffed zero, not a restart, not a fill byte."""
_STREAM = re.compile(rb"\s*(?:--|\xff\xd8)|[^\0]{0,400}?content-type:\s*image/jpe?g", re.IGNORECASE)
_WITHOUT_LENGTH = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
"""TEM, SOI, RSTn."""
_NO_MARKER = frozenset((0x00, 0xFF))
"""A stray stuffed byte, a fill byte."""
_SOS, _EOI = 0xDA, 0xD9
MAX_STEPS = 10_000
"""Segments, fill and stray bytes of one picture that are followed; real ones have some hundred."""


def begins_stream(data: bytes | bytearray) -> bool:
    """Whether a body of unknown kind begins with a JPEG or with a multipart part that announces one."""
    return _STREAM.match(data, 0, 512) is not None


class FirstJpeg:
    """Finds the first JPEG in a growing buffer, looking at each byte once."""

    __slots__ = ("_in_scan", "_pos", "_steps", "end", "start")

    def __init__(self) -> None:
        self.start = -1
        self.end = -1
        self._pos = 0
        self._steps = 0
        self._in_scan = False

    def advance(self, data: bytes | bytearray) -> bool:
        """True once the JPEG is complete: data[start:end]. Call again with the same, longer buffer otherwise."""
        if self.start < 0:
            self.start = data.find(SOI, self._pos)
            if self.start < 0:
                self._pos = max(0, len(data) - len(SOI) + 1)
                return False
            self._pos = self.start + 2
        while self.end < 0:
            more = self._skip_scan(data) if self._in_scan else self._skip_segment(data)
            if not more or self._steps > MAX_STEPS:
                return False
            self._steps += 1
        return True

    def _skip_scan(self, data: bytes | bytearray) -> bool:
        found = _MARKER_IN_SCAN.search(data, self._pos)
        if found is None:
            self._pos = max(self._pos, len(data) - 1)
            return False
        self._pos = found.start()
        if data.startswith(SOI[:2], self._pos):  # the next picture begins: this one has lost its end
            self.end = self._pos
        self._in_scan = False
        return True

    def _skip_segment(self, data: bytes | bytearray) -> bool:
        at = data.find(b"\xff", self._pos)
        if at < 0:
            self._pos = max(self._pos, len(data))
            return False
        if at + 2 > len(data):
            self._pos = at
            return False
        marker = data[at + 1]
        if marker == _EOI:
            self.end = at + 2
        elif marker in _NO_MARKER:
            self._pos = at + 1
        elif marker in _WITHOUT_LENGTH:
            self._pos = at + 2
        elif at + 4 > len(data):
            self._pos = at
            return False
        else:
            self._pos = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
            self._in_scan = marker == _SOS
        return True


def is_whole(data: bytes | bytearray) -> bool:
    """Whether the buffer holds a picture to its end marker: reason enough not to wait for more."""
    if data.startswith(SOI):
        return data.endswith(EOI) or FirstJpeg().advance(data)
    if data.startswith(PNG):
        return PNG_END in data[-64:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return False


def is_picture(data: bytes | bytearray) -> bool:
    """Whether the first bytes are those of a format that verification knows."""
    return data.startswith((SOI[:2], PNG)) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
