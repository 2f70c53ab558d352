"""What the benchmarks share: their child processes, and what the kernel says about one of them."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
UNIT_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "OPENBLAS_NUM_THREADS": "1",
}
"""As in systemd/cctv-images.service."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Mebibytes."""

    rss: float
    pss: float


@contextmanager
def helper(script: str, *words: str) -> Iterator[int]:
    """cameras.py or sink.py; gives the port that it prints."""
    with _child([str(HERE / script), *words], {}, subprocess.PIPE) as process:
        assert process.stdout
        yield int(process.stdout.readline())


@contextmanager
def subject(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The process under test; gives its id. What it says is in folder/log."""
    with (folder / "log").open("ab") as log, _child(words, environment or {}, log) as process:
        yield process.pid
        assert process.poll() is None, (folder / "log").read_text()[-2000:]


def service(folder: Path, settings: Mapping[str, str]) -> AbstractContextManager[int]:
    """`cctv-images run` with the unit's memory settings."""
    places = {"CCTV_STATE_DIR": str(folder), "CCTV_CONTROL": str(folder / "control.sock")}
    return subject(folder, "-m", "cctv_images", "run", environment=UNIT_ENVIRONMENT | places | dict(settings))


@contextmanager
def _child(
    words: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int
) -> Iterator[subprocess.Popen[bytes]]:
    """Our own interpreter on `words`; ends with this process at the latest."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("CCTV_", "AWS_", "MALLOC_"))}
    process = subprocess.Popen(
        [sys.executable, *words],
        env=bare | dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output == subprocess.PIPE else output,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def store_settings(sink: int) -> dict[str, str]:
    return {
        "CCTV_STORE": "s3://bench",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{sink}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench-secret-key",
        "AWS_REGION": "us-east-1",
    }


def get(port: int, path: str, timeout_s: float = 30.0) -> bytes:
    """The body of http://127.0.0.1:port/path. Raises OSError."""
    visit = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        visit.request("GET", path)
        return visit.getresponse().read()
    finally:
        visit.close()


def stats(sink: int) -> dict[str, Any]:
    taken: dict[str, Any] = json.loads(get(sink, "/stats"))
    return taken


def cpu_s(pid: int) -> float:
    """User and system seconds of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory(pid: int) -> Memory:
    facts = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return Memory(*(int(facts[name].split()[0]) / 1024 for name in ("Rss", "Pss")))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def raise_file_limit() -> None:
    """For this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def until(deadline: float) -> None:
    time.sleep(max(0.0, deadline - time.monotonic()))
