"""The audit of what accounts with limits have counted, against the entries that count.

    company ──< team ──< alice        a charge of alice counts at each level that has a limit

A level counts the charges of the accounts below it, while they are below it and while it has a
limit. The log of changes has the last change of either; whether a charge of before has counted,
nobody knows. So a counter must be the sum of its entries where all of them are newer than that, and
elsewhere at least the sum of those that are.

A charge counts on its day, or on the day to which the level had counted, should a clock have been
set back; its refund is taken off that day again.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Date, bindparam, text
from sqlmodel import Session

from gateway.store.columns import UtcDateTime

#: a charge that began before a change has ended after so long, by the limits of its statement
_OVERLAP = timedelta(seconds=10)
#: what is looked at of the time before a period, for clocks that were set back
_DISORDER = timedelta(hours=1)
#: entries that a round reads of one level and all below it
_ENTRIES_MAX = 50_000
#: SQLite adds up no more than one account may have
_PART = 10**9
_PARTS = (f"/ {_PART}", f"% {_PART}")

_LEVELS = """
SELECT a.id, a.namespace || '/' || a.name AS shown, a.used_on, a.used_in_day, a.used_in_month,
       a.used_ever, a.parent_id, a.installation, a.namespace
FROM account a LEFT JOIN account p ON p.id = a.parent_id
WHERE coalesce(a.credits_per_day, a.credits_per_month, a.credits, p.child_credits_per_day,
               p.child_credits_per_month, p.child_credits) IS NOT NULL
"""
_SOME_LEVELS = f"{_LEVELS} AND a.used_on IS NOT NULL AND a.id = ANY(:ids)"

_TREE = """
WITH RECURSIVE tree (id) AS (
  SELECT CAST(:level AS bigint)
  UNION SELECT a.id FROM tree JOIN account a ON a.parent_id = tree.id
)"""
#: the last change of the level, those above it and those below it
_CHANGED = f"""{_TREE}
SELECT max(l.created_at) AS moment FROM change_log l WHERE l.kind = 'account.changed'
AND l.account_id IN (
  SELECT id FROM tree UNION SELECT :parent
  UNION SELECT parent_id FROM account WHERE id = :parent)
"""
#: the last time that an account of the namespace left another
_LEFT = """
SELECT max(l.created_at) AS moment FROM account a JOIN change_log l ON l.account_id = a.id
WHERE a.installation = :installation AND a.namespace = :namespace
AND l.kind = 'account.changed' AND l.detail -> 'parent' ->> 'from' IS NOT NULL
"""
_CLOSED = (
    f"{_TREE} SELECT max(c.before) AS moment FROM tree JOIN closing c ON c.account_id = tree.id"
)

_ALL = """SELECT e.* FROM tree JOIN entry e ON e.account_id = tree.id
  WHERE e.created_at >= :looked_from"""
_NEWEST = """SELECT e.* FROM tree CROSS JOIN LATERAL (
    SELECT * FROM entry WHERE account_id = tree.id ORDER BY account_id DESC, id DESC LIMIT :most
  ) AS e WHERE e.created_at >= :looked_from"""


def _sums(of: str, condition: str) -> str:
    parts = (f"sum(CASE WHEN {condition} THEN ({of}) {part} ELSE 0 END)" for part in _PARTS)
    return ", ".join(parts)


#: the charges of a day and a month, less what was given back of them
_DATED = f"""{_TREE}, charges AS (
  SELECT c.created_at, -c.credits - coalesce(r.credits, 0) AS net,
         max({{day}}) OVER (ORDER BY c.id) AS counted_on
  FROM ({{entries}}) AS c
  LEFT JOIN entry r ON r.request_id = c.request_id AND r.kind = 'refund'
  WHERE c.kind = 'charge'
)
SELECT {_sums("net", "counted_on = :day")}, {_sums("net", "counted_on >= :month")}
FROM charges WHERE created_at >= :since AND counted_on <= :day
"""
#: whether some of these accounts have more entries than were read
_CUT = f"""{_TREE} SELECT EXISTS (
  SELECT 1 FROM ({_NEWEST}) AS e GROUP BY account_id HAVING count(*) >= :most)
"""
_EVER = f"""{_TREE}
SELECT {_sums("-e.credits", "e.created_at >= :since")},
  min(CASE WHEN e.kind = 'charge' THEN e.created_at END) AS moment
