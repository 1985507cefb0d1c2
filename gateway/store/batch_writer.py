"""Writes batches to a SQLite file, each in one transaction, on one connection.

    the event loop   BEGIN, statements ─┐                  a small batch, where nobody else writes
    the thread                          └─▶ COMMIT
    the thread       BEGIN, statements, COMMIT             every other batch

A statement gives the interpreter's lock away, and a thread that waits to have it again costs more
than the statement. COMMIT waits for the disk, so it is never for the loop. Nor does the loop wait
for another writer's lock: the batch is begun again in the thread, which waits as long as it may.
"""

import sqlite3
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable, DataRefused
from gateway.store.driver_errors import as_unavailable
from gateway.store.outage import Outage
from gateway.store.sqlite_file import BUSY_SECONDS, open_sqlite
from gateway.store.writer_thread import WriterThread

#: items whose statements the loop runs at once, about a millisecond of work
LOOP_BATCH_MAX = 64
#: after statements that took so long, as with a disk that is slow to read, the loop runs none …
LOOP_SECONDS_MAX = 0.02
#: … for so long
_PAUSE_SECONDS = 10.0

#: an integer beyond 64 bits is no error of SQLite's
_ERRORS = (sqlite3.Error, OverflowError)

T = TypeVar("T")
#: writes a batch within a transaction; one result an item
Write = Callable[[Sequence[T]], list[Any]]


class BatchWriter:
    """Owns the connection and its transactions; a batch comes with the function that writes it."""

    def __init__(self, name: str, outage: Outage) -> None:
        self._thread = WriterThread(name)
        self._outage = outage
        self._clock = time.monotonic
        self._connection: sqlite3.Connection
        #: the loop runs no statements until then, by the clock
        self._paused_until = 0.0

    async def open(self, path: str) -> sqlite3.Connection:
        """The connection to a file; only functions that write a batch may use it.

        Raises `sqlite3.Error`.
        """
        self._connection = await self._thread.submit(lambda: open_sqlite(path))
        self._wait_for_others(0)
        return self._connection

    async def close(self) -> None:
        await self._thread.submit(self._connection.close)
        self._thread.stop()

    def write(self, batch: Sequence[T], write: Write[T]) -> Future[list[Any]]:
        """The results of a batch; of an item that is not written the error."""
        return self._thread.submit(lambda: self._write(batch, write))

    def write_soon(self, batch: Sequence[T], write: Write[T]) -> Future[list[Any]]:
        """As `write`; the statements run at once where they may, so there must be few of them."""
        results = self._begin_on_loop(batch, write)
        if results is None:
            return self.write(batch, write)
        return self._thread.submit(lambda: self._end(batch, write, results))

    def _begin_on_loop(self, batch: Sequence[T], write: Write[T]) -> list[Any] | None:
        """The results of statements that are to be committed; None if the thread must begin."""
        began_at = self._clock()
        if len(batch) > LOOP_BATCH_MAX or self._thread.is_at_work or began_at < self._paused_until:
            return None
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = write(batch)
        except _ERRORS:
            self._roll_back()
            return None
        except BaseException:
            self._roll_back()
            raise
        ended_at = self._clock()
        if ended_at - began_at > LOOP_SECONDS_MAX:
            self._paused_until = ended_at + _PAUSE_SECONDS
        return results

    def _end(self, batch: Sequence[T], write: Write[T], results: list[Any]) -> list[Any]:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return self._write_again(batch, write, error)
        return results

    def _commit(self, batch: Sequence[T], write: Write[T]) -> list[Any]:
        self._wait_for_others(BUSY_SECONDS)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = write(batch)
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._wait_for_others(0)
        return results

    def _write(self, batch: Sequence[T], write: Write[T]) -> list[Any]:
        try:
            return self._commit(batch, write)
        except _ERRORS as error:
            return self._write_again(batch, write, error)

    def _write_again(
        self, batch: Sequence[T], write: Write[T], error: sqlite3.Error | OverflowError
    ) -> list[Any]:
        """After an error of a batch's data, each item alone."""
        if len(batch) > 1 and not isinstance(error, sqlite3.OperationalError):
            return [result for item in batch for result in self._write([item], write)]
        return [self._unavailable(error)] * len(batch)

    def _unavailable(self, error: sqlite3.Error | OverflowError) -> DatabaseUnavailable:
        unavailable = as_unavailable(error)
        unavailable.__cause__ = error
        if not isinstance(unavailable, DatabaseBusy | DataRefused):
            self._outage.failed(unavailable)
        return unavailable

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _wait_for_others(self, seconds: int) -> None:
        """Wait so long, at most, for other connections' transactions from now on."""
        self._connection.execute(f"PRAGMA busy_timeout = {seconds * 1000}")
