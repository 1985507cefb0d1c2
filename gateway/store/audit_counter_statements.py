"""The statements that audit counters: each is about many accounts or keys at once, by `:levels`.

A level is an account, and what counts at it is of its `tree`; or it is a key. The sums are of
entries as they are joined by one of the sources below, so one pass is enough for all levels.
"""

#: SQLite adds up no more than one account may have
PART = 10**9
_PARTS = (f"/ {PART}", f"% {PART}")

#: of a level: what is asked of its entries, as `CountingLevel` has it
_LEVELS = {
    "postgresql": """
  SELECT * FROM json_to_recordset(CAST(:levels AS json)) AS v (
    id bigint, since timestamptz, looked_from timestamptz, day date, month date, last date)""",
    "sqlite": """
  SELECT CAST(value ->> 'id' AS INTEGER) AS id, value ->> 'since' AS since,
         value ->> 'looked_from' AS looked_from, value ->> 'day' AS day, value ->> 'month' AS month,
         value ->> 'last' AS last
  FROM json_each(:levels)""",
}
_DAY = {
    "sqlite": "substr(c.created_at, 1, 10)",
    "postgresql": "CAST(c.created_at AT TIME ZONE 'UTC' AS date)",
}

#: the accounts whose entries are read: of each account all below it, of keys those that pay
_TREES = {
    "account": """
WITH RECURSIVE level AS MATERIALIZED ({levels}
), tree (level, id) AS (
  SELECT id, id FROM level
  UNION ALL SELECT tree.level, a.id FROM tree JOIN account a ON a.parent_id = tree.id
)""",
    "key": """
WITH level AS MATERIALIZED ({levels}
), tree (id) AS (
  SELECT DISTINCT k.account_id FROM level v JOIN api_key k ON k.id = v.id
)""",
}
#: all entries of each level; SQLite begins with what is first in a cross join
ALL = {
    "account": "level v JOIN tree t ON t.level = v.id JOIN entry c ON c.account_id = t.id",
    "key": "entry c CROSS JOIN level v",
}
_NEWEST = """CROSS JOIN LATERAL (
    SELECT * FROM entry WHERE account_id = t.id ORDER BY account_id DESC, id DESC LIMIT :most
  ) AS c"""
#: the newest of each account in the trees, on PostgreSQL
NEWEST = {
    "account": f"level v JOIN tree t ON t.level = v.id {_NEWEST}",
    "key": f"tree t {_NEWEST} CROSS JOIN level v",
}
_IS_OF_LEVEL = {"account": "true", "key": "v.id = c.api_key_id"}
_REFUND = "LEFT JOIN entry r ON r.request_id = c.request_id AND r.kind = 'refund'"
_NET = "-c.credits - coalesce(r.credits, 0)"


def _sums(of: str, condition: str) -> str:
    parts = (f"sum(CASE WHEN {condition} THEN ({of}) {part} ELSE 0 END)" for part in _PARTS)
    return ", ".join(parts)


#: the charges of a day and a month, less what was given back of them. What a clock that was set
#: back has dated counts for an account on the day that it had come to, for a key on its own day
DATED = f"""
, charges AS (
  SELECT v.*, c.created_at, {_NET} AS net, {{day}} AS dated_on,
         max({{day}}) OVER (PARTITION BY v.id ORDER BY c.id) AS counted_on
  FROM {{source}} {_REFUND}
  WHERE {{is_of_level}} AND c.kind = 'charge' AND c.created_at >= v.looked_from
)
SELECT id, {_sums("net", "{counted_on} = day")}, {_sums("net", "counted_on >= month")}
FROM charges WHERE created_at >= since AND counted_on <= last GROUP BY id
"""
#: the charges of all time, and the moment of the first
EVER = f"""
SELECT v.id, {_sums(_NET, "c.created_at >= v.since")}, min(c.created_at)
FROM {{source}} {_REFUND} WHERE {{is_of_level}} AND c.kind = 'charge' GROUP BY v.id
"""
#: where accounts have more entries than were read, the moment from which all of them were
READ_UNTIL = f"""
SELECT place, max(oldest) FROM (
  SELECT {{of}} AS place, min(c.created_at) AS oldest FROM tree t {_NEWEST}
  GROUP BY {{of}}, t.id HAVING count(*) >= :most) AS cut
GROUP BY place
"""
_COUNTED_ON = {"account": "counted_on", "key": "dated_on"}

