"""The additions of one batch to the sums of usage, by hour and by day.

A request with tags adds to the sums of each of its tags as well. For each account, day and name,
the number of values with sums of their own is bounded, and further values are counted together: a
value that differs with each request must not make a row for each request.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.core.tags import OTHER, VALUE_COUNTED_MAX, read_written
from gateway.store.transaction import Transaction
from gateway.store.usage_statements import PLACE, SUMMED, TAG_PLACE, adding

#: of an account and a day of UTC: names that are counted, and values of each
TAG_NAMES_MAX = 32
TAG_VALUES_MAX = 200
_VALUES = """
SELECT DISTINCT name, value FROM usage_tag_day WHERE account_id = :account AND start = :day
"""

#: account, hour, key, model and route; of a tag, its name and value too
_Place = tuple[Any, ...]
_Sums = dict[_Place, dict[str, int]]


class UsageAdditions:
    """Additions to the sums; nothing of them is written before `write`."""

    def __init__(self) -> None:
        self._of: _Sums = {}
        self._of_tags: _Sums = {}

    def add(self, rows: Iterable[Sequence[Any]], names: Sequence[str]) -> None:
        """Rows of account, hour, key, model, route, tags and the numbers of some sums."""
        for row in rows:
            account_id, hour, api_key_id, model, route, tags, *numbers = row
            place = (account_id, int(hour), api_key_id, model, route)
            added = [(name, int(number)) for name, number in zip(names, numbers, strict=True)]
            _add(self._of, place, added)
            for name, value in read_written(tags).items() if tags else ():
                _add(self._of_tags, (*place, name, value[:VALUE_COUNTED_MAX]), added)

    def write(self, transaction: Transaction, kept_from: int) -> None:
        """Add to the sums of days, and to those of hours from one on."""
        of_tags = _bounded(transaction, self._of_tags)
        for sums, place, table in (
            (self._of, PLACE, "usage"),
            (of_tags, TAG_PLACE, "usage_tag"),
        ):
            days: _Sums = {}
            for (account_id, start, *rest), added in sums.items():
                _add(days, (account_id, start // 24, *rest), added.items())
            _write(transaction, f"{table}_day", place, days)
            kept = {each: added for each, added in sums.items() if each[1] >= kept_from}
            _write(transaction, f"{table}_hour", place, kept)


def _bounded(transaction: Transaction, sums: _Sums) -> _Sums:
    """The same with so many names and values of a day that are counted.

    A value that was counted once has its sums for good: so what a request adds later goes there.
    """
    bounded: _Sums = {}
    known: dict[tuple[int, int], dict[str, set[str]]] = {}
    for place in sorted(sums):
        account_id, hour, *rest, name, value = place
        day = (account_id, hour // 24)
        if day not in known:
            known[day] = _read_values(transaction, *day)
        names = known[day]
        if name not in names and len(names) >= TAG_NAMES_MAX:
            continue
        values = names.setdefault(name, {OTHER})
        if value not in values and len(values) > TAG_VALUES_MAX:
            value = OTHER
        values.add(value)
        _add(bounded, (account_id, hour, *rest, name, value), sums[place].items())
    return bounded


def _read_values(transaction: Transaction, account_id: int, day: int) -> dict[str, set[str]]:
    """The values of a day that are counted, by name; further ones are always among them."""
    names: dict[str, set[str]] = {}
    for name, value in transaction.rows(_VALUES, account=account_id, day=day):
        names.setdefault(name, {OTHER}).add(value)
    return names


def _add(sums: _Sums, place: _Place, added: Iterable[tuple[str, int]]) -> None:
    of = sums.setdefault(place, dict.fromkeys(SUMMED, 0))
    for name, number in added:
        of[name] += number


def _write(
    transaction: Transaction,
    table: str,
    names: Sequence[str],
    sums: Mapping[_Place, dict[str, int]],
) -> None:
    """Add to the sums, always in the same order: two that add must not wait for each other."""
    rows = [{**dict(zip(names, place, strict=True)), **sums[place]} for place in sorted(sums)]
    transaction.repeat(adding(table, names), rows)
