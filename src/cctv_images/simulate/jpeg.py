"""Just enough of JPEG's markers to bend a picture without decoding it."""

from __future__ import annotations

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
_SOF = frozenset({0xC0, 0xC1, 0xC2})


def with_comment(picture: bytes, text: bytes) -> bytes:
    """The same picture, unique by a comment segment behind its start."""
    return b"".join((SOI, b"\xff\xfe", (len(text) + 2).to_bytes(2, "big"), text, picture[2:]))


def with_own_table(picture: bytes, number: int, lighter: int = 0) -> bytes:
    """The same data with other coarseness of its finest detail: a picture of its own also without its metadata.
    lighter: steps of the coarsest, by which every pixel changes."""
    at = picture.index(b"\xff\xdb") + 5
    coarsest, finest = bytes((picture[at] + lighter,)), bytes(1 + number // 255**n % 255 for n in range(3))
    return b"".join((picture[:at], coarsest, picture[at + 1 : at + 61], finest, picture[at + 64 :]))


def claiming(picture: bytes, width: int, height: int) -> bytes:
    """The same data with other dimensions in its frame header."""
    at = 2
    while picture[at + 1] not in _SOF:
        at += 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    return picture[: at + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + picture[at + 9 :]


def half(picture: bytes) -> bytes:
    return picture[: len(picture) // 2]
