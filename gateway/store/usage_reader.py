"""Usage read from its sums, slice by slice, so that nobody has to wait for all of it.

The rows that are read are those of the accounts, the period and the unit of time; how many entries
an account has makes no difference.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlmodel import Session

from gateway.core.usage import QueryError, UsageLine, UsageQuery, UsageSums, hour_of, label_of
from gateway.store.columns import UtcDateTime
from gateway.store.database import Database
from gateway.store.key_names import find_key, names_of_keys
from gateway.store.usage_accounts import AccountPages, AccountsInReach, split

#: rows of sums that one statement reads, if there is more than one hour or day of them
SLICE = 20_000
#: groups that are held at once: those to which a later slice may add
GROUPS_MAX = 10_000
TOO_MANY_GROUPS = (
    f"these are more than {GROUPS_MAX} groups: ask for less, or as CSV: by day, of many accounts by"
    " account"
)
#: the database's own limit to a statement, twice: later, no charge or refund of before can appear
_UNWRITTEN = timedelta(seconds=10)

_SUMS = UsageSums.__struct_fields__
_WITHIN = "account_id IN :ids AND start >= :begin AND start < :end"
#: where the next slice of one account begins, if there are more rows than it may have
_NEXT = f"SELECT start FROM {{source}} WHERE {_WITHIN} ORDER BY start LIMIT 1 OFFSET :most"
_READ = f"""
SELECT {{account}}, {{time}}, {{key}}, {{model}}, {{route}}, {{value}},
  {", ".join(f"sum({name})" for name in _SUMS)}
