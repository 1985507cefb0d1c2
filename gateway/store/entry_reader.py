"""Entries of an account read from the newest on, slice by slice, with the balance after each.

A slice is a piece of the account's index. Entries that match may be rare in it, so a page ends
where it has found enough or looked through enough, and the next page goes on there. An entry has no
balance of its own. The balance after the newest entry of a page comes from today's balance, or from
a mark that the counting of usage has left nearer (`usage_rounds`); those of the other entries
follow from it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec import Raw, Struct
from sqlalchemy import text
from sqlmodel import Session, col

from gateway.core.entries import (
    LIMIT_MAX,
    EntryGrant,
    EntryKey,
    EntryLine,
    EntryQuery,
    EntryTokens,
)
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.core.statement import KINDS, stamp
from gateway.store.database import Database
from gateway.store.entry_ranges import ENDS, NEWEST_FIRST, SLICE, ask, first_since
from gateway.store.grant_rows import reference_of
from gateway.store.key_names import find_key
from gateway.store.tables import Account
from gateway.store.unreadable import can_be_read

#: entries that one slice looks through, and one page
_LOOKED_AT_ONCE = 10_000
_LOOKED_THROUGH_MAX = 50_000
#: entries that are added up for a balance: the next mark is near mostly, and never further
_ADDED = (2_000, 12_000, 25_000)
#: a slice that found too little is followed by one so many times as large
_MORE = 8
#: the most by which clocks of a database may have been set back
_DISORDER = timedelta(minutes=1)
_NO_END = 2**63 - 1

_IN_SLICE = f"""
SELECT min(id), count(*), sum(credits), max(created_at) AS created_at FROM ({NEWEST_FIRST}) AS s
"""
_SUM = f"SELECT count(*), coalesce(sum(credits), 0) FROM ({SLICE}) AS s"
#: a refund has the model and the route of its charge; tokens stand with the charge alone
_READ = f"""
SELECT s.id, s.kind, s.credits, s.created_at, s.newer, s.request_id,
  k.namespace || '/' || k.name AS key_name, k.key_id,
  coalesce(s.model, c.model) AS model, coalesce(s.route, c.route) AS route,
  coalesce(s.idempotency_key, c.idempotency_key) AS idempotency_key,
  coalesce(s.retry_count, c.retry_count) AS retry_count,
  u.request_id AS used, u.input_tokens, u.cached_tokens, u.cache_write_tokens, u.output_tokens,
  u.reasoning_tokens, u.price, t.tags,
  g.namespace || '/' || g.name AS grant_name, g.identity, g.reason
