"""demo: the daemon over the zoo, with nothing configured."""

from __future__ import annotations

import argparse
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cctv_images.commands import CommandError
from cctv_images.commands.common import run_async, say
from cctv_images.process_images import serve
from cctv_images.settings import load_settings, scrub_environment
from cctv_images.watch.logs import configure_logging

WATCHED_BY = ("CCTV_LISTEN", "CCTV_INTERVAL", "CCTV_LOG_FORMAT", "CCTV_LOG_LEVEL")
LOOKS = ("RENDITIONS", "STAMP", "TIME_ZONE", "MASKS", "BY_MAKE", "CONTENT_ACTION", "FROZEN_AFTER", "FALLBACK_TEXT")
HEEDED = WATCHED_BY + tuple(f"CCTV_{name}" for name in LOOKS)
"""What a demo takes from the environment. Stores, inventory and accounts are its own: it must not touch real ones."""
PACE = {
    "CCTV_INTERVAL": "10",
    "CCTV_STARTUP_SPREAD": "10",
    "CCTV_TIMEOUT": "4",
    "CCTV_ATTEMPTS": "2",
    "CCTV_BACKOFF": "0.5",
    "CCTV_REVIVE_AFTER": "2m",
}
ZOO_START_S = 60.0
PR_SET_PDEATHSIG = 1


def demo(args: argparse.Namespace) -> int:
    folder = Path("demo").absolute()
    try:
        (folder / "store").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="cctv-demo-") as state, _zoo(args.cameras) as port:
            (folder / "cameras.csv").write_bytes(_from_desk(port, "inventory.csv"))
            _set_environment(folder, Path(state), _from_desk(port, "credentials.json").decode())
            return _serve()
    except OSError as exc:
        raise CommandError(f"the demo needs a place to write in, {folder}: {exc.strerror}.") from None


def _serve() -> int:
    settings = load_settings(None)
    say(
        f"Page: http://{settings.listen}/   Pictures: {settings.store}   End: Ctrl-C" if settings.listen else "No page."
    )
    sys.stdout.flush()
    log = configure_logging(settings)
    try:
        return run_async(serve(settings))
    finally:
        log.close()


def _set_environment(folder: Path, state: Path, credentials: str) -> None:
    """In the environment, so that a reload finds the same settings."""
    scrub_environment()
    heeded = {name: os.environ[name] for name in HEEDED if name in os.environ}
    for name in [n for n in os.environ if n.startswith(("CCTV_", "AWS_")) or n == "CREDENTIALS_DIRECTORY"]:
        del os.environ[name]
    os.environ |= PACE | heeded
    os.environ |= {
        "CCTV_INVENTORY": str(folder / "cameras.csv"),
        "CCTV_STORE": (folder / "store").as_uri(),
        "CCTV_CREDENTIALS": credentials,
        "CCTV_STATE_DIR": str(state),
        "CCTV_CONTROL": "control.sock",
    }


@contextmanager
def _zoo(cameras: int) -> Iterator[int]:
    """The simulated cameras, in a process of their own; gives their port."""
    port = _free_port()
    words = ["simulate", "--cameras", str(cameras), "--port", str(port)]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "cctv_images", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is ours: the cameras live until the last cycle is over
        preexec_fn=_die_with_parent,
    )
    try:
        deadline = time.monotonic() + ZOO_START_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError("the simulated cameras did not start.")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


def _from_desk(port: int, name: str) -> bytes:
    desk = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    desk.request("GET", f"/zoo/{name}")
    return desk.getresponse().read()
