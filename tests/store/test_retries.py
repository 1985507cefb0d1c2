"""Charges that stand for a retry, on both databases: one price, however often it is tried."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import text

from gateway.core.events import Usage
from gateway.store.account_statement import read_request
from gateway.store.audit import audit
from gateway.store.key_rows import KeyState
from gateway.store.ledger import Charge, Claim, Ledger, MeteredEnd, Refund, RetryKey
from tests.harness.books import Books
from tests.store.test_charges import open_ledger, with_ledger

NAME = RetryKey("once", "model")


def left(charge: Charge, unused: int = 0, name: RetryKey = NAME) -> MeteredEnd:
    """The end of a request whose client has left."""
    return MeteredEnd(charge.request_id, charge.account_id, unused, None, None, name)


async def leave(ledger: Ledger, books: Books, key: KeyState, credits: int = 3) -> Charge:
    """A request that was charged and whose client left."""
    charge = books.charge(key, credits)
    await ledger.charge(charge)
    await ledger.end_left(left(charge))
    return charge


def claim(books: Books, request_id: str, account: str = "alice", **named: str) -> Claim:
    named = {"idempotency_key": "once", "model": "model", **named}
    return Claim(request_id, books.account_id(account), **named)


def test_a_charge_stands_for_three_retries_of_its_name(books: Books) -> None:
    books.grant(credits=100)
    books.grant("bobs", "bob")
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        await leave(ledger, books, key)
        for other in (
            claim(books, "a", account="bob"),
            claim(books, "b", model="another"),
            claim(books, "c", idempotency_key="twice"),
        ):
            assert await ledger.claim(other) == 0
        found = [await ledger.claim(claim(books, f"retry {number}")) for number in range(5)]
        assert found == [3, 3, 3, 0, 0]

    with_ledger(books.database, act)
    assert books.balance() == 97
    assert books.scalar("SELECT count(*) FROM retry WHERE earlier_id = 'req_000001'") == 3
    assert audit(books.database) == []


def test_it_stands_for_a_day(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        for number, (hours, covered) in enumerate([(25, 0), (23, 3)]):
            charge = await leave(ledger, books, key)
            with books.database.write() as session:
                moment = (
                    f"datetime(created_at, '-{hours} hours')"
                    if books.database.is_sqlite
                    else f"created_at - interval '{hours} hours'"
                )
                session.execute(
                    text(
                        f"UPDATE standing_charge SET created_at = {moment} WHERE request_id = :id"
                    ),
                    {"id": charge.request_id},
                )
            assert await ledger.claim(claim(books, f"retry {number}")) == covered

    with_ledger(books.database, act)


@pytest.mark.parametrize("replicas", [1, 3])
def test_retries_at_once_take_one_place_each(books: Books, replicas: int) -> None:
    """Two charges stand: six of ten retries cost less, by the larger charge first."""
    if books.database.is_sqlite:
        replicas = 1
    books.grant(credits=100)
    key, _ = books.issue()

    async def act() -> None:
        async with open_ledger(books.database) as ledger:
            await leave(ledger, books, key, 3)
            await leave(ledger, books, key, 5)
        ledgers = [open_ledger(books.database, f"replica {each}") for each in range(replicas)]
        opened = [await each.__aenter__() for each in ledgers]
        claims = [
            opened[number % replicas].claim(claim(books, f"retry {number}")) for number in range(10)
        ]
        assert Counter(await asyncio.gather(*claims)) == {5: 3, 3: 3, 0: 4}
        for each in ledgers:
            await each.__aexit__(None, None, None)

    asyncio.run(act())
    assert audit(books.database) == []


def test_a_claim_whose_answer_was_lost_is_found_again(books: Books) -> None:
    if books.database.is_sqlite:
        return  # no answer is lost within a process
    books.grant(credits=100)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        await leave(ledger, books, key)
        assert [await ledger.claim(claim(books, "same")) for _ in range(3)] == [3, 3, 3]

    with_ledger(books.database, act)
    assert books.scalar("SELECT retries FROM standing_charge") == 1


@pytest.mark.parametrize("refund_first", [True, False])
def test_what_was_refunded_stands_for_nothing(books: Books, refund_first: bool) -> None:
    """Its lease was over before its end came, or nothing of its charge was kept."""
    books.grant(credits=100)
    key, _ = books.issue()
    charge = books.charge(key, 3)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        if refund_first:
            await ledger.refund(Refund(charge.request_id, charge.account_id))
        await ledger.end_left(left(charge, unused=0 if refund_first else 3))
        assert await ledger.claim(claim(books, "retry")) == 0

    with_ledger(books.database, act)
    assert (books.balance(), books.holds()) == (100, 0)


def test_the_story_of_a_retry_names_the_charge_that_stands(books: Books) -> None:
    """Also where all that it was charged itself went back, since the earlier charge was enough."""
    books.grant(credits=100)
    key, _ = books.issue()
    plain, paid, failed = (books.charge(key, credits) for credits in (0, 7, 0))
    first: list[str] = []

    async def act(ledger: Ledger) -> None:
        first.append((await leave(ledger, books, key)).request_id)
        for charge in (plain, paid, failed):
            assert await ledger.claim(claim(books, charge.request_id)) == 3
            await ledger.charge(charge)
        price = '{"credits":2}'
        ledger.end_metered(MeteredEnd(paid.request_id, paid.account_id, 7, Usage(input=1), price))
        ledger.end_metered(MeteredEnd(plain.request_id, plain.account_id, 0, Usage(input=1), price))
        assert await ledger.refund(Refund(failed.request_id, failed.account_id))

    with_ledger(books.database, act)
    for charge, state in ((plain, "ended"), (paid, "ended"), (failed, "refunded")):
        found = read_request(books.database, books.account_id(), charge.request_id)
        assert found is not None
        assert (found["state"], found["credits"]) == (state, 0)
        assert found["standing"] == {"request_id": first[0], "credits": 3}
    assert books.balance() == 97


def test_random_attempts_of_one_name_cost_no_more_than_they_should(books: Books) -> None:
    """Against a model: each left charge has three places, and the largest covers first."""
    chance = random.Random(7)
    books.grant(credits=1_000_000)
    key, _ = books.issue()
    places: list[int] = []
    spent = 0

    async def act(ledger: Ledger) -> None:
        nonlocal spent
        for number in range(60):
            price = chance.randrange(1, 50)
            covered = await ledger.claim(claim(books, f"req_{number + 1:06d}"))
            places.sort()
            assert covered == (places.pop() if places else 0)
            charge = books.charge(key, max(0, price - covered))
            await ledger.charge(charge)
            used = chance.randrange(charge.credits + 1)
            unused = charge.credits - used
            match chance.choice(["ended", "refunded"] if covered else ["left", "ended"]):
                case "left":
                    await ledger.end_left(left(charge, unused))
                    places.extend([used] * 3 if used else [])
                case "ended":
                    ledger.end_metered(
                        MeteredEnd(charge.request_id, charge.account_id, unused, Usage(), "{}")
                    )
                case "refunded":
                    await ledger.refund(Refund(charge.request_id, charge.account_id))
                    used = 0
            spent += used

    with_ledger(books.database, act)
    assert books.balance() == 1_000_000 - spent
    assert audit(books.database) == []
