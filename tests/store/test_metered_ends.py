"""Ends with a difference, on both databases: what a request did not use goes back, once."""

import asyncio
import random

from sqlalchemy import text

from gateway.core.errors import DatabaseUnavailable
from gateway.core.events import Usage
from gateway.store.account_statement import read_request
from gateway.store.audit import audit
from gateway.store.ledger import End, Ledger, MeteredEnd, Refund
from tests.harness.books import Books, somebody_else
from tests.harness.gateway import wait_until
from tests.store.test_charges import open_ledger, with_ledger

USED = Usage(input=3, output=2)


def end(books: Books, request_id: str, unused: int) -> MeteredEnd:
    return MeteredEnd(request_id, books.account_id(), unused, USED, f'{{"credits":{unused}}}')


def test_what_was_not_used_goes_back_with_the_hold(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerDay": 50, "creditsPerMonth": 60, "credits": 70})
    charge = books.charge(key, 30)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        ledger.end_metered(end(books, charge.request_id, 20))
        assert charge.request_id in set(ledger.pending())

    with_ledger(books.database, act)
    assert (books.balance(), books.holds()) == (90, 0)
    assert books.scalar("SELECT credits FROM entry WHERE kind = 'refund'") == 20
    assert books.scalar("SELECT credits FROM api_key_day") == 10
    assert books.scalar("SELECT used_in_month FROM api_key") == 10
    assert books.scalar("SELECT used_ever FROM api_key") == 10
    found = read_request(books.database, books.account_id(), charge.request_id)
    assert found is not None
    assert (found["state"], found["credits"], found["price"]) == ("ended", 10, {"credits": 20})
    assert found["tokens"]["input"] == 3
    assert audit(books.database) == []


def test_a_charge_that_was_all_used_has_no_refund(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    charge = books.charge(key, 30)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        ledger.end_metered(end(books, charge.request_id, 0))

    with_ledger(books.database, act)
    assert (books.balance(), books.holds(), books.count("refund")) == (70, 0, 0)


def test_no_more_than_the_charge_goes_back_and_nothing_after_a_refund(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    much, late = books.charge(key, 30), books.charge(key, 40)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(much)
        await ledger.charge(late)
        assert await ledger.refund(Refund(late.request_id, late.account_id))
        ledger.end_metered(end(books, late.request_id, 15))
        ledger.end_metered(end(books, much.request_id, 1_000))

    with_ledger(books.database, act)
    assert (books.balance(), books.holds(), books.count("refund")) == (100, 0, 2)
    assert audit(books.database) == []


def test_random_endings_keep_the_books(books: Books) -> None:
    """Each request is charged, then ended, with a difference or not, refunded or left open, and
    some of them twice."""
    chance = random.Random(5)
    books.grant(credits=1_000_000)
    most = 1_000_000
    key, _ = books.issue(limits={"creditsPerDay": most, "creditsPerMonth": most, "credits": most})
    charges = [books.charge(key, chance.randrange(0, 900)) for _ in range(200)]
    kept = dict.fromkeys((charge.request_id for charge in charges), 0)

    async def act(ledger: Ledger) -> None:
        for charge in charges:
            await ledger.charge(charge)
        for charge in charges:
            kept[charge.request_id] = charge.credits
            match chance.choice(["end", "metered", "metered", "refund", "open"]):
                case "end":
                    ledger.end(End(charge.request_id, USED))
                case "metered":
                    unused = chance.randrange(charge.credits + 1)
                    kept[charge.request_id] -= unused
                    ledger.end_metered(end(books, charge.request_id, unused))
                    if chance.random() < 0.3:
                        ledger.end_metered(end(books, charge.request_id, unused))
                case "refund":
                    await ledger.refund(Refund(charge.request_id, charge.account_id))
                    kept[charge.request_id] = 0
            if chance.random() < 0.2:
                await asyncio.sleep(0.01)

    with_ledger(books.database, act)
    assert books.balance() == 1_000_000 - sum(kept.values())
    assert books.scalar("SELECT credits FROM api_key_day") == sum(kept.values())
    assert books.scalar("SELECT used_in_month FROM api_key") == sum(kept.values())
    assert books.scalar("SELECT used_ever FROM api_key") == sum(kept.values())
    assert books.scalar("SELECT sum(credits) FROM entry") == books.balance()
    assert audit(books.database) == []


def test_an_end_that_cannot_be_written_now_is_written_later(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    def rename(table: str, name: str) -> None:
        with books.database.write() as session:
            session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))

    async def act(ledger: Ledger) -> None:
        charge = books.charge(key, 4)
        await ledger.charge(charge)
        rename("request_usage", "away")
        ledger.end_metered(end(books, charge.request_id, 3))
        await asyncio.sleep(0.3)  # time for it to fail
        assert charge.request_id in set(ledger.pending())
        assert books.balance() == 6
        rename("away", "request_usage")

    with_ledger(books.database, act)
    assert (books.balance(), books.holds(), books.count("refund")) == (9, 0, 1)


def test_an_account_that_is_locked_keeps_nobody_else_s_difference(books: Books) -> None:
    if books.database.is_sqlite:
        return  # the file has one lock
    for account in ("alice", "bob"):
        books.grant(account, account, credits=100)
    alice, _ = books.issue("alice", "alice")
    bob, _ = books.issue("bob", "bob")

    async def act() -> None:
        async with open_ledger(books.database) as ledger:
            hers, his = books.charge(alice, 30, "alice"), books.charge(bob, 30, "bob")
            await asyncio.gather(ledger.charge(hers), ledger.charge(his))
            with somebody_else(books.database) as other:
                other.execute(text("SELECT FROM account WHERE name = 'alice' FOR UPDATE"))
                ledger.end_metered(end(books, hers.request_id, 20))
                ledger.end_metered(
                    MeteredEnd(his.request_id, his.account_id, 20, USED, '{"credits":10}')
                )
                await asyncio.to_thread(
                    wait_until, lambda: books.balance("bob") == 90, "the other's difference"
                )
                assert books.balance("alice") == 70
                other.rollback()

    asyncio.run(act())
    assert (books.balance("alice"), books.holds()) == (90, 0)


def test_what_is_locked_at_the_drain_is_left_to_the_lease(books: Books) -> None:
    if books.database.is_sqlite:
        return  # the file has one lock
    books.grant(credits=100)
    key, _ = books.issue()
    charge = books.charge(key, 30)

    async def act() -> None:
        with somebody_else(books.database) as other:
            async with open_ledger(books.database) as ledger:
                await ledger.charge(charge)
                other.execute(text("SELECT FROM account FOR UPDATE"))
                ledger.end_metered(end(books, charge.request_id, 20))
            other.rollback()

    try:
        asyncio.run(act())
    except DatabaseUnavailable:
        raise AssertionError("a drain has nobody to answer") from None
    assert (books.balance(), books.holds()) == (70, 1)
