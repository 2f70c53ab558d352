"""A key picture → a JPEG, in a process of its own per picture: a decoder is what hostile video is written for.

The process has no connection, no login and no settings; it is given one picture, and killed when its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path

from cctv_images.errors import CameraError, ErrorState

AT_ONCE = 2
LIMIT_S = 15.0
MISSING = "H.264 and H.265 need PyAV, which is not installed: pip install 'cctv-images[rtsp]'"

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""Nothing of ours; numpy would otherwise take memory for each core."""
_PROGRAM = Path(__file__).with_name("frame_to_jpeg.py")


@cache
def can_decode() -> bool:
    """Whether the extra `rtsp` is installed."""
    return importlib.util.find_spec("av") is not None


class Decoder:
    def __init__(self, *, max_pixels: int, max_bytes: int) -> None:
        self._max_pixels = max_pixels
        self._max_bytes = max_bytes
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def jpeg(self, codec: str, picture: bytes) -> bytes:
        """Raises CameraError."""
        if not can_decode():
            raise CameraError(ErrorState.NOT_FOUND, MISSING)
        task = json.dumps({"codec": codec, "max_pixels": self._max_pixels}).encode() + b"\n" + picture
        async with self._turn:
            limit = asyncio.timeout(LIMIT_S)
            try:
                async with limit:
                    verdict, data = await self._run(task)
            except OSError as error:
                if limit.expired():
                    raise CameraError(ErrorState.TIMEOUT, f"not decoded within {LIMIT_S:g} s") from None
                raise CameraError(ErrorState.INTERNAL, f"no process to decode in ({type(error).__name__})") from None
        if verdict == "jpeg" and data:
            return data
        raise _FAILURES.get(verdict, _crashed)()

    async def _run(self, task: bytes) -> tuple[str, bytes]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(_PROGRAM)),
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(OSError):
                process.stdin.write(task)
                await process.stdin.drain()
                process.stdin.close()
            answer = bytearray()
            while len(answer) <= self._max_bytes + 64 and (piece := await process.stdout.read(262_144)):
                answer += piece
            if len(answer) <= self._max_bytes + 64:
                await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
        verdict, _, data = bytes(answer).partition(b"\n")
        if len(data) > self._max_bytes:
            verdict = b"too_large"
        return verdict.decode("latin-1"), data


def _crashed() -> CameraError:
    return CameraError(ErrorState.NOT_AN_IMAGE, "the decoder gave up on this video")


_FAILURES = {
    "too_large": lambda: CameraError(ErrorState.TOO_LARGE, "video of more pixels or bytes than allowed"),
    "damaged": lambda: CameraError(ErrorState.TRUNCATED, "the key picture is damaged"),
}
