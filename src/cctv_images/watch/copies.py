"""Copies of what is published, for the page, where the store is no folder that it could read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cctv_images.errors import ConfigError

MAX_WAITING_BYTES = 32 << 20
FILE_MODE, FOLDER_MODE = 0o640, 0o750


class Copies:
    """One thread writes and nobody waits for it: a disk that hangs must not cost a slot.

    on_trouble(why) is called once for each run of failures, from whatever thread.
    """

    def __init__(self, root: Path, on_trouble: Callable[[str], None]) -> None:
        """Raises ConfigError where no folder can be made."""
        try:
            root.mkdir(FOLDER_MODE, exist_ok=True)
        except OSError as exc:
            raise ConfigError(f"the folder for the page's copies, {root}, cannot be made: {exc.strerror}") from None
        self.root = root
        self._on_trouble = on_trouble
        self._troubled = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="page-copies")
        self._lock = threading.Lock()
        self._waiting: dict[str, bytes] = {}
        self._bytes = 0

    def keep(self, key: str, body: bytes) -> None:
        """Takes the place of what waits under the same key. Left out when the disk does not keep up."""
        with self._lock:
            older = self._waiting.get(key)
            more = len(body) - len(older or b"")
            if room := self._bytes + more <= MAX_WAITING_BYTES:
                self._waiting[key] = body
                self._bytes += more
        if not room:
            self._tell("the disk does not keep up")
        elif older is None:
            self._thread.submit(self._write, key)

    def close(self) -> None:
        """Gives up what waits."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _write(self, key: str) -> None:
        with self._lock:
            body = self._waiting.pop(key)
            self._bytes -= len(body)
        try:
            self._replace(f"{self.root}/{key}", body)
        except OSError as exc:
            self._tell(exc.strerror or type(exc).__name__)
        else:
            self._troubled = False

    def _replace(self, path: str, body: bytes) -> None:
        temporary = f"{self.root}/.new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE), "wb") as file:
            file.write(body)
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), FOLDER_MODE, exist_ok=True)
            os.replace(temporary, path)

    def _tell(self, why: str) -> None:
        if not self._troubled:
            self._troubled = True
            self._on_trouble(why)
