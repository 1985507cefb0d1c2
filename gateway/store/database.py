"""The database: transactions that write, and one clock.

Everything off the request path goes through here, in threads: by SQLModel's sessions, which are
loaded by the first one, or by plain SQL (`transaction`). The hot statements have connections of
their own (`ledger_sqlite`, `ledger_postgres`).
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.driver_errors import is_lost, translated_errors
from gateway.store.outage import Outage
from gateway.store.sqlite_file import SharedConnection
from gateway.store.timeouts import ANSWER_TIMEOUT_SECONDS
from gateway.store.transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from gateway.store.connection_pool import ConnectionPool

#: the operator's connections, and those of a gateway's that serve occasional questions
ADMIN_CONNECTIONS = 3
SHARED_CONNECTIONS = 2


def trimmed(url: str) -> str:
    """A URL without the byte order mark and the line break that an editor puts around it."""
    # Nothing but these stays a wrong URL: an empty one would be an unset one, which is SQLite.
    return url.strip("\ufeff \t\r\n") or url


class Database:
    """One database by URL: `sqlite:///path` or `postgresql://…`."""

    def __init__(
        self,
        url: str,
        *,
        timeouts: bool = True,
        connections: int = ADMIN_CONNECTIONS,
        answer_seconds: float = ANSWER_TIMEOUT_SECONDS,
        outage: Outage | None = None,
    ) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        self.outage = outage or Outage()
        self._file = SharedConnection(self.path) if self.is_sqlite else None
        limit = answer_seconds if timeouts else None
        self._pool = None if self.is_sqlite else self._open_pool(connections, timeouts, limit)

    @cached_property
    def engine(self) -> "Engine":
        """SQLModel's."""
        from gateway.store.sessions import postgres_engine, sqlite_engine

        return sqlite_engine(self.url) if self._pool is None else postgres_engine(self._pool.borrow)

    def move(self, url: str) -> None:
        """Connect by this URL from now on: it names the same database, by another password.

        Connections that are at work end when they are done.
        """
        self.url = url
        self.close()

    def beside(self, *, answer_seconds: float) -> "Database":
        """Another way to the same database, with a connection that nobody else waits for."""
        return Database(self.url, connections=1, answer_seconds=answer_seconds, outage=self.outage)

    @property
    def path(self) -> str:
        """The file of a SQLite database."""
        return self.url.removeprefix("sqlite:///")

    @contextmanager
    def write(self, *, snapshot: bool = False) -> Iterator["Session"]:
        """One transaction that may write; committed at the end, rolled back on any error.

        With `snapshot`, all statements see the same moment. Raises `DatabaseUnavailable` where the
        database does not answer, and `DatabaseBusy` where it cannot in time.
        """
        with self._session(immediate=True, snapshot=snapshot) as session:
            yield session

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator["Session"]:
        """One transaction that reads; with `snapshot`, all statements see the same moment."""
        with self._session(snapshot=snapshot) as session:
            yield session

    @contextmanager
    def plain_write(self) -> Iterator[Transaction]:
        """As `write`, for plain SQL."""
        asked_at = time.monotonic()
        with self._transaction(begin="BEGIN IMMEDIATE") as transaction:
            yield transaction
        self.outage.written(asked_at)

    @contextmanager
    def plain_read(self, *, snapshot: bool = False) -> Iterator[Transaction]:
        """As `read`, for plain SQL."""
        with self._transaction(begin="BEGIN", snapshot=snapshot) as transaction:
            yield transaction

    def glance(self, statement: str) -> tuple[Any, ...]:
        """The one row of a statement. Raises `DatabaseUnavailable`."""
        with self._transaction(begin="BEGIN", one_statement=True) as transaction:
            (row,) = transaction.rows(statement)
            return row

    def allow(self, session: "Session", seconds: float) -> None:
        """Let each further statement of this transaction take so long; 0: as long as it takes."""
        if not self.is_sqlite:
            from gateway.store.sessions import allow

            allow(session, seconds)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """As `translated_errors`; and an outage begins where the database does not answer."""
        try:
            with translated_errors(self.url):
                yield
        except DatabaseBusy:
            raise
        except DatabaseUnavailable as error:
            self.outage.failed(error, begins=not is_lost(error.__cause__))
            raise

    @contextmanager
    def _session(self, *, immediate: bool = False, snapshot: bool = False) -> Iterator["Session"]:
        from gateway.store.sessions import open_session

        asked_at = time.monotonic()
        with self.translated_errors(), open_session(self.engine, immediate, snapshot) as session:
            yield session
        if immediate:
            self.outage.written(asked_at)

    @contextmanager
    def _transaction(
        self, *, begin: str, snapshot: bool = False, one_statement: bool = False
    ) -> Iterator[Transaction]:
        with self.translated_errors(), self._lent(snapshot, one_statement) as connection:
            if self.is_sqlite:
                connection.execute(begin)
            yield Transaction(connection, is_sqlite=self.is_sqlite)
            connection.commit()

    def _lent(self, snapshot: bool, one_statement: bool) -> AbstractContextManager[Any]:
        if self._pool is not None:
            return self._pool.lend(snapshot=snapshot, one_statement=one_statement)
        assert self._file is not None, "it is one of the two"
        return self._file.lend()

    def _open_pool(
        self, connections: int, timeouts: bool, answer_seconds: float | None
    ) -> "ConnectionPool":
        # The driver is 10 MiB that a gateway on SQLite never needs.
        from gateway.store.connection_pool import ConnectionPool

        return ConnectionPool(
            lambda: self.url, connections, timeouts=timeouts, answer_seconds=answer_seconds
        )

    def now(self, session: "Session") -> datetime:
        """The moment by the database's clock, not the transaction's start."""
        if self.is_sqlite:
            return datetime.now(UTC)
        from gateway.store.sessions import clock

        return clock(session)

    def close(self) -> None:
        """End the connections; they may be opened again."""
        if self._file is not None:
            self._file.close()
        if self._pool is not None:
            self._pool.close()
        if "engine" in self.__dict__:
            self.engine.dispose()
