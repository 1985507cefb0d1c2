"""Pages of entries: what is asked for, whole, in order, and with the balance after each."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from gateway.core.entries import EntryLine, EntryQuery, EntryTokens, read_entry_query
from gateway.core.statement import PeriodError
from gateway.core.usage import QueryError
from gateway.store import entry_reader
from gateway.store.columns import UtcDateTime
from gateway.store.entry_ranges import SLICE, ask
from gateway.store.entry_reader import EntryReader
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.store.test_usage_reader import book_some

NOW = datetime.now(UTC)


def read(books: Books, query: EntryQuery, *, is_whole: bool = False) -> list[EntryLine]:
    """One page, or all."""
    reader = EntryReader(books.account_id(), query, is_whole=is_whole)
    found: list[EntryLine] = []
    while (lines := reader.advance(books.database)) is not None:
        found += lines
    return found


def read_pages(books: Books, **given: Any) -> list[list[EntryLine]]:
    """All pages, as a client asks for them."""
    pages: list[list[EntryLine]] = []
    after: dict[str, Any] = {}
    while True:
        reader = EntryReader(books.account_id(), read_entry_query(**given, **after))
        pages.append([])
        while (lines := reader.advance(books.database)) is not None:
            pages[-1] += lines
        if not reader.has_more:
            return pages
        after = {"after": str(reader.last_id)}


def ledger(books: Books) -> list[dict[str, Any]]:
    """All entries of alice, newest first, with the balance after each, added up from the oldest."""
    asked = """
        SELECT e.id, e.kind, e.credits, e.created_at, e.request_id,
          coalesce(e.model, c.model) AS model, coalesce(e.route, c.route) AS route,
          k.namespace || '/' || k.name AS key, t.tags
        FROM entry e LEFT JOIN entry c ON c.request_id = e.request_id AND c.kind = 'charge'
        LEFT JOIN api_key k ON k.id = e.api_key_id
        LEFT JOIN request_tags t ON t.request_id = e.request_id
        WHERE e.account_id = :account ORDER BY e.id
    """
    rows: list[dict[str, Any]] = []
    balance = 0
    with books.database.read() as session:
        found = session.execute(
            text(asked).columns(created_at=UtcDateTime()), {"account": books.account_id()}
        )
        for row in found.mappings():
            balance += row["credits"]
            rows.append({**row, "balance_after": balance})
    return rows[::-1]


def shown(lines: list[EntryLine]) -> list[tuple[Any, ...]]:
    return [(line.id, line.kind, line.credits, line.balance_after) for line in lines]


def wanted(rows: list[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> list[Any]:
    return [
        (row["id"], row["kind"], row["credits"], row["balance_after"]) for row in rows if holds(row)
    ]


@pytest.fixture
def booked(books: Books) -> Books:
    """Booked in the order of time, as a ledger is."""
    book_some(books, random.Random(5), 20, 60)
    with books.database.write() as session:
        for number, entry_id in enumerate(
            session.execute(text("SELECT id FROM entry ORDER BY id")).scalars().all()
        ):
            at = NOW - timedelta(days=10) + timedelta(hours=number)
            moment = UtcDateTime().process_bind_param(at, session.get_bind().dialect)
            session.execute(
                text("UPDATE entry SET created_at = :at WHERE id = :id"),
                {"at": moment, "id": entry_id},
            )
    return books


def test_pages_hold_all_entries_with_the_balance_after_each(booked: Books) -> None:
    rows = ledger(booked)
    every = wanted(rows, lambda _: True)
    assert shown(read(booked, read_entry_query(), is_whole=True)) == every
    pages = read_pages(booked, limit="7")
    assert [entry for page in pages for entry in shown(page)] == every
    assert {len(page) for page in pages[:-1]} == {7}
    assert 0 < len(pages[-1]) <= 7, "no page is empty when nothing is filtered"


FILTERS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "kind": ({"kind": "refund,grant"}, lambda row: row["kind"] in ("refund", "grant")),
    "model": ({"model": "glm"}, lambda row: row["model"] == "glm"),
    "route": ({"route": "messages"}, lambda row: row["route"] == "messages"),
    "key": ({"key": "team/alice-1"}, lambda row: row["key"] == "team/alice-1"),
    "period": (
        {
            "begin": f"{NOW - timedelta(days=8):%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{NOW - timedelta(days=4):%Y-%m-%dT%H:%M:%SZ}",
        },
        lambda row: (
            NOW.replace(microsecond=0) - timedelta(days=8)
            <= row["created_at"]
            < NOW.replace(microsecond=0) - timedelta(days=4)
        ),
    ),
    "all": (
        {"kind": "charge", "model": "kimi", "begin": f"{NOW - timedelta(days=9):%Y-%m-%d}"},
        lambda row: (
            row["kind"] == "charge"
            and row["model"] == "kimi"
            and f"{row['created_at']:%Y-%m-%d}" >= f"{NOW - timedelta(days=9):%Y-%m-%d}"
        ),
    ),
    "tags": (
        {"tags": {"team": "b", "user": "u1"}},
        lambda row: row["tags"] == '{"team":"b","user":"u1"}',
    ),
    "none": ({"model": "none"}, lambda _: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_leaves_out_nothing_else(
    booked: Books, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, holds = FILTERS[name]
    every = wanted(ledger(booked), holds)
    assert len(every) > 5 or name == "none"
    assert shown(read(booked, read_entry_query(**given), is_whole=True)) == every
    # Slices and pages that end in the middle of nowhere.
    monkeypatch.setattr(entry_reader, "_LOOKED_AT_ONCE", 4)
    monkeypatch.setattr(entry_reader, "_LOOKED_THROUGH_MAX", 9)
    pages = read_pages(booked, **given, limit="3")
    assert [entry for page in pages for entry in shown(page)] == every
    assert max(len(page) for page in pages) <= 3
    assert shown(read(booked, read_entry_query(**given), is_whole=True)) == every


def test_an_entry_shows_what_is_known_of_it(books: Books) -> None:
    books.grant(credits=10, reason="a start", reference="order-7")
    key, _ = books.issue()
    insert = (
        "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,"
        " idempotency_key, retry_count) VALUES (1, {values})"
    )
    with books.database.write() as session:
        for values in (
            f"'charge', -3, 'req_1', {key.id}, 'kimi', 'chat', 'mine', 1",
            f"'refund', 3, 'req_1', {key.id}, NULL, NULL, NULL, NULL",
            f"'charge', -2, 'req_2', {key.id}, 'kimi', 'chat', NULL, NULL",
        ):
            moment = "'2026-10-01 00:00:00.000000'" if books.database.is_sqlite else "now()"
            named = insert.replace("retry_count)", "retry_count, created_at)")
            session.execute(text(named.format(values=f"{values}, {moment}")))
        session.execute(
            text(
                "INSERT INTO request_usage (request_id, input_tokens, cached_tokens, output_tokens,"
                " reasoning_tokens, cache_write_tokens, price)"
                " VALUES ('req_2', 9, 4, 5, 2, 3, :price)"
            ),
            {"price": '{"messages":2}'},
        )
        session.execute(text("UPDATE account SET balance = 8"))
    second, refund, first, grant = read(books, read_entry_query())
    assert second.price is not None
    assert (bytes(second.price), first.price) == (b'{"messages":2}', None)
    assert (second.tokens, first.tokens) == (EntryTokens(9, 4, 3, 5, 2), None)
    assert [line.balance_after for line in (second, refund, first, grant)] == [8, 10, 7, 10]
    for line in (refund, first):
        assert (line.request_id, line.model, line.route) == ("req_1", "kimi", "chat")
        assert (line.idempotency_key, line.retry_count) == ("mine", 1)
        assert line.key is not None
        assert (line.key.name, line.key.key_id) == ("team/key", key.key_id)
        assert line.grant is None
    assert grant.grant is not None
    assert (grant.grant.name, grant.grant.reference, grant.grant.reason) == (
        "team/grant", "order-7", "a start",
    )  # fmt: skip
    assert grant.key is None
    assert shown(read(books, read_entry_query(request_id="req_1"))) == shown([refund, first])
    assert read(books, read_entry_query(request_id="req_1", kind="refund")) == [refund]
    assert read(books, read_entry_query(request_id="none")) == []
    with pytest.raises(QueryError, match="no such key"):
        read(books, read_entry_query(key="team/none"))


def test_a_balance_deep_in_a_long_history_is_near_a_mark(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_reader, "_ADDED", (2_000, 11_001))
    many = 30_000
    books.grant(credits=2 * many)
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :many)"
    with books.database.write() as session:
        moment = "'2026-10-01 00:00:00.000000'" if books.database.is_sqlite else "now()"
        session.execute(
            text(
                f"{numbers} INSERT INTO entry (account_id, kind, credits, request_id, api_key_id,"
                " model, route, created_at) SELECT 1, 'charge', -1, 'req_' || n, 1, 'kimi', 'chat',"
                f" {moment} FROM n"
            ),
            {"many": many},
        )
        session.execute(text("UPDATE account SET balance = :many"), {"many": many})
    oldest = books.newest_entry() - many + 1
    for after in (oldest + 5, oldest + 12_345, oldest + many - 2):
        [line] = read(books, read_entry_query(after=str(after), limit="1"))
        near_the_end = after > oldest + many - 11_000
        known = 2 * many - (line.id - oldest + 1) if near_the_end else None
        assert (line.id, line.balance_after) == (after - 1, known), "it was never counted"
    assert count_usage(books.database, INSTALLATION).is_complete
    for after in (oldest + 5, oldest + 12_345, oldest + many - 2):
        [line] = read(books, read_entry_query(after=str(after), limit="1"))
        assert line.balance_after == 2 * many - (line.id - oldest + 1)
    if not books.database.is_sqlite:
        assert pages_of_a_slice(books, oldest + 5) < 20, "it ends where it is to end"


def pages_of_a_slice(books: Books, after: int) -> int:
    """The pages that PostgreSQL reads for ten entries of a long history."""
    asked = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SLICE}"
    values = {"account": books.account_id(), "after": after, "last": after + 10, "most": 100}
    with books.database.read() as session:
        (explained,) = ask(session, asked, values).one()[0]
    plan = explained["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"begin": "yesterday"}, "from"),
        ({"end": "2026-10-01T00:00:00"}, "to"),
        ({"begin": "2026-10-02", "end": "2026-10-01"}, "to"),
        ({"kind": "charge,gift"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"after": "-1"}, "after"),
        ({"after": "9" * 30}, "after"),
        ({"after": "١"}, "after"),
    ],
)
def test_a_question_that_makes_no_sense(given: dict[str, Any], parameter: str) -> None:
    with pytest.raises(PeriodError) as refused:
        read_entry_query(**given)
    assert refused.value.parameter == parameter
