"""Whether a JPEG is there to its last row.

libjpeg decodes anything to some picture and says in a warning what was missing. TurboJPEG hands on the first warning
only, and a harmless one (bytes left over, which cameras do send) would hide a fatal one behind it. So the decoder is
given nothing but what it needs, which leaves few things to warn about, and where one of those is harmless, the rest is
looked at again without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import islice

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.jpeg import END, EOI, START, Frame, Jpeg, Scan

FREE_LEFTOVER = 4096
"""Bytes left over after the last row that are taken for padding, whatever the size of the picture."""
ZEROS = bytes(512)
KEPT_ZEROS = 16
FOLLOWER = bytes(range(1, 255)) * 4
MAX_RARE_PIXELS = 16_000_000
MAX_INTERVALS = 10_000
MAX_SECOND_LOOK = 1_000_000_000
"""Pixels × scans × scans that are decoded to look past bytes between scans."""
WIDEST = 65_500

Pixels = NDArray[np.uint8]
"""Height × width × 1, or 4 of which the last means nothing: Pillow takes such pixels as they are."""
Size = tuple[int, int]
LeftOver = tuple[int, int]
"""How many bytes were left over the first time that some were, and the marker behind them."""

_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_RESTART = re.compile(rb"(?<!\xff)\xff++[\xd0-\xd7]")
"""Fill bytes included. Begins only where a run of them does: trying each of 8 million would hold the GIL for hours."""


class _Rare(Exception):
    """A sampling that TurboJPEG does not name."""


def first_look(jpeg: Jpeg, at_least: Size | None = None) -> Pixels | Callable[[], None]:
    """The decoded picture where one decoding tells that it is whole: in colour and no smaller than `at_least`, else in
    grey at an eighth of its size. Where that takes several decodings, what is to be called for it.

    Both raise CameraError, mostly TRUNCATED: where picture data is missing or damaged.
    """
    if not (jpeg.whole_area and (jpeg.ended or jpeg.complete)):
        raise CameraError(ErrorState.TRUNCATED, "JPEG of which whole scans are missing")
    try:
        seen = _decode(jpeg.scans, at_least)
    except _Rare:
        return partial(_decode_rare, jpeg.scans)
    if not isinstance(seen, tuple):
        return seen
    if not jpeg.complete:
        raise _not_whole("bytes are left over where scans are missing")
    return partial(_look_again, jpeg, seen[1])


def image_of(pixels: Pixels) -> Image.Image:
    """Of the same memory; what the first look gave in colour."""
    height, width, _ = pixels.shape
    return Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)


def _look_again(jpeg: Jpeg, marker: int) -> None:
    for scan in jpeg.scans:
        _check_restarts(scan)
    if _in_intervals(jpeg):
        left_over = _look_at_intervals(jpeg)
    elif marker == EOI:
        left_over = _look_at_tail(*jpeg.scans)
    else:
        left_over = _look_at_scans(jpeg)
    if left_over > max(FREE_LEFTOVER, sum(len(scan.entropy) for scan in jpeg.scans) // 8):
        raise _not_whole(f"{left_over} bytes of picture data are left over")


def _decode(scans: Sequence[Scan], at_least: Size | None = None) -> Pixels | LeftOver:
    """Without a size: at an eighth of the picture's, in grey; every coefficient is read, few pixels are made."""
    width, height = at_least or (1, 1)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            _view(scans), "RGBX" if at_least else "GRAY", min_height=height, min_width=width, strict=True
        )
        return pixels
    except ValueError as err:
        message = str(err)
    if found := _LEFT_OVER.search(message):
        return int(found[1]), int(found[2], 16)
    if "memory" in message:
        raise CameraError(ErrorState.TOO_LARGE, "JPEG that takes more memory than there is")
    if "subsampling" in message:
        raise _Rare
    raise _not_whole(message.removeprefix("Corrupt JPEG data: "))


def _left_over(scans: Sequence[Scan]) -> int:
    seen = _decode(scans)
    return seen[0] if isinstance(seen, tuple) else 0


def _decode_rare(scans: Sequence[Scan]) -> None:
    """Samplings that TurboJPEG does not name, such as 4:1:0, with Pillow, which tells no warnings.

    What is put behind a whole picture's data changes nothing; in a picture that was cut it becomes pixels.
    """
    *before, last = scans
    last = replace(last, entropy=_without_zeros(last.entropy).rstrip(b"\xff"))
    alone, followed = (_pixels([*before, last, Scan(b"", tail, 0)]) for tail in (b"", FOLLOWER))
    if alone != followed:
        raise _not_whole("premature end")


