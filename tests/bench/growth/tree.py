"""The usage of a tree of accounts that has millions of rows, as its own reader gets it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from gateway.core.usage import read_query
from gateway.store.database import Database
from gateway.store.usage_reader import UsageReader
from tests.bench.growth.figures import analyze
from tests.bench.growth.fill import DAYS
from tests.bench.growth.machine import Machine
from tests.harness.books import Books

_ACCOUNTS = 5_000
_NEW_ACCOUNTS = """
INSERT INTO account (installation, namespace, name, balance, created_at, parent_id)
SELECT 'default', 'team', 'child-' || n, 0, now(), :top FROM generate_series(1, :accounts) AS n
"""
_ROWS = """
INSERT INTO usage_day (account_id, start, api_key_id, model, route, requests, charged)
SELECT a.id, :today - d, k, 'model-' || k, 'chat', 1, 1
FROM account a CROSS JOIN generate_series(1, :days) AS d CROSS JOIN generate_series(1, :keys) AS k
WHERE a.parent_id = :top
"""


def measure_tree(database: Database, machine: Machine, rows: int) -> Iterator[str]:
    """Lines on the whole answer and on its slowest slice, for each way to ask."""
    books = Books(database)
    books.grant("of-top", "top")
    top, now = books.account_id("top"), datetime.now(UTC)
    keys = max(1, rows // (_ACCOUNTS * DAYS))
    values = {"top": top, "days": DAYS, "keys": keys, "today": int(now.timestamp()) // 86_400}
    with database.write() as session:
        session.execute(text(_NEW_ACCOUNTS), {"top": top, "accounts": _ACCOUNTS})
        session.execute(text(_ROWS), values)
    analyze(database)
    for group_by in ("account", "day,account"):
        query = read_query(now, begin=str((now - timedelta(days=DAYS)).date()), group_by=group_by)
        reader = UsageReader(top, query)
        began, slices, slowest, lines = machine.cpu_seconds(), 0, 0.0, 0
        while True:
            asked = time.monotonic()
            found = reader.advance(database)
            slowest = max(slowest, time.monotonic() - asked)
            if found is None:
                break
            slices, lines = slices + 1, lines + len(found)
        seconds = machine.cpu_seconds() - began
        assert reader.total.requests == _ACCOUNTS * DAYS * keys
        yield (
            f"a tree of {_ACCOUNTS * DAYS * keys:,} rows by {group_by}: {seconds:.1f} s of CPU,"
            f" {lines} lines, {slices} slices, the slowest {slowest:.2f} s"
        )
