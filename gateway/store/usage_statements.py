"""The statements that count usage: each reads a bounded number of entries, on both databases.

Those of one batch run in one snapshot, so they see the same entries, holds and tokens.
"""

import json
from collections.abc import Sequence
from typing import Any

from gateway.core.usage import HOUR_SECONDS
from gateway.store.transaction import Transaction

#: the place of a sum: account, hour or day, key, model and route, of a tag its name and value too
PLACE = ("account_id", "start", "api_key_id", "model", "route")
TAG_PLACE = (*PLACE, "name", "value")
TOKENS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
SUMMED = ("requests", "failed", "charged", "refunded", *TOKENS)

#: in the words of each database: the hour of a moment, the price of a request, the list `:ids`
_SQLITE_HOUR = f"coalesce(CAST(strftime('%s', {{}}) AS INTEGER), 0) / {HOUR_SECONDS}"
_POSTGRES_HOUR = (
    "CASE WHEN isfinite({0})"
    f" THEN floor(extract(epoch FROM {{0}}) / {HOUR_SECONDS})::bigint ELSE 0 END"
)
_SQLITE_PRICE = "CAST(f.price ->> 'credits' AS INTEGER)"
_POSTGRES_PRICE = "CAST(CAST(f.price AS json) ->> 'credits' AS numeric)"
_SQLITE_LIST = "IN (SELECT value FROM json_each(:ids))"
_POSTGRES_LIST = "= ANY(:ids)"

#: accounts that have entries beyond their checkpoint, those first that are counted least far
NEWS = """
SELECT a.id FROM account a LEFT JOIN usage_checkpoint c ON c.account_id = a.id
WHERE a.installation = :installation AND a.id > :after AND a.id <= :last AND EXISTS (
  SELECT 1 FROM entry e WHERE e.account_id = a.id AND e.id > coalesce(c.entry_id, 0))
ORDER BY coalesce(c.entry_id, 0), a.id
"""

#: of each of some accounts, where its next slice begins and ends; `most` entries lie in it
_SLICES = """
WITH slice AS MATERIALIZED (
  SELECT a.id AS account_id, coalesce(c.entry_id, 0) AS since, coalesce(
    (SELECT e.id FROM entry e WHERE e.account_id = a.id AND e.id > coalesce(c.entry_id, 0)
     ORDER BY e.id LIMIT 1 OFFSET :most - 1),
    (SELECT max(e.id) FROM entry e WHERE e.account_id = a.id AND e.id > coalesce(c.entry_id, 0)),
    c.entry_id, 0) AS until, coalesce(c.credits, 0) AS credits, coalesce(c.unmarked, 0) AS unmarked
  FROM account a LEFT JOIN usage_checkpoint c ON c.account_id = a.id WHERE a.id {listed}
)
"""
_IN_SLICE = "e.account_id = s.account_id AND e.id > s.since AND e.id <= s.until"

SUMS = f"""
{_SLICES}
SELECT s.account_id, s.since, s.until, s.credits + sum(e.credits), s.unmarked + count(*), count(*)
FROM slice s JOIN entry e ON {_IN_SLICE}
GROUP BY s.account_id, s.since, s.until, s.credits, s.unmarked ORDER BY s.account_id
"""

#: a request whose price was nothing, or paid by the charge that stood for it
_COST_NOTHING = """EXISTS (
  SELECT 1 FROM request_usage f LEFT JOIN retry p ON p.request_id = f.request_id
  WHERE f.request_id = e.request_id AND {price} <= coalesce(p.credits, 0))"""
#: any other one that was refunded as a whole has failed; what it may have used is not counted
_FAILED = f"""
LEFT JOIN entry r ON r.request_id = e.request_id AND r.kind = 'refund' AND r.credits = -e.credits
  AND NOT {_COST_NOTHING}"""
_TOKEN_SUMS = ", ".join(
    f"coalesce(sum(CASE WHEN r.id IS NULL THEN u.{name} END), 0)" for name in TOKENS
)
_GROUP = (
    "e.account_id, {hour}, coalesce(e.api_key_id, 0), coalesce(e.model, ''),"
    " coalesce(e.route, ''), t.tags"
)
_TAGS = "LEFT JOIN request_tags t ON t.request_id ="

