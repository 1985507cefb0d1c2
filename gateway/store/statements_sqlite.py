"""The hot statements as SQLite runs them: each for a whole batch, or for one end of a request.

What a few batches need comes as one JSON value, so that one statement reads all of it. The rows of
charges and of ends are bound instead, several to a statement: to pick their members out of JSON
takes as long as to write them.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

#: rows of one statement, of which SQLite keeps a program for each number: up to so many …
_ROWS_MAX = 16
#: … or exactly so many
_MANY_ROWS = 128
T = TypeVar("T")
#: the columns of a charge, in the order in which they are bound
CHARGED = (
    "account_id",
    "api_key_id",
    "day",
    "credits",
    "model",
    "route",
    "idempotency_key",
    "retry_count",
    "month",
    "counted",
    "request_id",
)
_ENTRY = """
INSERT INTO entry (created_at, kind, credits, account_id, api_key_id, model, route,
                   idempotency_key, retry_count, request_id)
VALUES """
_ENTRY_ROW = """(?1, 'charge', -{credits}, {account_id}, {api_key_id}, {model}, {route},
{idempotency_key}, {retry_count}, {request_id})"""
_HOLD = """
INSERT INTO hold (created_at, replica_id, credits, account_id, api_key_id, day, month, counted,
                  request_id)
VALUES """
_HOLD_ROW = """(?1, ?2, {credits}, {account_id}, {api_key_id}, {day}, {month}, {counted},
{request_id})"""

#: every key of a batch in one row, so that reading it gives the lock away once
KEYS = """
SELECT json_group_array(json_array(
         hex(h.hash), k.id, a.id, a.balance,
         CASE WHEN k.credits_per_day IS NOT NULL THEN :day END,
         CASE WHEN k.credits_per_month IS NOT NULL OR k.credits IS NOT NULL
              THEN max(coalesce(k.used_month, :month), :month) END,
         json_array(
           k.credits - k.used_ever,
           k.credits_per_month - CASE WHEN k.used_month >= :month THEN k.used_in_month ELSE 0 END,
           k.credits_per_day - coalesce(d.credits, 0)),
         coalesce(a.parent_id, a.credits_per_day, a.credits_per_month, a.credits) IS NOT NULL,
         a.next_expiry IS NOT NULL AND a.next_expiry <= :now,
         k.revoked_at IS NULL AND NOT k.suspended
         AND (k.expires_at IS NULL OR k.expires_at > :now)
         AND h.revoked_at IS NULL AND (h.expires_at IS NULL OR h.expires_at > :now)))
FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id JOIN account a ON a.id = k.account_id
LEFT JOIN api_key_day d ON d.api_key_id = k.id AND d.day = :day
WHERE h.hash IN ({places})
"""
TAKE = """
UPDATE account SET balance = balance - taken.credits
FROM (SELECT value ->> 0 AS id, value ->> 1 AS credits FROM json_each(:taken)) AS taken
WHERE account.id = taken.id
"""
TAGS = """
INSERT INTO request_tags (request_id, tags)
SELECT value ->> 0, value ->> 1 FROM json_each(:tagged)
"""
DAYS = """
INSERT INTO api_key_day (api_key_id, day, credits)
SELECT value ->> 1, value ->> 2, sum(value ->> 3) FROM json_each(:charged)
WHERE value ->> 2 IS NOT NULL GROUP BY 1
ON CONFLICT (api_key_id, day) DO UPDATE SET credits = credits + excluded.credits
"""
LONGER = """
UPDATE api_key SET used_month = taken.month, used_ever = used_ever + taken.credits,
  used_in_month = taken.credits + CASE WHEN used_month = taken.month THEN used_in_month ELSE 0 END
FROM (SELECT value ->> 1 AS id, value ->> 8 AS month, sum(value ->> 3) AS credits
      FROM json_each(:charged) WHERE value ->> 8 IS NOT NULL GROUP BY 1) AS taken
WHERE api_key.id = taken.id
"""
METERED_USAGE = """
INSERT INTO request_usage
  (request_id, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cache_write_tokens,
   price)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
RELEASE = """
DELETE FROM hold WHERE request_id = ? RETURNING account_id, api_key_id, credits, day, month, counted
"""
REFUND_ENTRY = """
INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, created_at)
VALUES (?, 'refund', ?, ?, ?, ?)
"""
GIVE = "UPDATE account SET balance = balance + ? WHERE id = ?"
GIVE_DAY = "UPDATE api_key_day SET credits = credits - ? WHERE api_key_id = ? AND day = ?"
GIVE_LONGER = """
UPDATE api_key SET used_ever = used_ever - :credits,
  used_in_month = used_in_month - CASE WHEN used_month = :month THEN :credits ELSE 0 END
WHERE id = :api_key_id
"""
STAND = """
INSERT INTO standing_charge
  (request_id, account_id, model, idempotency_key, credits, retries, created_at)
VALUES (?, ?, ?, ?, ?, 0, ?)
"""
_USAGE = """
INSERT INTO request_usage
  (request_id, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cache_write_tokens)
VALUES """


def parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Rows as one statement after the other takes them."""
    start, left = 0, len(rows)
    while left > 0:
        size = _MANY_ROWS if left >= _MANY_ROWS else _ROWS_MAX
        yield rows[start : start + size]
        start += size
        left -= size


@lru_cache(maxsize=_ROWS_MAX + 1)
def charge_statements(number: int) -> tuple[str, str]:
    """The statements that write the entries and the holds of so many charges.

    Both take the moment, the replica's id, and then the `CHARGED` of each charge.
    """
    width = len(CHARGED)
    rows = [
        {name: f"?{3 + width * row + column}" for column, name in enumerate(CHARGED)}
        for row in range(number)
    ]
    entries = ",".join(_ENTRY_ROW.format(**row) for row in rows)
    return _ENTRY + entries, _HOLD + ",".join(_HOLD_ROW.format(**row) for row in rows)


@lru_cache(maxsize=_ROWS_MAX + 1)
def end_statement(number: int) -> str:
    """The statement that deletes the holds of so many requests, by their ids."""
    return f"DELETE FROM hold WHERE request_id IN ({','.join('?' * number)})"


@lru_cache(maxsize=_ROWS_MAX + 1)
def usage_statement(number: int) -> str:
    """The statement that writes the tokens of so many requests: six values of each."""
    return _USAGE + ",".join(["(?, ?, ?, ?, ?, ?)"] * number) + " ON CONFLICT DO NOTHING"
