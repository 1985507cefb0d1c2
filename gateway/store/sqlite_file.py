"""Connections to a SQLite file, durable and with foreign keys."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.core.errors import DatabaseBusy

#: a statement's wait for another connection's transaction
BUSY_SECONDS = 5
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}",
)


def open_sqlite(path: str) -> sqlite3.Connection:
    """A connection of its own to a SQLite database, in autocommit."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    prepare(connection)
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make a new connection like all the others."""
    for pragma in _PRAGMAS:
        connection.execute(pragma)


class SharedConnection:
    """One connection to a file, lent to one thread at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """The connection, opened by the first call; what is left open on it is rolled back.

        Raises `DatabaseBusy` and `sqlite3.Error`.
        """
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise DatabaseBusy("the database is busy", cause="no connection was free")
        try:
            if self._connection is None:
                self._connection = open_sqlite(self._path)
            yield self._connection
        finally:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
            self._lock.release()

    def close(self) -> None:
        """End the connection; the next call opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
