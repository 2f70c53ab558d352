"""What a JPEG's markers say, read without a decoder: it comes before any memory is spent on pixels.

The reading is as tolerant as browsers are: junk between segments, vendor segments, bytes after the end, a missing end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.strip import Notes, published

SOI, EOI, SOS, DQT, DHT, DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
START, END = b"\xff\xd8", b"\xff\xd9"
SEQUENTIAL, PROGRESSIVE = {0xC0, 0xC1}, 0xC2
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
BETWEEN_SCANS = frozenset({SOS, DQT, DHT, DRI, 0xDC, 0xFE}) | frozenset(range(0xE0, 0xF0))
BEFORE_SCANS = BETWEEN_SCANS | FRAMES | {SOI, 0x01}
CUT = 0
"""In place of a marker: the bytes end here."""

MAX_JUNK = 4096
"""Bytes skipped in front of a JPEG: a part's headers, a vendor's own header."""
MAX_SEGMENTS = 2000
MAX_TABLES = 65_536
"""Bytes of tables in front of one scan; all there can be take 3,000."""
MAX_SCANS = 64
"""Encoders make about ten. Thousands in a few kilobytes are a way to burn somebody's processor."""
MAX_WORK = 10
"""Scans × pixels that are decoded at most, in multiples of the pixel limit."""
MAX_COEFFICIENTS = 2
"""What a picture in several scans keeps in memory (two bytes each), in multiples of the pixel limit."""
NEAR, WINDOW = 64, 131_072
"""Bytes that are searched at once: first those where the next header is, then as many as NumPy takes in a moment."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_AFTER_FF = np.array([_MARKER.match(bytes((0xFF, value))) is not None for value in range(256)])
_NO_LENGTH = frozenset({0x01, SOI, EOI})


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame header that browsers can show."""

    width: int
    height: int
    progressive: bool
    sampling: dict[int, tuple[int, int]]
    """Component id → horizontal and vertical sampling factor."""
    segment: bytes

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def samples(self) -> float:
        """Of all components."""
        across, down = zip(*self.sampling.values(), strict=True)
        return float(self.pixels * sum(a * d for a, d in self.sampling.values()) / (max(across) * max(down)))

    @property
    def mcu(self) -> tuple[int, int]:
        """Pixels across and down of the unit in which several components are coded together."""
        across, down = zip(*self.sampling.values(), strict=True)
        return (8, 8) if len(across) == 1 else (8 * max(across), 8 * max(down))

    def units(self, components: set[int]) -> int:
        """How many units a scan of these components codes (ITU-T T.81 A.2)."""
        mcu_width, mcu_height = self.mcu
        if len(components) > 1 or len(self.sampling) == 1:
            return -(-self.width // mcu_width) * -(-self.height // mcu_height)
        across, down = self.sampling[next(iter(components))]
        return -(-self.width * across // mcu_width) * -(-self.height * down // mcu_height)

    def resized(self, width: int, height: int) -> bytes:
        """The same segment for another size."""
        return self.segment[:5] + height.to_bytes(2) + width.to_bytes(2) + self.segment[9:]


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: the tables and headers in front of it, and its entropy-coded bytes."""

    lead: bytes
    entropy: bytes
    units: int
    """Coding units in it."""
    restart_interval: int = 0
    """Units between restart markers; 0 = there are none."""


@dataclass(slots=True)
class Jpeg:
    """The first whole picture in some bytes: what a decoder needs of it, and what is published."""

    frame: Frame
    scans: list[Scan] = field(default_factory=list)
    depth: dict[int, list[int]] = field(default_factory=dict)
    """Component id → the lowest bit that was sent of each of its 64 coefficients; -1 = nothing yet."""
    data: bytes = b""
    """What is published: the picture without metadata, its end marker supplied where it was missing."""
    notes: Notes = field(default_factory=Notes)
    ended: bool = False
    """The encoder ended it here: the end marker stood where it belongs."""

    @property
    def whole_area(self) -> bool:
        return all(bits[0] >= 0 for bits in self.depth.values())

    @property
    def complete(self) -> bool:
        """Every coefficient has been sent to its last bit: nothing can be missing."""
        return not any(any(bits) for bits in self.depth.values())

    @property
    def grey_step(self) -> float:
        """Grey levels between the means of 8×8 pixels that this encoder knows (ITU-T T.81 B.2.4.1)."""
        lead = self.scans[0].lead
        table = lead.find(b"\xff\xdb") + 4
        wide = lead[table] > 15
        return int.from_bytes(lead[table + 1 : table + 2 + wide]) / 8

    @property
    def full(self) -> bool:
        """No scan can follow."""
        return not self.frame.progressive and self.complete


def find_start(data: bytes) -> int:
    """Where a JPEG begins, or -1."""
    return 0 if data.startswith(START) else data.find(START + b"\xff", 0, MAX_JUNK + 3)


def read_jpeg(data: bytes, start: int, max_pixels: int) -> Jpeg:
    """Reads the headers and finds the scans of the JPEG that begins at `start`.

    Raises CameraError: TOO_LARGE for more pixels, scans or memory than allowed, NOT_AN_IMAGE for what browsers do not
    show, TRUNCATED where the bytes end before the picture data begins.
    """
    jpeg: Jpeg | None = None
    lead, kept, notes = bytearray(), [START], Notes()
    pos, restart_interval = start + 2, 0
    for _ in range(MAX_SEGMENTS):
        marker, at, end = _next_segment(data, pos)
        if jpeg is not None and jpeg.scans and (marker not in BETWEEN_SCANS or jpeg.full):
            jpeg.ended = marker == EOI and (jpeg.complete or at == pos)
            jpeg.data, jpeg.notes = b"".join([*kept, END]), notes
            return jpeg
        segment, pos = data[at:end], end
        if marker in (EOI, CUT):
            raise CameraError(ErrorState.TRUNCATED, "JPEG that ends before its picture data begins")
        if marker not in BEFORE_SCANS:
            raise damaged(f"marker {marker:#04x} among its headers")
        if marker == SOI and jpeg is None:
            lead, kept, notes = bytearray(), [START], Notes()
            continue
        kept.append(published(marker, segment, notes))
        if marker in FRAMES and jpeg is None:
            jpeg = _begin(marker, segment, max_pixels)
            lead += segment
        elif marker == SOS and jpeg is not None:
            header, units = _scan_header(jpeg, segment)
            pos = _next_segment(data, end)[1]
            kept.append(data[end:pos])
            jpeg.scans.append(Scan(bytes(lead + header), kept[-1], units, restart_interval))
            _bound(jpeg, max_pixels)
            lead.clear()
        elif marker in FRAMES or marker in (SOI, SOS):
            raise damaged("its headers contradict each other")
        elif marker in (DQT, DHT, DRI):
            lead += segment
            if marker == DRI:
                restart_interval = int.from_bytes(segment[4:6])
            if len(lead) > MAX_TABLES:
                raise damaged("its tables have no end")
    raise damaged(f"it has more than {MAX_SEGMENTS} segments")


def damaged(how: str) -> CameraError:
    return CameraError(ErrorState.TRUNCATED, f"damaged JPEG: {how}")


def _not_shown(what: str) -> CameraError:
    return CameraError(ErrorState.NOT_AN_IMAGE, f"JPEG that browsers do not show: {what}")


def _next_segment(data: bytes, pos: int) -> tuple[int, int, int]:
    """The next marker at or after `pos`, where it begins, and where its segment ends."""
    at = _find_marker(data, pos)
    if at is None:
        return CUT, len(data), len(data)
    marker = data[at + 1]
    if marker in _NO_LENGTH:
        return marker, at, at + 2
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
    return (marker, at, end) if at + 4 <= end <= len(data) else (CUT, at, at)


def _find_marker(data: bytes, pos: int) -> int | None:
    """By NumPy beyond the next few bytes: a regular expression would hold the GIL while it reads a whole picture."""
    if near := _MARKER.search(data, pos, pos + NEAR):
        return near.start()
    values = np.frombuffer(data, np.uint8)
    for begin in range(pos + NEAR - 1, len(data) - 1, WINDOW - 1):
        window = values[begin : begin + WINDOW]
        prefixes = np.flatnonzero(window[:-1] == 0xFF)
        markers = prefixes[_AFTER_FF[window[prefixes + 1]]]
        if markers.size:
            return begin + int(markers[0])
    return None


def _begin(marker: int, segment: bytes, max_pixels: int) -> Jpeg:
    """A frame header, ITU-T T.81 B.2.2."""
    if marker not in SEQUENTIAL and marker != PROGRESSIVE:
        raise _not_shown("arithmetic-coded" if marker > 0xC8 else "lossless" if marker == 0xC3 else "hierarchical")
    count = segment[9] if len(segment) > 9 else 0
    if len(segment) != 10 + 3 * count:
        raise damaged("its frame header makes no sense")
    sampling = {segment[i]: (segment[i + 1] >> 4, segment[i + 1] & 15) for i in range(10, len(segment), 3)}
    if len(sampling) != count or not all(1 <= a <= 4 and 1 <= d <= 4 for a, d in sampling.values()):
        raise damaged("its frame header makes no sense")
    if segment[4] != 8 or count not in (1, 3, 4):
        raise _not_shown(f"{segment[4]} bits in each of {count} components")
    height, width = int.from_bytes(segment[5:7]), int.from_bytes(segment[7:9])
    if not width or not height:
        raise _not_shown(f"{width}×{height} pixels")
    if width * height > max_pixels:
        raise CameraError(ErrorState.TOO_LARGE, f"JPEG of {width}×{height} pixels, more than {max_pixels}")
    frame = Frame(width, height, marker == PROGRESSIVE, sampling, segment)
    return Jpeg(frame, depth={component: [-1] * 64 for component in sampling})


def _scan_header(jpeg: Jpeg, segment: bytes) -> tuple[bytes, int]:
    """A scan header, ITU-T T.81 B.2.3. Notes what the scan brings.

    Returns the segment as a decoder likes it, and the number of coding units in the scan.
    """
    count = segment[4] if len(segment) > 4 else 0
    components = set(segment[5 : 5 + 2 * count : 2])
    if len(segment) != 8 + 2 * count or len(components) != count or not components or components - jpeg.depth.keys():
        raise damaged("a scan header makes no sense")
    units = jpeg.frame.units(components)
    if not jpeg.frame.progressive:
        jpeg.depth.update((component, [0] * 64) for component in components)
        return segment[:-3] + b"\0\x3f\0", units  # some encoders write other values, which mean nothing here
    first, last, before, now = segment[-3], segment[-2], segment[-1] >> 4, segment[-1] & 15
    if first > last or last > 63:
        raise damaged("a scan header makes no sense")
    for component in components:
        bits = jpeg.depth[component]
        if (first and bits[0] < 0) or any(max(bit, 0) != before for bit in bits[first : last + 1]):
            raise damaged("scans are missing in between")
        bits[first : last + 1] = [now] * (last + 1 - first)
    return segment, units


def _bound(jpeg: Jpeg, max_pixels: int) -> None:
    """Refuses what would keep a processor or the memory busy for longer than a picture is worth."""
    frame, scans = jpeg.frame, len(jpeg.scans)
    if scans > MAX_SCANS or scans * frame.pixels > MAX_WORK * max_pixels:
        raise CameraError(ErrorState.TOO_LARGE, f"JPEG of {frame.width}×{frame.height} pixels in {scans} scans")
    if not jpeg.full and frame.samples > MAX_COEFFICIENTS * max_pixels:
        raise CameraError(ErrorState.TOO_LARGE, f"progressive JPEG of {frame.width}×{frame.height} pixels")
