"""A statement read from the ledger, slice by slice, so that nobody has to wait for all of it.

                  the account's entries by id ─▶
    ├───────────────┼──────────────────────┼──────────────┤
    0             begin                   end            last
     added up from the     counted by kind,   added up back from
     first entry, or ◀──   key and model  ──▶ today's balance: the shorter way

Owns the exactness of it. An account's entries are numbered, dated and committed under its lock, so
those up to the last one that a snapshot shows are all there, and each slice may be a transaction of
its own. Their dates grow with their ids, except where a clock was set back; around both ends of
the period each entry's date is therefore looked at.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import select

from gateway.core.errors import DatabaseBusy
from gateway.core.statement import (
    KINDS,
    EntryKind,
    GrantLine,
    Period,
    PeriodError,
    RequestLine,
    Statement,
    stamp,
)
from gateway.store import entry_ranges
from gateway.store.account_sets import named
from gateway.store.closing_table import ClosingState, read_closing
from gateway.store.database import Database
from gateway.store.entry_ranges import ask, first_since
from gateway.store.grant_rows import reference_of
from gateway.store.key_names import names_of_keys
from gateway.store.tables import Account

#: entries that one statement of the database reads: in time also where each is elsewhere on a disk
SLICE = 5_000
#: lines of a kind that a statement shows apart
LINES_MAX = 10_000
#: the most by which clocks of a database may have been set back
_DISORDER = timedelta(hours=1)
#: a transaction that has dated an entry has ended after so long, by the limits of its statements
UNWRITTEN_SECONDS_MAX = 300
#: SQLite adds up no more than one account may have
_PART = 10**9

_CREDITS = f"sum(credits / {_PART}), sum(credits % {_PART})"
_SUM = f"SELECT max(id), count(*), {_CREDITS} FROM ({entry_ranges.SLICE}) AS s"
#: a refund has the model of its charge
_COUNT = f"""
SELECT max(id), count(*), {_CREDITS}, place, kind, api_key_id, model FROM (
  SELECT id, credits, kind, api_key_id,
         CASE WHEN created_at < :begin THEN 'before' WHEN created_at < :end THEN 'within'
              ELSE 'after' END AS place,
         CASE WHEN kind <> 'refund' THEN model ELSE
           (SELECT c.model FROM entry c WHERE c.request_id = s.request_id AND c.kind = 'charge') END
         AS model
  FROM ({entry_ranges.SLICE}) AS s
) AS placed
GROUP BY place, kind, api_key_id, model ORDER BY min(id)
"""
_GRANTS = f"""
SELECT s.id, s.kind, s.created_at, s.credits, g.name, g.identity, g.reason, g.expires_at
FROM ({entry_ranges.SLICE}) AS s
LEFT JOIN credit_grant g ON g.id = s.grant_id
WHERE s.grant_id IS NOT NULL AND s.created_at >= :begin AND s.created_at < :end ORDER BY s.id
"""
#: no entry of before `end` can appear any more: who dated one has written it, or given up
_IS_PAST = "SELECT clock_timestamp() >= :end + make_interval(secs => :seconds)"
_WRITERS = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND backend_xid IS NOT NULL AND xact_start < :end LIMIT 1
"""

_Group = tuple[str, int | None, str | None]


