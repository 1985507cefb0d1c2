"""Errors of the drivers, as ours: the database does not answer, or not now.

An error comes from a driver itself, from `connection_pool`, or within SQLAlchemy's, which is known
by its members: nothing here may load SQLAlchemy.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable, DataRefused

# PostgreSQL's own codes (its appendix A): a lock was not to be had, the time was up, and
# all of class 40, where a transaction was in the way of another …
_BUSY_STATES = ("55P03", "57014", "40")
# … it only reads, is ending or starting, has lost somebody, or somebody the time that a transaction
# may be idle, or it never prepared the statement: another connection may find another …
_READ_ONLY, _UNPREPARED = "25006", "26000"
_ENDING_STATES = (_READ_ONLY, "25P0", "57P0", "08", _UNPREPARED)
# … and it cannot do it at all: no room on its disk, in its memory, for its connections; an error
# of the system; no such user, password or database; no right to the schema or its tables.
_UNABLE_STATES = ("53", "58", "28", "3D000", "42501")
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
#: SQLite's errors that one row may be to blame for; the last is of an integer beyond 64 bits
_SQLITE_DATA = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)

_AWAY = "the database does not answer"


class ConnectionFailed(Exception):
    """No connection could be made, or the one there was has ended; with the driver's error."""

    #: SQLAlchemy's names for the same
    statement = None

    def __init__(self, orig: Exception, *, connection_invalidated: bool) -> None:
        super().__init__(str(orig))
        self.orig = orig
        self.connection_invalidated = connection_invalidated


@contextmanager
def translated_errors(url: str = "") -> Iterator[None]:
    """Raise our errors for every report that the database does not answer, or not now."""
    try:
        yield
    except Exception as error:
        state = _state(error)
        if _is_busy(error, state):
            cause = first_line(_driver_error(error), url)
            raise DatabaseBusy("the database is busy", cause=cause) from error
        if _is_away(error, state):
            cause = first_line(_driver_error(error), url)
            raise DatabaseUnavailable(_AWAY, cause=cause) from error
        raise


def as_unavailable(error: sqlite3.Error | OverflowError) -> DatabaseUnavailable:
    """SQLite's error as one of ours."""
    if isinstance(error, _SQLITE_DATA):
        return DataRefused("the database refused the data", cause=str(error))
    if getattr(error, "sqlite_errorcode", None) in _SQLITE_BUSY:
        return DatabaseBusy("the database is busy", cause=str(error))
    return DatabaseUnavailable(_AWAY, cause=str(error))


def is_busy(state: str | None) -> bool:
    """True if others were in the way, or it took too long."""
    return (state or "").startswith(_BUSY_STATES)


def is_ending(state: str | None) -> bool:
    """True if a connection on which the server reports this is of no use any more."""
    return (state or "").startswith(_ENDING_STATES)


def is_lost(error: BaseException | None) -> bool:
    """True if a connection has ended; the next one finds out what became of the server."""
    orig = getattr(error, "orig", None)
    return (
        getattr(error, "connection_invalidated", False)
        and getattr(orig, "sqlstate", None) != _READ_ONLY
        and not hasattr(orig, "waited_seconds")
    )


def _driver_error(error: Exception) -> Exception:
    return getattr(error, "orig", error)


def _state(error: Exception) -> str | None:
    return getattr(_driver_error(error), "sqlstate", None)


def _is_busy(error: Exception, state: str | None) -> bool:
    driver_error = _driver_error(error)
    if isinstance(driver_error, sqlite3.Error):
        return isinstance(as_unavailable(driver_error), DatabaseBusy)
    return is_busy(state)


def _is_away(error: Exception, state: str | None) -> bool:
    driver_error = _driver_error(error)
    if isinstance(driver_error, sqlite3.Error):
        return isinstance(driver_error, sqlite3.OperationalError)
    if state is not None:
        return is_ending(state) or state.startswith(_UNABLE_STATES)
    # The driver's own report: no connection could be made, or the one there was is gone.
    wrapped: Any = error
    return hasattr(error, "orig") and (wrapped.statement is None or wrapped.connection_invalidated)


def first_line(error: BaseException | None, url: str) -> str:
    """The first line of a driver's message, without the password that the URL holds."""
    head, _, query = url.partition("://")[2].partition("?")
    user, at, _ = head.rpartition("@")
    if any(mark in user for mark in "@/#") or (not at and "@" in query):
        # A driver takes a part of such a password for the host, and shows it.
        return "the URL's user and password must be percent-encoded"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = lines[0]
    if getattr(error, "sqlstate", None) == _UNPREPARED:
        line = f"{line} (a pooler in between has to be in session mode)"
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
