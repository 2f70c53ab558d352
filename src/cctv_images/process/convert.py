"""PNG and WebP on the way to JPEG. Browsers would show them, but what is published is a JPEG by its name and type."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from PIL import Image

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.colour import to_srgb, upright
from cctv_images.process.strip import ORIENTATION

PNG_START = b"\x89PNG\r\n\x1a\n"
WIDEST = 65_500
"""Pixels across or down that a JPEG can have."""

MAX_WEBP_PIXELS = 16_777_216
"""Its decoder takes 16 bytes for each, whatever they show."""
ZEROS = bytes(64)
"""WebP's decoder takes them for picture data; its encoders do not write so many."""

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)


def kind_of(data: bytes) -> str | None:
    """ "PNG", "WebP" or None, by the first bytes."""
    if data.startswith(PNG_START):
        return "PNG"
    return "WebP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def pixels_of(data: bytes, kind: str, max_pixels: int) -> int:
    """How many pixels there will be. Raises CameraError: TOO_LARGE, TRUNCATED where the header has shown it."""
    size = _png_size(data) if kind == "PNG" else _webp_size(data)
    if size is None or 0 in size:
        raise CameraError(ErrorState.TRUNCATED, f"{kind} that ends in its header")
    limit = max_pixels if kind == "PNG" else min(max_pixels, MAX_WEBP_PIXELS)
    if size[0] * size[1] > limit or max(size) > WIDEST:
        raise CameraError(ErrorState.TOO_LARGE, f"{kind} of {size[0]}×{size[1]} pixels, more than {limit}")
    if kind == "WebP" and data[: 8 + int.from_bytes(data[4:8], "little")].endswith(ZEROS):
        raise CameraError(ErrorState.TRUNCATED, "WebP that ends in zeros")
    return size[0] * size[1]


def to_image(data: bytes, kind: str) -> Image.Image:
    """Upright, RGB or L in plain sRGB. Animations give their first frame; what is transparent becomes white.

    Call `pixels_of` first, and one at a time: every pixel is held, up to twice, so that 50 million take 400 MB.
    Raises CameraError: TOO_LARGE, TRUNCATED.
    """
    try:
        with Image.open(BytesIO(data), formats=("PNG", "WEBP")) as image:
            image.load()
            turn, profile = image.getexif().get(ORIENTATION, 1), image.info.get("icc_profile") or b""
            return upright(to_srgb(_flat(image), profile), turn)
    except (Image.DecompressionBombError, MemoryError):
        raise CameraError(ErrorState.TOO_LARGE, f"{kind} that unpacks to more than is allowed") from None
    except _BROKEN as err:
        raise CameraError(ErrorState.TRUNCATED, f"{kind} that is not whole ({type(err).__name__})") from None


def _flat(image: Image.Image) -> Image.Image:
    """RGB or L."""
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(layer, mask=layer)
        return flat
    if image.mode.startswith("I"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """RFC 9649, sections 2.5 to 2.7."""
    chunk, head = data[12:16], data[20:30]
    if len(head) < 10:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk != b"VP8 ":
        return None
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
