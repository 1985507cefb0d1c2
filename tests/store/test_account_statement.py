"""The account's view of one charged request, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.events import Usage
from gateway.store.account_statement import read_request, read_statement
from gateway.store.ledger import End, Ledger, Refund
from gateway.store.opening import open_ledger
from tests.harness.books import Books
from tests.store.test_groups import state, write


def with_ledger(books: Books, act: Callable[[Ledger], Awaitable[None]]) -> None:
    async def run() -> None:
        ledger = await open_ledger(books.database, "replica_test")
        try:
            await act(ledger)
        finally:
            await ledger.drain()

    asyncio.run(run())


def test_a_request_is_open_and_then_ended_with_its_tokens(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()
    charge = books.charge(key, 3)

    def read() -> dict[str, Any]:
        found = read_request(books.database, charge.account_id, charge.request_id)
        assert found is not None
        return found

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        is_open = read()
        assert (is_open["state"], is_open["credits"], is_open["tokens"]) == ("open", 3, None)
        ledger.end(End(charge.request_id, Usage(9, 5, cached=4, reasoning=2, cache_write=3)))

    with_ledger(books, act)
    ended = read()
    [entry] = ended.pop("entries")
    assert entry["created_at"].endswith("Z")
    assert (entry["kind"], entry["credits"]) == ("charge", -3)
    assert ended == {
        "request_id": charge.request_id,
        "state": "ended",
        "credits": 3,
        "key": {"name": "team/key", "key_id": key.key_id},
        "model": charge.model,
        "route": charge.route,
        "idempotency_key": None,
        "retry_count": None,
        "standing": None,
        "tokens": {"input": 9, "cached": 4, "cache_write": 3, "output": 5, "reasoning": 2},
        "price": None,
    }


def test_a_refunded_request_has_both_entries_and_has_cost_nothing(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()
    charge = books.charge(key, 3)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        assert await ledger.refund(Refund(charge.request_id, charge.account_id))

    with_ledger(books, act)
    found = read_request(books.database, charge.account_id, charge.request_id)
    assert found is not None
    assert (found["state"], found["credits"]) == ("refunded", 0)
    assert [entry["credits"] for entry in found["entries"]] == [-3, 3]


def test_another_account_s_request_reads_as_not_there(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()
    other, _ = books.issue("other", "bob")
    charge = books.charge(key, 3)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)

    with_ledger(books, act)
    bob = books.charge(other, account="bob").account_id
    assert bob != charge.account_id
    assert read_request(books.database, bob, charge.request_id) is None
    assert read_request(books.database, charge.account_id, "req_none") is None


def test_the_limits_of_an_account_and_of_those_above_it_are_listed(books: Books) -> None:
    state(books, "company", limits={"credits": 100}, childLimits={"creditsPerMonth": 50})
    state(books, "team", parent="company", childLimits={"creditsPerDay": 9, "credits": 70})
    state(books, "alice", parent="team", limits={"creditsPerDay": 5})
    books.grant(credits=10)
    key, _ = books.issue()
    lone, _ = books.issue("lone", "bob")

    async def act(ledger: Ledger) -> None:
        await ledger.charge(books.charge(key, 3))

    with_ledger(books, act)

    def limits(account: str, api_key_id: int) -> list[list[Any]]:
        account_id = books.account_id(account)
        found = read_statement(books.database, account_id, api_key_id)["account_limits"]
        return [list(level.values()) for level in found]

    assert limits("alice", key.id) == [
        ["team/alice", 5, None, 70, 2, None, 67],
        ["team/team", None, 50, None, None, 47, None],
        ["team/company", None, None, 100, None, None, 97],
    ]
    write(books, "UPDATE account SET used_on = '2020-01-31'")
    assert [level[4:] for level in limits("alice", key.id)] == [
        [5, None, 67], [None, 50, None], [None, None, 97],
    ]  # fmt: skip
    state(books, "alice", parent="team", limits={"creditsPerDay": 5, "credits": 1})
    assert limits("alice", key.id)[0][6] == 0
    assert limits("bob", lone.id) == []
