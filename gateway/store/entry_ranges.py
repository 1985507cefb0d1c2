"""An account's entries by their ids, and the ids that belong to a moment.

The dates of an account's entries grow with their ids, except where a clock was set back; who looks
for a moment therefore begins somewhat before it, or ends after it, and looks at each date.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text
from sqlmodel import Session

from gateway.store.columns import UtcDateTime

# By the index of accounts: the one of ids would lead through everybody else's entries. PostgreSQL
# has no choice where rows are compared; SQLite takes the right one of the two by itself.
_RANGES = {
    "sqlite": "account_id = :account AND id > :after AND id <= :last",
    "postgresql": "(account_id, id) > (:account, :after) AND (account_id, id) <= (:account, :last)",
}
#: some entries from the oldest on, and some from the newest on
SLICE = "SELECT * FROM entry WHERE {range} ORDER BY account_id, id LIMIT :most"
NEWEST_FIRST = "SELECT * FROM entry WHERE {range} ORDER BY account_id DESC, id DESC LIMIT :most"
# Each by itself: of both at once SQLite would look through all of them.
ENDS = """
SELECT coalesce((SELECT min(id) FROM entry WHERE account_id = :account), 1),
  coalesce((SELECT max(id) FROM entry WHERE account_id = :account), 0)
"""
_FIRST = f"SELECT id, created_at >= :moment FROM ({SLICE}) AS s"
_MOMENTS = ("begin", "end", "moment")


def ask(session: Session, statement: str, values: dict[str, Any]) -> Any:
    """The rows of a statement about a range of an account's entries."""
    asked = text(statement.format(range=_RANGES[session.get_bind().dialect.name]))
    moments = [bindparam(name, type_=UtcDateTime()) for name in _MOMENTS if name in values]
    asked = asked.bindparams(*moments)
    return session.execute(
        asked.columns(created_at=UtcDateTime(), expires_at=UtcDateTime()), values
    )


def first_since(session: Session, account_id: int, moment: datetime, low: int, newest: int) -> int:
    """The id from `low` on from which entries are dated `moment` or later, by halving."""
    high = newest + 1
    while low < high:
        middle = (low + high) // 2
        values = {"account": account_id, "after": middle - 1, "last": newest, "most": 1}
        found, is_since = ask(session, _FIRST, {**values, "moment": moment}).one()
        if is_since:
            high = middle
        else:
            low = found + 1
    return low
