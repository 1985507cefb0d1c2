"""The charge of one request on PostgreSQL, when no other waits and nothing is known to be limited.

Most charges come alone. Without the sets of a batch their statement costs the server a quarter
less. It locks and decides as that for a batch (`unlimited_charge`), answers as for the first of its
keys (place 0), and leaves the same charges alone.
"""

from gateway.store.ledger import Charge
from gateway.store.unlimited_charge import PARTS

_TEMPLATE = """
WITH accounts AS MATERIALIZED (
  SELECT {account}
  FROM account WHERE id = %(account_id)s::bigint FOR UPDATE
), keys AS MATERIALIZED (
  SELECT {key}
  FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id
  WHERE h.hash = %(key_hash)s::bytea AND k.id = %(api_key_id)s::bigint
    AND k.account_id = %(account_id)s::bigint AND (SELECT count(*) FROM accounts) >= 0
  FOR SHARE OF h, k
), judged AS MATERIALIZED (
  SELECT a.balance, clock_timestamp() AS now,
         {verdict}
              WHEN %(credits)s::bigint <= a.balance THEN 'charged' ELSE 'exhausted' END AS outcome
  FROM accounts a, keys k
), charged AS (
  SELECT balance, now FROM judged WHERE outcome = 'charged'
), entries AS (
  INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,
                     idempotency_key, retry_count, created_at)
  SELECT %(account_id)s::bigint, 'charge', -%(credits)s::bigint, %(request_id)s::text,
         %(api_key_id)s::bigint, %(model)s::text, %(route)s::text, %(idempotency_key)s::text,
         %(retry_count)s::int, now FROM charged
), {tags}holds AS (
  INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits, created_at)
  SELECT %(request_id)s::text, %(account_id)s::bigint, %(api_key_id)s::bigint,
         %(replica_id)s::text, %(credits)s::bigint, now FROM charged
), balances AS (
  UPDATE account SET balance = charged.balance - %(credits)s::bigint
  FROM charged WHERE account.id = %(account_id)s::bigint
)
SELECT 0 AS place, outcome, balance FROM judged
"""
_TAGS = """tagged AS (
  INSERT INTO request_tags (request_id, tags)
  SELECT %(request_id)s::text, %(tags)s::text FROM charged
), """
_PLAIN, _TAGGED = (_TEMPLATE.format(tags=tags, **PARTS) for tags in ("", _TAGS))


def single_charge(charge: Charge, replica_id: str) -> tuple[str, dict[str, str | bytes | None]]:
    """The statement and its values. Each is text, so that one prepared plan serves all charges."""
    tags, retries = charge.tags, charge.retry_count
    values = {
        "request_id": charge.request_id,
        "account_id": str(charge.account_id),
        "api_key_id": str(charge.api_key_id),
        "key_hash": charge.key_hash,
        "credits": str(charge.credits),
        "model": charge.model,
        "route": charge.route,
        "idempotency_key": charge.idempotency_key,
        "retry_count": None if retries is None else str(retries),
        "replica_id": replica_id,
    }
    return (_PLAIN, values) if tags is None else (_TAGGED, {**values, "tags": tags})
