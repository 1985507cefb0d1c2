"""A few connections to one PostgreSQL, for everything that is not asked for each request.

Plain transactions and SQLModel's engine borrow from the same pool, so that a process holds as many
connections as the docs state. Only for PostgreSQL: it loads the driver.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from gateway.core.errors import DatabaseBusy
from gateway.store.connections import PatientConnection, connect
from gateway.store.driver_errors import ConnectionFailed, is_ending
from gateway.store.timeouts import STATEMENT_TIMEOUT_SECONDS


class ConnectionPool:
    """At most `size` connections, each lent to one user at a time. For many threads."""

    def __init__(
        self, url: Callable[[], str], size: int, *, timeouts: bool, answer_seconds: float | None
    ) -> None:
        self._url = url
        self._timeouts = timeouts
        self._answer_seconds = answer_seconds
        self._places = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[PatientConnection] = []
        #: grows when all connections of before are to end
        self._generation = 0

    def borrow(self) -> PatientConnection:
        """A connection that works; its `close` brings it back.

        Raises `DatabaseBusy` where none is free in time, and `ConnectionFailed`.
        """
        if not self._places.acquire(timeout=STATEMENT_TIMEOUT_SECONDS):
            raise DatabaseBusy("the database is busy", cause="no connection was free")
        try:
            generation = self._generation
            connection = self._idle_one() or self._new_one()
        except BaseException:
            self._places.release()
            raise
        connection.bring_back = lambda: self._bring_back(connection, generation)
        return connection

    @contextmanager
    def lend(
        self, *, snapshot: bool = False, one_statement: bool = False
    ) -> Iterator[PatientConnection]:
        """A connection for one transaction; with `one_statement`, that begins and ends it, too.

        Raises what `borrow` raises, and `ConnectionFailed`.
        """
        connection = self.borrow()
        try:
            connection.autocommit = one_statement
            if snapshot:
                connection.isolation_level = IsolationLevel.REPEATABLE_READ
            yield connection
        except psycopg.Error as error:
            if connection.closed or is_ending(error.sqlstate):
                connection.end()
                raise ConnectionFailed(error, connection_invalidated=True) from error
            raise
        finally:
            connection.close()

    def close(self) -> None:
        """End all connections, those that are lent when they come back; new ones may be made."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.end()

    def _idle_one(self) -> PatientConnection | None:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or _answers(connection):
                return connection
            # The server went away, or began again: no other connection is any better.
            connection.end()
            self.close()

    def _new_one(self) -> PatientConnection:
        try:
            return connect(
                self._url(), timeouts=self._timeouts, answer_seconds=self._answer_seconds
            )
        except psycopg.Error as error:
            raise ConnectionFailed(error, connection_invalidated=False) from error

    def _bring_back(self, connection: PatientConnection, generation: int) -> None:
        connection.bring_back = None  # once
        try:
            if not _is_reset(connection):
                connection.end()
                self.close()
                return
            connection.answer_seconds = self._answer_seconds
            with self._lock:
                is_kept = generation == self._generation
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                connection.end()
        finally:
            self._places.release()


def _answers(connection: PatientConnection) -> bool:
    try:
        connection.autocommit = True  # the driver would begin a transaction for it, and end it
        connection.execute(b"")
        connection.autocommit = False
    except psycopg.Error:
        return False
    return True


def _is_reset(connection: PatientConnection) -> bool:
    """True if nothing is open on a connection any more, and it may be lent again."""
    if connection.closed:
        return False
    try:
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            connection.rollback()
        connection.isolation_level = None
        connection.autocommit = False
    except psycopg.Error:
        return False
    return True
