"""The audit of what accounts and keys with limits have counted, against the entries that count.

    company ──< team ──< alice        a charge of alice counts at each level that has a limit

A level counts the charges of the accounts below it, while they are below it and while it has a
limit; a key counts its own. The log of changes has the last change of either; whether a charge of
before has counted, nobody knows. So a counter must be the sum of its entries where all of them are
newer than that, and elsewhere at least the sum of those that are.

A charge counts on its day, or on the day to which the level had counted, should a clock have been
set back; its refund is taken off that day again.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from gateway.store import audit_counter_statements as statements
from gateway.store.audit_counter_statements import ALL, NEWEST, PART, filled
from gateway.store.audit_levels import (
    NO_DAY,
    LastLeft,
    Level,
    Miscount,
    Sums,
    read_accounts,
    read_keys,
)
from gateway.store.moments import read_moment, utc_text

#: entries that a round reads of all the accounts of a batch and those below them
_ENTRIES_MAX = 50_000


def miscounts(session: Session) -> Iterator[Miscount]:
    """The wrong counters of all accounts and keys: of their day, their month, and all time."""
    for what, levels in (
        ("account", read_accounts(session, None, {})),
        ("key", read_keys(session, None)),
    ):
        books = _Entries(session, what, levels)
        dated = books.dated(lambda level: min(filter(None, (level.day, level.month)), default=None))
        ever = books.ever()
        for level in levels:
            sums = (dated.get(level.id, Sums()), ever.get(level.id, Sums()))
            yield from level.miscounts(*sums)


def miscounts_of_day(
    session: Session, account_ids: Sequence[int], left: LastLeft
) -> Iterator[Miscount]:
    """The wrong counters of the day of some accounts and their keys, on PostgreSQL.

    A bounded number of entries is read for all of them; accounts with more are left out. `left` is
    of this snapshot, and begins empty.
    """
    for what, levels in (
        ("account", read_accounts(session, account_ids, left)),
        ("key", read_keys(session, account_ids)),
    ):
        books = _Entries(session, what, [level for level in levels if level.day is not None])
        for level, sums in books.newest_of_day():
            yield from level.miscount_of_day(sums)


class _Entries:
    """The entries of some levels, added up in the database for all of them at once."""

    def __init__(self, session: Session, what: str, levels: Sequence[Level]) -> None:
        self._session = session
        self._what = what
        self._levels = levels
        self._dialect = session.get_bind().dialect.name

    def dated(self, begin: Callable[[Level], date | None]) -> dict[int, Sums]:
        """The sums of each level's day and month, by its id; read from a day on."""
        return self._dated(ALL, begin)

    def ever(self) -> dict[int, Sums]:
        """The sums of all time, and each level's first charge."""
        rows = self._ask(statements.EVER, lambda level: NO_DAY)
        return {
            level: Sums(ever=_whole(high, low), first=read_moment(first))
            for level, high, low, first in rows
        }

    def newest_of_day(self) -> Iterator[tuple[Level, Sums]]:
        """The levels of which the newest entries have the whole day, and its sums."""
        (size,) = self._ask(statements.TREE_SIZE, _day)[0] if self._levels else (0,)
        most = max(1, _ENTRIES_MAX // max(1, size))
        with _hash_joins(self._session):
            sums = self._dated(NEWEST, _day, most=most)
        ends = dict(self._ask(statements.READ_UNTIL, _day, most=most))
        for level in self._levels:
            end = ends.get(level.id if self._what == "account" else level.account_id)
            if end is None or end < level.looks_from(level.day):
                yield level, sums.get(level.id, Sums())

    def _dated(
        self, entries: dict[str, str], begin: Callable[[Level], date | None], **values: Any
    ) -> dict[int, Sums]:
        return {
            level: Sums(day=_whole(*parts[:2]), month=_whole(*parts[2:]))
            for level, *parts in self._ask(statements.DATED, begin, entries, **values)
        }

    def _ask(
        self,
        statement: str,
        begin: Callable[[Level], date | None],
        entries: dict[str, str] = ALL,
        **values: Any,
    ) -> Sequence[Any]:
        if not self._levels:
            return []
        write = utc_text if self._dialect == "sqlite" else datetime.isoformat
        levels = json.dumps([level.asked(begin(level), write) for level in self._levels])
        asked = text(filled(statement, self._what, self._dialect, entries))
        return self._session.execute(asked, {"levels": levels, **values}).all()


@contextmanager
def _hash_joins(session: Session) -> Iterator[None]:
    """Have entries find their key by a hash: a loop would compare each of them with every key.

    A round forbids that, for it has statements that would read the whole ledger then.
    """
    name = "enable_hashjoin"
    asked = text(f"SELECT current_setting('{name}'), set_config('{name}', :to, true)")
    before, _ = session.execute(asked, {"to": "on"}).one()
    yield
    session.execute(asked, {"to": before})


def _day(level: Level) -> date | None:
    return level.day


def _whole(high: Any, low: Any) -> int:
    """A sum of its parts; none of no rows."""
    return int(high or 0) * PART + int(low or 0)
