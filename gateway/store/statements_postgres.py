"""The hot statements as PostgreSQL runs them: one a batch, each a transaction of its own.

A charge stays exact while others write. It locks the accounts first, in the order of their ids, as
every writer of accounts does. Then it reads the keys' rows with a lock, so their newest version
counts, not that of the statement's snapshot. A key's writer takes the account's lock before it
marks the key, so after its commit no charge can be made with it.

New values follow from the locked rows, not from the statement's snapshot. From the snapshot,
PostgreSQL would try the check of the balance first, and refuse a charge for which a refund has just
made room.

An entry, its hold and what limits count are of one moment, so at midnight they are of one day.

A key's counts of its month and for good are in its row, which is locked, so both are known before
anything is written. Its day is counted last, by an upsert that decides. So a charge that one limit
refuses is counted by none. A charge of nothing passes every limit, also one that was lowered below
what was used.

A hold is deleted by its place in the table: it is locked by then, nobody changes holds, and to look
them up by their ids once more would cost a seventh of an end.

Charge and refund exist twice: one waits for locks, the other skips what is locked and reports it.
A batch in which nothing is limited has a statement of its own (`unlimited_charge`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.store.group_statements import (
    GROUP_CHARGE,
    GROUP_RETURN,
    LOCKED_ABOVE,
    PLAIN_CHARGE,
    PLAIN_RETURN,
    ReturnParts,
)
from gateway.store.unlimited_charge import TAGS

_encode = msgspec.json.Encoder().encode

_CHARGE_TEMPLATE = """
WITH asked AS (
  SELECT request_id, account_id, api_key_id, decode(key_hash, 'base64') AS hash, credits, model,
         route, idempotency_key, retry_count, position
  FROM ROWS FROM (json_to_recordset(%(charges)s::json) AS (
    request_id text, account_id bigint, api_key_id bigint, key_hash text, credits bigint,
    model text, route text, idempotency_key text, retry_count int
  )) WITH ORDINALITY AS given(request_id, account_id, api_key_id, key_hash, credits, model, route,
                              idempotency_key, retry_count, position)
), {parts.levels}accounts AS MATERIALIZED (
  SELECT {parts.columns} FROM account
  WHERE {parts.locked} ORDER BY id FOR UPDATE {skip}
), moment AS MATERIALIZED (
  SELECT now, locked, (now AT TIME ZONE 'UTC')::date AS day,
         date_trunc('month', now AT TIME ZONE 'UTC')::date AS month
  FROM (SELECT clock_timestamp() AS now, count(*) AS locked FROM accounts) AS looked
), keys AS MATERIALIZED (
  SELECT k.id, k.account_id, h.hash, k.credits_per_day AS cap,
         CASE WHEN k.credits_per_month IS NOT NULL OR k.credits IS NOT NULL
              THEN greatest(k.used_month, (SELECT month FROM moment)) END AS month,
         k.credits_per_month - CASE WHEN k.used_month >= (SELECT month FROM moment)
                                    THEN k.used_in_month ELSE 0 END AS month_left,
         k.credits - k.used_ever AS ever_left,
         k.revoked_at IS NULL AND NOT k.suspended
         AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
         AND h.revoked_at IS NULL
         AND (h.expires_at IS NULL OR h.expires_at > clock_timestamp()) AS live
  FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id
  WHERE h.hash = ANY(ARRAY(SELECT hash FROM asked)) AND (SELECT locked FROM moment) >= 0
  ORDER BY h.hash FOR SHARE OF h, k {skip}
), judged AS (
  SELECT asked.*, a.balance, k.cap, k.month, k.month_left, k.ever_left,
         coalesce(k.live, false) AS live,
         coalesce(a.next_expiry <= moment.now, false) AS expiry_due,
         coalesce({parts.elsewhere}, false) AS is_elsewhere
  FROM asked CROSS JOIN moment
  LEFT JOIN keys k ON k.hash = asked.hash AND k.id = asked.api_key_id
                  AND k.account_id = asked.account_id
  LEFT JOIN accounts a ON a.id = k.account_id {parts.own}
), {fitting} AS (
  SELECT * FROM (
    SELECT judged.*, sum(credits) OVER (PARTITION BY account_id ORDER BY position) AS running
    FROM judged WHERE live AND NOT expiry_due AND NOT is_elsewhere
  ) AS summed WHERE running <= balance
{parts.fitting}), limited AS (
  SELECT api_key_id, cap, sum(credits) AS credits FROM fitting
  WHERE cap IS NOT NULL OR month IS NOT NULL GROUP BY api_key_id, cap, month_left, ever_left
  HAVING coalesce(sum(credits) = 0 OR sum(credits) <= least(cap, month_left, ever_left), true)
), days AS (
  INSERT INTO api_key_day AS d (api_key_id, day, credits)
  SELECT api_key_id, (SELECT day FROM moment), credits FROM limited WHERE cap IS NOT NULL
  ON CONFLICT (api_key_id, day) DO UPDATE SET credits = d.credits + excluded.credits
  WHERE excluded.credits = 0 OR d.credits + excluded.credits
        <= (SELECT cap FROM keys WHERE keys.id = excluded.api_key_id LIMIT 1)
  RETURNING d.api_key_id, d.day, d.credits AS used
), charged AS (
  SELECT fitting.*, days.day FROM fitting LEFT JOIN days USING (api_key_id)
  WHERE (cap IS NULL OR days.day IS NOT NULL)
  AND (month IS NULL OR api_key_id IN (SELECT api_key_id FROM limited))
), taken_of_keys AS (
  SELECT api_key_id, month, sum(credits)::bigint AS credits FROM charged
  WHERE month IS NOT NULL GROUP BY api_key_id, month
), counted AS (
  UPDATE api_key AS k SET used_month = taken.month, used_ever = k.used_ever + taken.credits,
    used_in_month = taken.credits
                    + CASE WHEN k.used_month = taken.month THEN k.used_in_month ELSE 0 END
  FROM taken_of_keys AS taken WHERE k.id = taken.api_key_id
), entries AS (
  INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,
                     idempotency_key, retry_count, created_at)
  SELECT account_id, 'charge', -credits, request_id, api_key_id, model, route,
         idempotency_key, retry_count, moment.now FROM charged CROSS JOIN moment ORDER BY position
), {tags}holds AS (
  INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits, day, month,
                    counted, created_at)
  SELECT request_id, account_id, api_key_id, %(replica_id)s, credits, charged.day, charged.month,
         {parts.counted}, moment.now
  FROM charged CROSS JOIN moment
), balances AS (
  UPDATE account SET balance = locked.balance - taken.credits{parts.used}
  FROM ({parts.taken}) AS taken JOIN accounts AS locked USING (id)
  WHERE account.id = taken.id RETURNING account.id, account.balance
), lefts AS (
  SELECT *, least(day, month, ever) FROM (
    SELECT k.hash, k.id AS api_key_id, k.month_left - coalesce(t.credits, 0) AS month,
           k.ever_left - coalesce(t.credits, 0) AS ever,
           k.cap - coalesce(days.used, before.credits, 0) AS day
    FROM keys k LEFT JOIN taken_of_keys t ON t.api_key_id = k.id
    LEFT JOIN days ON days.api_key_id = k.id
    LEFT JOIN api_key_day before ON before.api_key_id = k.id
         AND before.day = (SELECT day FROM moment)
    WHERE k.cap IS NOT NULL OR k.month IS NOT NULL
  ) AS each
{parts.lefts})
SELECT CASE {locked} WHEN NOT judged.live THEN 'dead' WHEN judged.is_elsewhere THEN 'elsewhere'
            WHEN judged.expiry_due THEN 'expiry_due'
            WHEN charged.request_id IS NOT NULL THEN 'charged'
            WHEN {parts.capped} THEN 'capped' ELSE 'exhausted' END,
       coalesce(balances.balance, judged.balance, 0), {parts.least}, {parts.limit}
