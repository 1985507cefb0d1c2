"""Writes at once what the audit and the counting of usage would remember of all entries.

To count them takes minutes for each ten millions; what it costs is measured on some of them.
"""

from sqlalchemy import text

from gateway.core.usage import HOURS_KEPT
from gateway.store.key_rows import KeyState
from tests.bench.growth.fill import DAYS
from tests.harness.books import Books

_AUDITED = """
INSERT INTO audit_checkpoint (account_id, entry_id, credits, counted_at,
                              recount_entry_id, recount_credits)
SELECT id, (SELECT max(e.id) FROM entry e WHERE e.account_id = account.id), balance, :now, 0, 0
FROM account WHERE balance > 0
"""
_COUNTED = """
INSERT INTO usage_checkpoint (account_id, entry_id, credits, unmarked)
SELECT id, (SELECT max(e.id) FROM entry e WHERE e.account_id = account.id), balance, 0
FROM account WHERE balance > 0
"""
_MARKS = """
INSERT INTO usage_mark (account_id, entry_id, balance)
SELECT account_id, id, balance FROM (
  SELECT account_id, id, sum(credits) OVER (ORDER BY id) AS balance,
         row_number() OVER (ORDER BY id) AS place
  FROM entry WHERE account_id = :account) AS e
WHERE place % 1000 = 0
"""
_USAGE = """
WITH RECURSIVE back(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM back WHERE n < :most)
INSERT INTO {table} (account_id, start, api_key_id, model, route, requests, charged, refunded)
SELECT a.id, :newest - back.n, :key, 'model-' || m.n, 'chat', 100, 10000, 3000
FROM account a CROSS JOIN back CROSS JOIN (SELECT n FROM back WHERE n < 5) AS m
"""


def remember_all(books: Books, key: KeyState, marked: list[int]) -> None:
    """Put the checkpoints to the newest entries; `marked` are the accounts that have marks."""
    now = books.now()
    seconds = int(now.timestamp())
    with books.database.write() as session:
        for table in ("audit_checkpoint", "usage_checkpoint", "usage_mark"):
            session.execute(text(f"DELETE FROM {table}"))
        shown = f"{now:%Y-%m-%d %H:%M:%S.%f}" if books.database.is_sqlite else now
        session.execute(text(_AUDITED), {"now": shown})
        session.execute(text(_COUNTED))
        for account in marked:
            session.execute(text(_MARKS), {"account": account})
        for table, newest, most in (
            ("usage_day", seconds // 86_400, DAYS),
            ("usage_hour", seconds // 3_600, HOURS_KEPT),
        ):
            session.execute(text(f"DELETE FROM {table}"))
            values = {"newest": newest, "most": most, "key": key.id}
            session.execute(text(_USAGE.format(table=table)), values)
