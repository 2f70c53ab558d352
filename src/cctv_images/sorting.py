"""Sorting more than memory should hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from cctv_images.errors import StoreError

CACHE_KIB = 2048


class DiskSort:
    """Rows by their first column: text in the order of its UTF-8 bytes, or bytes.

    SQLite sorts in runs, in temporary files ($SQLITE_TMPDIR, else /var/tmp) that go with the process.
    Raises StoreError.
    """

    def __init__(self, columns: int) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._into = f"INSERT INTO found VALUES ({', '.join('?' * columns)})"  # noqa: S608 - question marks alone
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute(f"CREATE TABLE found ({', '.join(f'c{n}' for n in range(columns))})")
        self._db.execute("BEGIN")

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        with _told():
            self._db.executemany(self._into, rows)

    def sorted(self) -> Iterator[tuple[Any, ...]]:
        with _told():
            yield from self._db.execute("SELECT * FROM found ORDER BY c0")

    def close(self) -> None:
        self._db.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise StoreError("full", f"a long listing cannot be sorted on the disk: {exc}", transient=False) from None
