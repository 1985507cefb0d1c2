"""A charge that is alone is decided and written exactly as one among others, on both databases.

PostgreSQL has a statement for each.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.store.audit import audit
from gateway.store.keys import revoke_key
from gateway.store.ledger import Charge, ChargeResult, Refund
from tests.harness.books import Books
from tests.store.test_charges import open_ledger
from tests.store.test_groups import state, write

_CREDITS = 50
_LIMIT = 7

Change = Callable[[Books, Charge], Charge]


def _same(_: Books, charge: Charge) -> Charge:
    return charge


def _revoked(books: Books, charge: Charge) -> Charge:
    revoke_key(books.database, charge.api_key_id)
    return charge


def _of_a_group(books: Books, charge: Charge) -> Charge:
    account = books.scalar("SELECT name FROM account WHERE id = :id", id=charge.account_id)
    assert state(books, account, limits={"credits": _LIMIT}).reason == "Applied"
    return charge


def _with_credits_that_end(books: Books, charge: Charge) -> Charge:
    past = (books.now() - timedelta(days=1)).isoformat()
    write(books, f"UPDATE account SET next_expiry = '{past}' WHERE id = {charge.account_id}")
    return charge


def _costing(credits: int) -> Change:
    return lambda _, charge: replace(charge, credits=credits)


def _of_another_key(books: Books, charge: Charge) -> Charge:
    return replace(charge, api_key_id=charge.api_key_id + 1)


def _of_another_account(books: Books, charge: Charge) -> Charge:
    return replace(charge, account_id=charge.account_id + 1000)


def _with_all_columns(_: Books, charge: Charge) -> Charge:
    odd = 'é "quoted" \\ {a,b} \' $1 %s NULL'
    return replace(
        charge, model=odd, idempotency_key=odd, retry_count=2, tags='{"team":"é\\"\\\\"}'
    )


def _of_an_unknown_key(_: Books, charge: Charge) -> Charge:
    return replace(charge, key_hash=b"\xff" * 32)


@pytest.mark.parametrize(
    ("spec", "change", "outcome"),
    [
        ({}, _same, "charged"),
        ({}, _with_all_columns, "charged"),
        ({}, _costing(0), "charged"),
        ({}, _costing(_CREDITS), "charged"),
        ({}, _costing(_CREDITS + 1), "exhausted"),
        ({"suspended": True}, _same, "dead"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, _same, "dead"),
        ({}, _revoked, "dead"),
        ({}, _of_another_key, "dead"),
        ({}, _of_another_account, "dead"),
        ({}, _of_an_unknown_key, "dead"),
        ({}, _with_credits_that_end, "expiry_due"),
        ({"limits": {"creditsPerDay": _LIMIT}}, _same, "charged"),
        ({"limits": {"creditsPerMonth": _LIMIT}}, _costing(_LIMIT + 1), "capped"),
        ({}, _of_a_group, "charged"),
        ({"limits": {"credits": 3}}, _of_a_group, "charged"),
    ],
)
def test_a_charge_alone_is_as_one_among_others(
    books: Books, spec: dict[str, Any], change: Change, outcome: str
) -> None:
    charges = {}
    for account in ("alone", "among", "other"):
        books.grant(f"of-{account}", account, credits=_CREDITS)
        key, _ = books.issue(account, account, **(spec if account != "other" else {}))
        charges[account] = books.charge(key, 1, account)
    alone, among = (change(books, charges[name]) for name in ("alone", "among"))

    async def run() -> list[ChargeResult]:
        # Each ledger is new: it knows nothing of limits yet.
        async with open_ledger(books.database) as ledger:
            first = await ledger.charge(alone)
        async with open_ledger(books.database) as ledger:
            second, other = await asyncio.gather(
                ledger.charge(among), ledger.charge(charges["other"])
            )
        assert other == ChargeResult("charged", _CREDITS - 1)
        return [first, second]

    # These two name the account.
    first, second = (replace(result, level=None, lefts=None) for result in asyncio.run(run()))
    assert first == second
    assert first.outcome == outcome
    assert _written(books, alone) == _written(books, among)
    assert (_written(books, alone) is None) == (outcome != "charged")
    assert books.balance("alone") == books.balance("among")


def _written(books: Books, charge: Charge) -> tuple[Any, ...] | None:
    """The entry, hold and tags of a charge, without what differs in any case."""
    with books.database.read() as session:
        row = session.execute(
            text(
                "SELECT e.kind, e.credits, e.model, e.route, e.idempotency_key, e.retry_count,"
                " e.grant_id, h.credits, h.replica_id, h.day IS NULL, h.month IS NULL,"
                " e.created_at = h.created_at, e.account_id = h.account_id,"
                " e.api_key_id = h.api_key_id, e.account_id, e.api_key_id, t.tags FROM entry e"
                " JOIN hold h ON h.request_id = e.request_id"
                " LEFT JOIN request_tags t ON t.request_id = e.request_id"
                " WHERE e.request_id = :request_id"
            ),
            {"request_id": charge.request_id},
        ).one_or_none()
    if row is None:
        return None
    *columns, account_id, api_key_id, tags = row
    assert (account_id, api_key_id) == (charge.account_id, charge.api_key_id)
    return (*columns, tags)


def test_a_price_beyond_what_the_database_holds_is_refused_and_takes_nothing(books: Books) -> None:
    books.grant(credits=_CREDITS)
    key, _ = books.issue()

    async def run() -> list[ChargeResult | BaseException]:
        huge = [replace(books.charge(key), credits=2**70) for _ in range(3)]
        results: list[ChargeResult | BaseException] = []
        async with open_ledger(books.database) as ledger:
            for charges in (huge[:1], huge[1:]):
                asked = map(ledger.charge, charges)
                results += await asyncio.gather(*asked, return_exceptions=True)
        return results

    results = asyncio.run(run())
    assert len({(type(result), str(result)) for result in results}) == 1, results
    assert books.balance() == _CREDITS
    assert books.count("charge") == 0


def test_charges_that_are_alone_at_many_replicas_take_exactly_what_there_is(books: Books) -> None:
    """The account changes under each of them: others charge, refund and grant meanwhile."""
    if books.database.is_sqlite:
        return  # one process only, by contract
    books.grant(credits=100)
    key, _ = books.issue()

    async def replica(number: int) -> list[str]:
        outcomes: list[str] = []
        async with open_ledger(books.database, f"replica-{number}") as ledger:
            for turn in range(40):
                charge = books.charge(key)
                outcomes.append((await ledger.charge(charge)).outcome)
                if outcomes[-1] == "charged" and turn % 8 == number:
                    assert await ledger.refund(Refund(charge.request_id, charge.account_id))
                    outcomes[-1] = "refunded"
                if turn == 20 and number == 0:
                    await asyncio.to_thread(books.grant, "second", credits=30)
        return outcomes

    async def run() -> list[list[str]]:
        return await asyncio.gather(*map(replica, range(6)))

    outcomes = [outcome for each in asyncio.run(run()) for outcome in each]
    assert set(outcomes) == {"charged", "refunded", "exhausted"}
    assert outcomes.count("charged") >= 100
    assert outcomes.count("charged") + books.balance() == 130
    assert audit(books.database) == []