FROM {{source}} WHERE {_WITHIN}{{filters}} GROUP BY 1, 2, 3, 4, 5, 6
"""
_PLACE = "account_id, start, api_key_id, model, route"
_TAGGED = "(SELECT * FROM usage_tag_{unit} WHERE name = :tag{value}) AS tagged"
#: the sums by the value of a tag; what no value accounts for is of requests without the tag
_BY_TAG = f"""(
  SELECT {_PLACE}, NULL AS value, {", ".join(_SUMS)} FROM usage_{{unit}}
  UNION ALL
  SELECT {_PLACE}, value, {", ".join(_SUMS)} FROM usage_tag_{{unit}} WHERE name = :tag
  UNION ALL
  SELECT {_PLACE}, NULL, {", ".join(f"-{name}" for name in _SUMS)}
  FROM usage_tag_{{unit}} WHERE name = :tag
) AS sums"""
#: of the accounts, the first entry that is not counted
_UNCOUNTED = """
SELECT (SELECT created_at FROM entry WHERE account_id = a.id AND id > coalesce(
  (SELECT entry_id FROM usage_checkpoint WHERE account_id = a.id), 0) ORDER BY id LIMIT 1
) AS created_at FROM account a WHERE a.id IN :ids ORDER BY 1 NULLS LAST LIMIT 1
"""

#: account or namespace, time, key, model, route and the value of a tag
_Group = tuple[str | None, int | None, int | None, str | None, str | None, str | None]


class UsageReader:
    """One answer being read. `total` and `complete_until` are whole when all of it is.

    It is of one account, grouped by account of all below it too; or of a reach.
    """

    def __init__(
        self, whose: int | AccountsInReach, query: UsageQuery, rows_at_once: int = SLICE
    ) -> None:
        self._query = query
        self._rows_at_once = rows_at_once
        unit = 1 if query.by_hours else 24
        self._begin = self._next = hour_of(query.period.begin) // unit
        self._end = hour_of(query.period.end) // unit
        self._source, self._counted = _source_of(query)
        is_by_account = "account" in query.group_by
        self._pages = AccountPages(whose, with_below=is_by_account)
        #: a group is of one account, so it is whole when the account's rows were read
        self._is_apart = is_by_account or self._pages.is_one
        self._is_by_time = bool({"day", "hour"}.intersection(query.group_by))
        self._values: dict[str, Any] = {}
        self._filters = ""
        self._groups: dict[_Group, UsageSums] = {}
        #: accounts that are read next, the first piece from `_next` on; and their shown names
        self._pieces: list[list[int]] = []
        self._shown: dict[int, str] = {}
        #: name and key id, by the row
        self._names: dict[int, tuple[str, str]] = {}
        #: all that is booked before this moment is counted; tokens of open requests follow
        self.complete_until: datetime | None = None
        self.total = UsageSums()

    def advance(self, database: Database) -> list[UsageLine] | None:
        """Read one slice more: the groups that are whole now; None when all were returned.

        Raises `QueryError`, and `DatabaseUnavailable`; then the slice may be read once more.
        """
        if not self._pieces and not self._pages.has_more:
            return None
        with database.read(snapshot=True) as session:
            if not self._pieces:
                self._read_accounts(database, session)
            piece = self._pieces[0] if self._pieces else []
            rows, end = self._read_slice(session, piece) if piece else ([], self._end)
            new_keys = {row[2] for row in rows}.difference(self._names)
            self._names |= names_of_keys(session, new_keys)
        for account_id, time, key, model, route, value, *sums in rows:
            group = (self._place(account_id), time, key, model, route, value)
            self._groups.setdefault(group, UsageSums()).add(sums)
            self.total.add(sums)
        self._next = end
        is_streamed = self._is_apart and (self._is_by_time or len(piece) > 1)
        if len(self._groups) > GROUPS_MAX and not is_streamed:
            raise QueryError(TOO_MANY_GROUPS, "group_by")
        if end >= self._end:
            self._next, self._pieces = self._begin, self._pieces[1:]
        return [self._line(group, sums) for group, sums in self._take_whole()]

    def _read_accounts(self, database: Database, session: Session) -> None:
        """The next pieces. Nothing is changed before all of it was read."""
        if self.complete_until is None:
            self._filter(session)
        page = self._pages.read(session)
        until = self._counted_until(database, session, list(page))
        values = {**self._values, "begin": self._begin, "end": self._end}
        self._pieces = split(session, list(page), self._counted, values, self._rows_at_once)
        self._pages.go_on(page)
        self._shown = page
        self.complete_until = min(until, self.complete_until or until)

    def _read_slice(self, session: Session, ids: Sequence[int]) -> tuple[Sequence[Any], int]:
        """The sums of the next slice, by group, and where it ends."""
        values = {**self._values, "ids": ids, "begin": self._next, "end": self._end}
        if len(ids) == 1:  # more than one have no more rows together than a slice
            most = {"most": self._rows_at_once}
            asked = _of_ids(_NEXT.format(source=self._source))
            following = session.execute(asked, {**values, **most}).scalar_one_or_none()
            if following is not None:
                values["end"] = max(following, self._next + 1)
        groups = self._query.group_by
        statement = _READ.format(
            source=self._source,
            account="account_id" if {"account", "namespace"}.intersection(groups) else "NULL",
            time=self._time() if self._is_by_time else "NULL",
            key="api_key_id" if "key" in groups else "NULL",
            model="model" if "model" in groups else "NULL",
            route="route" if "route" in groups else "NULL",
            value="value" if "tag" in groups else "NULL",
            filters=self._filters,
        )
        return session.execute(_of_ids(statement), values).all(), values["end"]

    def _time(self) -> str:
        """The number of a row's day or hour, in the zone for days."""
        if not self._query.by_hours or "hour" in self._query.group_by:
            return "start"
        ahead = "".join(
            f" WHEN start >= {since} THEN {hours}" for since, hours in self._query.offsets[::-1]
        )
        return f"(start + CASE{ahead} ELSE 0 END) / 24"

    def _place(self, account_id: int | None) -> str | None:
        """The account, or else the namespace, by which a row is grouped."""
        if account_id is None:
            return None
        shown = self._shown[account_id]
        return shown if "account" in self._query.group_by else _namespace_of(shown)

    def _take_whole(self) -> list[tuple[_Group, UsageSums]]:
        """The groups to which no later slice adds, in their order."""
        is_last = not self._pieces and not self._pages.has_more
        if is_last or (self._is_apart and self._next == self._begin):
            whole = list(self._groups)
        elif self._is_apart and self._is_by_time:
            newest = max((group[1] for group in self._groups if group[1] is not None), default=0)
            whole = [group for group in self._groups if group[1] != newest]
        else:
            whole = []
        taken = [(group, self._groups.pop(group)) for group in sorted(whole, key=_in_order)]
        if self._query.tag is None:
            return taken
        # Where all requests have the tag, nothing is left for those without.
        return [(group, sums) for group, sums in taken if sums != UsageSums()]

    def _filter(self, session: Session) -> None:
        query, self._filters = self._query, ""
        if query.key is not None:
            self._values["key"] = find_key(session, self._pages.condition, query.key)
            self._filters += " AND api_key_id = :key"
        for name, value in (("model", query.model), ("route", query.route)):
            if value is not None:
                self._values[name] = value
                self._filters += f" AND {name} = :{name}"
        for name, value in (("tag", query.tag), ("value", query.tag_value)):
            if value is not None:
                self._values[name] = value

    def _counted_until(self, database: Database, session: Session, ids: Sequence[int]) -> datetime:
        until = database.now(session) - _UNWRITTEN
        asked = _of_ids(_UNCOUNTED).columns(created_at=UtcDateTime())
        first = session.execute(asked, {"ids": ids}).scalar_one_or_none()
        return until if first is None else min(first, until)

    def _line(self, group: _Group, sums: UsageSums) -> UsageLine:
        place, time, key, model, route, tag = group
        groups = self._query.group_by
        name, key_id = (None, None) if key is None else self._names.get(key, (None, None))
        return UsageLine(
            time=None if time is None else label_of(self._query, time),
            namespace=_namespace_of(place) if place and "namespace" in groups else None,
            account=place if "account" in groups else None,
            key=name,
            key_id=key_id,
            model=model,
            route=route,
            tag=tag,
            sums=sums,
        )


def _of_ids(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("ids", expanding=True))


def _source_of(query: UsageQuery) -> tuple[str, list[str]]:
    """The rows that hold the sums, and those of which the number is asked before."""
    unit = "hour" if query.by_hours else "day"
    if query.tag is None:
        return f"usage_{unit}", [f"usage_{unit}"]
    tagged = _TAGGED.format(unit=unit, value=" AND value = :value" if query.tag_value else "")
    if query.tag_value is not None:
        return tagged, [tagged]
    return _BY_TAG.format(unit=unit), [f"usage_{unit}", tagged]


def _namespace_of(shown: str) -> str:
    return shown.partition("/")[0]


def _in_order(group: _Group) -> tuple[str, int, int, str, str, str]:
    place, time, key, model, route, tag = group
    return (place or "", time or 0, key or 0, model or "", route or "", tag or "")
