"""What the booted machine is given: the working tree, wheels, cameras, and the page it is installed by."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from machine import cache_folder
from s3 import free_ports

TREE = Path(__file__).resolve().parents[2]
CAMERAS = 60

T = TypeVar("T")


class Failed(Exception):
    """A check that did not see what it should."""


def must(true: object, what: str) -> None:
    if not true:
        raise Failed(what)


def until(what: str, limit_s: float, look: Callable[[], T]) -> T:
    """Looks until what is seen is true, and gives that."""
    end = time.monotonic() + limit_s
    while not (seen := look()):
        must(time.monotonic() < end, f"{what}: not seen within {limit_s:.0f} s")
        time.sleep(0.2)
    return seen


def fetch(url: str) -> str | None:
    """The text of a 200, else None."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def steps(heading: str) -> list[str]:
    """The shell blocks under a heading of docs/install.md, as they stand."""
    page = (TREE / "docs" / "install.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks: list[str] = re.findall(r"^ *```sh\n(.*?)^ *```", section, re.MULTILINE | re.DOTALL)
    must(blocks, f"docs/install.md has no commands under {heading}")
    return blocks


def copy_tree(to: Path) -> None:
    """What would be released: everything that git knows or does not ignore."""
    names = subprocess.check_output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=TREE, text=True)
    for name in filter(None, names.split("\0")):
        if (TREE / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TREE / name, to / name)


def wheels() -> Path:
    """The locked wheels for Debian's Python, kept for the next run: the machine installs without a network."""
    lock = TREE / "requirements" / "run.txt"
    folder = cache_folder() / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        making = folder.with_name(folder.name + ".making")
        download = [sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "-r", lock, "-d", making]
        subprocess.run([*download, "--python-version", "3.11", "--only-binary", ":all:"], check=True)
        making.rename(folder)
    return folder


@contextmanager
def zoo() -> Iterator[str]:
    """Healthy simulated cameras in a process of their own; gives the address of their desk."""
    port = free_ports(1)[0]
    desk = f"http://127.0.0.1:{port}/zoo"
    words = ["simulate", "--cameras", str(CAMERAS), "--sick", "0", "--static", "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "cctv_images", *words], stdout=subprocess.DEVNULL)
    try:
        until("simulated cameras", 60, lambda: process.poll() is None and fetch(desk))
        yield desk
    finally:
        process.terminate()
        process.wait()
