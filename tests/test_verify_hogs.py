"""Pictures made to burn time: none of them holds up another camera's."""

from __future__ import annotations

import threading
import time

import pytest
from raw_camera import jpeg

from cctv_images.errors import CameraError
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
    assert max(gaps) < 0.5
