"""The parts of the hot statements on PostgreSQL that differ for accounts with a parent or limits.

    account ── parent ── its parent        three levels at most (`groups`)

An account's row has its limits and their counts, and every writer locks it. So a charge reads the
newest of both, and a batch locks each account once, also the parent of many. A parent is locked
where it has a limit when the statement begins; the tree is read then as well. Where the account's
own row, once locked, has another parent, the charge is asked again.

An account without parent and limits is charged by the plain parts. An account that is not for them
shows that in its row, which is locked anyway; they leave it alone.
"""

from msgspec import Struct


class ChargeParts(Struct, frozen=True, kw_only=True):
    """The parts of a charge, by their places in it."""

    levels: str
    columns: str
    locked: str
    elsewhere: str
    own: str
    fitting: str
    counted: str
    taken: str
    used: str
    lefts: str
    capped: str
    least: str
    limit: str
    joined: str


_LIMIT_OF_KEY = """CASE WHEN charged.request_id IS NULL AND fitting.request_id IS NOT NULL
                 AND judged.api_key_id IN (SELECT api_key_id FROM limited) THEN 'day'
            WHEN lefts.least = lefts.ever THEN 'ever' WHEN lefts.least = lefts.month THEN 'month'
            WHEN lefts.least = lefts.day THEN 'day' END"""

PLAIN_CHARGE = ChargeParts(
    levels="",
    columns="""id, balance, next_expiry,
         (parent_id, credits_per_day, credits_per_month, credits) IS NULL AS is_plain""",
    locked="id IN (SELECT account_id FROM asked)",
    elsewhere="NOT a.is_plain",
    own="",
    fitting="",
    counted="NULL::json",
    taken="SELECT account_id AS id, sum(credits) AS credits FROM charged GROUP BY account_id",
    used="",
    lefts="",
    capped="fitting.request_id IS NOT NULL",
    least="lefts.least",
    limit=_LIMIT_OF_KEY,
    joined="",
)

GROUP_CHARGE = ChargeParts(
    # An account's own level is there whether it has limits or not.
    levels="""levels AS MATERIALIZED (
  SELECT a.id AS account_id, a.parent_id, level.*
  FROM account a LEFT JOIN account p ON p.id = a.parent_id LEFT JOIN account g ON g.id = p.parent_id
  CROSS JOIN LATERAL (VALUES
    (a.id, 1, p.child_credits_per_day, p.child_credits_per_month, p.child_credits, true),
    (p.id, 2, g.child_credits_per_day, g.child_credits_per_month, g.child_credits,
     coalesce(p.credits_per_day, p.credits_per_month, p.credits, g.child_credits_per_day,
              g.child_credits_per_month, g.child_credits) IS NOT NULL),
    (g.id, 3, NULL, NULL, NULL,
     coalesce(g.credits_per_day, g.credits_per_month, g.credits) IS NOT NULL)
  ) AS level(level_id, depth, day_default, month_default, ever_default, is_limited)
  WHERE a.id IN (SELECT account_id FROM asked) AND level.is_limited
), """,
    columns="""id, namespace || '/' || name AS shown, balance, next_expiry, parent_id,
         credits_per_day, credits_per_month, credits, used_on, used_in_day, used_in_month,
         used_ever""",
    locked="""id = ANY(ARRAY(
    SELECT account_id FROM asked UNION SELECT level_id FROM levels))""",
    elsewhere="""a.parent_id IS DISTINCT FROM own.parent_id
         OR EXISTS (SELECT FROM levels l WHERE l.account_id = a.id
                    AND l.level_id NOT IN (SELECT id FROM accounts))""",
    own="LEFT JOIN levels own ON own.account_id = a.id AND own.depth = 1",
    fitting="""), rooms AS MATERIALIZED (
  SELECT *, least(day, month, ever) AS least FROM (
    SELECT l.account_id, l.level_id, l.depth, a.shown, greatest(a.used_on, moment.day) AS counts_on,
           coalesce(a.credits_per_day, l.day_default)
             - CASE WHEN a.used_on >= moment.day THEN a.used_in_day ELSE 0 END AS day,
           coalesce(a.credits_per_month, l.month_default)
             - CASE WHEN a.used_on >= moment.month THEN a.used_in_month ELSE 0 END AS month,
           coalesce(a.credits, l.ever_default) - a.used_ever AS ever
    FROM levels l JOIN accounts a ON a.id = l.level_id CROSS JOIN moment
  ) AS each WHERE least(day, month, ever) IS NOT NULL
), crowded AS MATERIALIZED (
  SELECT DISTINCT request_id FROM (
    SELECT affordable.request_id, affordable.credits, rooms.least,
           sum(affordable.credits) OVER (PARTITION BY level_id ORDER BY position) AS running
    FROM affordable JOIN rooms USING (account_id)
  ) AS summed WHERE running > least AND credits > 0
), fitting AS (
  SELECT * FROM affordable WHERE request_id NOT IN (SELECT request_id FROM crowded)
""",
    counted="""(SELECT json_agg(json_build_array(level_id, counts_on))
          FROM rooms WHERE rooms.account_id = charged.account_id)""",
    taken="""SELECT id, sum(credits) AS credits, sum(counted) AS counted FROM (
    SELECT account_id AS id, credits, 0 AS counted FROM charged
    UNION ALL SELECT level_id, 0, credits FROM charged JOIN rooms USING (account_id)
  ) AS each GROUP BY id""",
    used=""",
    used_on = greatest(locked.used_on, (SELECT day FROM moment)),
    used_in_day = taken.counted + CASE WHEN locked.used_on >= (SELECT day FROM moment)
                                       THEN locked.used_in_day ELSE 0 END,
    used_in_month = taken.counted + CASE WHEN locked.used_on >= (SELECT month FROM moment)
                                         THEN locked.used_in_month ELSE 0 END,
    used_ever = locked.used_ever + taken.counted""",
    lefts="""), room_after AS MATERIALIZED (
  SELECT rooms.*, rooms.least - coalesce(t.credits, 0) AS "left"
  FROM rooms LEFT JOIN (
    SELECT level_id, sum(credits)::bigint AS credits
    FROM charged JOIN rooms USING (account_id) GROUP BY level_id
  ) AS t USING (level_id)
), group_lefts AS (
  SELECT account_id, json_object_agg(level_id, "left") AS lefts,
         (array_agg(shown ORDER BY "left", depth))[1] AS shown,
         (array_agg("left" ORDER BY "left", depth))[1] AS least,
         (array_agg(CASE least WHEN ever THEN 'ever' WHEN month THEN 'month' ELSE 'day' END
                    ORDER BY "left", depth))[1] AS "limit"
  FROM room_after GROUP BY account_id
), answers AS (
  SELECT judged.request_id, g.shown, g.least, g."limit",
         json_build_object('accounts', g.lefts, 'key', lefts.least) AS lefts,
         CASE WHEN judged.request_id IN (SELECT request_id FROM crowded) THEN true
              WHEN fitting.request_id IS NOT NULL AND charged.request_id IS NULL THEN false
              ELSE coalesce(g.least < lefts.least, lefts.least IS NULL) END AS is_of_group
  FROM judged JOIN group_lefts g USING (account_id)
  LEFT JOIN fitting USING (request_id) LEFT JOIN charged USING (request_id)
  LEFT JOIN lefts ON lefts.hash = judged.hash AND lefts.api_key_id = judged.api_key_id
""",
    capped="""fitting.request_id IS NOT NULL
            OR judged.request_id IN (SELECT request_id FROM crowded)""",
    least="least(lefts.least, answers.least)",
    limit=f"""CASE WHEN answers.is_of_group THEN answers."limit" ELSE
       {_LIMIT_OF_KEY} END, CASE WHEN answers.is_of_group THEN answers.shown END,
       answers.lefts""",
    joined="LEFT JOIN answers USING (request_id)",
)

