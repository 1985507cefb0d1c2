"""Usage read from its sums, slice by slice, so that nobody has to wait for all of it.

The rows that are read are those of the account, the period and the unit of time; how many entries
the account has makes no difference.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from gateway.core.usage import QueryError, UsageLine, UsageQuery, UsageSums, hour_of, label_of
from gateway.store.columns import UtcDateTime
from gateway.store.database import Database
from gateway.store.key_names import find_key, names_of_accounts, names_of_keys

#: rows of sums that one statement reads, if there is more than one hour or day of them
SLICE = 20_000
#: groups, without those of earlier hours or days, that are held at once
GROUPS_MAX = 10_000
TOO_MANY_GROUPS = f"these are more than {GROUPS_MAX} groups: ask for less, or by day and as CSV"
#: the database's own limit to a statement, twice: later, no charge or refund of before can appear
_UNWRITTEN = timedelta(seconds=10)

_SUMS = UsageSums.__struct_fields__
_OWN = "= :account"
#: the account and all below it (`groups`)
_TREE = """IN (
  SELECT id FROM account WHERE id = :account
  UNION ALL SELECT id FROM account WHERE parent_id = :account
  UNION ALL SELECT c.id FROM account p JOIN account c ON c.parent_id = p.id
  WHERE p.parent_id = :account
)"""
_WITHIN = "account_id {accounts} AND start >= :begin AND start < :end"
#: where the next slice begins, if there are more rows than it may have
_NEXT = f"SELECT start FROM {{source}} WHERE {_WITHIN} ORDER BY start LIMIT 1 OFFSET :most"
_READ = f"""
SELECT {{time}}, {{account}}, {{key}}, {{model}}, {{route}}, {{value}},
  {", ".join(f"sum({name})" for name in _SUMS)}
FROM {{source}} WHERE {_WITHIN}{{filters}} GROUP BY 1, 2, 3, 4, 5, 6
"""
#: the sums by the value of a tag; what no value accounts for is of requests without the tag
_PLACE = "account_id, start, api_key_id, model, route"
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
) AS created_at FROM account a WHERE a.id {accounts} ORDER BY 1 NULLS LAST LIMIT 1
"""

#: time, account, key, model, route and the value of a tag
_Group = tuple[int | None, int | None, int | None, str | None, str | None, str | None]


