"""Connections to PostgreSQL, none of which is trusted to notice that its other end is gone.

Owns what every connection is opened with, and how long it waits for an answer. A server that is
frozen still acknowledges what it gets, and one that is cut off sends nothing at all, so the
kernel's limits and our own are both needed. Loads the driver: nothing that runs on SQLite may
import this.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection, waiting
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.store.certificate_authorities import roots_of
from gateway.store.timeouts import (
    ANSWER_TIMEOUT_SECONDS,
    LOCK_TIMEOUT_SECONDS,
    STATEMENT_TIMEOUT_SECONDS,
)
from gateway.store.unreadable_postgres import read_all_moments

#: for each address that a name has; the driver takes no less
_CONNECT_TIMEOUT_SECONDS = 2
_PARAMETERS: dict[str, str | int] = {
    "application_name": "faregate",
    "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
    # Behind an address that moves there may be a standby for a while: it is no place to charge.
    "target_session_attrs": "read-write",
    # Sent bytes must be acknowledged within so many milliseconds, and a silent connection is asked
    # for a sign of life.
    "tcp_user_timeout": 3000,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
_INTERVAL_SECONDS = 0.1

#: settings of sessions; a client that dies in the middle of a transaction must not hold its locks.
#: Nearly all that is read is bounded, so to start workers or to compile a plan takes longer than to
#: read; the planner does not know that, and does both for a table of some size.
_SETTINGS = (
    f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s';"
    f"SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s';"
    f"SET idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT_SECONDS}s';"
    "SET max_parallel_workers_per_gather = 0; SET jit = off"
)

T = TypeVar("T")


def conninfo(url: str) -> str:
    """The URL with what every connection has. Raises `psycopg.Error` for one that is none."""
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    return make_conninfo(plain, **_PARAMETERS, **roots_of(plain))


class NoAnswer(psycopg.OperationalError):
    """The server has sent nothing for as long as anybody waits for it."""

    def __init__(self, waited_seconds: float) -> None:
        super().__init__(f"no answer within {waited_seconds:g} s")
        self.waited_seconds = waited_seconds


class PatientConnection(Connection[Any]):
    """A blocking connection that waits for an answer as long as it may, and is closed then."""

    answer_seconds: float | None = ANSWER_TIMEOUT_SECONDS
    #: gives it back to the pool that lent it
    bring_back: Callable[[], None] | None = None

    def close(self) -> None:
        """Bring it back where a pool has lent it; else end it."""
        if self.bring_back is None:
            super().close()
        else:
            self.bring_back()

    def end(self) -> None:
        """End it at once; `close` may still be called."""
        self.pgconn.finish()

    def wait(
        self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None
    ) -> T:
        limit = self.answer_seconds if timeout is None else timeout
        try:
            return waiting.wait(gen, self.pgconn.socket, interval, limit)
        except psycopg.OperationalError as error:
            _give_up(self, error, limit)
            raise


class PatientAsyncConnection(AsyncConnection[Any]):
    """The same on a loop."""

    answer_seconds: float | None = ANSWER_TIMEOUT_SECONDS

    async def wait(
        self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None
    ) -> T:
        limit = self.answer_seconds if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval, limit)
        except asyncio.CancelledError:
            # The driver would ask the server to cancel, and wait for its word.
            self.pgconn.finish()
            raise
        except psycopg.OperationalError as error:
            _give_up(self, error, limit)
            raise


def _give_up(
    connection: PatientConnection | PatientAsyncConnection,
    error: psycopg.OperationalError,
    limit: float | None,
) -> None:
    """Close a connection whose server has not answered; nobody knows what it is doing."""
    if error.sqlstate is None and not connection.closed:
        connection.pgconn.finish()
        if limit is not None:
            raise NoAnswer(limit) from error


def connect(url: str, *, timeouts: bool, answer_seconds: float | None) -> PatientConnection:
    """A blocking connection for the pool. Raises `psycopg.Error`."""
    connection = PatientConnection.connect(conninfo(url), autocommit=True)
    _name_statements_apart(connection)
    # By statements: a pooler refuses what it does not know in the start-up packet. UTC: elsewhere,
    # the last hours of the last year that can be read belong to another one.
    try:
        connection.execute("SET timezone = 'UTC'")
        if timeouts:
            connection.execute(_SETTINGS.encode())
    except psycopg.Error:
        connection.pgconn.finish()
        raise
    read_all_moments(connection)
    connection.autocommit = False
    connection.answer_seconds = answer_seconds
    return connection


async def connect_async(url: str) -> PatientAsyncConnection:
    """A connection in autocommit, for a hot connection. Raises `psycopg.Error`, and `OSError`."""
    text = conninfo(url)
    try:
        async with asyncio.timeout(_connect_seconds(text)):
            connection = await PatientAsyncConnection.connect(text, autocommit=True)
    except TimeoutError:
        raise psycopg.OperationalError("the server's address was not to be had") from None
    _name_statements_apart(connection)
    try:
        await connection.execute(_SETTINGS.encode())
    except BaseException:
        connection.pgconn.finish()
        raise
    return connection


def _name_statements_apart(connection: PatientConnection | PatientAsyncConnection) -> None:
    """Let no other connection prepare a statement under a name of this one.

    The driver counts from 0 on each. A pooler in transaction mode changes the session beneath, and
    there a charge would run what another connection has prepared under that name.
    """
    connection._prepared._prepared_idx = secrets.randbits(62)


def _connect_seconds(text: str) -> float:
    """Enough for each host that the URL names, with two addresses, and for asking for those."""
    hosts = str(conninfo_to_dict(text).get("host") or "").count(",") + 1
    return (2 * hosts + 1) * _CONNECT_TIMEOUT_SECONDS
