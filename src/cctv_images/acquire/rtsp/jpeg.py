"""JPEG over RTP (RFC 2435): the headers that are not sent are put back, and the rest is passed on as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cctv_images.acquire.budget import Body
from cctv_images.errors import CameraError, ErrorState

if TYPE_CHECKING:
    from cctv_images.acquire.rtsp.rtp import Packet

_LUMA = bytes([
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51,
    61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77,
    113, 121, 112, 100, 120, 92, 101, 103, 99,
])  # fmt: skip
_CHROMA = bytes([17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66]) + bytes([99]) * 50
"""ISO 10918-1 annex K.1, in zigzag order."""

_DC_COUNTS = (bytes.fromhex("00010501010101010100000000000000"), bytes.fromhex("00030101010101010101010000000000"))
_DC_VALUES = bytes(range(12))
_AC_COUNTS = (bytes.fromhex("0002010303020403050504040000017d"), bytes.fromhex("00020102040403040705040400010277"))
_AC_VALUES = (
    bytes.fromhex(
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5"
        "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
    bytes.fromhex(
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a353637"
        "38393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3"
        "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)
"""ISO 10918-1 annex K.3: brightness, colour."""


class JpegFrames:
    def __init__(self, body: Body) -> None:
        self._body = body
        self._sequence: int | None = None
        self._timestamp: int | None = None
        self._whole = False
        self._begin = 0
        """Where the data begins that is behind the headers."""

    def push(self, packet: Packet) -> bytes | None:
        follows = self._sequence is not None and packet.sequence == (self._sequence + 1) & 0xFFFF
        self._sequence = packet.sequence
        offset = int.from_bytes(packet.payload[1:4], "big")
        if offset == 0:
            self._body.restart()
            self._timestamp, self._whole = packet.timestamp, True
            header, data = _opened(packet.payload)
            self._body.add(header)
            self._begin = len(header)
        else:
            data = _continued(packet.payload)
            came = len(self._body.data) - self._begin if self._whole else -1
            self._whole &= follows and packet.timestamp == self._timestamp and offset == came
        if not self._whole:
            return None
        self._body.add(data)
        if not packet.marker:
            return None
        ended = self._body.data.endswith(b"\xff\xd9")
        return bytes(self._body.data) + (b"" if ended else b"\xff\xd9")


def _opened(payload: bytes) -> tuple[bytes, bytes]:
    """The first packet of a picture: (JPEG headers, the data behind the packet's own). Raises CameraError."""
    if len(payload) < 8 or payload[4] & 0x3F > 1 or payload[4] >= 128:
        raise CameraError(ErrorState.NOT_AN_IMAGE, "JPEG over RTP of a type that no standard describes")
    kind, quality, width, height = payload[4], payload[5], payload[6] * 8, payload[7] * 8
    if not width or not height:
        raise CameraError(ErrorState.NOT_AN_IMAGE, "JPEG over RTP larger than 2040 pixels, whose size is not sent")
    at, interval = 8, 0
    if kind >= 64:
        interval = int.from_bytes(payload[at : at + 2], "big")
        at += 4
    if quality >= 128:
        length, wide = int.from_bytes(payload[at + 2 : at + 4], "big"), payload[at + 1 : at + 2]
        tables = _sent_tables(payload[at + 4 : at + 4 + length], wide[0] if wide else 0)
        at += 4 + length
    else:
        tables = [_scaled(table, quality) for table in (_LUMA, _CHROMA)]
    return _headers(kind & 1, width, height, tables, interval), payload[at:]


def _continued(payload: bytes) -> bytes:
    return payload[12:] if len(payload) > 4 and payload[4] & 0x40 else payload[8:]


def _sent_tables(data: bytes, precision: int) -> list[bytes]:
    """Quantisation tables of 64 bytes, or of 128 where the precision's bit says 16 bits; one alone serves both."""
    tables: list[bytes] = []
    at = 0
    while at < len(data) and len(tables) < 2:
        size = 128 if precision >> len(tables) & 1 else 64
        tables.append(data[at : at + size])
        at += size
    if not tables or any(len(table) not in (64, 128) for table in tables):
        raise CameraError(ErrorState.NOT_AN_IMAGE, "JPEG over RTP without its quantisation tables")
    return tables if len(tables) == 2 else tables * 2


def _scaled(table: bytes, quality: int) -> bytes:
    quality = min(max(quality, 1), 99)
    factor = 5000 // quality if quality < 50 else 200 - quality * 2
    return bytes(min(max((value * factor + 50) // 100, 1), 255) for value in table)


def _headers(kind: int, width: int, height: int, tables: list[bytes], interval: int) -> bytes:
    """kind: 0 = 4:2:2, 1 = 4:2:0."""
    quantisation = [
        _segment(0xDB, bytes([(len(table) == 128) << 4 | number]) + table) for number, table in enumerate(tables)
    ]
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    components = bytes([1, 0x22 if kind else 0x21, 0, 2, 0x11, 1, 3, 0x11, 1])
    huffman = [
        _segment(0xC4, bytes([number]) + _DC_COUNTS[number] + _DC_VALUES)
        + _segment(0xC4, bytes([0x10 | number]) + _AC_COUNTS[number] + _AC_VALUES[number])
        for number in (0, 1)
    ]
    restarts = _segment(0xDD, interval.to_bytes(2, "big")) if interval else b""
    frame = _segment(0xC0, b"\x08" + size + b"\x03" + components)
    scan = _segment(0xDA, bytes([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]))
    return b"\xff\xd8" + b"".join(quantisation) + restarts + frame + b"".join(huffman) + scan


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data
