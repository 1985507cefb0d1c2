"""The limits of groups in a batch on SQLite: those of accounts and of the accounts above them."""

import sqlite3
from collections.abc import Collection, Iterable
from operator import attrgetter
from typing import Protocol

import msgspec

from gateway.store.ledger import Charge, ChargeResult, Limit

#: each account with those above it that have a limit, in one row; the account itself first
_LEVELS = """
WITH RECURSIVE tree (account_id, level_id, depth) AS (
  SELECT value, value, 1 FROM json_each(:accounts)
  UNION ALL SELECT tree.account_id, a.parent_id, depth + 1
  FROM tree JOIN account a ON a.id = tree.level_id WHERE a.parent_id IS NOT NULL AND depth < 3
)
SELECT json_group_array(json_array(
         account_id, level_id, shown, max(coalesce(used_on, :day), :day), day, month, ever))
FROM (
  SELECT tree.account_id, level_id, a.namespace || '/' || a.name AS shown, a.used_on,
         coalesce(a.credits_per_day, p.child_credits_per_day)
           - CASE WHEN a.used_on >= :day THEN a.used_in_day ELSE 0 END AS day,
         coalesce(a.credits_per_month, p.child_credits_per_month)
           - CASE WHEN a.used_on >= :month THEN a.used_in_month ELSE 0 END AS month,
         coalesce(a.credits, p.child_credits) - a.used_ever AS ever
  FROM tree JOIN account a ON a.id = level_id LEFT JOIN account p ON p.id = a.parent_id
  ORDER BY account_id, depth
) WHERE coalesce(day, month, ever) IS NOT NULL
"""
_COUNT = """
UPDATE account SET used_on = taken.day, used_ever = used_ever + taken.credits,
  used_in_day = taken.credits + CASE WHEN used_on = taken.day THEN used_in_day ELSE 0 END,
  used_in_month = taken.credits + CASE WHEN substr(used_on, 1, 7) = substr(taken.day, 1, 7)
                                       THEN used_in_month ELSE 0 END
FROM (SELECT value ->> 0 AS id, value ->> 1 AS day, value ->> 2 AS credits
      FROM json_each(:taken)) AS taken
WHERE account.id = taken.id
"""
_GIVE = """
UPDATE account SET used_ever = used_ever - :credits,
  used_in_day = used_in_day - CASE WHEN used_on = given.day THEN :credits ELSE 0 END,
  used_in_month = used_in_month - CASE WHEN substr(used_on, 1, 7) = substr(given.day, 1, 7)
                                       THEN :credits ELSE 0 END
FROM (SELECT value ->> 0 AS id, value ->> 1 AS day FROM json_each(:counted)) AS given
WHERE account.id = given.id
"""


class _KeyOfAccount(Protocol):
    account_id: int
    in_group: int


class _LevelRow(msgspec.Struct, array_like=True):
    """The columns of `_LEVELS`: what an account's level has left of each limit."""

    account_id: int
    level_id: int
    shown: str
    day: str
    day_left: int | None
    month_left: int | None
    ever_left: int | None


class _Level(msgspec.Struct):
    """The limit of an account that has least left, for itself and those below it."""

    id: int
    shown: str
    day: str
    left: int
    limit: Limit
    taken: int = 0


_decode = msgspec.json.Decoder(list[_LevelRow]).decode
_encode = msgspec.json.Encoder().encode


class Groups:
    """The limits that count for some accounts, read within a transaction."""

    def __init__(self, connection: sqlite3.Connection, accounts: Collection[int], day: str) -> None:
        values = {
            "accounts": _encode(list(accounts)).decode(),
            "day": day,
            "month": f"{day[:7]}-01",
        }
        (found,) = connection.execute(_LEVELS, values).fetchone()
        self._levels: dict[int, _Level] = {}
        self._of: dict[int, list[_Level]] = {}
        for row in _decode(found):
            level = self._levels.setdefault(row.level_id, _level(row))
            self._of.setdefault(row.account_id, []).append(level)

    def judge(self, charge: Charge, own: ChargeResult) -> ChargeResult:
        """The result of a charge with the limits of groups, of `own`, the one without.

        Its charge counts from then on.
        """
        levels = self._of.get(charge.account_id)
        if levels is None or own.outcome == "dead":
            return own
        least = min(levels, key=attrgetter("left"))
        if own.outcome == "charged" and charge.credits > least.left and charge.credits:
            balance = own.balance + charge.credits
            return ChargeResult("capped", balance, least.left, least.limit, least.shown)
        if own.outcome == "charged":
            for level in levels:
                level.left -= charge.credits
                level.taken += charge.credits
        if own.limit_left is not None and (own.outcome == "capped" or own.limit_left <= least.left):
            return own
        return ChargeResult(own.outcome, own.balance, least.left, least.limit, least.shown)

    def counting(self, charge: Charge) -> str | None:
        """The accounts whose limits count a charge, each with its day, as JSON."""
        levels = self._of.get(charge.account_id)
        if levels is None:
            return None
        return _encode([(level.id, level.day) for level in levels]).decode()

    def count(self, connection: sqlite3.Connection) -> None:
        """Write what was charged."""
        taken = [(each.id, each.day, each.taken) for each in self._levels.values() if each.taken]
        connection.execute(_COUNT, {"taken": _encode(taken).decode()})


def read_groups(
    connection: sqlite3.Connection, keys: Iterable[_KeyOfAccount], day: str
) -> Groups | None:
    """The limits that count for the accounts of some keys; None where none is in a group."""
    accounts = set()
    for key in keys:
        if key.in_group:
            accounts.add(key.account_id)
    return Groups(connection, accounts, day) if accounts else None


def give_back(connection: sqlite3.Connection, counted: str, credits: int) -> None:
    """Give credits back to the limits that counted them, `counted` of the hold."""
    connection.execute(_GIVE, {"counted": counted, "credits": credits})


def _level(row: _LevelRow) -> _Level:
    """Of two limits that leave the same, the longer one."""
    lefts: list[tuple[int | None, Limit]] = [
        (row.ever_left, "ever"),
        (row.month_left, "month"),
        (row.day_left, "day"),
    ]
    left, limit = min(
        ((left, limit) for left, limit in lefts if left is not None), key=lambda each: each[0]
    )
    return _Level(row.level_id, row.shown, row.day, left, limit)