def _pixels(scans: Sequence[Scan]) -> bytes:
    """A digest of what Pillow makes of them."""
    try:
        with Image.open(BytesIO(_view(scans)), formats=("JPEG",)) as image:
            if image.width * image.height > MAX_RARE_PIXELS:
                raise CameraError(ErrorState.TOO_LARGE, f"JPEG of rare kind and {image.width}×{image.height} pixels")
            return hashlib.sha256(image.tobytes()).digest()
    except (OSError, SyntaxError, ValueError) as err:
        raise _not_whole(type(err).__name__) from None


def _view(scans: Sequence[Scan]) -> bytes:
    return b"".join([START, *(part for scan in scans for part in (scan.lead, scan.entropy)), END])


def _without_zeros(entropy: bytes) -> bytes:
    """Without zeros at the end, but for a few that may be data."""
    short = entropy.rstrip(b"\0")
    return short + bytes(min(KEPT_ZEROS, len(entropy) - len(short)))


def _not_whole(how: str) -> CameraError:
    return CameraError(ErrorState.TRUNCATED, f"JPEG that is not whole: {how}")


def _look_at_scans(jpeg: Jpeg) -> int:
    """Takes out what is left over, scan by scan, to see what comes after it. Returns the sum."""
    if jpeg.frame.pixels * len(jpeg.scans) ** 2 > MAX_SECOND_LOOK:
        raise _not_whole("bytes are left over between its scans")
    clean: list[Scan] = []
    total = 0
    for scan in jpeg.scans[:-1]:
        left_over = _left_over([*clean, scan])
        total += left_over
        clean.append(replace(scan, entropy=scan.entropy[: len(scan.entropy) - left_over]))
    return total + _look_at_tail(*clean, jpeg.scans[-1])


def _look_at_tail(*scans: Scan) -> int:
    """Bytes left over before the end: padding, or zeros in the place of rows?"""
    *before, last = scans
    short = _without_zeros(last.entropy)
    left_over = _left_over([*before, replace(last, entropy=short)])
    if ZEROS in short:
        raise _not_whole("zeros within the picture data")
    return left_over


def _in_intervals(jpeg: Jpeg) -> bool:
    """Whether its restart intervals can be decoded each on its own."""
    first, *more = jpeg.scans
    return bool(first.restart_interval) and not more and not jpeg.frame.progressive


def _check_restarts(scan: Scan) -> None:
    """A decoder that misses restart markers fills the gap and goes on; so they are counted."""
    count = -(-scan.units // scan.restart_interval) - 1 if scan.restart_interval else 0
    marks = [mark[0][-1] & 7 for mark in islice(_RESTART.finditer(scan.entropy), count + 1)]
    if len(marks) != count or marks != [i % 8 for i in range(count)]:
        raise _not_whole(f"its restart markers are not {count} in order")


def _look_at_intervals(jpeg: Jpeg) -> int:
    """Bytes left over before restart markers (many webcams): each interval is decoded as a picture of its own."""
    scan = jpeg.scans[0]
    *pieces, last = _RESTART.split(scan.entropy)
    if len(pieces) > MAX_INTERVALS:
        raise _not_whole(f"bytes are left over in {len(pieces)} restart intervals")
    rest = scan.units - len(pieces) * scan.restart_interval
    full, short = (
        scan.lead.replace(jpeg.frame.segment, _strip(jpeg.frame, n), 1) for n in (scan.restart_interval, rest)
    )
    total = sum(_left_over([replace(scan, lead=full, entropy=piece)]) for piece in pieces)
    return total + _look_at_tail(replace(scan, lead=short, entropy=last))


def _strip(frame: Frame, units: int) -> bytes:
    """A frame header for so many coding units side by side, or in as many rows as it takes."""
    across, down = frame.mcu
    rows = next((n for n in range(1, units + 1) if units % n == 0 and units // n * across <= WIDEST), units)
    if rows * down > WIDEST:
        raise _not_whole("bytes are left over in restart intervals that are very long")
    return frame.resized(units // rows * across, rows * down)
