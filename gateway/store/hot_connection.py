"""One PostgreSQL connection that one kind of statement has to itself, and that comes back.

A statement either was refused by the server (rolled back, known) or its outcome is unknown; the
two must never be confused.
"""

import asyncio
import re
import select
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import psycopg

from gateway.core.errors import DatabaseUnavailable
from gateway.store.connections import PatientAsyncConnection, connect_async
from gateway.store.driver_errors import first_line, is_busy, is_ending
from gateway.store.outage import Outage

_NAMED = re.compile(r"%\((\w+)\)s")


class StatementRefused(Exception):
    """The server refused, and rolled back. `sqlstate` is the reason, `cause` the server's own
    words."""

    def __init__(self, sqlstate: str, cause: str) -> None:
        super().__init__(f"the database refused a statement: {sqlstate} {cause}")
        self.sqlstate = sqlstate
        self.cause = cause

    @property
    def is_lock_timeout(self) -> bool:
        return self.sqlstate == "55P03"

    @property
    def is_about_data(self) -> bool:
        """True if one row of the statement may be to blame."""
        return self.sqlstate.startswith(("22", "23"))

    @property
    def is_busy(self) -> bool:
        return is_busy(self.sqlstate)

    @property
    def has_ended_the_connection(self) -> bool:
        return is_ending(self.sqlstate)


class OutcomeUnknown(Exception):
    """A statement was sent, and nobody knows whether it was committed."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class HotConnection:
    """A connection in autocommit; a lost one is opened again by the next statement."""

    def __init__(self, url: str, outage: Outage | None = None) -> None:
        self._url = url
        self._outage = outage or Outage()
        self._connection: PatientAsyncConnection | None = None

    async def run(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run one statement and commit it; its rows.

        Raises `DatabaseUnavailable` where nothing was sent, `StatementRefused` where the server
        rolled back, and `OutcomeUnknown` where the connection was lost before the answer.
        """
        connection = await self._connected()
        query, names = _numbered(statement)
        try:
            cursor = psycopg.AsyncRawCursor(connection)
            given = [values[name] for name in names]
            await cursor.execute(query, given, prepare=True, binary=True)
            return await cursor.fetchall()
        except psycopg.Error as error:
            cause = first_line(error, self._url)
            if connection.closed or error.sqlstate is None:
                self._drop()
                raise OutcomeUnknown(cause) from error
            if is_ending(error.sqlstate):
                self._drop()
            raise StatementRefused(error.sqlstate, cause) from error
        except asyncio.CancelledError:
            self._drop()
            raise

    async def close(self) -> None:
        self._drop()

    def failed(self, error: DatabaseUnavailable) -> None:
        """Record that a statement was given up: it is part of an outage."""
        self._outage.failed(error)

    async def _connected(self) -> PatientAsyncConnection:
        if self._connection is not None and not _has_ended(self._connection):
            return self._connection
        self._drop()
        try:
            self._connection = await connect_async(self._url)
        except (psycopg.Error, OSError) as error:
            cause = first_line(error, self._url)
            unavailable = DatabaseUnavailable("the database does not answer", cause=cause)
            self._outage.failed(unavailable)
            raise unavailable from error
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()


@cache
def _numbered(statement: str) -> tuple[bytes, list[str]]:
    """A statement with `$1` and so on in the place of its named values, and their names.

    The driver would look for names in the whole text with every batch.
    """
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return _NAMED.sub(number, statement).encode(), names


def _has_ended(connection: PatientAsyncConnection) -> bool:
    """True if a connection on which nothing was asked cannot be used any more.

    A server that sends without being asked is ending the connection. To find that out after a
    statement was sent would make its outcome unknown, and cost a client a request that was never
    charged.
    """
    if connection.closed:
        return True
    unasked = select.poll()
    unasked.register(connection.fileno(), select.POLLIN)
    return bool(unasked.poll(0))
