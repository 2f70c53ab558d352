"""Pictures for tests, and parts of JPEGs."""

from __future__ import annotations

import random
import struct
from io import BytesIO

from PIL import Image


def scene(width: int = 640, height: int = 360, mode: str = "RGB") -> Image.Image:
    """A picture with large shapes and grain, as cameras see the world."""
    chance = random.Random(f"{width}×{height}")
    shapes = Image.frombytes("RGB", (16, 9), chance.randbytes(16 * 9 * 3)).resize((width, height), Image.BICUBIC)
    grain = Image.frombytes("RGB", (width, height), chance.randbytes(width * height * 3))
    return Image.blend(shapes, grain, 0.1).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image
