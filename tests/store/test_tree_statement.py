"""A statement with the accounts below it: the ledger's own sums, apart from the balances."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.statement import BelowLine, Period, PeriodError, Statement
from gateway.http.statement_formats import FORMATS
from gateway.store import tree_statement
from gateway.store.ledger import Ledger, Refund
from gateway.store.tree_statement import TreeStatementReader
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import with_ledger
from tests.store.test_groups import state

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PERIOD = Period(TODAY - timedelta(days=1), TODAY + timedelta(days=2))


def read(books: Books, account: str) -> Statement:
    reader = TreeStatementReader(books.account_id(account), f"team/{account}", PERIOD)
    while (statement := reader.advance(books.database)) is None:
        pass
    return statement


def below(statement: Statement) -> list[BelowLine]:
    assert statement.below is not None
    return statement.below.lines


@pytest.fixture
def company(books: Books) -> Books:
    """company ── team ── alice, bob; eve beside them. All are charged; bob's request fails."""
    for name, parent in (("alice", "team"), ("bob", "team"), ("team", "company")):
        state(books, name, parent=parent)
    names = ("company", "team", "alice", "bob", "eve")
    for name in names:
        books.grant(f"grant-{name}", name, credits=100)
    charges = [
        books.charge(books.issue(f"key-{name}", name)[0], price, name)
        for price, name in enumerate(names, 1)
    ]

    async def act(ledger: Ledger) -> None:
        for charge in charges:
            await ledger.charge(charge)
        assert await ledger.refund(Refund(charges[3].request_id, charges[3].account_id))

    with_ledger(books.database, act)
    assert count_usage(books.database, INSTALLATION).is_complete
    return books


def test_accounts_below_are_listed_and_in_no_balance(company: Books) -> None:
    found = read(company, "company")
    assert below(found) == [
        BelowLine("team/alice", -3, 0),
        BelowLine("team/bob", -4, 4),
        BelowLine("team/team", -2, 0),
    ]
    assert (found.closing, found.totals["charge"]) == (99, -1)
    assert [line.account for line in below(read(company, "team"))] == ["team/alice", "team/bob"]
    assert below(read(company, "eve")) == []

    written = json.loads(FORMATS["json"](found))["below"]
    assert written["total"] == {"charges": -9, "refunds": 4, "credits": -5}
    lines = FORMATS["csv"](found).decode().split("\r\n")
    assert lines[0].endswith(",credits,account")
    closing = next(at for at, line in enumerate(lines) if line.startswith("closing,"))
    assert lines[closing + 1] == "below_charge,,,,,,,,,,,-3,team/alice"
    assert lines[closing + 2] == "below_refund,,,,,,,,,,,0,team/alice"
    assert "Accounts below" in FORMATS["html"](found).decode()


def test_an_account_that_moves_takes_its_past_with_it(company: Books) -> None:
    state(company, "bob", parent="eve")
    assert [line.account for line in below(read(company, "company"))] == ["team/alice", "team/team"]
    assert below(read(company, "eve")) == [BelowLine("team/bob", -4, 4)]


def test_too_many_accounts_below_are_a_sentence(
    company: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_statement, "GROUPS_MAX", 2)
    with pytest.raises(PeriodError, match="more than 2 accounts") as refused:
        read(company, "company")
    assert refused.value.parameter == "below"
