"""The levels whose counters are audited: accounts and keys that have limits, as they are counted.

The log of changes has when a level got its limit, or its place in a tree. Whether a charge of
before has counted, nobody knows: `Level.since` is when all that counts is in the entries.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Date, text
from sqlmodel import Session

from gateway.store import audit_counter_statements as statements
from gateway.store.audit_counter_statements import filled
from gateway.store.moments import read_moment

#: a charge that began before a change has ended after so long, by the limits of its statements
_OVERLAP = timedelta(seconds=10)
#: what is looked at of the time before a period, for clocks that were set back
_DISORDER = timedelta(hours=1)
NO_DAY, _LAST_DAY = date(1970, 1, 1), date(9999, 12, 31)

#: when an account left a tree, at the latest, by installation and namespace; read once for each
LastLeft = dict[tuple[str, str], datetime | None]


class Miscount(Struct, frozen=True):
    """A counter that is wrong, by at least so many credits."""

    account_id: int
    credits: int
    sentence: str


class Sums(Struct, frozen=True):
    """The credits of a level's entries of its day and its month, or of all time; its first one."""

    day: int = 0
    month: int = 0
    ever: int = 0
    first: datetime | None = None


class Level(Struct, frozen=True, kw_only=True):
    """An account or a key that counts, its counters, and since when the entries have all of it.

    A counter that it has not is None. A period begins at midnight, in UTC.
    """

    id: int
    account_id: int
    shown: str
    day: date | None
    month: date | None
    in_day: int | None
    in_month: int | None
    ever: int | None
    since: datetime
    #: entries of before this moment were moved to files
    closed: datetime | None
    #: the last day that counts
    last: date = _LAST_DAY
    #: entries that it has counted may be with an account elsewhere, or in the files of one
    was_left: bool = False

    def looks_from(self, begin: date | None) -> datetime:
        """The moment from which entries are read for what counts from a day on."""
        return _midnight(begin or _LAST_DAY) - _DISORDER

    def asked(self, begin: date | None, write: Callable[[datetime], str]) -> dict[str, Any]:
        """The values of the level in a statement; its entries are read from a day on."""
        return {
            "id": self.id,
            "since": write(self.since),
            "looked_from": write(self.looks_from(begin)),
            "day": self.day and str(self.day),
            "month": self.month and str(self.month),
            "last": str(self.last),
        }

    def miscount_of_day(self, sums: Sums) -> Iterator[Miscount]:
        if self.day is not None and self.in_day is not None:
            is_whole = self._knows(self.day)
            yield from self._compare(str(self.day), self.in_day, sums.day, is_whole=is_whole)

    def miscounts(self, dated: Sums, ever: Sums) -> Iterator[Miscount]:
        yield from self.miscount_of_day(dated)
        if self.month is not None and self.in_month is not None:
            is_whole = self._knows(self.month)
            yield from self._compare("the month", self.in_month, dated.month, is_whole=is_whole)
        if self.ever is not None:
            is_known = ever.first is None or self.since <= ever.first
            is_whole = is_known and self.closed is None and not self.was_left
            yield from self._compare("all time", self.ever, ever.ever, is_whole=is_whole)

    def _knows(self, begin: date) -> bool:
        """True if all that has counted from a day on is in the entries.

        A day that has not come is of a clock that was set back; entries of before count on it.
        """
        moment = _midnight(begin)
        is_past = moment <= datetime.now(UTC)
        return is_past and self.since <= moment and (self.closed is None or self.closed <= moment)

    def _compare(
        self, name: str, counted: int, entries: int, *, is_whole: bool
    ) -> Iterator[Miscount]:
        """The counter of a period where it is not what the entries are, or less than some are."""
        if counted < entries or (is_whole and counted != entries):
            least = "" if is_whole else "at least "
            sentence = (
                f"{self.shown} counts {counted} credits of {name},"
                f" but the entries are {least}{entries}"
            )
            yield Miscount(self.account_id, abs(counted - entries), sentence)


def read_accounts(session: Session, ids: Sequence[int] | None, left: LastLeft) -> list[Level]:
    """The accounts with limits, all or some; `left` gets what it does not have yet."""
    statement = statements.ACCOUNTS if ids is None else statements.SOME_ACCOUNTS
    rows = session.execute(text(statement).columns(used_on=Date()), _listed(ids)).all()
    dialect = session.get_bind().dialect.name
    values = {"levels": json.dumps([{"id": row.id} for row in rows])}

    changed, closed = (
        _moments(session, filled(statement, "account", dialect), values)
        for statement in (statements.CHANGED, statements.CLOSED_BELOW)
    )
    levels = []
    for row in rows:
        place = (row.installation, row.namespace)
        if place not in left:
            named = {"installation": row.installation, "namespace": row.namespace}
            moment = session.execute(text(statements.LEFT), named).scalar_one()
            left[place] = read_moment(moment)
        if row.id not in changed:
            continue  # it is not known since when it has a limit
        day = row.used_on or NO_DAY
        levels.append(
            Level(
                id=row.id,
                account_id=row.id,
                shown=f"account {row.shown}",
                day=day,
                month=day.replace(day=1),
                in_day=row.used_in_day,
                in_month=row.used_in_month,
                ever=row.used_ever,
                since=max(changed[row.id], left[place] or changed[row.id]) + _OVERLAP,
                closed=closed.get(row.id),
                last=day,
                was_left=left[place] is not None,
            )
        )
    return levels


def read_keys(session: Session, account_ids: Sequence[int] | None) -> list[Level]:
    """The keys with limits, all or those of some accounts; their newest day is looked at."""
    some, values = account_ids is not None, _listed(account_ids)
    statement = statements.SOME_KEYS if some else statements.KEYS
    asked = text(statement).columns(day=Date(), used_month=Date())
    rows = session.execute(asked, values).all()
    changes = statements.SOME_KEYS_CHANGED if some else statements.KEYS_CHANGED
    changed = _moments(session, f"{changes} GROUP BY k.id", values)
    closed = _moments(session, statements.SOME_CLOSED if some else statements.CLOSED, values)
    # Of a key, the entries in all accounts are read, as far as they are not in files.
    moved = _moments(session, statements.KEYS_MOVED, {}) if closed and not some else {}
    return [
        Level(
            id=row.id,
            account_id=row.account_id,
            shown=f"key {row.shown}",
            day=row.day,
            month=row.used_month,
            in_day=row.credits if row.has_day else None,
            in_month=row.used_in_month if row.has_more else None,
            ever=row.used_ever if row.has_more else None,
            since=changed[row.id] + _OVERLAP,
            closed=closed.get(row.account_id),
            was_left=row.id in moved,
        )
        for row in rows
        if row.id in changed
    ]


def _listed(ids: Sequence[int] | None) -> dict[str, list[int]]:
    return {} if ids is None else {"ids": list(ids)}


def _moments(session: Session, statement: str, values: dict[str, Any]) -> dict[int, datetime]:
    found = ((number, read_moment(at)) for number, at in session.execute(text(statement), values))
    return {number: moment for number, moment in found if moment is not None}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