#: tokens are decided once the hold is gone: both happen in one transaction
CHARGES = f"""
{_SLICES}
SELECT {_GROUP}, count(*), -sum(e.credits), {_TOKEN_SUMS}
FROM slice s JOIN entry e ON {_IN_SLICE} AND e.kind = 'charge'
LEFT JOIN hold h ON h.request_id = e.request_id
LEFT JOIN request_usage u ON u.request_id = e.request_id AND h.request_id IS NULL
{_TAGS} e.request_id
{_FAILED}
GROUP BY 1, 2, 3, 4, 5, 6
"""
OPEN = f"""
{_SLICES}
SELECT e.request_id FROM slice s JOIN entry e ON {_IN_SLICE} AND e.kind = 'charge'
JOIN hold h ON h.request_id = e.request_id
"""
#: a refund has the key, model, route and tags of its charge
REFUNDS = f"""
{_SLICES}
SELECT b.account_id, {{refund_hour}}, coalesce(e.api_key_id, b.api_key_id, 0),
  coalesce(e.model, ''), coalesce(e.route, ''), t.tags,
  sum(CASE WHEN b.credits <> -e.credits THEN 0 WHEN e.id IS NULL OR {_COST_NOTHING} THEN 0
           ELSE 1 END), sum(b.credits)
FROM slice s JOIN entry b ON {_IN_SLICE.replace("e.", "b.")} AND b.kind = 'refund'
LEFT JOIN entry e ON e.request_id = b.request_id AND e.kind = 'charge'
{_TAGS} b.request_id
GROUP BY 1, 2, 3, 4, 5, 6
"""

#: of requests that were open when they were counted, some that are not any more
ENDED = """
SELECT o.request_id FROM usage_open o
WHERE NOT EXISTS (SELECT 1 FROM hold h WHERE h.request_id = o.request_id) LIMIT :most
"""
ENDED_TOKENS = f"""
SELECT {_GROUP}, 0, 0, {_TOKEN_SUMS}
FROM entry e JOIN request_usage u ON u.request_id = e.request_id
{_TAGS} e.request_id
{_FAILED}
WHERE e.request_id {{listed}} AND e.kind = 'charge'
GROUP BY 1, 2, 3, 4, 5, 6
"""
FORGET_ENDED = "DELETE FROM usage_open WHERE request_id {listed} RETURNING request_id"

#: only for who has counted exactly up to `since`
MOVE = """
INSERT INTO usage_checkpoint (account_id, entry_id, credits, unmarked)
VALUES (:account_id, :until, :credits, :unmarked)
ON CONFLICT (account_id) DO UPDATE
SET entry_id = excluded.entry_id, credits = excluded.credits, unmarked = excluded.unmarked
WHERE usage_checkpoint.entry_id = :since
RETURNING account_id
"""
NOTE_MARK = """
INSERT INTO usage_mark (account_id, entry_id, balance) VALUES (:account_id, :until, :credits)
ON CONFLICT DO NOTHING
"""
NOTE_OPEN = "INSERT INTO usage_open (request_id) VALUES (:request_id) ON CONFLICT DO NOTHING"

#: by table
FORGET_HOURS = {
    table: f"DELETE FROM {table} WHERE ({place}) IN"
    f" (SELECT {place} FROM {table} WHERE start < :before LIMIT :most)"
    for table, place in (
        ("usage_hour", "account_id, start, api_key_id, model, route"),
        ("usage_tag_hour", "account_id, name, start, value, api_key_id, model, route"),
    )
}

#: each account reads its own piece of the index, and to compile a plan would take longer than it
_PLAN = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")


def adding(table: str, place: Sequence[str]) -> str:
    """The statement that adds to a sum of a table, and begins one that is not there."""
    names = (*place, *SUMMED)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMMED)
    return f"""
INSERT INTO {table} ({", ".join(names)}) VALUES ({", ".join(f":{name}" for name in names)})
ON CONFLICT ({", ".join(place)}) DO UPDATE SET {added}
"""


def ask(
    transaction: Transaction, statement: str, ids: Sequence[Any], **values: Any
) -> list[tuple[Any, ...]]:
    """The rows of a statement about some accounts or requests, in the database's own words."""
    is_sqlite = transaction.is_sqlite
    hour = _SQLITE_HOUR if is_sqlite else _POSTGRES_HOUR
    words = statement.format(
        hour=hour.format("e.created_at"),
        refund_hour=hour.format("b.created_at"),
        price=_SQLITE_PRICE if is_sqlite else _POSTGRES_PRICE,
        listed=_SQLITE_LIST if is_sqlite else _POSTGRES_LIST,
    )
    return transaction.rows(words, ids=json.dumps(ids) if is_sqlite else list(ids), **values)


def plan_by_index(transaction: Transaction) -> None:
    """Keep PostgreSQL from reading the whole ledger in this transaction."""
    if not transaction.is_sqlite:
        for way in _PLAN:
            transaction.rows(f"SET LOCAL {way} = off")
