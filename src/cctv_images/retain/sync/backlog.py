"""What is still to be done, on the disk: the comparison runs ahead of the copies, and memory does not grow."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from cctv_images.publish.store import Entry


class Item(NamedTuple):
    ours: Entry
    theirs: Entry | None
    """None: missing at the destination."""


class Backlog:
    """A queue with one writer and many readers, in a file without a name. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        fd, path = tempfile.mkstemp(dir=folder)
        self._out = open(fd, "wb")  # noqa: SIM115 - closed by close()
        self._in = open(path, "rb")  # noqa: SIM115
        os.unlink(path)
        self._ended = self._unflushed = False
        self._waiting = 0
        self._news = asyncio.Event()

    def add(self, item: Item) -> None:
        self._out.write(json.dumps(item).encode() + b"\n")
        self._unflushed = True
        if self._waiting:
            self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._news.set()

    async def next(self) -> Item | None:
        """None at the end."""
        while True:
            if self._unflushed:
                self._out.flush()
                self._unflushed = False
            if line := self._in.readline():
                ours, theirs = json.loads(line)
                return Item(Entry(*ours), Entry(*theirs) if theirs else None)
            if self._ended:
                return None
            self._news.clear()
            self._waiting += 1
            try:
                await self._news.wait()
            finally:
                self._waiting -= 1

    def close(self) -> None:
        self._out.close()
        self._in.close()
