"""What making a picture fit to show costs: CPU per picture beside Pillow the plain way; how alike the thumbnails are.

    python benchmarks/process.py

The plain way decodes the whole picture, scales it with LANCZOS and encodes it at the same quality. Ours, in the same
time, also proves the picture whole and strips it. "All" is what a cycle pays: digests and content checks as well.
Medians of interleaved repeats in one process; SSIM as in Wang et al. 2004, of the luma, in windows of 8×8. Exits 1 when
a bound is broken.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from verify import full_decode, picture

from cctv_images.choices import Choices, renditions, stamp
from cctv_images.inventory.camera import Camera
from cctv_images.masks import masks
from cctv_images.process.jpeg import read_jpeg
from cctv_images.process.processor import Processor
from cctv_images.process.render import Order, Processed, Size, ready, render
from cctv_images.process.verify import Costly, examine, glance
from cctv_images.process.whole import Pixels, first_look, image_of
from cctv_images.simulate.scene import Scene

REPEATS = 9
MAX_PIXELS = 50_000_000
THUMB = (640, 360)
STRIP_BOUND, THUMB_BOUND, SSIM_BOUND = 0.5, 0.2, 0.95
HALF = masks([[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]])
CHOICES = {
    "thumb": Choices(renditions("full, thumb:640x360@q80")),
    "thumb and small": Choices(renditions("full, thumb:640x360@q80, small:320x180@q70")),
    "thumb as WebP": Choices(renditions("full, thumb:640x360@webp")),
    "stamp": Choices(stamp=stamp("{name} · {time} · City of Austin")),
    "mask, thumb": Choices(renditions("full, thumb:640x360@q80"), HALF),
}


def traffic(width: int, height: int, size: int) -> bytes:
    """A street as the simulated cameras show it, in about so many bytes, with what cameras add to it."""
    image = Scene.of(3).at(1.8e9, "6th St / Red River St").resize((width, height), Image.Resampling.LANCZOS)
    tags = Image.Exif()
    tags[0x010E] = "a camera's description" * 20
    for quality in range(95, 5, -2):
        out = BytesIO()
        image.save(out, "JPEG", quality=quality, exif=tags, comment=b"serial=4711" * 20)
        if out.tell() <= size:
            break
    return out.getvalue()


def plain_thumb(data: bytes) -> bytes:
    with Image.open(BytesIO(data)) as image:
        small = image.resize(THUMB, Image.Resampling.LANCZOS)
    out = BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def verified(data: bytes, at_least: Size | None = None) -> Pixels:
    """Proven whole and stripped."""
    seen = first_look(read_jpeg(data, 0, MAX_PIXELS), at_least)
    assert not callable(seen)
    return seen


def thumbed(data: bytes, size: Size) -> None:
    """And with a thumbnail."""
    order = Order(others=CHOICES["thumb"].renditions[:1])
    render(order, ready(order, image_of(verified(data, order.base(size))), size), size, b"")


def made(data: bytes, choices: Choices) -> Processed:
    camera = Camera("134", "axis", name="6th St / Red River St", choices=choices)
    seen = glance(data, MAX_PIXELS, Order.of(camera, 1.8e9))
    return seen.finish() if isinstance(seen, Costly) else seen


def cpu_ms(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e3


def costs(data: bytes, size: Size, times: int) -> dict[str, float]:
    jpeg = read_jpeg(data, 0, MAX_PIXELS)
    ways: dict[str, Callable[[], object]] = {
        "Pillow: full decode": lambda: full_decode(data),
        "Pillow: the plain thumb": lambda: plain_thumb(data),
        "verify": lambda: first_look(jpeg),
        "verify + strip": lambda: verified(data),
        "verify + strip + thumb": lambda: thumbed(data, size),
        "all, by default": lambda: examine(data, MAX_PIXELS),
    }
    ways |= {f"all, with {name}": lambda choices=choices: made(data, choices) for name, choices in CHOICES.items()}
    measured = [{name: cpu_ms(work, times) for name, work in ways.items()} for _ in range(REPEATS)]
    return {name: statistics.median(one[name] for one in measured) for name in ways}


def luma(data: bytes) -> NDArray[np.float64]:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("L"), np.float64)


def windows(values: NDArray[np.float64], side: int = 8) -> NDArray[np.float64]:
    """Mean of each window."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2


def ssim(one: bytes, other: bytes) -> float:
    x, y = luma(one), luma(other)
    mx, my, c1, c2 = windows(x), windows(y), 2.55**2, 7.65**2
    vx, vy, cov = windows(x * x) - mx**2, windows(y * y) - my**2, windows(x * y) - mx * my
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


async def cores(data: bytes, count: int = 200) -> float:
    """How many cores are busy while pictures with thumbnails are made, 16 at a time."""
    processor, camera = Processor(MAX_PIXELS), Camera("1", "axis", choices=CHOICES["thumb"])
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(count // 16):
        await asyncio.gather(*(processor.process(data, camera, 0.0) for _ in range(16)))
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    processor.close()
    return busy


def main() -> int:
    broken = []
    hd, uhd = (1280, 720), (3840, 2160)
    for name, data, size, times in (
        ("1280×720, 100 KB", traffic(*hd, 100_000), hd, 20),
        ("3840×2160, 900 KB", traffic(*uhd, 900_000), uhd, 4),
        ("1280×720, 100 KB, all grain", picture(*hd, 100_000), hd, 20),
    ):
        cost = costs(data, size, times)
        print(f"{name} ({len(data)} bytes), CPU ms per picture:")
        for way, ms in cost.items():
            print(f"  {way:<24}{ms:8.2f}")
        strip = cost["verify + strip"] / cost["Pillow: full decode"]
        thumb = cost["verify + strip + thumb"] / cost["Pillow: the plain thumb"]
        alike = ssim(made(data, CHOICES["thumb"]).others[0].body, plain_thumb(data))
        print(
            f"  verify + strip {strip:.2f} of a full decode, with thumb {thumb:.2f} of the plain way, SSIM {alike:.4f}"
        )
        if strip > STRIP_BOUND or thumb > THUMB_BOUND or alike < SSIM_BOUND:
            broken.append(name)
    print(f"cores busy while thumbnails are made: {asyncio.run(cores(traffic(*hd, 100_000))):.2f}")
    if broken:
        print(f"beyond the bounds: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
