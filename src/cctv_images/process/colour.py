"""Colours and orientation as everybody shows them: upright, in plain sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageChops, ImageCms

Turn = Image.Transpose

TURNS = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}
"""By EXIF orientation."""
SIDEWAYS = frozenset({5, 6, 7, 8})
SEEN_ALIKE = 3
"""Levels of 255 by which a profile may differ from sRGB and still be called so: its curves are rounded."""
LONGEST_TRIED = 65_536
LEVELS = range(0, 256, 15)
SAMPLE = Image.frombytes(
    "RGB", (18 * 18, 18), bytes(v for r in LEVELS for g in LEVELS for b in LEVELS for v in (r, g, b))
)
_SRGB = ImageCms.createProfile("sRGB")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """RGB or L. A profile that is broken, or of another kind than the picture, counts for nothing, as in browsers."""
    if profile and (converted := _converted(image, profile)) is not None:
        return converted
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def is_srgb(profile: bytes, mode: str) -> bool:
    """Whether a picture of this mode, RGB or L, looks the same without its profile."""
    return not profile or (len(profile) <= LONGEST_TRIED and _looks_the_same(profile, mode))


@lru_cache(maxsize=32)
def _looks_the_same(profile: bytes, mode: str) -> bool:
    """Tells it by trying: names of profiles say little."""
    sample = SAMPLE if mode == "RGB" else Image.linear_gradient("L")
    converted = _converted(sample, profile)
    if converted is None:
        return True
    return max(ImageChops.difference(converted, sample.convert("RGB")).tobytes()) <= SEEN_ALIKE


def _converted(image: Image.Image, profile: bytes) -> Image.Image | None:
    """None where the profile cannot be used."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, _SRGB, image.mode, "RGB")
        return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
