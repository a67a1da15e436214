"""The SQLite file: made where it is missing, brought up to date, opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

SCHEMA = "gateway"
VERSION = 3
"""How many migrations `sqlite_schema` holds: a file that has seen them all is opened without it."""


def connect(path: str, busy_ms: int) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by those who need them."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    connection.execute(f"PRAGMA busy_timeout = {busy_ms:d}")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def prepare(path: str) -> None:
    """Creates the file and its folder where they are missing (readable by the owner alone) and brings the schema up to date."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=0o600)
    with _alone(file.parent), closing(connect(path, 30_000)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        if _version(connection) < VERSION:
            from shared.store.sqlite_schema import migrate  # with its library: only where there is something to do

            migrate(connection)


def _version(connection: sqlite3.Connection) -> int:
    try:
        return int(
            connection.execute("SELECT count(*) FROM _sqlite_migrations WHERE migration_set = ?", (SCHEMA,)).fetchone()[
                0
            ]
        )
    except sqlite3.OperationalError:  # a new file
        return 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of processes that start at once, one after the other: neither the switch to WAL nor a migration waits for another's.

    The lock is the folder's: one on the file itself would end SQLite's own (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)
