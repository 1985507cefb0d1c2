"""An account's entries by their ids, and the ids that belong to a moment.

The dates of an account's entries grow with their ids, except where a clock was set back; who looks
for a moment therefore begins somewhat before it, or ends after it, and looks at each date.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text
from sqlmodel import Session

from gateway.store.columns import UtcDateTime

# By the index of accounts: the one of ids would lead through everybody else's entries. SQLite takes
# it by itself. PostgreSQL has no choice where rows are compared, but it stops at the account's end
# only, not at a row; so the limit ends a slice, and what is beyond the last is left out.
_OF_ACCOUNT = """
SELECT * FROM entry WHERE account_id = :account AND id > :after AND id <= :last
ORDER BY account_id {0}, id {0} LIMIT :most
"""
_OLDEST_OF_ACCOUNT = """
SELECT * FROM (
  SELECT * FROM entry WHERE (account_id, id) > (:account, :after) AND account_id <= :account
  ORDER BY account_id, id LIMIT :most) AS e
WHERE id <= :last
"""
_NEWEST_OF_ACCOUNT = """
SELECT * FROM (
  SELECT * FROM entry WHERE (account_id, id) <= (:account, :last) AND account_id >= :account
  ORDER BY account_id DESC, id DESC LIMIT :most) AS e
WHERE id > :after
"""
_SLICES = {
    "sqlite": (_OF_ACCOUNT.format(""), _OF_ACCOUNT.format("DESC")),
    "postgresql": (_OLDEST_OF_ACCOUNT, _NEWEST_OF_ACCOUNT),
}
#: some entries from the oldest on, and some from the newest on; `ask` fills in which database's
SLICE, NEWEST_FIRST = "{slice}", "{newest_first}"
# Each by itself: of both at once SQLite would look through all of them.
ENDS = """
SELECT coalesce((SELECT min(id) FROM entry WHERE account_id = :account), 1),
  coalesce((SELECT max(id) FROM entry WHERE account_id = :account), 0)
"""
_FIRST = f"SELECT id, created_at >= :moment FROM ({SLICE}) AS s"
_MOMENTS = ("begin", "end", "moment")


def ask(session: Session, statement: str, values: dict[str, Any]) -> Any:
    """The rows of a statement about a range of an account's entries."""
    oldest, newest = _SLICES[session.get_bind().dialect.name]
    asked = text(statement.format(slice=oldest, newest_first=newest))
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
