"""RTP packets → one key picture: H.264 (RFC 6184) and H.265 (RFC 7798) as Annex B, MJPEG as a JPEG file.

FFmpeg could do this only together with its own connections, which obey none of our rules (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cctv_images.acquire.budget import Body
from cctv_images.acquire.rtsp.jpeg import JpegFrames
from cctv_images.acquire.rtsp.sdp import Video

START = b"\0\0\0\1"
MAX_PARAMETER_SETS, MAX_PARAMETER_SET = 16, 4096
MAX_AGGREGATED = 64
"""NAL units of one packet that are looked at; real ones have three."""

Piece = tuple[bool, bool, bytes]
"""(begins a NAL unit, ends it, bytes)."""


@dataclass(frozen=True, slots=True)
class Packet:
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes


class Frames(Protocol):
    """Takes packets in their order."""

    def push(self, packet: Packet) -> bytes | None:
        """The picture, once it is complete. Raises CameraError."""


def frames_of(video: Video, body: Body) -> Frames:
    if video.codec == "mjpeg":
        return JpegFrames(body)
    return KeyFrames(_H264() if video.codec == "h264" else _H265(), video.parameter_sets, body)


def parse_packet(data: bytes) -> Packet | None:
    """None for what is no RTP."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    begin, end = 12 + 4 * (data[0] & 0x0F), len(data)
    if data[0] & 0x10 and len(data) >= begin + 4:
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    if data[0] & 0x20:
        end -= data[-1]
    if begin >= end:
        return None
    sequence, timestamp = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big")
    return Packet(sequence, timestamp, bool(data[1] & 0x80), data[begin:end])


class _Syntax(Protocol):
    def pieces(self, payload: bytes) -> Iterator[Piece]: ...

    def is_parameter_set(self, unit: bytes) -> bool: ...

    def is_key(self, unit: bytes) -> bool:
        """Whether it is a slice of a picture that needs no other."""

    def is_first(self, unit: bytes) -> bool:
        """Whether a slice is its picture's first."""


class _H264:
    def pieces(self, payload: bytes) -> Iterator[Piece]:
        kind = payload[0] & 0x1F
        if kind == 24:  # STAP-A
            yield from _aggregated(payload[1:])
        elif kind == 28 and len(payload) > 2:  # FU-A
            begins, ends = bool(payload[1] & 0x80), bool(payload[1] & 0x40)
            header = bytes([(payload[0] & 0xE0) | (payload[1] & 0x1F)]) if begins else b""
            yield begins, ends, header + payload[2:]
        elif 0 < kind < 24:
            yield True, True, payload

    def is_parameter_set(self, unit: bytes) -> bool:
        return unit[0] & 0x1F in (7, 8)

    def is_key(self, unit: bytes) -> bool:
        return unit[0] & 0x1F == 5

    def is_first(self, unit: bytes) -> bool:
        return len(unit) > 1 and bool(unit[1] & 0x80)  # first_mb_in_slice = 0


class _H265:
    def pieces(self, payload: bytes) -> Iterator[Piece]:
        kind = payload[0] >> 1 & 0x3F
        if kind == 48:  # AP
            yield from _aggregated(payload[2:])
        elif kind == 49 and len(payload) > 3:  # FU
            begins, ends = bool(payload[2] & 0x80), bool(payload[2] & 0x40)
            header = bytes([(payload[0] & 0x81) | (payload[2] & 0x3F) << 1, payload[1]]) if begins else b""
            yield begins, ends, header + payload[3:]
        elif kind < 48:
            yield True, True, payload

    def is_parameter_set(self, unit: bytes) -> bool:
        return unit[0] >> 1 & 0x3F in (32, 33, 34)

    def is_key(self, unit: bytes) -> bool:
        return 16 <= unit[0] >> 1 & 0x3F <= 21

    def is_first(self, unit: bytes) -> bool:
        return len(unit) > 2 and bool(unit[2] & 0x80)  # first_slice_segment_in_pic_flag


def _aggregated(data: bytes) -> Iterator[Piece]:
    at = 0
    for _ in range(MAX_AGGREGATED):
        if at + 2 >= len(data):
            return
        size = int.from_bytes(data[at : at + 2], "big")
        if size:
            yield True, True, data[at + 2 : at + 2 + size]
        at += 2 + size


class KeyFrames:
    """Keeps the slices of key pictures only; one of which anything is missing is let go, and the next awaited."""

    def __init__(self, syntax: _Syntax, parameter_sets: tuple[bytes, ...], body: Body) -> None:
        self._syntax = syntax
        self._parameter_sets = dict.fromkeys(parameter_sets)
        self._body = body
        self._sequence: int | None = None
        self._timestamp: int | None = None
        self._whole = False
        """Whether nothing of the present picture is known to be missing."""
        self._open: bool | None = None
        """Whether the unit that goes on in the next packet is kept; None where none has begun."""

    def push(self, packet: Packet) -> bytes | None:
        follows = self._sequence is None or packet.sequence == (self._sequence + 1) & 0xFFFF
        self._sequence = packet.sequence
        self._whole &= follows
        done = None
        if packet.timestamp != self._timestamp:
            done = self._finish()
            self._timestamp = packet.timestamp
        for piece in self._syntax.pieces(packet.payload):
            self._take(*piece)
        return self._finish() or done if packet.marker else done

    def _take(self, begins: bool, ends: bool, data: bytes) -> None:
        if begins:
            self._open = self._begin(data)
        elif self._open is None:
            self._whole = False
        elif self._open:
            self._body.add(data)
        if ends:
            self._open = None

    def _begin(self, unit: bytes) -> bool:
        """Whether the unit is kept."""
        if not unit:
            return False
        if self._syntax.is_parameter_set(unit) and len(unit) <= MAX_PARAMETER_SET:
            self._parameter_sets.pop(unit, None)
            self._parameter_sets[unit] = None
            if len(self._parameter_sets) > MAX_PARAMETER_SETS:
                del self._parameter_sets[next(iter(self._parameter_sets))]
        if not self._syntax.is_key(unit):
            return False
        if self._syntax.is_first(unit):
            self._body.restart()
            self._whole = True
        self._body.add(START + unit)
        return True

    def _finish(self) -> bytes | None:
        whole = self._whole and self._open is None and len(self._body.data) > 0
        done = b"".join(START + unit for unit in self._parameter_sets) + self._body.data if whole else None
        self._body.restart()
        self._whole, self._open = False, None
        return done
