"""Closings: what leaves the ledger, what stays, and that nobody can see a difference."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.errors import DatabaseBusy
from gateway.core.events import Usage
from gateway.core.statement import Period, PeriodError
from gateway.http.statement_formats import FORMATS
from gateway.store.audit import audit
from gateway.store.audit_rounds import audit_round
from gateway.store.closing import COLUMNS, NotCounted, accounts_to_close, close_account
from gateway.store.database import Database
from gateway.store.ledger import Claim, End, Ledger, MeteredEnd, Refund, RetryKey
from gateway.store.statement_reader import StatementReader
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.store.test_account_statement import with_ledger
from tests.store.test_statements import OCTOBER, History, read

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def close(books: Books, account_id: int, before: datetime, slice_size: int = 7) -> list[Any]:
    """Close an account; the entries that left, as dictionaries."""
    kept: list[Any] = []

    def keep(rows: Sequence[Sequence[Any]]) -> None:
        kept.extend(dict(zip(COLUMNS, row, strict=True)) for row in rows)

    moved = list(close_account(books.database, account_id, before, keep, slice_size=slice_size))
    assert sum(one.entries for one in moved) == len(kept)
    assert sum(one.credits for one in moved) == sum(row["credits"] for row in kept)
    return kept


def entries(database: Database, account_id: int) -> list[Any]:
    with database.read() as session:
        asked = text(
            "SELECT id, kind, credits, request_id FROM entry WHERE account_id = :id ORDER BY id"
        )
        return list(session.execute(asked, {"id": account_id}))


def check(books: Books) -> None:
    assert audit(books.database) == []
    if not books.database.is_sqlite:
        for _ in range(2):
            found = audit_round(
                books.database, INSTALLATION, round_seconds=60, recount_seconds=0.001
            )
            assert found.findings == ()


def test_random_histories_are_closed_twice_and_read_the_same(books: Books) -> None:
    random = Random(31)
    for number in range(8):
        history = History(books, random, f"account-{number}")
        account_id = history.account_id
        name = f"account-{number}"
        count_usage(books.database, INSTALLATION)
        balance = books.balance(name)
        later = Period(NOVEMBER, datetime(2027, 3, 1, tzinfo=UTC))
        before = FORMATS["json"](read(books.database, account_id, later))
        all_of_it = {row.id: row.credits for row in entries(books.database, account_id)}
        for moment in (OCTOBER.begin, NOVEMBER):
            left = close(books, account_id, moment)
            for row in left:
                assert all_of_it.pop(row["id"]) == row["credits"]
            check(books)
            assert books.balance(name) == balance
        kept = [row for row in entries(books.database, account_id) if row.kind != "carry"]
        assert {row.id: row.credits for row in kept} == all_of_it
        assert FORMATS["json"](read(books.database, account_id, later)) == before
        assert close(books, account_id, NOVEMBER) == []


def test_a_charge_stays_while_its_refund_is_newer_or_its_request_open(books: Books) -> None:
    history = History(books, Random(5), "alice")
    count_usage(books.database, INSTALLATION)
    close(books, history.account_id, DECEMBER, 2)
    rows = entries(books.database, history.account_id)
    [carry] = [row.id for row in rows if row.kind == "carry"]
    stayed = {row.request_id for row in rows if row.kind == "charge" and row.id < carry}
    refunded = {row.request_id for row in rows if row.kind == "refund" and row.id > carry}
    assert stayed
    assert stayed <= refunded


def test_an_open_request_stays(books: Books) -> None:
    key, _ = books.issue()
    books.grant(credits=100)
    account_id = books.account_id()
    done, still_open = (
        replace(books.charge(key, credits), tags='{"team":"a"}') for credits in (7, 8)
    )

    async def begin(ledger: Ledger) -> None:
        for charge in (done, still_open):
            await ledger.charge(charge)
        ledger.end(End(done.request_id, Usage(input=7, output=5)))

    async def give_back(ledger: Ledger) -> None:
        await ledger.refund(Refund(still_open.request_id, still_open.account_id))

    with_ledger(books, begin)
    count_usage(books.database, INSTALLATION)
    left = close(books, account_id, books.now() + timedelta(seconds=1))
    tokens = [(row["kind"], row["input_tokens"], row["tags"]) for row in left]
    assert tokens == [("charge", 7, '{"team":"a"}')]
    assert books.scalar("SELECT count(*) FROM request_tags") == 1
    kept = [(row.kind, row.credits) for row in entries(books.database, account_id)]
    assert kept == [("grant", 100), ("carry", -7), ("charge", -8)]
    check(books)
    with_ledger(books, give_back)
    assert books.balance() == 93
    assert books.scalar("SELECT count(*) FROM request_usage") == 0


def test_what_is_not_counted_stays(books: Books) -> None:
    history = History(books, Random(6), "alice")
    before = entries(books.database, history.account_id)
    with pytest.raises(NotCounted):
        close(books, history.account_id, DECEMBER)
    assert entries(books.database, history.account_id) == before


def test_an_entry_whose_file_cannot_be_written_stays(books: Books) -> None:
    history = History(books, Random(7), "alice")
    count_usage(books.database, INSTALLATION)
    before = entries(books.database, history.account_id)

    def fail(_: Sequence[Sequence[Any]]) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        list(close_account(books.database, history.account_id, DECEMBER, fail))
    assert entries(books.database, history.account_id) == before
    check(books)


def test_a_statement_of_what_has_left_is_refused(books: Books) -> None:
    history = History(books, Random(8), "alice")
    count_usage(books.database, INSTALLATION)
    begun = StatementReader(history.account_id, "team/alice", Period(NOVEMBER, DECEMBER), 3)
    begun.advance(books.database)
    close(books, history.account_id, NOVEMBER)
    with pytest.raises(PeriodError, match="2026-11-01T00:00:00Z"):
        read(books.database, history.account_id, OCTOBER)
    with pytest.raises(DatabaseBusy):
        while begun.advance(books.database) is None:
            pass


def test_a_request_that_stayed_leaves_with_a_later_closing(books: Books) -> None:
    key, _ = books.issue()
    books.grant(credits=100)
    early, late = books.charge(key, 7), books.charge(key, 8)
    left = RetryKey("again", "model")

    async def act(ledger: Ledger) -> None:
        await ledger.charge(early)
        await ledger.charge(late)
        account_id = books.account_id()
        await ledger.end_left(MeteredEnd(late.request_id, account_id, 0, None, None, left))
        assert await ledger.claim(Claim("retry", account_id, "again", "model")) == 8

    with_ledger(books, act)
    count_usage(books.database, INSTALLATION)
    account_id, moment = books.account_id(), books.now() + timedelta(seconds=1)
    assert [row["request_id"] for row in close(books, account_id, moment)] == [late.request_id]
    with books.database.write() as session:
        session.execute(text("DELETE FROM hold"))  # it ended without a refund
    count_usage(books.database, INSTALLATION)
    assert [row["request_id"] for row in close(books, account_id, moment)] == [early.request_id]
    kept = [(row.kind, row.credits) for row in entries(books.database, account_id)]
    assert kept == [("grant", 100), ("carry", -15)]
    check(books)


def test_a_key_that_has_moved_counts_what_its_old_account_has_closed(books: Books) -> None:
    limits = {"credits": 50}
    key, _ = books.issue(limits=limits)
    books.grant(credits=100)
    charge = books.charge(key, 7)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        ledger.end(End(charge.request_id, None))

    with_ledger(books, act)
    books.issue(account="bob", limits=limits)
    count_usage(books.database, INSTALLATION)
    closed = close(books, charge.account_id, books.now() + timedelta(seconds=1))
    assert [row["credits"] for row in closed] == [-7]
    check(books)


def test_all_accounts_of_an_installation_are_closed(books: Books) -> None:
    books.issue("a", "alice")
    books.issue("b", "bob")
    names = [name for _, name in accounts_to_close(books.database, INSTALLATION)]
    assert names == ["team/alice", "team/bob"]
    assert accounts_to_close(books.database, "another") == []
