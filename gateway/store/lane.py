"""One PostgreSQL connection that one kind of statement has to itself, and that comes back.

A statement either was refused by the server (rolled back, known) or its outcome is unknown; the
two must never be confused.
"""

import asyncio
import select
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from gateway.errors import ChargeUnknown, DatabaseUnavailable
from gateway.store.database import (
    CONNECT_TIMEOUT_SECONDS,
    LOCK_TIMEOUT_SECONDS,
    STATEMENT_TIMEOUT_SECONDS,
    psycopg_url,
)

#: beyond the server's own time-out, so that its word usually comes first
_ANSWER_TIMEOUT_SECONDS = STATEMENT_TIMEOUT_SECONDS + 2


class StatementRefused(Exception):
    """The server said no, and rolled back. `sqlstate` says why."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(f"the database refused a statement: {sqlstate}")
        self.sqlstate = sqlstate

    @property
    def is_lock_timeout(self) -> bool:
        return self.sqlstate == "55P03"


class Lane:
    """A connection in autocommit; a lost one is opened again by the next statement."""

    def __init__(self, url: str) -> None:
        self._conninfo = make_conninfo(
            psycopg_url(url),
            application_name="tollgate",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=(
                f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s"
                f" -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
            ),
        )
        self._connection: AsyncConnection[Any] | None = None

    async def run(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run one statement and commit it; its rows.

        Raises `DatabaseUnavailable` where nothing was sent, `StatementRefused` where the server
        rolled back, and `ChargeUnknown` where the outcome is not known.
        """
        connection = await self._connected()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_SECONDS):
                cursor = await connection.execute(statement, values, prepare=True, binary=True)
                return await cursor.fetchall()
        except psycopg.Error as error:
            if connection.closed or error.sqlstate is None:
                await self._drop()
                raise ChargeUnknown("the database went away") from error
            raise StatementRefused(error.sqlstate) from error
        except (TimeoutError, asyncio.CancelledError) as error:
            await self._drop()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise ChargeUnknown("the database did not answer in time") from error

    async def close(self) -> None:
        await self._drop()

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is not None and not _has_ended(self._connection):
            return self._connection
        await self._drop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                self._connection = await AsyncConnection.connect(self._conninfo, autocommit=True)
        except (psycopg.Error, TimeoutError, OSError) as error:
            raise DatabaseUnavailable("the database does not answer") from error
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _has_ended(connection: AsyncConnection[Any]) -> bool:
    """Whether a connection on which nothing was asked cannot be used any more.

    A server that speaks without being asked says goodbye. To find that out after a statement was
    sent would make its outcome unknown, and cost a client a request that was never charged.
    """
    if connection.closed:
        return True
    unasked = select.poll()
    unasked.register(connection.fileno(), select.POLLIN)
    return bool(unasked.poll(0))
