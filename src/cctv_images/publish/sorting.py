"""Sorting more than memory should hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from cctv_images.errors import StoreError

CACHE_KIB = 8192


def sorted_on_disk(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows by their first column, each as wide as the first: text in the order of its UTF-8 bytes, or bytes.

    SQLite sorts in runs, in temporary files that go with the process ($SQLITE_TMPDIR, else /var/tmp). Nothing is given
    before all is taken. Raises StoreError.
    """
    source = iter(rows)
    first = next(source, None)
    if first is None:
        return
    try:
        with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as db:
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute(f"CREATE TABLE found ({', '.join(f'c{n}' for n in range(len(first)))})")
            db.execute("BEGIN")
            into = f"INSERT INTO found VALUES ({', '.join('?' * len(first))})"  # noqa: S608 - question marks alone
            db.execute(into, first)
            db.executemany(into, source)
            yield from db.execute("SELECT * FROM found ORDER BY c0")
    except sqlite3.Error as exc:
        raise StoreError("full", f"a long listing cannot be sorted on the disk: {exc}", transient=False) from None
