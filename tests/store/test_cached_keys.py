"""A gateway reads the keys by pages, without the revoked ones, for every content of a row."""

import logging
import time

import pytest
from sqlalchemy import text

from gateway.store.cached_keys import read_changes
from gateway.store.key_rows import find_key, list_keys
from gateway.store.keys import apply_key, revoke_key
from gateway.store.unreadable import UNREADABLE
from tests.harness.books import INSTALLATION, Books, credential, key_object
from tests.store.noted import statements

_INSERT = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :many)
INSERT INTO api_key (key_id, installation, namespace, name, uid, account_id, prefix, models,
                     suspended, revoked_at, generation, version, created_at)
SELECT 'key_many_' || :kind || n, 'default', 'team', :kind || '-' || n, '',
       (SELECT min(id) FROM account), 'sk-', '[]', false, {revoked_at}, 0,
       (SELECT version FROM key_version) + n, {now}
FROM number
"""
_NOW = {True: "'2026-01-01 00:00:00.000000'", False: "now()"}


def insert_keys(books: Books, kind: str, many: int, *, revoked: bool) -> None:
    now = _NOW[books.database.is_sqlite]
    statement = _INSERT.format(now=now, revoked_at=now if revoked else "NULL")
    with books.database.write() as session:
        session.execute(text(statement), {"kind": kind, "many": many})
        session.execute(text("UPDATE key_version SET version = version + :many"), {"many": many})
        if not books.database.is_sqlite:
            session.execute(text("ANALYZE api_key"))


def test_revoked_keys_cost_a_start_nothing(books: Books) -> None:
    books.issue()
    before = read_changes(books.database, -1)
    with statements() as few:
        read_changes(books.database, -1)
    insert_keys(books, "revoked", 66_000, revoked=True)
    began = time.thread_time()
    with statements() as many:
        after = read_changes(books.database, -1)
    assert time.thread_time() - began < 0.1
    assert after.keys == before.keys
    assert [statement for statement, _ in many] == [statement for statement, _ in few]


def test_many_keys_are_read_by_pages(books: Books) -> None:
    books.issue("first")
    insert_keys(books, "live", 11_000, revoked=False)
    books.issue("last")
    with statements() as sent:
        found = read_changes(books.database, -1)
    names = [key.name for key in found.keys]
    assert (len(names), names[0], names[-1]) == (11_002, "team/first", "team/last")
    assert [len(key.hashes) for key in (found.keys[0], found.keys[-1])] == [1, 1]
    assert max(len(values) for _, values in sent) < 10
    assert len(read_changes(books.database, found.version - 2).keys) == 2


UNREADABLE_ROWS = {
    "sqlite": ["expires_at = 'whenever'", "expires_at = x'00ff'", "models = 'no json'"],
    "postgres": [
        "expires_at = '9999-12-31T23:59:59-12:00'",
        "expires_at = 'infinity'",
        "expires_at = '-infinity'",
        "expires_at = '0044-03-15 12:00:00+00 BC'",
    ],
}
for both in ("models = 'null'", "models = '{\"a\": 1}'", "models = '[\"a\", 1]'"):
    for rows in UNREADABLE_ROWS.values():
        rows.append(both)


def spoil(books: Books, table: str, change: str, name: str) -> None:
    with books.database.write() as session:
        session.connection().exec_driver_sql(f"UPDATE {table} SET {change} WHERE name = '{name}'")
        session.execute(text("UPDATE key_version SET version = version + 1"))


@pytest.mark.parametrize(
    ("database_url", "change"),
    [(kind, change) for kind, changes in UNREADABLE_ROWS.items() for change in changes],
    indirect=["database_url"],
)
def test_a_row_that_cannot_be_read_is_set_aside_alone(
    books: Books, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No other key notices, its own is refused, and its object mends it."""
    _, plaintext = books.issue("spoilt")
    books.issue("fine")
    spoil(books, "api_key", change, "spoilt")
    with caplog.at_level(logging.WARNING):
        found = {key.name: key for key in read_changes(books.database, -1).keys}
    assert [record.getMessage() for record in caplog.records] == [
        "the API key team/spoilt is set aside: its row holds what nobody can read"
    ]
    assert not found["team/fine"].suspended
    assert found["team/spoilt"].suspended
    listed = {state.name: state for state in list_keys(books.database, INSTALLATION)}
    assert listed["spoilt"] == find_key(books.database, INSTALLATION, "team", "spoilt")
    assert not listed["spoilt"].matches(key_object("spoilt"))
    repaired = apply_key(books.database, INSTALLATION, key_object("spoilt"), credential(plaintext))
    assert repaired.matches(key_object("spoilt"))
    assert not any(key.suspended for key in read_changes(books.database, -1).keys)
    spoil(books, "api_key", change, "spoilt")
    revoke_key(books.database, repaired.id)
    assert [key.name for key in read_changes(books.database, -1).keys] == ["team/fine"]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_an_account_that_cannot_be_read_keeps_no_key_from_the_others(books: Books) -> None:
    books.grant(expiresAt="9999-12-31T23:59:59Z")
    books.issue()
    spoil(books, "account", "next_expiry = 'infinity', created_at = '-infinity'", "alice")
    assert [key.name for key in read_changes(books.database, -1).keys] == ["team/key"]
    assert books.grant("another").reason == "Posted"
    assert books.scalar("SELECT extract(year FROM next_expiry) FROM account") == 9999


def test_the_last_moment_is_read_as_it_was_written(books: Books) -> None:
    key = key_object(expiresAt="9999-12-31T11:59:59-12:00")
    state = apply_key(books.database, INSTALLATION, key, credential("x" * 40))
    assert state.matches(key)
    assert state.expires_at != UNREADABLE