FROM judged LEFT JOIN charged USING (request_id) LEFT JOIN fitting USING (request_id)
LEFT JOIN balances ON balances.id = judged.account_id
LEFT JOIN lefts ON lefts.hash = judged.hash AND lefts.api_key_id = judged.api_key_id
{parts.joined}
ORDER BY judged.position
"""
#: passed by: what exists, and was not to be had without waiting
_LOCKED = """
WHEN EXISTS (SELECT FROM account a WHERE a.id = judged.account_id)
     AND NOT EXISTS (SELECT FROM accounts a WHERE a.id = judged.account_id)
  OR EXISTS (SELECT FROM api_key_hash h WHERE h.hash = judged.hash)
     AND NOT EXISTS (SELECT FROM keys k WHERE k.hash = judged.hash)
THEN 'locked'
"""
#: by whether it passes by what is locked, whether any of its charges has tags, and whether it is
#: for groups: an account that only these can charge is answered with 'elsewhere'
CHARGES = {
    (skips, has_tags, for_groups): _CHARGE_TEMPLATE.format(
        parts=GROUP_CHARGE if for_groups else PLAIN_CHARGE,
        fitting="affordable" if for_groups else "fitting",
        skip="SKIP LOCKED" if skips else "",
        locked=_LOCKED + (LOCKED_ABOVE if for_groups else "") if skips else "",
        tags=TAGS.format(charged="charged") if has_tags else "",
    )
    for skips in (False, True)
    for has_tags in (False, True)
    for for_groups in (False, True)
}

#: which charges of a batch whose outcome is unknown were made, and whether they are held still
MADE = """
SELECT e.request_id, h.request_id IS NOT NULL, a.balance
FROM entry e JOIN account a ON a.id = e.account_id
LEFT JOIN hold h ON h.request_id = e.request_id
WHERE e.kind = 'charge' AND e.request_id = ANY(%(request_ids)s::text[])
"""

#: what goes back to account, key and day, by the rows of {given}
_GIVEN_BACK = """), entries AS (
  INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, created_at)
  SELECT account_id, 'refund', credits, request_id, api_key_id, clock_timestamp() FROM {given}
), days AS (
  UPDATE api_key_day AS d SET credits = d.credits - given.credits
  FROM (SELECT api_key_id, day, sum(credits) AS credits FROM {given}
        WHERE day IS NOT NULL GROUP BY api_key_id, day) AS given
  WHERE d.api_key_id = given.api_key_id AND d.day = given.day
), counted AS (
  UPDATE api_key AS k SET used_ever = k.used_ever - given.credits, used_in_month = k.used_in_month
    - CASE WHEN k.used_month = given.newest THEN given.of_newest ELSE 0 END
  FROM (SELECT api_key_id, newest, sum(credits) AS credits,
               sum(credits) FILTER (WHERE month = newest) AS of_newest
        FROM (SELECT *, max(month) OVER (PARTITION BY api_key_id) AS newest FROM {given}
              WHERE month IS NOT NULL) AS counted
        GROUP BY api_key_id, newest) AS given
  WHERE k.id = given.api_key_id
), balances AS (
  UPDATE account SET balance = account.balance + given.credits{parts.used}
  FROM ({counts}) AS given
  WHERE account.id = given.id
"""

_REFUND_TEMPLATE = """
WITH accounts AS MATERIALIZED (
  SELECT {parts.columns} FROM account WHERE id = ANY(%(account_ids)s::bigint[]{counting})
  ORDER BY id FOR UPDATE {skip}
), held AS MATERIALIZED (
  SELECT request_id, counted, counted IS NOT NULL AS is_counted, ctid AS place
  FROM hold WHERE request_id = ANY(%(request_ids)s::text[])
  AND account_id IN (SELECT id FROM accounts) ORDER BY request_id FOR UPDATE {skip}
), released AS (
  DELETE FROM hold WHERE ctid = ANY(ARRAY(SELECT place FROM held {parts.released}))
  RETURNING request_id, account_id, api_key_id, credits, day, month, counted
{given_back})
SELECT request_id, true FROM released {parts.elsewhere} {locked}
"""
_STILL_HELD = """UNION ALL SELECT request_id, false FROM hold WHERE request_id = ANY({requests})
  AND request_id NOT IN (SELECT request_id FROM {answered})"""


class Returns(Struct, frozen=True):
    """A statement that waits for locks, and the one that passes them by."""

    waits: str
    passes_by: str


def _return(template: str, parts: ReturnParts, given: str, requests: str) -> Returns:
    counts = parts.given.format(given=given)
    filled = {
        "parts": parts,
        "counting": parts.counting.format(requests=requests),
        "given_back": _GIVEN_BACK.format(parts=parts, given=given, counts=counts),
    }
    answered = "held" if parts.elsewhere else "released"
    locked = _STILL_HELD.format(requests=requests, answered=answered)
    return Returns(
        template.format(**filled, skip="", locked=""),
        template.format(**filled, skip="SKIP LOCKED", locked=locked),
    )


#: a hold that is for the other is answered with NULL
REFUND, REFUND_GROUPS = (
    _return(_REFUND_TEMPLATE, parts, "released", "%(request_ids)s::text[]")
    for parts in (PLAIN_RETURN, GROUP_RETURN)
)

_END_METERED_TEMPLATE = """
WITH asked AS MATERIALIZED (
  SELECT DISTINCT ON (request_id) * FROM json_to_recordset(%(ends)s::json)
    AS given(request_id text, account_id bigint, unused bigint, usage json, price text,
             "left" json)
), accounts AS MATERIALIZED (
  SELECT {parts.columns} FROM account WHERE id = ANY(ARRAY(SELECT account_id FROM asked){counting})
  ORDER BY id FOR UPDATE {skip}
), held AS MATERIALIZED (
  SELECT request_id, counted, counted IS NOT NULL AS is_counted, ctid AS place
  FROM hold WHERE request_id = ANY(ARRAY(SELECT request_id FROM asked))
  AND account_id IN (SELECT id FROM accounts) ORDER BY request_id FOR UPDATE {skip}
), released AS (
  DELETE FROM hold WHERE ctid = ANY(ARRAY(SELECT place FROM held {parts.released}))
  RETURNING request_id, account_id, api_key_id, credits, day, month, counted
), unused AS (
  SELECT r.request_id, r.account_id, r.api_key_id, least(r.credits, asked.unused) AS credits,
         r.day, r.month, r.counted
  FROM released r JOIN asked USING (request_id) WHERE r.credits > 0 AND asked.unused > 0
{given_back}), used AS (
  INSERT INTO request_usage
    (request_id, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cache_write_tokens,
     price)
  SELECT request_id, (usage ->> 'input')::int, (usage ->> 'cached')::int,
         (usage ->> 'output')::int, (usage ->> 'reasoning')::int, (usage ->> 'cache_write')::int,
         price
  FROM asked WHERE account_id IN (SELECT id FROM accounts) AND usage IS NOT NULL
  ON CONFLICT DO NOTHING
), standing AS (
  INSERT INTO standing_charge
    (request_id, account_id, model, idempotency_key, credits, retries, created_at)
  SELECT request_id, r.account_id, "left" ->> 'model', "left" ->> 'idempotency_key',
         r.credits - least(r.credits, unused), 0, clock_timestamp()
  FROM released r JOIN asked USING (request_id) WHERE "left" IS NOT NULL AND r.credits > unused
)
SELECT request_id, true FROM released {parts.elsewhere} {locked}
"""
END_METERED, END_METERED_GROUPS = (
    _return(_END_METERED_TEMPLATE, parts, "unused", "ARRAY(SELECT request_id FROM asked)")
    for parts in (PLAIN_RETURN, GROUP_RETURN)
)

#: which refunds of a batch whose outcome was unknown were given
GIVEN = """
SELECT request_id FROM entry WHERE kind = 'refund' AND request_id = ANY(%(request_ids)s::text[])
"""

END = """
WITH ended AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(ends)s::json) AS given(
    request_id text, input int, cached int, output int, reasoning int, cache_write int)
), held AS MATERIALIZED (
  SELECT ctid AS place FROM hold WHERE request_id = ANY(ARRAY(SELECT request_id FROM ended))
  ORDER BY request_id FOR UPDATE
), released AS (
  DELETE FROM hold WHERE ctid = ANY(ARRAY(SELECT place FROM held)) RETURNING request_id
), used AS (
  INSERT INTO request_usage
    (request_id, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cache_write_tokens)
  SELECT request_id, input, cached, output, reasoning, cache_write
  FROM ended WHERE input IS NOT NULL
  ON CONFLICT DO NOTHING
)
SELECT request_id FROM released
"""


def document(batch: Sequence[Struct | dict[str, Any]]) -> str:
    """A batch as one JSON document: one value however many columns, and one prepared plan."""
    return _encode(batch).decode()


# Arrays as text: PostgreSQL reads them faster than the driver writes its own form, and their type
# does not change with their values, so one prepared plan serves every batch.


def integers(values: Iterable[int | None]) -> str:
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join("NULL" if value is None else _quoted(value) for value in values) + "}"


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
