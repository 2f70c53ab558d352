"""The file that the count of refused logins is kept in: made, opened, and what is wrong with it in words."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS device (host TEXT PRIMARY KEY, scheme TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS account (
    id INTEGER PRIMARY KEY, host TEXT NOT NULL, username TEXT NOT NULL, secret BLOB NOT NULL,
    proven INTEGER NOT NULL DEFAULT 0, final INTEGER NOT NULL DEFAULT 0, UNIQUE (host, username, secret)) STRICT;
CREATE TABLE IF NOT EXISTS offer (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    state TEXT NOT NULL, asker TEXT NOT NULL, owner TEXT NOT NULL,
    wall REAL NOT NULL, mono REAL NOT NULL, boot TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS offer_account ON offer (account);
"""
# offer.state: pending, refused, forgiven (refused, and the account accepted since), unanswered


def create(path: Path) -> None:
    """An empty file that only its owner reads. Made by root (`probe` by hand) it belongs to the folder's owner, else
    the service could not use it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:
                folder = path.parent.stat()
                os.fchown(file, folder.st_uid, folder.st_gid)
        finally:
            os.close(file)


def prepare(db: sqlite3.Connection) -> None:
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'offer'").fetchone():
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        db.execute(statement)
    db.execute("INSERT OR IGNORE INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
    db.execute("COMMIT")


def why(error: Exception) -> str:
    """The reason why the count cannot be kept, in words for the operator."""
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        return next((words for begin, words in REASONS.items() if name.startswith(begin)), "damaged")
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "damaged"


REASONS = {
    "SQLITE_FULL": "disk full",
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_READONLY": "read-only",
    "SQLITE_CANTOPEN": "cannot be opened",
    "SQLITE_PERM": "no permission",
    "SQLITE_IOERR": "disk error",
}