ACCOUNTS = """
SELECT a.id, a.namespace || '/' || a.name AS shown, a.used_on, a.used_in_day, a.used_in_month,
       a.used_ever, a.installation, a.namespace
FROM account a LEFT JOIN account p ON p.id = a.parent_id
WHERE coalesce(a.credits_per_day, a.credits_per_month, a.credits, p.child_credits_per_day,
               p.child_credits_per_month, p.child_credits) IS NOT NULL
"""
SOME_ACCOUNTS = f"{ACCOUNTS} AND a.used_on IS NOT NULL AND a.id = ANY(:ids)"
#: keys with limits, and since when they have these limits
_LIMITED = """
(k.credits_per_day IS NOT NULL OR k.credits_per_month IS NOT NULL OR k.credits IS NOT NULL)
"""
KEYS = f"""
SELECT k.id, k.account_id, k.namespace || '/' || k.name AS shown, d.day, d.credits, k.used_month,
       k.used_in_month, k.used_ever, k.credits_per_day IS NOT NULL AS has_day,
       coalesce(k.credits_per_month, k.credits) IS NOT NULL AS has_more
FROM api_key k LEFT JOIN api_key_day d ON d.api_key_id = k.id
     AND d.day = (SELECT max(day) FROM api_key_day WHERE api_key_id = k.id)
WHERE {_LIMITED}
"""
SOME_KEYS = f"{KEYS} AND k.revoked_at IS NULL AND k.account_id = ANY(:ids)"
KEYS_CHANGED = f"""
SELECT k.id, max(l.created_at) FROM change_log l CROSS JOIN api_key k
WHERE k.key_id = l.detail ->> 'key_id' AND {_LIMITED} AND (
  l.kind IN ('key.made', 'key.reissued') OR l.kind = 'key.changed' AND coalesce(
    l.detail ->> 'credits_per_day', l.detail ->> 'credits_per_month', l.detail ->> 'credits',
    l.detail ->> 'account') IS NOT NULL)
"""
#: when a key came from another account, at the latest
KEYS_MOVED = """
SELECT k.id, max(l.created_at) FROM change_log l CROSS JOIN api_key k
WHERE k.key_id = l.detail ->> 'key_id' AND l.kind IN ('key.changed', 'key.reissued')
AND l.detail ->> 'account' IS NOT NULL GROUP BY k.id
"""
SOME_KEYS_CHANGED = f"{KEYS_CHANGED} AND l.account_id = ANY(:ids)"
CLOSED = "SELECT account_id, before FROM closing"
SOME_CLOSED = f"{CLOSED} WHERE account_id = ANY(:ids)"

#: the last change of each account, those above it and those below it
CHANGED = """
, near (level, id) AS (
  SELECT level, id FROM tree
  UNION SELECT v.id, a.parent_id FROM level v JOIN account a ON a.id = v.id
  UNION SELECT v.id, p.parent_id FROM level v JOIN account a ON a.id = v.id
    JOIN account p ON p.id = a.parent_id
)
SELECT near.level, max(l.created_at) FROM near JOIN change_log l ON l.account_id = near.id
WHERE l.kind = 'account.changed' GROUP BY near.level
"""
CLOSED_BELOW = """
SELECT tree.level, max(c.before) FROM tree JOIN closing c ON c.account_id = tree.id
GROUP BY tree.level
"""
TREE_SIZE = "SELECT count(*) FROM tree"
#: the last time that an account of the namespace left another
LEFT = """
SELECT max(l.created_at) FROM account a JOIN change_log l ON l.account_id = a.id
WHERE a.installation = :installation AND a.namespace = :namespace
AND l.kind = 'account.changed' AND l.detail -> 'parent' ->> 'from' IS NOT NULL
"""


def filled(statement: str, what: str, dialect: str, entries: dict[str, str] | None = None) -> str:
    """A statement about the trees of accounts, or of keys; `entries` is what it reads of them."""
    statement = statement.format(
        day=_DAY[dialect],
        source=(entries or ALL)[what],
        is_of_level=_IS_OF_LEVEL[what],
        counted_on=_COUNTED_ON[what],
        of={"account": "t.level", "key": "t.id"}[what],
    )
    return _TREES[what].format(levels=_LEVELS[dialect]) + statement
