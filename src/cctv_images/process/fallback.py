"""The picture that is shown in a camera's place while it has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cctv_images.choices import AS_IT_CAME, FULL, RenditionSpec
from cctv_images.errors import CameraError, ConfigError
from cctv_images.process.cards import LARGEST, Card, draw
from cctv_images.process.jpeg import START
from cctv_images.process.render import Order, Rendition, encoded, fitted, made
from cctv_images.process.verify import Costly, examine, glance
from cctv_images.wording import Words

PATIENCE_S = 10.0
"""What a drawing may take, waiting for others included: thousands at once get the plain image."""
MAX_BYTES = 8_388_608
MAX_PIXELS = 50_000_000

_SIZE = _WIDTH, _HEIGHT = 1280, 720
_TITLE = "Camera image unavailable"
_SUBTITLE = "This view is offline for now. Please check back later."
_TOP, _BOTTOM = (38, 50, 66), (15, 20, 28)
_BODY, _SHADE, _LENS, _MARK = (142, 160, 180), (104, 121, 141), (206, 220, 234), (240, 178, 84)
_BRIGHT, _SOFT = (243, 246, 250), (166, 180, 196)
_Colour = tuple[int, int, int] | tuple[int, int, int, int]
_Four = tuple[int, int, int, int]
_SMOOTH = 3
"""Shapes are drawn so many times larger and then shrunk: Pillow's own edges have stairs."""


class Fallbacks:
    """Drawn for each camera, in a thread; one picture for all where the agency has its own, or where drawing fails.

    on_trouble(why) is called once for each run of drawings that failed.
    """

    def __init__(self, own: bytes | None, words: tuple[Words, ...], on_trouble: Callable[[str], None]) -> None:
        self._draws, self._words, self._on_trouble = own is None, words, on_trouble
        self._data = own or builtin_fallback()
        self._made = lru_cache(maxsize=64)(self._make)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fallbacks")
        self._troubled = False

    async def renditions(self, card: Card, specs: tuple[RenditionSpec, ...]) -> tuple[Rendition, ...]:
        """In the order of specs. Raises nothing."""
        loop = asyncio.get_running_loop()
        if self._draws:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    drawn = await loop.run_in_executor(self._thread, drawings, card, self._words, specs)
            except Exception as exc:  # noqa: BLE001 - whatever a name or a size provokes, people get an image
                self._tell(exc)
            else:
                self._troubled = False
                return drawn
        return await asyncio.to_thread(self._made, specs)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _tell(self, exc: Exception) -> None:
        if not self._troubled:
            self._on_trouble(f"fallbacks are shown without words: {type(exc).__name__}")
        self._troubled = True

    def _make(self, specs: tuple[RenditionSpec, ...]) -> tuple[Rendition, ...]:
        """`full` is the picture as it is."""
        others = tuple(spec for spec in specs if spec.name != FULL)
        seen = glance(self._data, MAX_PIXELS, Order(others=others))
        done = seen.finish() if isinstance(seen, Costly) else seen
        own = made(self._data, AS_IT_CAME, (done.picture.width, done.picture.height))
        return done.others if others == specs else (*done.others, own)


def drawings(card: Card, words: tuple[Words, ...], specs: tuple[RenditionSpec, ...]) -> tuple[Rendition, ...]:
    """Each drawn in its own size: letters that are shrunk are not read."""
    full = fitted(card.size, LARGEST)
    return tuple(encoded(draw(card, words, fitted(full, spec.box)), spec) for spec in specs)


@cache
def builtin_fallback() -> bytes:
    """A 1280×720 JPEG, the same bytes each time."""
    image = _background()
    icon = _camera()
    image.paste(icon, ((_WIDTH - icon.width) // 2, 84), icon)
    draw = ImageDraw.Draw(image)
    draw.text((_WIDTH / 2, 500), _TITLE, _BRIGHT, ImageFont.load_default(82), anchor="mm")
    draw.text((_WIDTH / 2, 590), _SUBTITLE, _SOFT, ImageFont.load_default(38), anchor="mm")
    out = BytesIO()
    image.save(out, "JPEG", quality=76, progressive=True)
    return out.getvalue()


def load_fallback(path: Path | None) -> bytes:
    """The operator's own JPEG byte for byte, or the built-in one. Raises ConfigError."""
    if path is None:
        return builtin_fallback()
    name = f"CCTV_FALLBACK_IMAGE={path}"
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{name} is not a file; give the path of a JPEG file")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{name} has {path.stat().st_size} bytes; a fallback may have {MAX_BYTES}")
        data = path.read_bytes()
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else "not a path"
        raise ConfigError(f"{name} cannot be read ({reason}); give the path of a JPEG file") from None
    if not data.startswith(START):
        raise ConfigError(f"{name} is not a JPEG; convert it to one")
    try:
        examine(data, MAX_PIXELS)
    except CameraError as err:
        raise ConfigError(f"{name} cannot be shown: {err.detail}") from None
    return data


def _background() -> Image.Image:
    """From a lighter to a darker slate."""
    share = Image.linear_gradient("L").resize(_SIZE, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", _SIZE, _BOTTOM), Image.new("RGB", _SIZE, _TOP), share)


def _camera() -> Image.Image:
    """A camera on its arm, looking down a little, crossed out."""
    size = 420 * _SMOOTH, 320 * _SMOOTH
    body = Image.new("RGBA", size)
    draw = _Scaled(body)
    draw.box((92, 88, 332, 196), 26, _BODY)
    draw.box((318, 106, 360, 178), 12, _SHADE)
    draw.box((350, 114, 370, 170), 9, _LENS)
    draw.box((72, 64, 352, 98), 14, _SHADE)
    body = body.rotate(-12, Image.Resampling.BICUBIC, center=(210 * _SMOOTH, 140 * _SMOOTH))
    whole = Image.new("RGBA", size)
    draw = _Scaled(whole)
    draw.box((40, 176, 62, 300), 8, _SHADE)
    draw.box((56, 226, 176, 250), 8, _SHADE)
    draw.box((150, 150, 176, 250), 8, _SHADE)
    whole.alpha_composite(body)
    draw.stroke((108, 24, 336, 288), 40, (0, 0, 0, 0))
    draw.stroke((108, 24, 336, 288), 16, _MARK)
    return whole.resize((420, 320), Image.Resampling.LANCZOS)


class _Scaled:
    """Draws in the icon's own coordinates."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)

    def box(self, corners: _Four, radius: int, colour: _Colour) -> None:
        self._draw.rounded_rectangle(_scaled(corners), radius * _SMOOTH, colour)

    def stroke(self, ends: _Four, width: int, colour: _Colour) -> None:
        """A line with round ends."""
        x0, y0, x1, y1 = _scaled(ends)
        half = width * _SMOOTH / 2
        self._draw.line((x0, y0, x1, y1), colour, width * _SMOOTH)
        for x, y in ((x0, y0), (x1, y1)):
            self._draw.ellipse((x - half, y - half, x + half, y + half), colour)


def _scaled(four: _Four) -> _Four:
    x0, y0, x1, y1 = four
    return x0 * _SMOOTH, y0 * _SMOOTH, x1 * _SMOOTH, y1 * _SMOOTH
