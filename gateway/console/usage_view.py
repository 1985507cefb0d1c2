"""Usage as the pages show it: read whole from the sums beside the ledger, never from entries."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Literal

from msgspec import Struct

from gateway.core.tags import TAG
from gateway.core.usage import QueryError, UsageLine, UsageQuery, UsageSums, read_query
from gateway.store.database import Database
from gateway.store.usage_reader import UsageReader

By = Literal["key", "model", "route", "tag"]
#: lines of day and group that a page adds up; the CSV holds any number
_LINES_MAX = 5000
#: days of use without which there is no pace
_ACTIVE_DAYS_MIN = 3
_WEEK = 7


class UsageViewRow(Struct, frozen=True):
    """One row of a table, and its part of all credits in percent."""

    name: str
    sums: UsageSums
    percent: float = 0


class UsageView(Struct, frozen=True):
    """A period: by group, by day, and by both for the chart; `total` is the ledger's sum."""

    days: list[str]
    groups: list[UsageViewRow]
    by_day: list[UsageViewRow]
    series: dict[str, Mapping[str, int]]
    total: UsageSums
    complete_until: datetime


def question(
    days: int,
    by: By | None,
    *,
    key: str | None = None,
    model: str | None = None,
    tag: str = "",
) -> UsageQuery:
    """A question for the last days with today, in UTC; by tag, `tag` names it.

    Raises `PeriodError` for what is no name of a tag.
    """
    now = datetime.now(UTC)
    begin = (now - timedelta(days=days - 1)).date().isoformat()
    group = f"{TAG}{tag}" if by == "tag" else by
    group_by = "day" if group is None else f"day,{group}"
    return read_query(now, begin=begin, group_by=group_by, key=key, model=model)


def read_usage(
    database: Database, account_id: int, query: UsageQuery, names: Mapping[str, str]
) -> UsageView:
    """The answer; `names` are labels of keys by their ids.

    Raises `QueryError` where it has too many lines for a page, and `DatabaseUnavailable`.
    """
    reader = UsageReader(account_id, query)
    groups: dict[str, UsageSums] = {}
    by_day: dict[str, UsageSums] = {}
    series: dict[str, dict[str, int]] = {}
    number, untagged = 0, "–" if query.tag else ""
    while (lines := reader.advance(database)) is not None:
        number += len(lines)
        if number > _LINES_MAX:
            raise QueryError("this is too much for a page", "group_by")
        for line in lines:
            name, day = _name(line, names) or untagged, line.time or ""
            _add(groups, name, line.sums)
            _add(by_day, day, line.sums)
            of = series.setdefault(name, {})
            of[day] = of.get(day, 0) + used(line.sums)
    assert reader.complete_until is not None, "what is read whole states until when"
    whole = used(reader.total)
    ordered = sorted(groups, key=lambda name: (-used(groups[name]), name))
    return UsageView(
        days=list(_days(query)),
        groups=[
            UsageViewRow(name, groups[name], _percent(groups[name], whole)) for name in ordered
        ],
        by_day=[UsageViewRow(day, by_day[day]) for day in sorted(by_day, reverse=True)],
        series=dict(series),
        total=reader.total,
        complete_until=reader.complete_until,
    )


def used(sums: UsageSums) -> int:
    """Credits that were charged and not given back."""
    return sums.charged - sums.refunded


def days_left(view: UsageView, balance: int) -> int | None:
    """The days for which a balance lasts at the pace of the last seven days.

    None where too few of them had use, or it lasts for years.
    """
    week = set(view.days[-_WEEK:])
    credits_by_day = [used(row.sums) for row in view.by_day if row.name in week]
    total = sum(credits_by_day)
    if balance <= 0 or total <= 0 or sum(each > 0 for each in credits_by_day) < _ACTIVE_DAYS_MIN:
        return None
    left = ceil(balance * _WEEK / total)
    return left if left <= 1000 else None


def _days(query: UsageQuery) -> list[str]:
    begin, end = query.period.begin, query.period.end
    return [f"{begin + timedelta(days=number):%Y-%m-%d}" for number in range((end - begin).days)]


def _name(line: UsageLine, names: Mapping[str, str]) -> str:
    if line.key_id is not None:
        return names.get(line.key_id) or line.key or line.key_id
    return line.model or line.route or line.tag or ""


def _add(to: dict[str, UsageSums], name: str, sums: UsageSums) -> None:
    to.setdefault(name, UsageSums()).add(
        [getattr(sums, each) for each in UsageSums.__struct_fields__]
    )


def _percent(sums: UsageSums, whole: int) -> float:
    return round(max(0, used(sums)) * 100 / whole, 1) if whole > 0 else 0
