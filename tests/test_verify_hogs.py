"""Pictures made to burn time: none of them holds up another camera's."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import time
import tracemalloc
from functools import partial

import pytest
from PIL import Image
from raw_camera import jpeg

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.lane import Lane
from cctv_images.process.processor import Processor
from cctv_images.process.verify import examine

JPEG = jpeg()
PADDED = JPEG[:-2] + b"\x55" * 3000

GIL_HOGS = {
    "blanks in a title": b"<html><title>" + b" " * 4000,
    "fill bytes after the rows": PADDED + b"\xff" * 4_000_000 + b"\xff\xd9",
    "restart markers after the rows": PADDED + b"\xff\xd0" * 2_000_000 + b"\xff\xd9",
    "stuffed bytes after the rows": PADDED + b"\xff\0" * 2_000_000 + b"\xff\xd9",
    "fill bytes before the headers": b"\xff\xd8" + b"\xff" * 4_000_000,
}


@pytest.mark.parametrize("name", GIL_HOGS)
def test_no_bytes_stop_the_other_threads(name: str) -> None:
    gaps: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            time.sleep(0.002)
            gaps.append(time.perf_counter() - begun)

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        examine(GIL_HOGS[name], 50_000_000)
    except CameraError:
        pass
    finally:
        over.set()
        ticking.join()
    assert max(gaps) < 2  # each of these has taken minutes


def png(width: int, height: int) -> bytes:
    """Some 100 kB that take a second or two to convert."""
    out = io.BytesIO()
    Image.new("LA", (width, height), (90, 90)).save(out, "PNG", compress_level=9)
    return out.getvalue()


async def test_pictures_that_take_long_delay_nobody_elses() -> None:
    processor = Processor(50_000_000)
    hogs = [asyncio.create_task(processor.verify(body)) for body in [png(5000, 5000)] * 20]
    await asyncio.sleep(0.5)
    begun = time.monotonic()
    for _ in range(20):
        assert (await processor.verify(JPEG)).width == 320
        await processor.alive()
    assert time.monotonic() - begun < 6
    assert (await processor.verify(png(300, 200))).width == 300  # before the hogs that wait
    assert sum(hog.done() for hog in hogs) < 10
    processor.close()
    await asyncio.wait(hogs)


class Busy:
    """Work that takes as long as the test wants."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()

    def __call__(self) -> bool:
        self.begun.set()
        return self.end.wait(10)


async def test_what_waits_is_bounded_in_bytes_and_the_largest_ends() -> None:
    lane, busy = Lane("test", 1, limit=1000), Busy()
    running = asyncio.create_task(lane.run(busy, cost=1, size=5000))
    await asyncio.to_thread(busy.begun.wait, 5)
    small, large, middle = (asyncio.create_task(lane.run(int, cost=1, size=n)) for n in (100, 700, 400))
    with pytest.raises(CameraError, match="the largest"):
        await large
    busy.end.set()
    assert [await small, await middle, await running] == [0, 0, True]
    lane.close()


async def test_the_cheapest_work_comes_first_whoever_gives_up_before_it() -> None:
    lane, busy, order = Lane("test", 1, limit=1000, patience_s=0.3), Busy(), list[str]()
    running = asyncio.create_task(lane.run(busy, cost=1, size=1))
    await asyncio.to_thread(busy.begun.wait, 5)
    waits = asyncio.create_task(lane.run(int, cost=1, size=1))
    leaves = asyncio.create_task(lane.run(lambda: order.append("left"), cost=1, size=1))
    await asyncio.sleep(0)
    leaves.cancel()
    with pytest.raises(CameraError, match="no time was found") as caught:
        await waits
    assert caught.value.state is ErrorState.TOO_LARGE
    names = {"dear": 9, "cheap": 2, "middling": 5}
    last = [asyncio.create_task(lane.run(partial(order.append, name), cost=c, size=1)) for name, c in names.items()]
    await asyncio.sleep(0)
    busy.end.set()
    await asyncio.gather(running, *last)
    assert order == ["cheap", "middling", "dear"]
    lane.close()


async def test_bodies_that_are_no_pictures_are_forgotten_at_once() -> None:
    processor = Processor(50_000_000)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        kept = []
        for n in range(10):
            body = (JPEG[:9000] if n % 2 else b"<html>") + bytes(900_000 * (n % 3 + 1))
            with pytest.raises(CameraError) as caught:
                await processor.verify(body)
            kept.append(caught.value.with_traceback(None))
        del body, caught
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()
        gc.enable()
    processor.close()
