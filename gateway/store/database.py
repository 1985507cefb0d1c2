"""The database behind SQLModel: one engine, transactions that write, and one clock.

Everything off the request path goes through here, in threads. The hot statements have
connections of their own (`ledger_sqlite`, `ledger_postgres`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from gateway.errors import DatabaseBusy, DatabaseUnavailable

LOCK_TIMEOUT_SECONDS = 1
STATEMENT_TIMEOUT_SECONDS = 5
CONNECT_TIMEOUT_SECONDS = 3
#: one for the poll, one for the lease, one for whatever else is due
ADMIN_CONNECTIONS = 3

#: the database said so itself: a lock was not to be had, the time was up (PostgreSQL, appendix A);
#: and so are all of class 40, where a transaction was in the way of another
_BUSY_STATES = frozenset({"55P03", "57014"})
_ROLLED_BACK = "40"

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)


class Database:
    """One database by URL: `sqlite:///path` or `postgresql://…`."""

    def __init__(self, url: str, *, timeouts: bool = True) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url, timeouts)

    @property
    def path(self) -> str:
        """The file of a SQLite database."""
        return self.url.removeprefix("sqlite:///")

    @contextmanager
    def write(self, *, snapshot: bool = False) -> Iterator[Session]:
        """One transaction that may write; committed at the end, rolled back on any error.

        With `snapshot`, all statements see the same moment. Raises `DatabaseUnavailable` where
        the database does not answer, and `DatabaseBusy` where it says that it cannot in time.
        """
        with self._session(immediate=True, snapshot=snapshot) as session:
            yield session

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Session]:
        """One transaction that reads; with `snapshot`, all statements see the same moment."""
        with self._session(snapshot=snapshot) as session:
            yield session

    def glance(self, statement: str) -> tuple[Any, ...]:
        """The one row of a statement that is asked all the time; a session is four times dearer.

        Raises `DatabaseUnavailable`.
        """
        with told(), self.engine.connect() as connection:
            return tuple(connection.exec_driver_sql(statement).one())

    @contextmanager
    def _session(self, *, immediate: bool = False, snapshot: bool = False) -> Iterator[Session]:
        with told(), Session(self.engine, expire_on_commit=False) as session:
            if self.is_sqlite:
                session.execute(text("BEGIN IMMEDIATE" if immediate else "BEGIN"))
            elif snapshot:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session
            session.commit()

    def now(self, session: Session) -> datetime:
        """The moment by the database's clock, not the transaction's start."""
        if self.is_sqlite:
            return datetime.now(UTC)
        moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        return moment.astimezone(UTC)

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def told() -> Iterator[None]:
    """Whatever says that the database does not answer, or not now, in the words of our errors."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if _is_busy(error):
            raise DatabaseBusy("the database is busy") from error
        raise DatabaseUnavailable("the database does not answer") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("the database does not answer") from error
        raise


def _is_busy(error: DBAPIError) -> bool:
    state: str = getattr(error.orig, "sqlstate", None) or ""
    return state in _BUSY_STATES or state.startswith(_ROLLED_BACK)


def psycopg_url(url: str) -> str:
    """The URL as libpq takes it, for connections that are not SQLAlchemy's."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _postgres_engine(url: str, timeouts: bool) -> Engine:
    from gateway.store.unreadable_postgres import read_all_moments

    # UTC: elsewhere, the last hours of the last year that can be read belong to another one.
    options = "-c timezone=UTC"
    if timeouts:
        options += f" -c lock_timeout={LOCK_TIMEOUT_SECONDS}s"
        options += f" -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
    engine = create_engine(
        psycopg_url(url).replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=ADMIN_CONNECTIONS,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "options": options,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "tollgate",
        },
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: ConnectionPoolEntry) -> None:
        read_all_moments(connection)

    return engine


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 5, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # SQLAlchemy's BEGIN is ours (see `_session`); the driver must not add its own.
        connection.isolation_level = None
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(pragma)

    return engine


def open_sqlite(path: str) -> sqlite3.Connection:
    """A connection of its own to a SQLite database, durable like the engine's."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)
    return connection
