"""The program that decodes one picture: a line of JSON and the picture on standard input, a JPEG on standard output.

Run as a file, without the package around it: it imports nothing but PyAV, numpy and simplejpeg.
The first line of the output is `jpeg`, `too_large` or `damaged`; none at all means that the decoder broke down.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from typing import Any

QUALITY = 90
CPU_S = 20
MEMORY = 1 << 30
"""Bytes of address space; a picture of 50 megapixels takes 330 MB of memory."""
UNMARKED = 2
"""AVCOL_SPC_UNSPECIFIED."""
HD_HEIGHT = 720
"""From here on the colours of unmarked video are taken for BT.709's, as players do."""


def main() -> None:
    _limit_myself()
    import av
    import av.logging

    task = json.loads(sys.stdin.buffer.readline())
    picture = sys.stdin.buffer.read()
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture(local=False) as said:
        verdict, data = _decode(av, task, picture)
    if verdict != "jpeg" and any("exceeds" in text or "Picture size" in text for _, _, text in said):
        verdict = "too_large"
    sys.stdout.buffer.write(verdict.encode() + b"\n" + data)


def _decode(av: Any, task: dict[str, Any], picture: bytes) -> tuple[str, bytes]:
    context = av.CodecContext.create(task["codec"], "r")
    context.thread_count = 1
    # A cut H.265 picture is not marked as corrupt, it raises an error if asked to; H.264's are marked.
    detect = {"err_detect": "explode"} if task["codec"] == "hevc" else {}
    context.options = {"max_pixels": str(task["max_pixels"]), **detect}
    try:
        frames = [*context.decode(av.Packet(picture)), *context.decode(None)]
    except av.FFmpegError:
        return "damaged", b""
    except MemoryError:
        return "too_large", b""
    if not frames or frames[0].is_corrupt:
        return "damaged", b""
    return "jpeg", _jpeg(frames[0])


def _jpeg(frame: Any) -> bytes:
    """Without the way through RGB, which takes twice the memory."""
    import numpy
    import simplejpeg

    unmarked_hd = int(frame.colorspace) == UNMARKED and frame.height >= HD_HEIGHT
    source = {"src_colorspace": "ITU709"} if unmarked_hd else {}
    whole = frame.reformat(format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG", **source)
    planes = [
        numpy.ascontiguousarray(numpy.frombuffer(p, numpy.uint8).reshape(p.height, p.line_size)[:, : p.width])
        for p in whole.planes
    ]
    return bytes(simplejpeg.encode_jpeg_yuv_planes(*planes, quality=QUALITY))


def _limit_myself() -> None:
    for what, limit in ((resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main()
