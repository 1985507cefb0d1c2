"""The database behind SQLModel: one engine, transactions that write, and one clock.

Everything off the request path goes through here, in threads. The hot statements have
connections of their own (`ledger_sqlite`, `ledger_postgres`).
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.outage import Outage
from gateway.store.timeouts import ANSWER_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS

#: the operator's connections, and those of a gateway's that serve occasional questions
ADMIN_CONNECTIONS = 3
SHARED_CONNECTIONS = 2

# PostgreSQL's own codes (its appendix A): a lock was not to be had, the time was up, and
# all of class 40, where a transaction was in the way of another …
_BUSY_STATES = ("55P03", "57014", "40")
# … it only reads, is ending or starting, has lost somebody, or somebody the time that a transaction
# may be idle: another connection may find another …
_READ_ONLY = "25006"
_ENDING_STATES = (_READ_ONLY, "25P0", "57P0", "08")
# … and it cannot do it at all: no room on its disk, in its memory, for its connections; an error
# of the system; no such user, password or database.
_UNABLE_STATES = ("53", "58", "28", "3D000")
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_AWAY = "the database does not answer"

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)


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
        self._answer_seconds = answer_seconds if timeouts else None
        self.engine = (
            _sqlite_engine(url)
            if self.is_sqlite
            else _postgres_engine(lambda: self.url, timeouts, connections, self._answer_seconds)
        )

    def move(self, url: str) -> None:
        """Connect by this URL from now on: it names the same database, by another password.

        Connections that are at work end when they are done.
        """
        self.url = url
        self.engine.dispose()

    def beside(self, *, answer_seconds: float) -> "Database":
        """Another way to the same database, with a connection that nobody else waits for."""
        return Database(self.url, connections=1, answer_seconds=answer_seconds, outage=self.outage)

    @property
    def path(self) -> str:
        """The file of a SQLite database."""
        return self.url.removeprefix("sqlite:///")

    @contextmanager
    def write(self, *, snapshot: bool = False) -> Iterator[Session]:
        """One transaction that may write; committed at the end, rolled back on any error.

        With `snapshot`, all statements see the same moment. Raises `DatabaseUnavailable` where the
        database does not answer, and `DatabaseBusy` where it cannot in time.
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
        with self.translated_errors(), self.engine.connect() as connection:
            return tuple(connection.exec_driver_sql(statement).one())

    def allow(self, session: Session, seconds: float) -> None:
        """Let each further statement of this transaction take so long; 0: as long as it takes."""
        if self.is_sqlite:
            return
        session.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
        wait_for_answers(session.connection(), seconds + 1 if seconds else None)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """As `translated_errors`; and an outage begins where the database does not answer."""
        try:
            with translated_errors(self.url):
                yield
        except DatabaseBusy:
            raise
        except DatabaseUnavailable as error:
            self.outage.failed(error, begins=not _is_lost(error.__cause__))
            raise

    @contextmanager
    def _session(self, *, immediate: bool = False, snapshot: bool = False) -> Iterator[Session]:
        asked_at = time.monotonic()
        with self.translated_errors(), Session(self.engine, expire_on_commit=False) as session:
            if self.is_sqlite:
                session.execute(text("BEGIN IMMEDIATE" if immediate else "BEGIN"))
            elif snapshot:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session
            session.commit()
        if immediate:
            self.outage.written(asked_at)

    def now(self, session: Session) -> datetime:
        """The moment by the database's clock, not the transaction's start."""
        if self.is_sqlite:
            return datetime.now(UTC)
        moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        return moment.astimezone(UTC)

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def translated_errors(url: str = "") -> Iterator[None]:
    """Raise our errors for every report that the database does not answer, or not now."""
    try:
        yield
    except NoConnectionFree as error:
        raise DatabaseBusy("the database is busy", cause="no connection was free") from error
    except DBAPIError as error:
        cause = first_line(error.orig, url)
        if _is_busy(error):
            raise DatabaseBusy("the database is busy", cause=cause) from error
        if _is_away(error):
            raise DatabaseUnavailable(_AWAY, cause=cause) from error
        raise


def as_unavailable(error: sqlite3.Error) -> DatabaseUnavailable:
    """SQLite's error as one of ours."""
    if getattr(error, "sqlite_errorcode", None) in _SQLITE_BUSY:
        return DatabaseBusy("the database is busy", cause=str(error))
    return DatabaseUnavailable(_AWAY, cause=str(error))


def is_busy(state: str | None) -> bool:
    """True if others were in the way, or it took too long."""
    return (state or "").startswith(_BUSY_STATES)


def is_ending(state: str | None) -> bool:
    """True if a connection on which the server reports this is of no use any more."""
    return (state or "").startswith(_ENDING_STATES)


def _is_busy(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(as_unavailable(error.orig), DatabaseBusy)
    return is_busy(getattr(error.orig, "sqlstate", None))


def _is_away(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(error.orig, sqlite3.OperationalError)
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return is_ending(state) or state.startswith(_UNABLE_STATES)
    # The driver's own report: no connection could be made, or the one there was is gone.
    return error.statement is None or error.connection_invalidated


def _is_lost(error: BaseException | None) -> bool:
    """True if a connection has ended; the next one finds out what became of the server."""
    return (
        isinstance(error, DBAPIError)
        and error.connection_invalidated
        and getattr(error.orig, "sqlstate", None) != _READ_ONLY
        and not hasattr(error.orig, "waited_seconds")
    )


def first_line(error: BaseException | None, url: str) -> str:
    """The first line of a driver's message, without the password that the URL holds."""
    head, _, query = url.partition("://")[2].partition("?")
    user, at, _ = head.rpartition("@")
    if any(mark in user for mark in "@/#") or (not at and "@" in query):
        # A driver takes a part of such a password for the host, and shows it.
        return "the URL's user and password must be percent-encoded"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = lines[0]
    for secret in sorted(_secrets(user, query), key=len, reverse=True):
        line = line.replace(secret, "…")
    return line


def _secrets(user: str, query: str) -> set[str]:
    given = [user.partition(":")[2]]
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.endswith("password"):
            given.append(value)
    return {text for value in given for text in (value, unquote(value)) if text}


def wait_for_answers(connection: Connection, seconds: float | None) -> None:
    """Let the driver wait so long for answers, until the connection goes back to its pool."""
    driven: Any = connection.connection.dbapi_connection
    driven.answer_seconds = seconds


def _postgres_engine(
    url: Callable[[], str], timeouts: bool, connections: int, answer_seconds: float | None
) -> Engine:
    def connect() -> Any:
        # The driver is 10 MiB that a gateway on SQLite never needs.
        from gateway.store.connections import connect

        return connect(url(), timeouts=timeouts, answer_seconds=answer_seconds)

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_SECONDS,
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "checkin")
    def _reset(connection: Any, _: ConnectionPoolEntry) -> None:
        if connection is not None:
            connection.answer_seconds = answer_seconds

    @event.listens_for(engine, "handle_error")
    def _drop(context: ExceptionContext) -> None:
        if is_ending(getattr(context.original_exception, "sqlstate", None)):
            context.is_disconnect = True

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
