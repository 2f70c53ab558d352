"""A picture that was verified → its renditions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from cctv_images.choices import RenditionSpec

QUALITY, FULL_QUALITY = 80, 90


@dataclass(frozen=True, slots=True)
class Rendition:
    """One form of a picture, as it is published."""

    spec: RenditionSpec
    body: bytes = field(repr=False)
    width: int
    height: int
    md5: str
    """Hex digest of body."""


def render(data: bytes, specs: Iterable[RenditionSpec]) -> tuple[Rendition, ...]:
    """`data` is a whole JPEG. Each decodes as few pixels as it needs."""
    return tuple(_rendition(data, spec) for spec in specs)


def _rendition(data: bytes, spec: RenditionSpec) -> Rendition:
    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        size = fitted(image.size, spec.box)
        image.draft("RGB", size)
        scaled = image.convert("RGB") if image.mode != "RGB" else image
        if scaled.size != size:
            scaled = scaled.resize(size, Image.Resampling.LANCZOS)
        return encoded(scaled, spec)


def encoded(image: Image.Image, spec: RenditionSpec) -> Rendition:
    out = BytesIO()
    if spec.webp:
        image.save(out, "WEBP", quality=spec.quality or QUALITY, method=2)
    else:
        image.save(out, "JPEG", quality=spec.quality or QUALITY, progressive=spec.progressive)
    return made(out.getvalue(), spec, image.size)


def made(body: bytes, spec: RenditionSpec, size: tuple[int, int]) -> Rendition:
    return Rendition(spec, body, *size, hashlib.md5(body, usedforsecurity=False).hexdigest())


def fitted(size: tuple[int, int], box: tuple[int, int] | None) -> tuple[int, int]:
    """The size with the same aspect that fits into the box; never a larger one, never 0."""
    if box is None or (size[0] <= box[0] and size[1] <= box[1]):
        return size
    width, height = size
    share = min(box[0] / width, box[1] / height)
    return max(1, round(width * share)), max(1, round(height * share))
