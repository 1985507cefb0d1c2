"""Allowances in the books: each account and period once, however often anybody asks."""

from datetime import datetime, timedelta
from threading import Thread
from typing import Any

from sqlalchemy import text

from gateway.core.allowances import period_at
from gateway.core.spec import API_VERSION, CreditAllowance, parse_document
from gateway.store.allowance_rows import find_allowance, forget_allowances
from gateway.store.allowances import keep_since, post_credits
from gateway.store.grants import expire_grants
from tests.harness.books import INSTALLATION, Books


def allowance(uid: str = "", **spec: Any) -> CreditAllowance:
    document = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "CreditAllowance",
            "metadata": {"name": "daily", "namespace": "team", "uid": uid},
            "spec": {"credits": 100, "every": "day", **spec},
        }
    )
    assert isinstance(document, CreditAllowance)
    return document


def post(books: Books, wanted: CreditAllowance) -> list[str]:
    """The accounts that got credits."""
    state, _ = find_allowance(books.database, INSTALLATION, wanted)
    return [
        due.account
        for due in state.due
        if post_credits(books.database, INSTALLATION, wanted, due) is not None
    ]


def days_ago(books: Books, days: int) -> datetime:
    return period_at("day", books.now() - timedelta(days=days)).begin


def test_a_period_is_posted_once_and_goes_with_its_end(books: Books) -> None:
    wanted = allowance(account="alice", reason="Daily")
    assert post(books, wanted) == ["alice"]
    assert post(books, wanted) == []
    assert books.balance() == 100
    day = period_at("day", books.now())
    identity = books.scalar("SELECT identity FROM credit_grant")
    assert identity == f"team/allowance:daily:{day.name}:alice"
    with books.database.write() as session:  # tomorrow
        past = {"past": "2026-01-01 00:00:00.000000"}
        session.execute(text("UPDATE credit_grant SET expires_at = :past"), past)
        session.execute(text("UPDATE account SET next_expiry = :past"), past)
    expire_grants(books.database, books.account_id())
    assert books.balance() == 0


def test_all_accounts_of_a_pattern_get_it_and_new_ones_when_they_come(books: Books) -> None:
    for name in ("ann", "anne", "bob"):
        books.issue(name, name)
    wanted = allowance(accounts="an*")
    assert post(books, wanted) == ["ann", "anne"]
    books.issue("andy", "andy")
    assert post(books, wanted) == ["andy"]
    assert (books.balance("anne"), books.balance("bob")) == (100, 0)


def test_missed_periods_of_lasting_credits_are_made_up_for(books: Books) -> None:
    wanted = allowance(account="alice", expires="never")
    keep_since(books.database, INSTALLATION, wanted, days_ago(books, 3))
    assert post(books, wanted) == ["alice"] * 4
    assert post(books, wanted) == []
    assert books.balance() == 400


def test_an_allowance_is_never_paid_for_time_before_it_was_seen(books: Books) -> None:
    wanted = allowance("first", account="alice", expires="never")
    keep_since(books.database, INSTALLATION, wanted, days_ago(books, 3))
    again = allowance("second", account="alice", expires="never")
    assert post(books, again) == ["alice"], "an object that was made again"
    assert post(books, wanted) == ["alice"] * 3


def test_one_that_no_file_names_any_more_is_forgotten_and_those_of_objects_are_not(
    books: Books,
) -> None:
    for wanted in (allowance(account="alice"), allowance("uid", account="alice")):
        keep_since(books.database, INSTALLATION, wanted, books.now())
        forget_allowances(books.database, INSTALLATION, {("team", "daily")})
        assert find_allowance(books.database, INSTALLATION, wanted)[0].since is not None
        forget_allowances(books.database, INSTALLATION, set())
        is_known = find_allowance(books.database, INSTALLATION, wanted)[0].since is not None
        assert is_known == (wanted.metadata.uid == "uid")


def test_a_change_counts_for_what_is_not_posted_yet(books: Books) -> None:
    assert post(books, allowance(account="alice")) == ["alice"]
    assert post(books, allowance(account="alice", credits=7)) == []
    assert post(books, allowance(account="bob", credits=7)) == ["bob"]
    assert (books.balance(), books.balance("bob")) == (100, 7)


def test_two_that_post_at_once_post_once(books: Books) -> None:
    books.issue()
    wanted = allowance(account="alice")
    state, _ = find_allowance(books.database, INSTALLATION, wanted)
    threads = [
        Thread(target=post_credits, args=(books.database, INSTALLATION, wanted, state.due[0]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (books.count("grant"), books.balance()) == (1, 100)


def test_the_time_of_the_last_posting_is_kept(books: Books) -> None:
    wanted = allowance(account="alice")
    keep_since(books.database, INSTALLATION, wanted, days_ago(books, 0))
    assert find_allowance(books.database, INSTALLATION, wanted)[0].posted_at is None
    before = books.now()
    post(books, wanted)
    found = find_allowance(books.database, INSTALLATION, wanted)[0].posted_at
    assert found is not None
    assert before <= found <= books.now()


def test_other_periods_pay_for_no_time_before_the_change(books: Books) -> None:
    """The begin that is kept is of the periods before: a month's would be thirty days."""
    month = allowance(account="alice", every="month", expires="never")
    begin = period_at("month", books.now()).begin - timedelta(days=40)
    keep_since(books.database, INSTALLATION, month, begin)
    post(books, month)
    day = allowance(account="alice", every="day", expires="never")
    assert post(books, day) == ["alice"]
    state, now = find_allowance(books.database, INSTALLATION, day)
    assert (state.since, state.due) == (None, ())
    keep_since(books.database, INSTALLATION, day, period_at("day", now).begin)
    assert post(books, day) == []
