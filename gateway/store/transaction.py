"""Plain SQL in one transaction: what a gateway asks all the time, without SQLModel.

SQLModel is a third of a process's memory and half of its start, and a replica that serves needs it
for rare things only. Modules that it needs all the time ask by a `Transaction`, and import neither
SQLModel nor a module that does; a contract of the imports holds that.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway.store.moments import utc_text

_NAME = re.compile(r"(?<!:):([a-z]\w*)")


class Transaction:
    """One open transaction. Statements name their values `:name`, for both databases."""

    def __init__(self, connection: Any, *, is_sqlite: bool) -> None:
        self._connection = connection
        self.is_sqlite = is_sqlite

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, none for one that returns nothing."""
        cursor = self._connection.execute(self._spelled(statement), self._held(values))
        return [] if cursor.description is None else cursor.fetchall()

    def repeat(self, statement: str, values: Sequence[dict[str, Any]]) -> None:
        """Run one statement for each of some values."""
        held = [self._held(each) for each in values]
        self._connection.cursor().executemany(self._spelled(statement), held)

    def row(self, statement: str, **values: Any) -> tuple[Any, ...] | None:
        """The first row of a statement, or None."""
        return next(iter(self.rows(statement, **values)), None)

    def now(self) -> datetime:
        """The moment by the database's clock, not the transaction's start."""
        if self.is_sqlite:
            return datetime.now(UTC)
        ((moment,),) = self.rows("SELECT clock_timestamp()")
        found: datetime = moment.astimezone(UTC)
        return found

    def _spelled(self, statement: str) -> str:
        return statement if self.is_sqlite else _for_postgres(statement)

    def _held(self, values: dict[str, Any]) -> dict[str, Any]:
        if not self.is_sqlite:
            return values
        return {name: _sqlite_value(value) for name, value in values.items()}


def listed(name: str, values: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """The names of a list's values in a statement, and the values by them."""
    by_name = {f"{name}_{position}": value for position, value in enumerate(values)}
    return ", ".join(f":{each}" for each in by_name), by_name


@lru_cache(maxsize=64)
def _for_postgres(statement: str) -> str:
    return _NAME.sub(r"%(\1)s", statement)


def _sqlite_value(value: Any) -> Any:
    return utc_text(value) if isinstance(value, datetime) else value
