"""The charge of a batch on PostgreSQL in which nothing is limited: most batches are such.

All charges of a key are decided together, by their sum, which comes with the batch. So the
statement has no part that counts, and a batch costs the server a quarter less. It leaves alone
the charges that it cannot decide, and names them; the whole statement makes those
(`statements_postgres`, which also has the order of the locks and the reasons for it).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.store.ledger import Charge, ChargeResult

_LEFT = ("elsewhere", "limited", "crowded")
#: what an account `a` and a key `k` with its hash `h` are read for, and what forbids a charge
PARTS = {
    "account": """balance, next_expiry,
         (parent_id, credits_per_day, credits_per_month, credits) IS NULL AS is_plain""",
    "key": """(k.credits_per_day, k.credits_per_month, k.credits) IS NULL AS is_plain,
         k.revoked_at IS NULL AND NOT k.suspended AND h.revoked_at IS NULL
         AND coalesce(least(k.expires_at, h.expires_at) > clock_timestamp(), true) AS live""",
    "verdict": """CASE WHEN NOT k.live THEN 'dead' WHEN NOT a.is_plain THEN 'elsewhere'
              WHEN NOT k.is_plain THEN 'limited'
              WHEN a.next_expiry <= clock_timestamp() THEN 'expiry_due'""",
}
_TEMPLATE = """
WITH asked AS MATERIALIZED (
  SELECT *, decode(key_hash, 'base64') AS hash FROM json_to_recordset(%(sums)s::json) AS given(
    place int, key_hash text, account_id bigint, api_key_id bigint, credits bigint, least bigint,
    of_account bigint)
), accounts AS MATERIALIZED (
  SELECT id, {account}
  FROM account WHERE id = ANY(ARRAY(SELECT account_id FROM asked)) ORDER BY id FOR UPDATE
), keys AS MATERIALIZED (
  SELECT k.id, k.account_id, h.hash,
         {key}
  FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id
  WHERE h.hash = ANY(ARRAY(SELECT hash FROM asked)) AND (SELECT count(*) FROM accounts) >= 0
  ORDER BY h.hash FOR SHARE OF h, k
), judged AS MATERIALIZED (
  SELECT asked.place, asked.key_hash, asked.account_id, asked.credits, a.balance,
         {verdict}
              WHEN of_account <= a.balance THEN 'charged'
              WHEN least > a.balance THEN 'exhausted' ELSE 'crowded' END AS outcome
  FROM asked
  JOIN keys k ON k.hash = asked.hash AND k.id = asked.api_key_id
             AND k.account_id = asked.account_id
  JOIN accounts a ON a.id = k.account_id
), entries AS (
  INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,
                     idempotency_key, retry_count, created_at)
  SELECT account_id, 'charge', -credits, request_id, api_key_id, model, route,
         idempotency_key, retry_count, clock_timestamp()
  FROM json_to_recordset(%(charges)s::json) AS given(
    request_id text, account_id bigint, api_key_id bigint, key_hash text, credits bigint,
    model text, route text, idempotency_key text, retry_count int)
  WHERE (key_hash, account_id)
        IN (SELECT key_hash, account_id FROM judged WHERE outcome = 'charged')
  RETURNING request_id, account_id, api_key_id, -credits AS credits, created_at
), {tags}holds AS (
  INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits, created_at)
  SELECT request_id, account_id, api_key_id, %(replica_id)s, credits, created_at FROM entries
), balances AS (
  UPDATE account SET balance = taken.balance - taken.credits
  FROM (SELECT account_id, balance, sum(credits) AS credits FROM judged
        WHERE outcome = 'charged' GROUP BY account_id, balance) AS taken
  WHERE account.id = taken.account_id
)
SELECT place, outcome, balance FROM judged
"""
#: the tags of what is charged, where a batch has some
TAGS = """tagged AS (
  INSERT INTO request_tags (request_id, tags)
  SELECT request_id, given.tags
  FROM {charged} JOIN json_to_recordset(%(charges)s::json) AS given(request_id text, tags text)
       USING (request_id) WHERE given.tags IS NOT NULL
), """
#: by whether any of a batch's charges has tags
UNLIMITED_CHARGES = {
    has_tags: _TEMPLATE.format(tags=TAGS.format(charged="entries") if has_tags else "", **PARTS)
    for has_tags in (False, True)
}


class KeySum(Struct):
    """The credits of one key's charges in a batch; `least` are those of the cheapest.

    `of_account` are the credits of all the batch's charges to the account, with any key.
    """

    place: int
    key_hash: bytes
    account_id: int
    api_key_id: int
    least: int
    credits: int = 0
    of_account: int = 0


def sums_by_key(batch: Sequence[Charge]) -> dict[tuple[bytes, int], KeySum]:
    """The sums, by hash and account: a key may have come to another account in between."""
    sums: dict[tuple[bytes, int], KeySum] = {}
    taken: dict[int, int] = {}
    for charge in batch:
        account_id, credits = charge.account_id, charge.credits
        name = charge.key_hash, account_id
        if name not in sums:
            sums[name] = KeySum(len(sums), charge.key_hash, account_id, charge.api_key_id, credits)
        of_key = sums[name]
        of_key.credits += credits
        if credits < of_key.least:
            of_key.least = credits
        taken[account_id] = taken[account_id] + credits if account_id in taken else credits
    for of_key in sums.values():
        of_key.of_account = taken[of_key.account_id]
    return sums


def judge(
    sums: Mapping[tuple[bytes, int], KeySum], rows: Iterable[Sequence[Any]]
) -> dict[tuple[bytes, int], ChargeResult | str]:
    """The result of each key's charges, by the statement's rows, or the reason why it made none.

    *elsewhere*: the account has a parent or limits. *limited*: the key has limits. *crowded*: the
    balance does not cover all charges of the account, but perhaps some.
    """
    found = {place: (outcome, balance) for place, outcome, balance in rows}
    taken: dict[int, int] = {}
    for of_key in sums.values():
        if of_key.place in found and found[of_key.place][0] == "charged":
            taken[of_key.account_id] = taken.get(of_key.account_id, 0) + of_key.credits
    judged: dict[tuple[bytes, int], ChargeResult | str] = {}
    for name, of_key in sums.items():
        outcome, balance = found.get(of_key.place, ("dead", 0))
        if outcome in _LEFT:
            judged[name] = outcome
        else:
            judged[name] = ChargeResult(outcome, balance - taken.get(of_key.account_id, 0))
    return judged