#: passed by: an account above it that was not to be had without waiting
LOCKED_ABOVE = """
WHEN EXISTS (SELECT FROM levels l WHERE l.account_id = judged.account_id
             AND l.level_id NOT IN (SELECT id FROM accounts))
THEN 'locked'
"""


class ReturnParts(Struct, frozen=True, kw_only=True):
    """The parts of refunds and metered ends, by their places in them."""

    columns: str
    counting: str
    released: str
    given: str
    used: str
    elsewhere: str


PLAIN_RETURN = ReturnParts(
    columns="id",
    counting="",
    released="WHERE NOT is_counted",
    given="SELECT account_id AS id, sum(credits) AS credits FROM {given} GROUP BY account_id",
    used="",
    elsewhere="UNION ALL SELECT request_id, NULL FROM held WHERE is_counted",
)

GROUP_RETURN = ReturnParts(
    columns="id, used_on",
    counting=""" || ARRAY(
    SELECT (counted.value ->> 0)::bigint
    FROM hold CROSS JOIN LATERAL json_array_elements(hold.counted) AS counted
    WHERE hold.request_id = ANY({requests}) AND hold.counted IS NOT NULL)""",
    released="""WHERE NOT EXISTS (
    SELECT FROM json_array_elements(held.counted) AS counted
    WHERE (counted.value ->> 0)::bigint NOT IN (SELECT id FROM accounts))""",
    given="""SELECT id, sum(credits) AS credits, sum(ever) AS ever,
         sum(ever) FILTER (WHERE day = used_on) AS in_day,
         sum(ever) FILTER (WHERE date_trunc('month', day) = date_trunc('month', used_on))
           AS in_month
  FROM (
    SELECT account_id AS id, credits, 0 AS ever, NULL::date AS day FROM {given}
    UNION ALL
    SELECT (counted.value ->> 0)::bigint, 0, each.credits, (counted.value ->> 1)::date
    FROM {given} AS each CROSS JOIN LATERAL json_array_elements(each.counted) AS counted
  ) AS each JOIN accounts USING (id) GROUP BY id""",
    used=""",
    used_in_day = account.used_in_day - coalesce(given.in_day, 0),
    used_in_month = account.used_in_month - coalesce(given.in_month, 0),
    used_ever = account.used_ever - given.ever""",
    elsewhere="",
)
