"""Charges that stand for a retry: how an attempt claims one, on both databases.

A request whose client left before any content of its answer had come, and which had named itself
by an idempotency key, leaves a row beside its charge (`ledger`). Later attempts of that name, of
the same account and model, cost so much less: within a day, and so many of them at most. Each
claim takes one place of the row, exactly once, and is kept: a request that is refused or fails
afterwards has used its place up.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from gateway.store.ledger import Claim
from gateway.store.moments import utc_text

#: attempts for which one charge stands, and for how long
_RETRIES_MAX = 3
_HOURS = 24

#: the rows are locked, so that their newest numbers count; what was claimed by a statement whose
#: answer was lost is found again
CLAIM = f"""
WITH given AS MATERIALIZED (
  SELECT DISTINCT ON (request_id) * FROM json_to_recordset(%(claims)s::json)
    AS given(request_id text, account_id bigint, idempotency_key text, model text)
), made AS MATERIALIZED (
  SELECT request_id, credits FROM retry
  WHERE request_id = ANY(ARRAY(SELECT request_id FROM given))
), asked AS (
  SELECT *, row_number() OVER (PARTITION BY account_id, idempotency_key, model
                               ORDER BY request_id) AS place
  FROM given WHERE request_id NOT IN (SELECT request_id FROM made)
), standing AS MATERIALIZED (
  SELECT request_id AS earlier_id, account_id, idempotency_key, model, credits, retries
  FROM standing_charge
  WHERE (account_id, idempotency_key, model)
        IN (SELECT account_id, idempotency_key, model FROM asked)
  AND retries < {_RETRIES_MAX} AND created_at > clock_timestamp() - interval '{_HOURS} hours'
  ORDER BY request_id FOR UPDATE
), places AS (
  SELECT *, row_number() OVER (PARTITION BY account_id, idempotency_key, model
                               ORDER BY credits DESC, earlier_id) AS place
  FROM standing CROSS JOIN generate_series(retries + 1, {_RETRIES_MAX})
), claimed AS (
  SELECT asked.request_id, earlier_id, credits
  FROM asked JOIN places USING (account_id, idempotency_key, model, place)
), counted AS (
  UPDATE standing_charge AS s SET retries = s.retries + taken.number
  FROM (SELECT earlier_id, count(*) AS number FROM claimed GROUP BY earlier_id) AS taken
  WHERE s.request_id = taken.earlier_id
), kept AS (
  INSERT INTO retry (request_id, earlier_id, credits)
  SELECT request_id, earlier_id, credits FROM claimed
)
SELECT request_id, credits FROM claimed UNION ALL SELECT request_id, credits FROM made
"""

_TAKE = f"""
UPDATE standing_charge SET retries = retries + 1
WHERE request_id = (
  SELECT request_id FROM standing_charge
  WHERE account_id = ? AND idempotency_key = ? AND model = ?
  AND retries < {_RETRIES_MAX} AND created_at > ?
  ORDER BY credits DESC, request_id LIMIT 1)
RETURNING request_id, credits
"""
_KEEP = "INSERT INTO retry (request_id, earlier_id, credits) VALUES (?, ?, ?)"


def claim_rows(connection: sqlite3.Connection, batch: Sequence[Claim], now: datetime) -> list[int]:
    """The credits of the charge that stands for each of some requests, on SQLite."""
    since = utc_text(now - timedelta(hours=_HOURS))
    return [_claim(connection, claim, since) for claim in batch]


def _claim(connection: sqlite3.Connection, claim: Claim, since: str) -> int:
    named = (claim.account_id, claim.idempotency_key, claim.model, since)
    found = connection.execute(_TAKE, named).fetchone()
    if found is None:
        return 0
    earlier_id, credits = found
    connection.execute(_KEEP, (claim.request_id, earlier_id, credits))
    return int(credits)
