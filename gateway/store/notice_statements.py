"""The statements that find the limits of which a share is used, for accounts and for keys.

They read the counters that charges keep (`groups`, `api_key_day`). Credits that open requests hold
are not used yet: with token prices most of them go back. Shares are compared by the credits that
are left, since products of large credits do not fit a column.
"""

from datetime import datetime

#: messages about one account, and as many about its keys, that wait to be sent; its others follow
WAITING_MAX = 50
#: of `reached`: the rows of which a share is used, and of which the receiver has no notice. The
#: first of each account come first: somebody may make many keys, and change their limits all day
_NEW = f"""
, shared AS (
  SELECT reached.*, CASE WHEN used >= credits THEN 100
    WHEN used >= credits - credits / 20 THEN 95 ELSE 80 END AS percent
  FROM reached WHERE used >= credits - credits / 5
)
, new AS (
  SELECT s.*, row_number() OVER (PARTITION BY account_id ORDER BY subject_id, limit_name) AS place
  FROM shared s WHERE NOT EXISTS (
    SELECT 1 FROM notice n WHERE n.receiver = :receiver AND n.subject = '{{subject}}'
    AND n.subject_id = s.subject_id AND n.limit_name = s.limit_name AND n.period = s.period
    AND n.credits = s.credits AND n.percent >= s.percent)
)
, waiting AS (
  SELECT account_id, count(*) AS number FROM notice
  WHERE receiver = :receiver AND next_attempt_at IS NOT NULL AND subject = '{{subject}}'
  GROUP BY account_id
)
SELECT new.subject_id, new.account_id, new.account, new.key_name, new.key_id, new.limit_name,
  new.period, new.credits, new.used, new.percent
FROM new LEFT JOIN waiting w ON w.account_id = new.account_id
WHERE new.place + coalesce(w.number, 0) <= {WAITING_MAX}
ORDER BY new.place, new.subject_id LIMIT :most
"""

#: credits that open requests hold, of each account with those below it
_HELD = """
WITH held_by AS (SELECT account_id AS id, sum(credits) AS credits FROM hold GROUP BY account_id)
, held AS (
  SELECT id, sum(credits) AS credits FROM (
    SELECT id, credits FROM held_by
    UNION ALL SELECT a.parent_id, h.credits FROM held_by h JOIN account a ON a.id = h.id
    UNION ALL SELECT p.parent_id, h.credits FROM held_by h JOIN account a ON a.id = h.id
      JOIN account p ON p.id = a.parent_id
  ) AS levels GROUP BY id
)
"""
_ACCOUNT = "a.id AS subject_id, a.id AS account_id, a.namespace || '/' || a.name AS account"


def _has_limit(table: str) -> str:
    columns = ("credits_per_day", "credits_per_month", "credits")
    return " OR ".join(f"{table}.{column} IS NOT NULL" for column in columns)


#: as the indexes of both tables have it, so that rows without limits are not read
_MAY_BE_LIMITED = f"({_has_limit('a')} OR a.parent_id IS NOT NULL)"
_IS_LIMITED_KEY = f"({_has_limit('k')}) AND k.revoked_at IS NULL"
_NO_KEY = "CAST(NULL AS text) AS key_name, CAST(NULL AS text) AS key_id"


def _of_account(name: str, used: str, period: str, counts: str) -> str:
    limit = f"coalesce(a.{name}, p.child_{name})"
    return f"""
  SELECT {_ACCOUNT}, {_NO_KEY}, '{name}' AS limit_name, '{period}' AS period, {limit} AS credits,
    a.{used} - coalesce(h.credits, 0) AS used
  FROM account a LEFT JOIN account p ON p.id = a.parent_id LEFT JOIN held h ON h.id = a.id
  WHERE a.installation = :installation AND {_MAY_BE_LIMITED} AND {limit} > 0 AND {counts}"""


def _of_key(name: str, used: str, period: str, counts: str) -> str:
    # SQLite begins with what is first in a cross join.
    day = "LEFT JOIN api_key_day d ON d.api_key_id = k.id AND d.day = '{day}'"
    return f"""
  SELECT k.id AS subject_id, a.id AS account_id, a.namespace || '/' || a.name AS account,
    k.namespace || '/' || k.name AS key_name, k.key_id AS key_id, '{name}' AS limit_name,
    '{period}' AS period, k.{name} AS credits, {used} - coalesce(h.credits, 0) AS used
  FROM api_key k CROSS JOIN account a {day if used == "d.credits" else ""}
  LEFT JOIN held h ON h.id = k.id
  WHERE a.id = k.account_id AND a.installation = :installation AND {_IS_LIMITED_KEY}
  AND k.{name} > 0 AND {counts}"""


#: a balance after the latest grant, as `granted`; what is left of it is the balance. It is read of
#: the accounts that `changed` names, for a look at all balances would take longer
_GRANTED = f"""
  SELECT {_ACCOUNT}, {_NO_KEY}, 'granted' AS limit_name,
    coalesce(CAST((SELECT max(g.id) FROM credit_grant g WHERE g.account_id = a.id) AS text), '')
      AS period,
    a.granted AS credits, a.granted - a.balance - coalesce(h.credits, 0) AS used
  FROM changed c JOIN account a ON a.id = c.id LEFT JOIN held_by h ON h.id = a.id
  WHERE a.installation = :installation AND a.granted > 0
  AND a.balance <= a.granted / 5"""

ACCOUNTS = f"""{_HELD}, changed AS ({{changed}}), reached AS ({
    " UNION ALL ".join(
        (
            _of_account("credits_per_day", "used_in_day", "{day}", "a.used_on = '{day}'"),
            _of_account("credits_per_month", "used_in_month", "{month}", "a.used_on >= '{month}'"),
            _of_account("credits", "used_ever", "", "a.used_ever > 0"),
            _GRANTED,
        )
    )
}){_NEW}""".replace("{subject}", "account")

KEYS = f"""
WITH held AS (SELECT api_key_id AS id, sum(credits) AS credits FROM hold GROUP BY api_key_id)
, reached AS ({
    " UNION ALL ".join(
        (
            _of_key("credits_per_day", "d.credits", "{day}", "d.credits > 0"),
            _of_key("credits_per_month", "k.used_in_month", "{month}", "k.used_month = '{month}'"),
            _of_key("credits", "k.used_ever", "", "k.used_ever > 0"),
        )
    )
}){_NEW}""".replace("{subject}", "key")


def periods(now: datetime) -> dict[str, str]:
    """The day and the first of the month, in UTC, as both databases read a date."""
    return {"day": f"{now:%Y-%m-%d}", "month": f"{now:%Y-%m}-01"}
