"""SQLModel's part of a database: the engine, and what a session needs beside it.

Loaded by the first session. Statements that a serving replica needs all the time do without it
(`transaction`).
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlmodel import Session

from gateway.store.driver_errors import is_ending
from gateway.store.sqlite_file import prepare


@contextmanager
def open_session(engine: Engine, immediate: bool, snapshot: bool) -> Iterator[Session]:
    """A session in one transaction; committed at the end, rolled back on any error."""
    with Session(engine, expire_on_commit=False) as session:
        if engine.dialect.name == "sqlite":
            session.execute(text("BEGIN IMMEDIATE" if immediate else "BEGIN"))
        elif snapshot:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session
        session.commit()


def clock(session: Session) -> datetime:
    """The moment by PostgreSQL's clock."""
    moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment.astimezone(UTC)


def allow(session: Session, seconds: float) -> None:
    """Let each further statement of a transaction of PostgreSQL take so long; 0: any time."""
    session.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
    wait_for_answers(session.connection(), seconds + 1 if seconds else None)


def wait_for_answers(connection: Connection, seconds: float | None) -> None:
    """Let the driver wait so long for answers, until the connection goes back to its pool."""
    _driven(connection).answer_seconds = seconds


def postgres_engine(borrow: Callable[[], Any]) -> Engine:
    """An engine on connections that are borrowed, and brought back by their `close`."""
    engine = create_engine("postgresql+psycopg://", creator=borrow, poolclass=NullPool)

    @event.listens_for(engine, "handle_error")
    def _drop(context: ExceptionContext) -> None:
        if is_ending(getattr(context.original_exception, "sqlstate", None)):
            context.is_disconnect = True
            if context.connection is not None:
                _driven(context.connection).end()

    return engine


def sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 5, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # SQLAlchemy's BEGIN is ours (see `open_session`); the driver must not add its own.
        connection.isolation_level = None
        prepare(connection)

    return engine


def _driven(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
