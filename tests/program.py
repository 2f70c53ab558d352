"""The real program in a process of its own, in a folder of its own, with nothing of the tester's environment."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

BARE = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
COMMAND = [sys.executable, "-m", "cctv_images"]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


@dataclass
class Program:
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    async def start(self, *words: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            *words,
            cwd=self.folder,
            env=BARE | self.env | env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *words: str, **env: str) -> Done:
        return await finished(await self.start(*words, **env))

    @asynccontextmanager
    async def running(self, *words: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A daemon, from the moment its control socket answers; killed at the end if it is still alive."""
        process = await self.start(*words, **env)
        drained = asyncio.gather(*(_drain(stream) for stream in (process.stdout, process.stderr) if stream))
        try:
            await until(lambda: _answers(self.folder / "control.sock") or process.returncode is not None)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await drained


async def finished(process: asyncio.subprocess.Process, limit_s: float = 60.0) -> Done:
    """The end of a process. No end of ours shows a traceback."""
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(f"still running after {limit_s} s: {out.decode()} {err.decode()}") from None
    done = Done(process.returncode or 0, out.decode(), err.decode())
    assert "Traceback" not in done.err, done.err
    return done


async def until(true: Callable[[], object], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.05)


async def stop(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(how)
    async with asyncio.timeout(30):
        return await process.wait()


def _answers(control: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as visitor:
        return visitor.connect_ex(str(control)) == 0


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
