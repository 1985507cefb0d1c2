"""Databases as large as they get: requests of 100 days, written by the database itself.

A tenth of them are of one account, the others of ninety. Every second request has token prices:
a refund of what it did not use, and the parts of its price.
"""

from collections.abc import Mapping

from sqlalchemy import text

from gateway.store.database import Database
from gateway.store.key_rows import KeyState
from tests.harness.books import Books

DAYS = 100
BIG = "big"
_SMALL = 100
_CHARGE, _REFUND = 100, 60
_PRICE = (
    '{"credits":40,"uncached":{"tokens":900,"credits":9},"cached":{"tokens":100,"credits":0.1},'
    '"output":{"tokens":300,"credits":30.9},"from":"2026-01-01"}'
)
_DAY_MILLISECONDS = 86_400_000
#: of each database: the series of requests, a moment in milliseconds, and a request's id
_SERIES = {
    "sqlite": "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < :requests)",
    "postgresql": "WITH g AS (SELECT generate_series(1, CAST(:requests AS bigint)) AS n)",
}
_SQLITE_ID = "printf('req_%012x%020x', ms, n * 2654435761)"
_POSTGRES_ID = "'req_' || lpad(to_hex(ms), 12, '0') || substr(md5(CAST(n AS text)), 1, 20)"
_SQLITE_MOMENT = (
    "strftime('%Y-%m-%d %H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03d000', ms % 1000)"
)
_POSTGRES_MOMENT = "to_timestamp(ms / 1000.0)"
_REQUESTS = """
{series}, made AS (
  SELECT n, CAST(:begin AS bigint) + n * CAST(:milliseconds AS bigint) / :requests AS ms FROM g
), request AS (
  SELECT n, {id} AS request_id, {moment} AS made_at,
         CASE WHEN n % 10 = 0 THEN CAST(:big AS bigint)
              ELSE :big + 1 + n % {small} END AS account_id
  FROM made
)
"""
_ENTRIES = """
INSERT INTO entry (id, account_id, kind, credits, request_id, api_key_id, model, route, created_at)
{requests}
SELECT :newest + 2 * n + part, account_id, CASE part WHEN 0 THEN 'charge' ELSE 'refund' END,
  CASE part WHEN 0 THEN -{charge} ELSE {refund} END, request_id, :key,
  CASE part WHEN 0 THEN 'model-' || n % 5 END, CASE part WHEN 0 THEN 'chat' END, made_at
FROM request JOIN (SELECT 0 AS part UNION ALL SELECT 1) AS parts ON part = 0 OR n % 2 = 0
ORDER BY n, part
"""
_USAGE = """
INSERT INTO request_usage (request_id, input_tokens, cached_tokens, output_tokens,
                           reasoning_tokens, cache_write_tokens, price)
{requests}
SELECT request_id, 1000, 100, 300, 0, 0, CASE n % 2 WHEN 0 THEN :price END FROM request
"""
_SMALL_ACCOUNTS = """
SELECT id FROM account WHERE id <> :big AND EXISTS (
  SELECT 1 FROM entry e WHERE e.account_id = account.id AND e.kind = 'charge') ORDER BY id
"""
_BALANCES = """
UPDATE account SET balance = (SELECT sum(credits) FROM entry WHERE account_id = account.id)
"""
_NEXT_ID = "SELECT setval(pg_get_serial_sequence('entry', 'id'), (SELECT max(id) FROM entry))"


def fill(database: Database, requests: int) -> tuple[Books, KeyState]:
    """The books of so many requests, and the key of the large account."""
    books = Books(database)
    books.grant("of-big", BIG, credits=10**9)
    key, _ = books.issue("key", BIG)
    for number in range(_SMALL):
        books.grant(f"of-{number}", f"small-{number}", credits=10**9)
    Filling(books, key).add(requests, days=DAYS)
    return books, key


def small_accounts(books: Books) -> list[int]:
    """The ids of the accounts that have a hundredth of the requests each."""
    with books.database.read() as session:
        found = session.execute(text(_SMALL_ACCOUNTS), {"big": books.account_id(BIG)})
        return list(found.scalars())


class Filling:
    """Adds requests to a database that has its accounts."""

    def __init__(self, books: Books, key: KeyState) -> None:
        self._books = books
        self._database = books.database
        self._key = key
        self._words = _REQUESTS.format(
            series=_SERIES["sqlite" if self._database.is_sqlite else "postgresql"],
            id=_SQLITE_ID if self._database.is_sqlite else _POSTGRES_ID,
            moment=_SQLITE_MOMENT if self._database.is_sqlite else _POSTGRES_MOMENT,
            small=_SMALL,
        )

    def add(self, requests: int, *, days: int) -> None:
        """Add so many requests of the last days."""
        milliseconds = days * _DAY_MILLISECONDS
        values = {
            "requests": requests,
            "big": self._books.account_id(BIG),
            "milliseconds": milliseconds,
            "begin": int(self._books.now().timestamp() * 1000) - milliseconds - 60_000,
        }
        newest = self._books.newest_entry() + 1
        entries = _ENTRIES.format(requests=self._words, charge=_CHARGE, refund=_REFUND)
        self._run(entries, {**values, "newest": newest, "key": self._key.id})
        self._run(_USAGE.format(requests=self._words), {**values, "price": _PRICE})
        self._run(_BALANCES, {})
        if not self._database.is_sqlite:
            self._run(_NEXT_ID, {})

    def _run(self, statement: str, values: Mapping[str, object]) -> None:
        with self._database.write() as session:
            session.execute(text(statement), values)