FROM (
  SELECT *, sum(credits) OVER (ORDER BY id DESC) - credits AS newer FROM ({NEWEST_FIRST}) AS n
) AS s
LEFT JOIN entry c ON s.kind = 'refund' AND c.request_id = s.request_id AND c.kind = 'charge'
LEFT JOIN api_key k ON k.id = coalesce(s.api_key_id, c.api_key_id)
LEFT JOIN request_usage u ON s.kind = 'charge' AND u.request_id = s.request_id
LEFT JOIN request_tags t ON t.request_id = s.request_id
LEFT JOIN credit_grant g ON g.id = s.grant_id
WHERE s.credits IS NOT NULL <filters> ORDER BY s.id DESC LIMIT :wanted
"""
#: with a tag; a text that is no JSON was written by nobody here
_HAS_TAG = {
    "sqlite": "EXISTS (SELECT 1 FROM json_each(t.tags) j"
    " WHERE j.key = :name_{0} AND j.value = :value_{0})",
    "postgresql": "t.tags::json ->> :name_{0} = :value_{0}",
}
#: the balance at the first mark from an entry on
_MARK = """
SELECT entry_id, balance FROM usage_mark WHERE account_id = :account AND entry_id >= :last
ORDER BY entry_id LIMIT 1
"""
_OF_REQUEST = """
SELECT id FROM entry
WHERE request_id = :request_id AND account_id = :account AND id < :before ORDER BY id DESC
"""


class _Look(Struct, frozen=True):
    """The rows that were found among some entries, one more than is wanted at most; the oldest of
    those that were looked at, their number and their sum."""

    rows: Sequence[Any]
    oldest: int
    looked_at: int
    credits: int


class EntryReader:
    """Entries being read, newest first: one page of them, or all if `is_whole`."""

    def __init__(self, account_id: int, query: EntryQuery, *, is_whole: bool = False) -> None:
        self._account_id = account_id
        self._query = query
        self._is_whole = is_whole
        self._wanted = LIMIT_MAX if is_whole else query.limit
        self._has_begun = False
        #: ids above `_first` and up to `_last` are not looked at yet
        self._first = 0
        self._last = 0
        #: the balance after the entry `_last`
        self._balance: int | None = None
        self._values: dict[str, Any] = {}
        self._filters = ""
        #: the entries of one request, where it is asked for
        self._ids: list[int] | None = None
        self._looked_through = 0
        #: entries that the next slice looks through: more and more, while little is found
        self._look = self._wanted + 1

    @property
    def has_more(self) -> bool:
        """There are entries that were not looked at."""
        return self._last > self._first

    @property
    def last_id(self) -> int:
        """This entry and all newer ones were looked at."""
        return self._last + 1

    def advance(self, database: Database) -> list[EntryLine] | None:
        """Read one slice more; None when the page is full, or there is none left.

        Raises `QueryError`, and `DatabaseUnavailable`; then the slice may be read once more.
        """
        is_full = self._wanted == 0 or self._looked_through >= _LOOKED_THROUGH_MAX
        if self._has_begun and (not self.has_more or (is_full and not self._is_whole)):
            return None
        with database.read(snapshot=True) as session:
            if not self._has_begun:
                self._begin(session)
                self._has_begun = True
            if self._ids is not None:
                return self._read_request(session, self._ids)
            found = self._read(session)
        return self._take(found)

    def _begin(self, session: Session) -> None:
        query, account_id = self._query, self._account_id
        self._filter(session)
        before = query.after or _NO_END
        if query.request_id is not None:
            asked = {"account": account_id, "request_id": query.request_id, "before": before}
            self._ids = list(session.execute(text(_OF_REQUEST), asked).scalars())
            return
        oldest, newest = session.execute(text(ENDS), {"account": account_id}).one()
        self._first, self._last = oldest - 1, min(newest, before - 1)
        if query.after is None and query.end < LAST_MOMENT:
            until = query.end + _DISORDER
            self._last = first_since(session, account_id, until, oldest, newest) - 1
        self._balance = self._balance_after(session)

    def _filter(self, session: Session) -> None:
        query, account_id, self._filters = self._query, self._account_id, ""
        if query.begin > FIRST_MOMENT or query.end < LAST_MOMENT:
            self._filters += " AND s.created_at >= :begin AND s.created_at < :end"
            self._values |= {"begin": query.begin, "end": query.end}
        if query.kinds != KINDS:
            kinds = ", ".join(f"'{kind}'" for kind in query.kinds)
            self._filters += f" AND s.kind IN ({kinds})"
        if query.key is not None:
            own = col(Account.id) == account_id
            self._values["key"] = find_key(session, own, query.key)
            self._filters += " AND coalesce(s.api_key_id, c.api_key_id) = :key"
        for name, value in (("model", query.model), ("route", query.route)):
            if value is not None:
                self._values[name] = value
                self._filters += f" AND coalesce(s.{name}, c.{name}) = :{name}"
        has_tag = _HAS_TAG[session.get_bind().dialect.name]
        for number, (tag, value) in enumerate((query.tags or {}).items()):
            self._values |= {f"name_{number}": tag, f"value_{number}": value}
            self._filters += f" AND {has_tag.format(number)}"

    def _read(self, session: Session) -> _Look:
        # One more than is wanted shows whether there is more.
        most = min(self._look, _LOOKED_AT_ONCE)
        values = {
            "account": self._account_id,
            "after": self._first,
            "last": self._last,
            "most": most,
        }
        oldest, looked_at, credits, latest = ask(session, _IN_SLICE, values).one()
        is_older = can_be_read(latest) and looked_at and latest < self._query.begin - _DISORDER
        if not looked_at or is_older:
            return _Look([], self._first + 1, 0, 0)
        statement = _READ.replace("<filters>", self._filters)
        values |= {**self._values, "wanted": self._wanted + 1}
        rows = ask(session, statement, values).all()
        is_last = looked_at < most
        return _Look(rows, self._first + 1 if is_last else oldest, looked_at, int(credits))

    def _take(self, found: _Look) -> list[EntryLine]:
        """The lines of a slice; the next one begins where they end."""
        rows = found.rows[: self._wanted]
        lines = [self._line(row) for row in rows]
        if len(found.rows) > len(rows):
            oldest, taken = rows[-1].id, int(rows[-1].newer) + rows[-1].credits
            self._look = self._wanted + 1
        else:
            oldest, taken = found.oldest, found.credits
            self._look = min(self._look, _LOOKED_AT_ONCE) * _MORE
        self._last = oldest - 1
        if self._balance is not None:
            self._balance -= taken
        self._looked_through += found.looked_at
        if not self._is_whole:
            self._wanted -= len(lines)
        return lines

    def _read_request(self, session: Session, ids: list[int]) -> list[EntryLine]:
        lines: list[EntryLine] = []
        for entry_id in ids:
            self._first, self._last, self._wanted = entry_id - 1, entry_id, 1
            self._balance = self._balance_after(session)
            lines += self._take(self._read(session))
        return lines

    def _balance_after(self, session: Session) -> int | None:
        """The balance after the entry `_last`, counted back from a later one."""
        values = {"account": self._account_id, "last": self._last}
        mark = session.execute(text(_MARK), values).one_or_none()
        if mark is None:
            balance = session.get_one(Account, self._account_id).balance
            until = _NO_END
        else:
            until, balance = mark
        values |= {"after": self._last, "last": until}
        for most in _ADDED:
            number, credits = ask(session, _SUM, {**values, "most": most}).one()
            if number < most:
                return balance - int(credits)
        return None

    def _line(self, row: Any) -> EntryLine:
        return EntryLine(
            id=row.id,
            kind=row.kind,
            credits=row.credits,
            balance_after=None if self._balance is None else self._balance - int(row.newer),
            created_at=stamp(row.created_at) if can_be_read(row.created_at) else None,
            request_id=row.request_id,
            key=EntryKey(row.key_name, row.key_id) if row.key_id else None,
            model=row.model,
            route=row.route,
            idempotency_key=row.idempotency_key,
            retry_count=row.retry_count,
            tokens=EntryTokens(
                row.input_tokens,
                row.cached_tokens,
                row.cache_write_tokens,
                row.output_tokens,
                row.reasoning_tokens,
            )
            if row.used
            else None,
            price=Raw(row.price.encode()) if row.price else None,
            grant=EntryGrant(row.grant_name, reference_of(row.identity), row.reason or "")
            if row.grant_name
            else None,
            tags=Raw(row.tags.encode()) if row.tags else None,
        )