class UsageReader:
    """One answer being read. `total` and `complete_until` are whole when all of it is."""

    def __init__(self, account_id: int, query: UsageQuery, rows_at_once: int = SLICE) -> None:
        self._account_id = account_id
        self._query = query
        self._rows_at_once = rows_at_once
        unit = 1 if query.by_hours else 24
        self._next = hour_of(query.period.begin) // unit
        self._end = hour_of(query.period.end) // unit
        self._source = _source_of(query)
        self._accounts = _TREE if "account" in query.group_by else _OWN
        self._is_by_time = bool({"day", "hour"}.intersection(query.group_by))
        self._values: dict[str, Any] = {"account": account_id}
        self._filters = ""
        self._groups: dict[_Group, UsageSums] = {}
        #: name and key id, by the row
        self._names: dict[int, tuple[str, str]] = {}
        self._shown: dict[int, str] = {}
        #: all that is booked before this moment is counted; tokens of open requests follow
        self.complete_until: datetime | None = None
        self.total = UsageSums()

    def advance(self, database: Database) -> list[UsageLine] | None:
        """Read one slice more: the groups that are whole now; None when all were returned.

        Raises `QueryError`, and `DatabaseUnavailable`; then the slice may be read once more.
        """
        if self.complete_until is not None and self._next >= self._end:
            return None
        with database.read(snapshot=True) as session:
            if self.complete_until is None:
                self._filter(session)
                self.complete_until = self._counted_until(database, session)
            rows, end = self._read_slice(session)
            new_accounts = {row[1] for row in rows}.difference(self._shown)
            self._shown |= names_of_accounts(session, new_accounts)
            new_keys = {row[2] for row in rows}.difference(self._names)
            self._names |= names_of_keys(session, new_keys)
        for time, account, key, model, route, value, *sums in rows:
            group = (time, account, key, model, route, value)
            self._groups.setdefault(group, UsageSums()).add(sums)
            self.total.add(sums)
        self._next = end
        if len(self._groups) > GROUPS_MAX and not self._is_by_time:
            raise QueryError(TOO_MANY_GROUPS, "group_by")
        return [self._line(group, sums) for group, sums in self._take_whole()]

    def _read_slice(self, session: Session) -> tuple[Sequence[Any], int]:
        """The sums of the next slice, by group, and where it ends."""
        values = {**self._values, "begin": self._next, "end": self._end}
        asked = text(_NEXT.format(source=self._source, accounts=self._accounts))
        most = {"most": self._rows_at_once}
        following = session.execute(asked, {**values, **most}).scalar_one_or_none()
        if following is not None:
            values["end"] = max(following, self._next + 1)
        statement = text(
            _READ.format(
                source=self._source,
                accounts=self._accounts,
                account="account_id" if "account" in self._query.group_by else "NULL",
                time=self._time() if self._is_by_time else "NULL",
                key="api_key_id" if "key" in self._query.group_by else "NULL",
                model="model" if "model" in self._query.group_by else "NULL",
                route="route" if "route" in self._query.group_by else "NULL",
                value="value" if "tag" in self._query.group_by else "NULL",
                filters=self._filters,
            )
        )
        return session.execute(statement, values).all(), values["end"]

    def _time(self) -> str:
        """The number of a row's day or hour, in the zone for days."""
        if not self._query.by_hours or "hour" in self._query.group_by:
            return "start"
        ahead = "".join(
            f" WHEN start >= {since} THEN {hours}" for since, hours in self._query.offsets[::-1]
        )
        return f"(start + CASE{ahead} ELSE 0 END) / 24"

    def _take_whole(self) -> list[tuple[_Group, UsageSums]]:
        """The groups to which no later slice adds, in their order."""
        if self._next >= self._end:
            whole = list(self._groups)
        elif self._is_by_time:
            newest = max((group[0] for group in self._groups if group[0] is not None), default=0)
            whole = [group for group in self._groups if group[0] != newest]
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
            self._values["key"] = find_key(session, self._account_id, query.key)
            self._filters += " AND api_key_id = :key"
        for name, value in (("model", query.model), ("route", query.route)):
            if value is not None:
                self._values[name] = value
                self._filters += f" AND {name} = :{name}"
        if query.tag is not None:
            self._values["tag"] = query.tag
        if query.tag_value is not None:
            self._values["value"] = query.tag_value
            self._filters += " AND name = :tag AND value = :value"

    def _counted_until(self, database: Database, session: Session) -> datetime:
        until = database.now(session) - _UNWRITTEN
        asked = text(_UNCOUNTED.format(accounts=self._accounts)).columns(created_at=UtcDateTime())
        first = session.execute(asked, {"account": self._account_id}).scalar_one_or_none()
        return until if first is None else min(first, until)

    def _line(self, group: _Group, sums: UsageSums) -> UsageLine:
        time, account, key, model, route, tag = group
        shown = None if account is None else self._shown.get(account)
        name, key_id = (None, None) if key is None else self._names.get(key, (None, None))
        label = None if time is None else label_of(self._query, time)
        return UsageLine(label, shown, name, key_id, model, route, tag, sums)


def advance(database: Database, reader: UsageReader) -> list[UsageLine] | None:
    """The reader's next slice, as a function of the store."""
    return reader.advance(database)


def _source_of(query: UsageQuery) -> str:
    """The table that holds the sums, or what stands for one."""
    unit = "hour" if query.by_hours else "day"
    if query.tag is None:
        return f"usage_{unit}"
    return f"usage_tag_{unit}" if query.tag_value is not None else _BY_TAG.format(unit=unit)


def _in_order(group: _Group) -> tuple[int, int, int, str, str, str]:
    time, account, key, model, route, tag = group
    return (time or 0, account or 0, key or 0, model or "", route or "", tag or "")
