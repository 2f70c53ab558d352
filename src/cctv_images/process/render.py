"""A picture that was proven whole → all that is published of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import simplejpeg
from PIL import Image

from cctv_images.choices import AS_IT_CAME, FULL, RenditionSpec
from cctv_images.inventory.camera import Camera
from cctv_images.masks import Mask
from cctv_images.process.content import Look
from cctv_images.process.mask import masked
from cctv_images.process.stamp import stamp_text, stamped

QUALITY, FULL_QUALITY = 80, 90
WEBP_METHOD = 1
"""0 to 6: slower and smaller. 1 takes ten times as long as a JPEG, 4 forty times."""
STEEP = 1.4
"""From here on HAMMING looks like BICUBIC and takes two thirds of its time; below, edges would be jagged."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG that decoded to its end."""

    data: bytes
    width: int
    height: int
    md5: str
    """Hex digest of data, with which a store's ETag is compared."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One form of a picture, as it is published."""

    spec: RenditionSpec
    body: bytes = field(repr=False)
    width: int
    height: int
    md5: str
    """Hex digest of body."""


@dataclass(frozen=True, slots=True)
class Processed:
    """All forms of one picture, made from the same bytes."""

    picture: Picture
    """`full`, exactly as it is published."""
    others: tuple[Rendition, ...] = ()
    look: Look | None = None
    """What the camera's picture shows, without masks and stamp."""

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """All that is to be put, in this order: `full` last."""
        full = self.picture
        return (*self.others, Rendition(AS_IT_CAME, full.data, full.width, full.height, full.md5))


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of one picture."""

    full: RenditionSpec = AS_IT_CAME
    others: tuple[RenditionSpec, ...] = ()
    masks: tuple[Mask, ...] = ()
    stamp: str = ""

    @classmethod
    def of(cls, camera: Camera, captured_at: float) -> Order:
        choices = camera.choices
        return cls(choices.renditions[-1], choices.renditions[:-1], choices.masks, stamp_text(camera, captured_at))

    @property
    def draws(self) -> bool:
        """Something is drawn into every rendition."""
        return bool(self.masks or self.stamp)

    @property
    def changes_full(self) -> bool:
        """The picture cannot be published as it came."""
        return self.draws or not self.full.as_it_came

    @property
    def encoded(self) -> tuple[RenditionSpec, ...]:
        """What has to be made."""
        return (*self.others, self.full) if self.changes_full else self.others

    def base(self, size: Size) -> Size | None:
        """The smallest decoding that all can be made of, for a picture of this size; None where none is needed."""
        sizes = [fitted(size, spec.box) for spec in self.encoded]
        return (max(w for w, _ in sizes), max(h for _, h in sizes)) if sizes else None


def ready(order: Order, base: Image.Image, size: Size) -> Image.Image:
    """In three colours where it is drawn into or scaled; else a decoder's four bytes per pixel do for an encoder."""
    scaled = any(fitted(size, spec.box) != base.size for spec in order.encoded)
    plain = base.mode == "RGB" or not (order.draws or (scaled and base.mode == "RGBX"))
    return base if plain else base.convert("RGB")


def render(order: Order, base: Image.Image, size: Size, full: bytes | None) -> Processed:
    """base: the upright picture made ready, at least as large as the order asks for; it is drawn into. size: the
    upright picture's own. full: what is published as it came; None where that is to be made, too."""
    if order.masks:
        base = masked(base, order.masks)
    others = tuple(_rendition(order, spec, base, size) for spec in order.others)
    if full is not None:
        return Processed(picture(full, size), others)
    made = _rendition(order, order.full, base, size)
    return Processed(Picture(made.body, made.width, made.height, made.md5), others)


def _rendition(order: Order, spec: RenditionSpec, base: Image.Image, size: Size) -> Rendition:
    wanted = fitted(size, spec.box)
    smooth = Image.Resampling.BICUBIC if base.width < STEEP * wanted[0] else Image.Resampling.HAMMING
    image = base if base.size == wanted else base.resize(wanted, smooth, reducing_gap=1.0)
    if order.stamp:
        image = stamped(image.copy() if image is base and spec is not order.full else image, order.stamp)
    return encoded(image, spec)


def encoded(image: Image.Image, spec: RenditionSpec) -> Rendition:
    quality = spec.quality or (FULL_QUALITY if spec.name == FULL else QUALITY)
    if not (spec.webp or spec.progressive):
        return made(_jpeg(image, quality), spec, image.size)
    out = BytesIO()
    if spec.webp:
        image.save(out, "WEBP", quality=quality, method=WEBP_METHOD)
    else:
        image.save(out, "JPEG", quality=quality, progressive=True, comment=b"")  # else a PNG's own
    return made(out.getvalue(), spec, image.size)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    """As Pillow makes it, which holds the GIL meanwhile."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    body: bytes = simplejpeg.encode_jpeg(pixels, quality, "GRAY" if image.mode == "L" else image.mode, "420")
    return body


def made(body: bytes, spec: RenditionSpec, size: Size) -> Rendition:
    return Rendition(spec, body, *size, _md5(body))


def picture(data: bytes, size: Size) -> Picture:
    return Picture(data, *size, _md5(data))


def fitted(size: Size, box: Size | None) -> Size:
    """The size with the same aspect that fits into the box; never a larger one, never 0."""
    if box is None or (size[0] <= box[0] and size[1] <= box[1]):
        return size
    width, height = size
    share = min(box[0] / width, box[1] / height)
    return max(1, round(width * share)), max(1, round(height * share))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