class StatementReader:
    """One statement being read."""

    def __init__(
        self, account_id: int, account: str, period: Period, entries_at_once: int = SLICE
    ) -> None:
        self._account_id = account_id
        self._account = account
        self._entries_at_once = entries_at_once
        self._period = period
        self._is_closed = False
        self._has_begun = False
        self._closing: ClosingState | None = None
        #: how far entries before the period are added up, or those from its begin to the last one
        self._summed = self._sum_last = self._after = self._last = 0
        self._opening = 0
        self._sign = 1
        self._totals: dict[EntryKind, int] = dict.fromkeys(KINDS, 0)
        self._groups: dict[_Group, list[int]] = {}
        self._grants: list[GrantLine] = []
        self._unlisted: dict[EntryKind, int] = {}

    def advance(self, database: Database) -> Statement | None:
        """Read one slice more; the statement when there is none left.

        Raises `PeriodError` where a closing has moved entries of the period or of before it, and
        `DatabaseUnavailable`; then the slice may be read once more.
        """
        if not self._has_begun:
            self._begin(database)
        elif self._summed < self._sum_last:
            self._add_up(database)
        elif self._after < self._last:
            self._count(database)
        else:
            return self._finish(database)
        return None

    def _begin(self, database: Database) -> None:
        # Before the snapshot: what is committed between the two is seen.
        is_closed = is_over(database, self._period.end)
        with database.read(snapshot=True) as session:
            balance = session.get_one(Account, self._account_id).balance
            self._closing = read_closing(session, self._account_id)
            ends = session.execute(text(entry_ranges.ENDS), {"account": self._account_id})
            first, newest = ends.one()
            begin = first_since(
                session, self._account_id, self._period.begin - _DISORDER, first, newest
            )
            end = first_since(
                session, self._account_id, self._period.end + _DISORDER, begin, newest
            )
        self._after, self._last = begin - 1, end - 1
        if begin - first <= newest - begin:
            self._summed, self._sum_last = first - 1, begin - 1
        else:
            self._summed, self._sum_last = begin - 1, newest
            self._opening, self._sign = balance, -1
        self._is_closed, self._has_begun = is_closed, True

        if self._closing is not None and self._period.begin < self._closing.before:
            moment = stamp(self._closing.before)
            raise PeriodError(f"entries of before {moment} were moved to files", "from")

    def _add_up(self, database: Database) -> None:
        with database.read() as session:
            values = self._slice(self._summed, self._sum_last)
            last, number, *parts = ask(session, _SUM, values).one()
        if number:
            self._opening += self._sign * _whole(parts)
        self._summed = last if number == self._entries_at_once else self._sum_last

    def _count(self, database: Database) -> None:
        values = {
            **self._slice(self._after, self._last),
            "begin": self._period.begin,
            "end": self._period.end,
        }
        with database.read(snapshot=True) as session:
            counted = ask(session, _COUNT, values).all()
            has_grants = any(row.kind not in ("charge", "refund") for row in counted)
            grants = ask(session, _GRANTS, values).all() if has_grants else []
        for _, number, tens, units, place, kind, api_key_id, model in counted:
            credits = _whole((tens, units))
            if place == "before":
                self._opening += credits
            elif place == "within":
                self._totals[kind] += credits
                if kind in ("charge", "refund"):
                    self._add_to_group((kind, api_key_id, model), number, credits)
        for row in grants:
            self._add_grant(row)
        read = sum(row[1] for row in counted)
        self._after = (
            max(row[0] for row in counted) if read == self._entries_at_once else self._last
        )

    def _add_to_group(self, group: _Group, requests: int, credits: int) -> None:
        if group not in self._groups and len(self._groups) >= LINES_MAX:
            group = (group[0], None, None)
        known = self._groups.setdefault(group, [0, 0])
        known[0] += requests
        known[1] += credits

    def _add_grant(self, row: Any) -> None:
        if len(self._grants) >= LINES_MAX:
            self._unlisted[row.kind] = self._unlisted.get(row.kind, 0) + 1
            return
        self._grants.append(
            GrantLine(
                row.id,
                row.kind,
                row.created_at,
                row.credits,
                row.name or "",
                reference_of(row.identity),
                row.reason or "",
                row.expires_at,
            )
        )

    def _finish(self, database: Database) -> Statement:
        with database.read() as session:
            if read_closing(session, self._account_id) != self._closing:
                raise DatabaseBusy("entries of the account were moved to files meanwhile")
            names = names_of_keys(session, (key for _, key, _ in self._groups))
        return Statement(
            self._account,
            self._period,
            self._is_closed,
            self._opening,
            self._opening + sum(self._totals.values()),
            self._totals,
            self._grants,
            self._unlisted,
            self._lines("charge", names),
            self._lines("refund", names),
        )

    def _lines(self, kind: EntryKind, names: dict[int, tuple[str, str]]) -> list[RequestLine]:
        lines = []
        for (of, api_key_id, model), (requests, credits) in self._groups.items():
            if of == kind:
                key, key_id = names.get(api_key_id or 0, (None, None))
                lines.append(RequestLine(key, key_id, model, requests, credits))
        return sorted(lines, key=lambda line: (line.key or "\x7f", line.model or "\x7f"))

    def _slice(self, after: int, last: int) -> dict[str, Any]:
        return {
            "account": self._account_id,
            "after": after,
            "last": last,
            "most": self._entries_at_once,
        }


def find_account(database: Database, installation: str, name: str) -> int | None:
    """The id of an account by its shown name, `namespace/name`. Raises `DatabaseUnavailable`."""
    asked = select(Account.id).where(Account.installation == installation, named(name))
    with database.read() as session:
        return session.exec(asked).one_or_none()


def is_over(database: Database, end: datetime, seconds: float = UNWRITTEN_SECONDS_MAX) -> bool:
    """True if no entry of before `end` can appear any more.

    An entry is dated by the database's clock under its account's lock, so it is in no later
    snapshot than the end of its transaction. Such a transaction ends within its time-outs, except
    where it waits for a standby; then it still stands in the list of those that run.
    """
    with database.read() as session:
        if database.is_sqlite:
            return end + timedelta(seconds=seconds) <= database.now(session)
        values = {"end": end, "seconds": seconds}
        is_past = session.execute(text(_IS_PAST), values).scalar_one()
        return bool(is_past) and session.execute(text(_WRITERS), values).first() is None


def _whole(parts: Sequence[Any]) -> int:
    return int(parts[0]) * _PART + int(parts[1])
