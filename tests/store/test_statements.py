"""Statements: exact for any history, the same for good once their period is over."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, text

from gateway.core.statement import KINDS, Period, PeriodError, Statement, read_period
from gateway.http.statement_formats import FORMATS
from gateway.store.database import Database
from gateway.store.statement_reader import (
    LINES_MAX,
    StatementReader,
    find_account,
    is_over,
)
from gateway.store.tables import Account, CreditGrantRow, Entry
from tests.harness.books import INSTALLATION, Books, somebody_else

OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))


class History:
    """A random life of an account from August to December, among those of others.

    Its dates grow with its ids, except that the clock is now and then set back by some minutes.
    """

    def __init__(self, books: Books, random: Random, name: str) -> None:
        self.books, self.random, self.name = books, random, name
        self.keys = [books.issue(f"{name}-{number}", name)[0].id for number in range(3)]
        self.account_id = books.account_id(name)
        self.moment = datetime(2026, 8, 1, tzinfo=UTC)
        self.balance = 0
        self.entries: list[dict[str, Any]] = []
        self.left: dict[int, int] = {}
        self.charges: list[dict[str, Any]] = []
        for number in range(random.randrange(1, 90)):
            self.live_on(number)
        with books.database.write() as session:
            session.get_one(Account, self.account_id).balance = self.balance

    def live_on(self, number: int) -> None:
        random = self.random
        kind = random.choice(["grant", "charge", "charge", "charge", "refund", "expiry", "void"])
        if kind == "grant" or not self.left:
            credits = random.randrange(1, 10 ** random.randrange(1, 12))
            grant_id = self.make_grant(number, credits)
            self.left[grant_id] = credits
            self.add("grant", credits, grant_id=grant_id)
        elif kind == "charge":
            columns = {
                "request_id": f"{self.name}-{number}",
                "api_key_id": random.choice(self.keys),
                "model": random.choice(["kimi", "claude"]),
            }
            credits = -random.randrange(self.balance + 1)
            self.charges.append(self.add("charge", credits, **columns))
        elif kind == "refund" and self.charges:
            charge = self.charges.pop(random.randrange(len(self.charges)))
            same = {part: charge[part] for part in ("request_id", "api_key_id")}
            self.add("refund", -charge["credits"], **same)
        elif kind in ("expiry", "void"):
            grant_id, credits = self.left.popitem()
            taken = random.randrange(min(credits, self.balance) + 1)
            self.add(kind, -taken, grant_id=grant_id)

    def make_grant(self, number: int, credits: int) -> int:
        row = CreditGrantRow(
            installation=INSTALLATION,
            identity=f"team/ref:{self.name}-{number}",
            namespace="team",
            name=f"grant-{number}",
            account_id=self.account_id,
            credits=credits,
            remaining=0,
            reason=f"for {number}",
            payload_hash="",
            posted_at=self.moment,
        )
        with self.books.database.write() as session:
            session.add(row)
            session.flush()
            return row.id

    def add(self, kind: str, credits: int, **columns: Any) -> dict[str, Any]:
        self.moment += timedelta(hours=self.random.random() * 120)
        setback = timedelta(minutes=self.random.choice([0, 0, 0, 50]))
        entry = {
            "id": self.books.newest_entry() + self.random.randrange(1, 50),
            "account_id": self.account_id,
            "kind": kind,
            "credits": credits,
            "request_id": None,
            "grant_id": None,
            "api_key_id": None,
            "model": None,
            "created_at": self.moment - setback,
            **columns,
        }
        with self.books.database.write() as session:
            session.execute(insert(Entry), [entry])
        self.entries.append(entry)
        self.balance += credits
        return entry


def read(
    database: Database, account_id: int, period: Period, entries_at_once: int = 7
) -> Statement:
    reader = StatementReader(account_id, "team/account", period, entries_at_once)
    while (statement := reader.advance(database)) is None:
        pass
    return statement


def expected(history: History, period: Period) -> tuple[int, dict[str, int], int]:
    """Opening balance, credits by kind and closing balance, the plain way."""
    opening = sum(one["credits"] for one in history.entries if one["created_at"] < period.begin)
    totals = Counter[str]()
    for one in history.entries:
        if period.begin <= one["created_at"] < period.end:
            totals[one["kind"]] += one["credits"]
    return opening, {kind: totals[kind] for kind in KINDS}, opening + sum(totals.values())


def periods(random: Random) -> Iterator[Period]:
    yield OCTOBER
    begin = datetime(2026, 7, 15, tzinfo=UTC)
    for _ in range(6):
        first, last = sorted(random.random() * 180 for _ in range(2))
        yield Period(begin + timedelta(days=first), begin + timedelta(days=last + 0.01))


def test_a_statement_is_what_the_entries_of_any_history_add_up_to(books: Books) -> None:
    random = Random(14)
    for number in range(12):
        history = History(books, random, f"account-{number}")
        for period in periods(random):
            found = read(books.database, history.account_id, period, random.randrange(1, 40))
            opening, totals, closing = expected(history, period)
            assert (found.opening, found.totals, found.closing) == (opening, totals, closing)
            for kind, lines in (("charge", found.charges), ("refund", found.refunds)):
                assert sum(line.credits for line in lines) == totals[kind]
            models = {one["request_id"]: one["model"] for one in history.entries if one["model"]}
            refunds = Counter[tuple[str | None, int]]()
            for one in history.entries:
                if one["kind"] == "refund" and period.begin <= one["created_at"] < period.end:
                    refunds[models[one["request_id"]], one["api_key_id"]] += one["credits"]
            assert sorted(line.credits for line in found.refunds) == sorted(refunds.values())
            assert {line.model for line in found.refunds} == {model for model, _ in refunds}
            for kind in ("grant", "expiry", "void"):
                listed = sum(line.credits for line in found.grants if line.kind == kind)
                assert listed == totals[kind]
        everything = Period(datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))
        assert read(books.database, history.account_id, everything).closing == books.balance(
            f"account-{number}"
        )


def test_an_account_without_entries_has_a_statement_of_nothing(books: Books) -> None:
    books.issue()
    found = read(books.database, books.account_id(), OCTOBER)
    assert (found.opening, found.closing, found.charges, found.grants) == (0, 0, [], [])


def test_later_entries_and_other_slices_leave_a_statement_the_same_bytes(books: Books) -> None:
    random = Random(15)
    history = History(books, random, "alice")
    first = read(books.database, history.account_id, OCTOBER)
    with books.database.write() as session:
        rows = [
            {
                "id": books.newest_entry() + number,
                "account_id": history.account_id,
                "kind": "charge",
                "credits": 0,
                "request_id": f"later-{number}",
                "created_at": datetime(2027, 1, number, tzinfo=UTC),
            }
            for number in range(1, 29)
        ]
        session.execute(insert(Entry), rows)
    again = read(books.database, history.account_id, OCTOBER, 3)
    for form in FORMATS.values():
        assert form(first) == form(again)


def test_a_period_is_closed_when_nobody_can_write_into_it_any_more(books: Books) -> None:
    books.grant(credits=5)
    now = books.now()
    assert is_over(books.database, now, 0)
    assert not is_over(books.database, now)
    assert is_over(books.database, now - timedelta(hours=1))
    assert not is_over(books.database, now + timedelta(hours=1), 0)


def test_a_transaction_that_dated_an_entry_keeps_its_period_open(books: Books) -> None:
    if books.database.is_sqlite:
        return  # one writer at a time, and it reads the clock when its turn has come
    books.grant(credits=5)
    with somebody_else(books.database) as other:
        other.execute(text("SELECT id FROM account FOR UPDATE"))
        end = books.now()
        assert not is_over(books.database, end, 0)
        other.rollback()
        assert is_over(books.database, end, 0)


def test_lines_show_the_reason_and_the_reference_of_a_grant(books: Books) -> None:
    books.grant("plain", credits=7, reason="=1+1 <b>")
    books.grant("invoiced", credits=5, reference="INV/1", expiresAt="2099-01-01T00:00:00Z")
    account_id = find_account(books.database, INSTALLATION, "team/alice")
    assert account_id is not None
    assert find_account(books.database, INSTALLATION, "team/nobody") is None
    period = Period(datetime(2020, 1, 1, tzinfo=UTC), datetime(2098, 1, 1, tzinfo=UTC))
    found = read(books.database, account_id, period)
    assert [(line.grant, line.reference, line.reason) for line in found.grants] == [
        ("plain", None, "=1+1 <b>"),
        ("invoiced", "INV/1", ""),
    ]
    document = json.loads(FORMATS["json"](found))
    assert (document["closed"], document["opening"], document["closing"]) == (False, 0, 12)
    assert document["grants"][1]["expires_at"] == "2099-01-01T00:00:00Z"
    lines = FORMATS["csv"](found).decode().split("\r\n")
    assert lines[1].startswith("opening,")
    assert lines[-2].endswith(",12")
    assert ",'=1+1 <b>," in lines[2]
    html = FORMATS["html"](found).decode()
    assert "=1+1 &lt;b&gt;" in html
    assert "<b>" not in html
    assert "Not closed yet" in html


def test_a_statement_reads_a_bounded_number_of_lines(books: Books) -> None:
    key, _ = books.issue()
    books.grant(credits=5)
    account_id = books.account_id()
    with books.database.write() as session:
        rows = [
            {
                "account_id": account_id,
                "kind": "charge",
                "credits": 0,
                "request_id": f"req-{number}",
                "api_key_id": key.id,
                "model": f"model-{number}",
                "created_at": OCTOBER.begin + timedelta(seconds=number),
            }
            for number in range(LINES_MAX + 3)
        ]
        session.execute(insert(Entry), rows)
    with books.database.write() as session:  # its date was that of this test
        session.execute(text("UPDATE entry SET created_at = :at WHERE kind = 'grant'"),
                        {"at": "2026-01-01 00:00:00.000000"})  # fmt: skip
    found = read(books.database, account_id, OCTOBER, 6_000)
    assert len(found.charges) == LINES_MAX + 1
    assert found.charges[-1].key is None
    assert found.charges[-1].requests == 3


@pytest.mark.parametrize(
    ("month", "begin", "end", "parameter"),
    [
        ("2026-13", None, None, "month"),
        ("2026-1", None, None, "month"),
        ("9999-12", None, None, "month"),
        ("2026-10", "2026-10-01", None, "month"),
        (None, "2026-10-01", None, "to"),
        (None, None, "2026-10-01", "from"),
        (None, "2026-10-01T00:00:00", "2026-11-01", "from"),
        (None, "2026-10-01", "tomorrow", "to"),
        (None, "2026-10-01", "2026-10-01", "to"),
        (None, "1066-10-14", "2026-10-01", "from"),
    ],
)
def test_a_period_that_is_none_is_refused(
    month: str | None, begin: str | None, end: str | None, parameter: str
) -> None:
    with pytest.raises(PeriodError) as refused:
        read_period(month, begin, end, OCTOBER.begin)
    assert refused.value.parameter == parameter


def test_a_period_is_a_month_or_any_range_in_utc() -> None:
    now = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    assert read_period(None, None, None, now) == OCTOBER
    assert read_period("2026-10", None, None, now) == OCTOBER
    assert read_period(None, "2026-10-01", "2026-11-01T02:00:00+02:00", now) == OCTOBER
    assert read_period(None, "2026-10-01", "2026-11-01T02:00:00 02:00", now) == OCTOBER
    assert read_period("2026-12", None, None, now).end == datetime(2027, 1, 1, tzinfo=UTC)
