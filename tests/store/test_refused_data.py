"""Data that a database refuses, on both: nobody else's wait for them, and the hold goes."""

import asyncio

import pytest

from gateway.core.errors import DataRefused
from gateway.core.events import Usage
from gateway.store.audit import audit
from gateway.store.ledger import Claim, End, Ledger, MeteredEnd, Refund
from tests.harness.books import Books
from tests.store.test_charges import with_ledger

USED = Usage(input=3, output=2)
#: more than a column of PostgreSQL holds, and than SQLite takes
TOO_MUCH = Usage(input=2**63, output=2)
#: no text of PostgreSQL
NO_TEXT = "\0"


def test_an_end_that_is_refused_is_written_without_its_usage(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = ("alice", "bob")
    for account in accounts:
        books.grant(f"of-{account}", account, credits=100)
    keys = {account: books.issue(account, account)[0] for account in accounts}
    odd, odd_metered = (books.charge(keys["alice"], 10, "alice") for _ in range(2))
    plain, metered = (books.charge(keys["bob"], 10, "bob") for _ in range(2))

    async def act(ledger: Ledger) -> None:
        for charge in (odd, odd_metered, plain, metered):
            assert (await ledger.charge(charge)).outcome == "charged"
        ledger.end(End(NO_TEXT, None))
        for charge, usage in ((odd, TOO_MUCH), (plain, USED)):
            ledger.end(End(charge.request_id, usage))
        for charge, usage in ((odd_metered, TOO_MUCH), (metered, USED)):
            end = MeteredEnd(charge.request_id, charge.account_id, 4, usage, '{"credits":6}')
            ledger.end_metered(end)
        async with asyncio.timeout(10):
            while list(ledger.pending()):  # none is tried for ever
                await asyncio.sleep(0.01)

    with_ledger(books.database, act)
    assert books.holds() == 0
    assert [books.balance(account) for account in accounts] == [84, 84]
    assert books.scalar("SELECT count(*) FROM request_usage WHERE input_tokens = 3") == 2
    assert audit(books.database) == []
    assert f"request {odd_metered.request_id} ends without its usage" in caplog.text


def test_a_claim_or_a_refund_that_is_refused_fails_alone(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    charge = books.charge(key, 10)
    claims = (Claim(f"req_{m}", charge.account_id, "name", m) for m in (NO_TEXT, "model"))

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        refused, claimed = await asyncio.gather(*map(ledger.claim, claims), return_exceptions=True)
        assert (isinstance(refused, DataRefused), claimed) == (not books.database.is_sqlite, 0)
        refunds = Refund("req_other", 2**63), Refund(charge.request_id, charge.account_id)
        refused, given = await asyncio.gather(*map(ledger.refund, refunds), return_exceptions=True)
        assert (isinstance(refused, DataRefused), given) == (not books.database.is_sqlite, True)

    with_ledger(books.database, act)
    assert (books.balance(), books.holds()) == (100, 0)