FROM tree JOIN entry e ON e.account_id = tree.id WHERE e.kind IN ('charge', 'refund')
"""
_DAY = {
    "sqlite": "substr(c.created_at, 1, 10)",
    "postgresql": "CAST(c.created_at AT TIME ZONE 'UTC' AS date)",
}
_MOMENTS = ("since", "looked_from")
#: of a level that has not counted yet
_NO_DAY = date(1970, 1, 1)

#: when an account left a tree, at the latest, by installation and namespace; read once for each
LastLeft = dict[tuple[str, str], datetime | None]


class Miscount(Struct, frozen=True):
    """A counter that is wrong, by at least so many credits."""

    account_id: int
    credits: int
    sentence: str


class _CountingAccount(Struct, frozen=True):
    """An account that counts, its counters, and since when all that counts is in the entries."""

    id: int
    shown: str
    day: date
    in_day: int
    in_month: int
    ever: int
    since: datetime
    #: entries of before this moment were moved to files
    closed: datetime | None

    @property
    def day_begin(self) -> datetime:
        return datetime.combine(self.day, time(), UTC)

    @property
    def month_begin(self) -> datetime:
        return self.day_begin.replace(day=1)

    def miscount(
        self, name: str, counted: int, entries: int, *, is_whole: bool
    ) -> Iterator[Miscount]:
        """The counter of a period where it is not what the entries are, or less than some are."""
        if counted < entries or (is_whole and counted != entries):
            least = "" if is_whole else "at least "
            sentence = (
                f"{self.shown} counts {counted} credits of {name},"
                f" but the entries are {least}{entries}"
            )
            yield Miscount(self.id, abs(counted - entries), sentence)

    def knows(self, begin: datetime) -> bool:
        """True if all that has counted from a moment on is in the entries."""
        return self.since <= begin and (self.closed is None or self.closed <= begin)


def miscounts(session: Session) -> Iterator[Miscount]:
    """The wrong counters of all accounts: of their day, their month, and all time."""
    for level in _levels(session, _LEVELS, {}, {}):
        looked_from = level.month_begin - _DISORDER
        day, month = _dated(session, level, _ALL, looked_from=looked_from)
        yield from _of_day(level, day)
        is_whole = level.knows(level.month_begin)
        yield from level.miscount("the month", level.in_month, month, is_whole=is_whole)
        asked = _asked(_EVER, {"level": level.id, "since": level.since})
        *parts, first = session.execute(asked.columns(moment=UtcDateTime())).one()
        is_whole = level.closed is None and (first is None or level.since <= first)
        yield from level.miscount("all time", level.ever, _whole(parts), is_whole=is_whole)


def miscounts_of_day(
    session: Session, account_ids: Sequence[int], left: LastLeft
) -> Iterator[Miscount]:
    """The wrong counters of the day of some accounts, on PostgreSQL.

    A bounded number of entries is read for each; accounts with more are left out. `left` is of
    this snapshot, and begins empty.
    """
    for level in _levels(session, _SOME_LEVELS, {"ids": list(account_ids)}, left):
        members = text(f"{_TREE} SELECT count(*) FROM tree")
        number = session.execute(members, {"level": level.id}).scalar_one()
        bounds = {
            "looked_from": level.day_begin - _DISORDER,
            "most": max(1, _ENTRIES_MAX // number),
        }
        if not session.execute(_asked(_CUT, {"level": level.id, **bounds})).scalar_one():
            yield from _of_day(level, _dated(session, level, _NEWEST, **bounds)[0])


def _of_day(level: _CountingAccount, entries: int) -> Iterator[Miscount]:
    is_whole = level.knows(level.day_begin)
    return level.miscount(str(level.day), level.in_day, entries, is_whole=is_whole)


def _dated(
    session: Session, level: _CountingAccount, entries: str, **bounds: Any
) -> tuple[int, int]:
    """The credits of a level's day and of its month."""
    dialect = session.get_bind().dialect.name
    month = level.day.replace(day=1)
    days: dict[str, Any] = {"day": level.day, "month": month}
    if dialect == "sqlite":
        days = {name: str(day) for name, day in days.items()}
    statement = _DATED.format(entries=entries, day=_DAY[dialect])
    values = {"level": level.id, "since": level.since, **days, **bounds}
    in_day, in_day_rest, *in_month = session.execute(_asked(statement, values)).one()
    return _whole((in_day, in_day_rest)), _whole(in_month)


def _levels(
    session: Session, statement: str, values: dict[str, Any], left: LastLeft
) -> Iterator[_CountingAccount]:
    for row in session.execute(text(statement).columns(used_on=Date()), values).all():
        place = (row.installation, row.namespace)
        if place not in left:
            named = {"installation": row.installation, "namespace": row.namespace}
            left[place] = _moment(session, _LEFT, named)
        changed = _moment(session, _CHANGED, {"level": row.id, "parent": row.parent_id})
        if changed is None:
            continue  # it is not known since when it has a limit
        yield _CountingAccount(
            row.id,
            row.shown,
            row.used_on or _NO_DAY,
            row.used_in_day,
            row.used_in_month,
            row.used_ever,
            max(changed, left[place] or changed) + _OVERLAP,
            _moment(session, _CLOSED, {"level": row.id}),
        )


def _moment(session: Session, statement: str, values: dict[str, Any]) -> datetime | None:
    asked = _asked(statement, values).columns(moment=UtcDateTime())
    found: datetime | None = session.execute(asked).scalar_one()
    return found


def _asked(statement: str, values: dict[str, Any]) -> Any:
    bound = [
        bindparam(name, value, type_=UtcDateTime() if name in _MOMENTS else None)
        for name, value in values.items()
    ]
    return text(statement).bindparams(*bound)


def _whole(parts: Sequence[Any]) -> int:
    """A sum of its parts; none of no rows."""
    return int(parts[0] or 0) * _PART + int(parts[1] or 0)
