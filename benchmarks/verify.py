"""What judging a picture costs: CPU per picture beside a plain full decode, and the memory after thousands.

    python benchmarks/verify.py

For the memory as the service has it, set MALLOC_MMAP_THRESHOLD_=131072 and MALLOC_TRIM_THRESHOLD_=131072 like its unit.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable
from io import BytesIO

import simplejpeg
from PIL import Image

from cctv_images.process.processor import Processor
from cctv_images.process.verify import examine

REPEATS, PICTURES = 7, 60
MAX_PIXELS = 50_000_000


def picture(width: int, height: int, size: int, **options: object) -> bytes:
    """A JPEG of about `size` bytes."""
    chance = random.Random(width)
    shapes = Image.frombytes("RGB", (32, 18), chance.randbytes(32 * 18 * 3)).resize((width, height), Image.BICUBIC)
    grain = Image.frombytes("RGB", (width, height), chance.randbytes(width * height * 3))
    image = Image.blend(shapes, grain, 0.08)
    for quality in range(95, 5, -2):
        out = BytesIO()
        image.save(out, "JPEG", quality=quality, **options)
        if out.tell() <= size:
            break
    return out.getvalue()


def full_decode(data: bytes) -> None:
    with Image.open(BytesIO(data)) as image:
        image.load()


def eighth(data: bytes) -> None:
    simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1)


def cpu_ms(work: Callable[[bytes], object], data: bytes) -> float:
    began = time.process_time()
    for _ in range(PICTURES):
        work(data)
    return (time.process_time() - began) / PICTURES * 1e3


def cost(data: bytes) -> dict[str, float]:
    """Medians of interleaved repeats."""
    ways: dict[str, Callable[[bytes], object]] = {
        "verify": lambda data: examine(data, MAX_PIXELS),
        "its decoder alone": eighth,
        "Pillow full decode": full_decode,
    }
    measured = [{name: cpu_ms(work, data) for name, work in ways.items()} for _ in range(REPEATS)]
    return {name: statistics.median(one[name] for one in measured) for name in ways}


def resident_mb() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def memory(count: int = 2000) -> list[float]:
    """Resident megabytes before, and after each quarter of `count` pictures of mixed sizes, 16 cameras at a time."""
    sizes = ((640, 360, 40_000), (1280, 720, 100_000), (1920, 1080, 300_000), (3840, 2160, 900_000))
    bodies = [picture(*size) for size in sizes] + [picture(1920, 1080, 300_000, progressive=True)]
    out = BytesIO()
    Image.open(BytesIO(bodies[2])).save(out, "PNG", compress_level=1)
    bodies.append(out.getvalue())
    processor, seen = Processor(MAX_PIXELS), [resident_mb()]
    for batch in range(count // 16):
        await asyncio.gather(*(processor.verify(bytes(bytearray(bodies[(batch + i) % 6]))) for i in range(16)))
        if (batch + 1) % (count // 64) == 0:
            seen.append(resident_mb())
    processor.close()
    return seen


def main() -> None:
    for name, data in (
        ("1280×720 100 KB", picture(1280, 720, 100_000)),
        ("1280×720 100 KB progressive", picture(1280, 720, 100_000, progressive=True)),
        ("1920×1080 300 KB", picture(1920, 1080, 300_000)),
    ):
        costs = cost(data)
        print(f"{name} ({len(data)} bytes), CPU ms: " + ", ".join(f"{way} {ms:.2f}" for way, ms in costs.items()))
    print("resident MB over 2,000 mixed pictures:", ", ".join(f"{mb:.0f}" for mb in asyncio.run(memory())))


if __name__ == "__main__":
    main()
