"""Stored responses in a SQLite file of their own, one connection in one thread."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from gateway.core.errors import DatabaseUnavailable, DataRefused
from gateway.core.seal import Sealer
from gateway.store.moments import utc_text
from gateway.store.response_store import PURGE_ROWS, ResponseStore, Unwritten
from gateway.store.sqlite_file import open_sqlite
from gateway.store.writer_thread import WriterThread

T = TypeVar("T")

#: the tables of `response_tables` (a test compares) in a file that may have them already
SCHEMA = """
CREATE TABLE IF NOT EXISTS response (
  account_id INTEGER NOT NULL, id VARCHAR NOT NULL, sealed TEXT NOT NULL,
  expires_at VARCHAR(26) NOT NULL, PRIMARY KEY (account_id, id)
);
CREATE INDEX IF NOT EXISTS response_expiry ON response (expires_at);
CREATE TABLE IF NOT EXISTS response_item (
  account_id INTEGER NOT NULL, id VARCHAR NOT NULL, response_id VARCHAR NOT NULL,
  sealed TEXT NOT NULL, expires_at VARCHAR(26) NOT NULL, PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, response_id) REFERENCES response (account_id, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS response_item_response ON response_item (account_id, response_id);
"""
_READ = """
SELECT sealed, CAST(strftime('%s', expires_at) AS INTEGER) FROM response
WHERE account_id = ? AND id = ? AND expires_at > ?
"""
_READ_ITEMS = """
SELECT id, sealed FROM response_item
WHERE account_id = ? AND id IN (SELECT value FROM json_each(?)) AND expires_at > ?
"""
_WRITE = "INSERT INTO response (account_id, id, sealed, expires_at) VALUES (?, ?, ?, ?)"
_WRITE_ITEM = """
INSERT INTO response_item (account_id, id, response_id, sealed, expires_at) VALUES (?, ?, ?, ?, ?)
"""
_DELETE = "DELETE FROM response WHERE account_id = ? AND id = ? RETURNING expires_at > ?"
_PURGE = """
DELETE FROM response WHERE rowid IN (
  SELECT rowid FROM response WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)
"""
_ERASE = """
DELETE FROM response WHERE rowid IN (SELECT rowid FROM response WHERE account_id = ? LIMIT ?)
"""


class SqliteResponses(ResponseStore):
    """The file and its tables are made by the first call; a broken connection by the next."""

    def __init__(self, path: str, sealer: Sealer, *, retention_days: int, bytes_max: int) -> None:
        super().__init__(sealer, retention_days=retention_days, bytes_max=bytes_max)
        self._path = path
        self._thread = WriterThread("responses")
        self._connection: sqlite3.Connection | None = None

    async def _close(self) -> None:
        await self._thread.submit(self._drop)
        self._thread.stop()

    async def _read(self, account_id: int, response_id: str) -> tuple[str, int] | None:
        def read(connection: sqlite3.Connection) -> tuple[str, int] | None:
            row: tuple[str, int] | None = connection.execute(
                _READ, (account_id, response_id, _now())
            ).fetchone()
            return row

        return await self._run(read)

    async def _read_items(self, account_id: int, ids: list[str]) -> list[tuple[str, str]]:
        def read(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            return connection.execute(_READ_ITEMS, (account_id, json.dumps(ids), _now())).fetchall()

        return await self._run(read)

    async def _write(self, batch: list[Unwritten]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            rows = self._rows(batch)
            expires = utc_text(datetime.now(UTC) + timedelta(days=self.retention_days))
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_WRITE, [(*row, expires) for row in rows.responses])
                connection.executemany(_WRITE_ITEM, [(*row, expires) for row in rows.items])
            except sqlite3.IntegrityError as error:
                connection.execute("ROLLBACK")
                raise DataRefused("the database refused a response") from error
            connection.execute("COMMIT")

        await self._run(write)

    async def _delete(self, account_id: int, response_id: str) -> bool:
        def delete(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_DELETE, (account_id, response_id, _now())).fetchone()
            return row is not None and bool(row[0])

        return await self._run(delete)

    async def _purge(self) -> int:
        def purge(connection: sqlite3.Connection) -> int:
            return connection.execute(_PURGE, (_now(), PURGE_ROWS)).rowcount

        return await self._run(purge)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._thread.submit(lambda: self._work(work))

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connected())
        except sqlite3.Error as error:
            # Its transaction goes with it; the next call connects again.
            self._drop()
            raise DatabaseUnavailable("the database of stored responses does not answer") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_sqlite(self._path)
            self._connection.executescript(SCHEMA)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def erase_responses(path: Path, account_id: int) -> int:
    """Delete all responses of an account, beside a gateway or without one; how many there were.

    Raises `DatabaseUnavailable`.
    """
    if not path.exists():
        return 0
    total = 0
    try:
        with contextlib.closing(open_sqlite(str(path))) as connection:
            connection.executescript(SCHEMA)
            while True:
                found = connection.execute(_ERASE, (account_id, PURGE_ROWS)).rowcount
                total += found
                if found < PURGE_ROWS:
                    return total
    except sqlite3.Error as error:
        raise DatabaseUnavailable("the file of stored responses cannot be written") from error


def _now() -> str:
    return utc_text(datetime.now(UTC))
