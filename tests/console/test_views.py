"""The reads behind the pages: right to the credit, and no more of them where there is more."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, event, text

from gateway.console.charts import SERIES_MAX, bar_chart, largest
from gateway.console.key_names import read_key_names
from gateway.console.usage_view import By, days_left, question, read_usage, used
from gateway.core.errors import InvalidRequest
from gateway.core.principal import ALL, AccountSet
from gateway.core.usage import QueryError
from gateway.store.account_overviews import (
    find_viewed,
    list_accounts,
    summarize_account,
)
from gateway.store.change_log import read_changes_within
from gateway.store.columns import UtcDateTime
from gateway.store.grant_lots import find_lot, list_lots
from gateway.store.key_list import KeyFilter, list_shown_keys
from gateway.store.people_list import list_people
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books

EVERYTHING = AccountSet(frozenset({ALL}))
GROUPS: tuple[tuple[By, int], ...] = (("key", 8), ("model", 2), ("route", 1))
_CHARGES = """
INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route, created_at)
VALUES (:account, 'charge', -2, :request, :key, :model, 'chat', :at)
"""


def charge(books: Books, days: int, number: int, keys: list[int], models: list[str]) -> None:
    """Charges over some days up to today, as the ledger writes them, counted."""
    account, now = books.account_id(), books.now()
    rows: list[dict[str, Any]] = [
        {
            "account": account,
            "request": f"req_{number}_{one}",
            "key": keys[one % len(keys)],
            "model": models[one % len(models)],
            "at": now - timedelta(days=days - 1 - one * days // number),
        }
        for one in range(number)
    ]
    typed = text(_CHARGES).bindparams(bindparam("at", type_=UtcDateTime()))
    taken = "UPDATE account SET balance = balance - :credits WHERE id = :account"
    with books.database.write() as session:
        session.execute(typed, rows)
        session.execute(text(taken), {"account": account, "credits": 2 * number})
    while not count_usage(books.database, INSTALLATION).is_complete:
        pass


def look_at_everything(books: Books) -> int:
    """Read what every page reads; the number of statements."""
    sent = 0

    def note(*_: object) -> None:
        nonlocal sent
        sent += 1

    database, account = books.database, books.account_id()
    event.listen(database.engine, "before_cursor_execute", note)
    summarize_account(database, account)
    names = read_key_names(database, INSTALLATION, "team/alice")
    for by, _ in GROUPS:
        read_usage(database, account, question(30, by), names)
    list_accounts(database, INSTALLATION, EVERYTHING)
    list_lots(database, INSTALLATION, AccountSet(accounts=frozenset({"team/alice"})))
    list_people(database, INSTALLATION, EVERYTHING)
    read_changes_within(database, INSTALLATION, EVERYTHING, 51)
    event.remove(database.engine, "before_cursor_execute", note)
    return sent


def test_pages_read_as_often_however_much_there_is(books: Books) -> None:
    books.grant(credits=100_000)
    keys = [books.issue(f"key-{number}")[0].id for number in range(10)]
    charge(books, 1, 10, keys[:1], ["model"])
    few = look_at_everything(books)
    for number in range(55):
        books.grant(f"grant-{number}", account=f"account-{number}")
    charge(books, 25, 4000, keys, ["model", "other", "third"])
    assert look_at_everything(books) == few


def test_usage_is_what_the_ledger_has(books: Books) -> None:
    books.grant(credits=100_000)
    keys = [books.issue(f"key-{number}")[0] for number in range(8)]
    charge(books, 10, 400, [key.id for key in keys], ["model", "other"])
    database, account = books.database, books.account_id()
    names = read_key_names(database, INSTALLATION, "team/alice")
    for by, groups in GROUPS:
        view = read_usage(database, account, question(30, by), names)
        assert used(view.total) == 100_000 - books.balance()
        for rows in (view.groups, view.by_day):
            assert sum(used(row.sums) for row in rows) == used(view.total)
        assert len(view.groups) == groups
        chart = bar_chart(view.days, largest(view.series, "others"))
        assert sum(bar.value for bar in chart.bars) == used(view.total)
        assert len(chart.names) <= SERIES_MAX + 1
    assert days_left(view, 1000) == 13  # 80 credits a day
    assert days_left(view, 0) is None
    alone = read_usage(database, account, question(30, "key", key=keys[3].key_id), names)
    assert [row.name for row in alone.groups] == ["team/key-3"]
    with pytest.raises(QueryError):
        read_usage(database, account, question(30, "key", key="key_of_nobody"), names)


def test_an_account_is_summed_up_with_what_expires_next(books: Books) -> None:
    soon = f"{books.now() + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"
    books.grant("first", credits=100, expiresAt=soon)
    books.grant("second", credits=60, expiresAt=soon)
    books.grant("third", credits=40)
    key, _ = books.issue()
    charge(books, 1, 30, [key.id], ["model"])
    found = summarize_account(books.database, books.account_id())
    assert (found.balance, found.expiring, found.is_low) == (140, 100, False)
    lots, has_more = list_lots(books.database, INSTALLATION, EVERYTHING)
    assert ([(lot.name, lot.left, lot.state) for lot in lots], has_more) == (
        [("third", 40, "live"), ("second", 60, "live"), ("first", 40, "live")],
        False,
    )
    charge(books, 1, 69, [key.id], ["model"])
    assert summarize_account(books.database, books.account_id()).is_low


def test_a_key_out_of_reach_is_as_one_that_is_not_there(books: Books) -> None:
    foreign, _ = books.issue("foreign", "bob")
    reach = AccountSet(accounts=frozenset({"team/alice"}))
    for after in (foreign.key_id, "key_of_nobody"):
        with pytest.raises(InvalidRequest, match="there is no key"):
            list_shown_keys(books.database, INSTALLATION, reach, KeyFilter(), 10, after)


def test_lists_go_on_page_by_page_and_stay_in_reach(books: Books) -> None:
    for name in ("c", "a", "b"):
        books.grant(name, account=name)
    database = books.database
    first, has_more = list_accounts(database, INSTALLATION, EVERYTHING, limit=2)
    assert ([each.shown for each in first], has_more) == (["team/a", "team/b"], True)
    last, has_more = list_accounts(
        database, INSTALLATION, EVERYTHING, after=first[-1].shown, limit=2
    )
    assert ([each.shown for each in last], has_more) == (["team/c"], False)
    found, _ = list_accounts(database, INSTALLATION, EVERYTHING, search="m/a")
    assert [each.shown for each in found] == ["team/a"]
    only = AccountSet(accounts=frozenset({"team/b"}))
    assert [each.shown for each in list_accounts(database, INSTALLATION, only)[0]] == ["team/b"]
    grants, _ = list_lots(database, INSTALLATION, only)
    (grant,) = grants
    assert grant.account == "team/b"
    assert find_lot(database, INSTALLATION, only, grant.id) == grant
    others = AccountSet(accounts=frozenset({"team/a"}))
    assert find_lot(database, INSTALLATION, others, grant.id) is None
    assert find_viewed(database, INSTALLATION, only, "team/a") is None
    viewed = find_viewed(database, INSTALLATION, only, None)
    assert viewed is not None
    assert viewed.shown == "team/b"
    assert find_viewed(database, INSTALLATION, AccountSet(), None) is None
