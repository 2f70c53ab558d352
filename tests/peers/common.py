"""What the peers share: needed programs, processes that end, and the command as an operator uses it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

MISSING = 77
CACHE = Path(os.environ.get("CCTV_PEERS_CACHE", Path(tempfile.gettempdir()) / "cctv-images-peers"))
"""Virtual environments of the peers' own packages are kept here."""


def need(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        print(f"      needs {', '.join(absent)}")
        sys.exit(MISSING)


def environment(name: str, *packages: str) -> Path:
    """The bin folder of a virtual environment with these packages, made when first needed."""
    folder = CACHE / name
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *packages], check=True)
        (folder / "ready").touch()
    return folder / "bin"


@contextlib.contextmanager
def running(*command: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    words = [str(word) for word in command]
    pipe = subprocess.DEVNULL
    program = subprocess.Popen(words, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        yield program
    finally:
        os.killpg(program.pid, signal.SIGKILL)  # with whatever it has started
        program.wait()


def until(true: Callable[[], Any], limit_s: float = 30.0) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)


class Operator:
    """Probes cameras with a count of refused logins of its own. before: words that the command is called with."""

    def __init__(self, folder: Path, *, username: str = "", password: str = "", before: Sequence[str] = ()) -> None:
        self._folder = folder
        self._before = [*before]
        login = {"CCTV_CAMERA_USERNAME": username, "CCTV_CAMERA_PASSWORD": password} if username else {}
        self._environment = {"PATH": os.environ["PATH"], "CCTV_STATE_DIR": str(folder / f"state-{password}"), **login}

    def probe(self, address: str, model: str = "") -> dict[str, Any]:
        words = [*self._before, sys.executable, "-m", "cctv_images", "probe", "--json", "--address", address]
        words += ["--model", model] if model else []
        done = subprocess.run(words, cwd=self._folder, env=self._environment, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        verdict = answer["error_state"] or f"{answer['width']}x{answer['height']}"
        print(f"      {address} {model}: {verdict} {answer['detail']}")
        return answer


def offers(answer: dict[str, Any]) -> int:
    return sum("offering the login" in step["text"] for step in answer["steps"])
