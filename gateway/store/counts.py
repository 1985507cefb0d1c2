"""Counts of an installation's keys and grants by state."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import bindparam, text

from gateway.store.columns import UtcDateTime
from gateway.store.database import Database
from gateway.store.key_origins import people_of

KEY_STATES = ("live", "suspended", "expired", "revoked")
GRANT_STATES = ("live", "spent", "expired", "voided")

_KEYS = """
SELECT CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= :now THEN 'expired'
            WHEN suspended THEN 'suspended' ELSE 'live' END AS state, count(*)
FROM api_key WHERE installation = :installation GROUP BY 1
"""

_LIVING = """
SELECT count(*) FROM api_key
WHERE installation = :installation AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > :now)
"""

#: the rest of grants is brought up to date only when one of the account's is posted, expires or is
#: voided (`gateway.core.credits`); the same rule, in the same order, gives what is left now. Most
#: grants ever posted are spent: those are only counted
_GRANTS = """
WITH lot AS (
  SELECT g.expires_at <= :now AS is_over,
         sum(g.remaining) OVER (PARTITION BY g.account_id) + a.surplus - a.balance AS used,
         sum(g.remaining) OVER (PARTITION BY g.account_id
                                ORDER BY g.expires_at NULLS LAST, g.id) AS up_to_it
  FROM credit_grant g JOIN account a ON a.id = g.account_id
  WHERE g.installation = :installation AND g.remaining > 0
)
SELECT CASE WHEN is_over THEN 'expired' WHEN up_to_it <= used THEN 'spent' ELSE 'live' END,
       count(*)
FROM lot GROUP BY 1
UNION ALL
SELECT CASE WHEN voided_at IS NOT NULL THEN 'voided'
            WHEN expired_at IS NOT NULL OR expires_at <= :now THEN 'expired' ELSE 'spent' END,
       count(*)
FROM credit_grant WHERE installation = :installation AND remaining = 0 GROUP BY 1
"""


def count_keys(database: Database, installation: str) -> Mapping[str, int]:
    """The number of keys in each of `KEY_STATES`. Raises `DatabaseUnavailable`."""
    return _count(database, installation, _KEYS, KEY_STATES)


def count_living_of_people(database: Database, installation: str) -> int:
    """The number of people's keys that are neither revoked nor expired.

    Raises `DatabaseUnavailable`.
    """
    asked = text(_LIVING).bindparams(bindparam("now", type_=UtcDateTime()))
    with database.read() as session:
        values = {"installation": people_of(installation), "now": database.now(session)}
        return int(session.execute(asked, values).scalar_one())


def count_grants(database: Database, installation: str) -> Mapping[str, int]:
    """The number of posted grants in each of `GRANT_STATES`. Raises `DatabaseUnavailable`."""
    return _count(database, installation, _GRANTS, GRANT_STATES)


def _count(
    database: Database, installation: str, statement: str, states: tuple[str, ...]
) -> Mapping[str, int]:
    asked = text(statement).bindparams(bindparam("now", type_=UtcDateTime()))
    with database.read() as session:
        values = {"installation": installation, "now": database.now(session)}
        counted = Counter[str]()
        for state, number in session.execute(asked, values):
            counted[state] += int(number)
    return {state: counted[state] for state in states}
