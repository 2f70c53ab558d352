"""Where the zoo's pictures come from: drawn while you look (living), or one prepared JPEG (static, for benchmarks)."""

from __future__ import annotations

import asyncio
import functools
import io
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from PIL import Image

from cctv_images.simulate import jpeg, screens
from cctv_images.simulate.fleet import SimulatedCamera
from cctv_images.simulate.scene import Scene

_QUALITY = 78
_MAX_CACHED = 256
_VIEWS = 1000
_PIECE = (160, 80)
"""Pixels; whole coding units, so that a picture in another order is as large."""


class Pictures(Protocol):
    def get(self, camera: SimulatedCamera, form: str = "jpeg") -> bytes | asyncio.Future[bytes]:
        """The camera's picture now. form: jpeg, progressive, grey, black, bars, no_signal, clock (all else
        stands still), png or webp."""

    def close(self) -> None: ...


class LivingPictures:
    """Traffic scenes, drawn in a thread when asked for and kept for a moment.

    fresh_s: seconds for which a drawn picture is shown again. shared: None gives each camera a scene of its own with
    its name in it; else so many scenes, without names, are shared by all, so that thousands cost no more than that
    many drawings every fresh_s. clock: epoch seconds.
    """

    def __init__(
        self, *, fresh_s: float = 1.0, shared: int | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._fresh_s = fresh_s
        self._shared = shared
        self._clock = clock
        self._studio = ThreadPoolExecutor(2, thread_name_prefix="scene")
        self._numbers: dict[str, int] = {}
        self._shown: OrderedDict[tuple[int, str], tuple[float, bytes | asyncio.Future[bytes]]] = OrderedDict()

    def get(self, camera: SimulatedCamera, form: str = "jpeg") -> bytes | asyncio.Future[bytes]:
        street = self._numbers.setdefault(camera.camera_id, len(self._numbers))
        street, name = (street, camera.name) if self._shared is None else (street % self._shared, "")
        now, key = self._clock(), (street, form)
        cached = self._shown.get(key)
        if cached is not None and (0 <= now - cached[0] < self._fresh_s or not isinstance(cached[1], bytes)):
            return cached[1]
        drawn = asyncio.get_running_loop().run_in_executor(self._studio, self._draw, street, name, now, form)
        self._shown[key] = (now, drawn)
        self._shown.move_to_end(key)
        drawn.add_done_callback(lambda done: self._keep(key, now, done))
        while len(self._shown) > _MAX_CACHED:
            self._shown.popitem(last=False)
        return drawn

    def _keep(self, key: tuple[int, str], now: float, drawn: asyncio.Future[bytes]) -> None:
        if drawn.cancelled() or drawn.exception() is not None:
            self._shown.pop(key, None)
        elif key in self._shown:
            self._shown[key] = (now, drawn.result())

    @staticmethod
    def _draw(street: int, name: str, now: float, form: str) -> bytes:
        return encoded(Scene.of(street).at(0.0 if form == "clock" else now, name, now), form)

    def close(self) -> None:
        self._studio.shutdown(wait=False, cancel_futures=True)


class StaticPictures:
    """One JPEG of about `size` bytes, 1280x720, for all. unique: each answer is one of its own, of a view of its own
    (as far as _VIEWS go) that never stands still, as if a camera had taken it."""

    def __init__(self, *, size: int = 100_000, unique: bool = False) -> None:
        self._size = size
        self._unique = unique
        self._count = 0
        self._numbers: dict[str, int] = {}
        self._answers: Counter[str] = Counter()

    def get(self, camera: SimulatedCamera, form: str = "jpeg") -> bytes:
        if not self._unique or form != "jpeg":
            return _prepared(self._size, form)
        number = self._numbers.setdefault(camera.camera_id, len(self._numbers))
        self._count += 1
        self._answers[camera.camera_id] += 1
        return jpeg.with_own_table(_view(self._size, number % _VIEWS), self._count, self._answers[camera.camera_id] % 2)

    def close(self) -> None:
        """Nothing to end."""


def encoded(picture: Image.Image, form: str = "jpeg", quality: int = _QUALITY) -> bytes:
    out = io.BytesIO()
    match form:
        case "png":
            picture.save(out, "PNG", compress_level=1)
        case "webp":
            picture.save(out, "WEBP", quality=quality, method=0)
        case "grey":
            picture.convert("L").save(out, "JPEG", quality=quality)
        case "bars":
            screens.bars().save(out, "JPEG", quality=quality)
        case "no_signal":
            screens.no_signal().save(out, "JPEG", quality=quality)
        case "black":
            Image.new("RGB", picture.size).save(out, "JPEG", quality=quality)
        case _:
            picture.save(out, "JPEG", quality=quality, progressive=form == "progressive")
    return out.getvalue()


@functools.cache
def _prepared(size: int, form: str) -> bytes:
    scene = _scene()
    return _about(scene, size, _quality(size)) if form == "jpeg" else encoded(scene, form)


@functools.cache
def _scene() -> Image.Image:
    return Scene.of(1).at(1_700_000_000.0, "Static")


@functools.cache
def _view(size: int, number: int) -> bytes:
    """The scene in pieces, put together in another order: another view, and as hard to decode."""
    scene = _scene()
    across, down = scene.width // _PIECE[0], scene.height // _PIECE[1]
    places = [(x * _PIECE[0], y * _PIECE[1]) for y in range(down) for x in range(across)]
    view = Image.new(scene.mode, scene.size)
    for place, (x, y) in zip(places, random.Random(number).sample(places, len(places)), strict=True):
        view.paste(scene.crop((x, y, x + _PIECE[0], y + _PIECE[1])), place)
    return _about(view, size, _quality(size))


@functools.cache
def _quality(size: int) -> int:
    return next((q for q in range(95, 20, -3) if len(encoded(_scene(), quality=q)) <= size), 20)


def _about(picture: Image.Image, size: int, quality: int) -> bytes:
    """The JPEG of this quality, or of the best below with which it is no larger, filled up to `size` with a comment."""
    tried = (encoded(picture, quality=q) for q in range(quality, 20, -3))
    nearest = next((data for data in tried if len(data) <= size), encoded(picture, quality=20))
    missing = size - len(nearest) - 4
    while missing > 0:
        part = min(missing, 60_000)
        nearest, missing = jpeg.with_comment(nearest, b"." * part), missing - part - 4
    return nearest
