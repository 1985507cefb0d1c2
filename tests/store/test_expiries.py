"""Expiries beside requests: once an account, and none waits for another's that fails."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from gateway.process.expiries import Expiries
from gateway.store.due_grants import accounts_with_due_grants
from tests.harness.books import Books, somebody_else
from tests.store.test_grants import insert_grants

PAST = datetime(2026, 1, 1, tzinfo=UTC)


def make_due(books: Books, *accounts: str) -> list[int]:
    for account in accounts:
        books.grant(f"first-{account}", account)
        insert_grants(books, 3, PAST, account)
        with books.database.write() as session:
            session.execute(text("UPDATE credit_grant SET name = 'past', identity = id"))
    ids = [books.account_id(account) for account in accounts]
    assert accounts_with_due_grants(books.database) == ids
    return ids


def test_an_account_whose_expiry_fails_keeps_no_other_waiting(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, *_ = make_due(books, "wrong", "fine", "well")
    twin = (
        "INSERT INTO entry (account_id, kind, credits, grant_id)"
        " SELECT account_id, 'expiry', 0, max(id) FROM credit_grant WHERE account_id = :id"
        " GROUP BY account_id"
    )
    with books.database.write() as session:
        session.execute(text(twin), {"id": wrong})
    asyncio.run(Expiries(books.database).expire_all())
    assert [books.balance(account) for account in ("wrong", "fine", "well")] == [130, 100, 100]
    assert f"grants of account {wrong} cannot expire" in caplog.text
    with books.database.write() as session:  # the audit looks at the books in the end
        session.execute(
            text("DELETE FROM entry WHERE kind = 'expiry' AND account_id = :id"), {"id": wrong}
        )


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_an_account_that_is_locked_keeps_no_other_waiting(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    held, _ = make_due(books, "held", "fine")
    with somebody_else(books.database) as holder:
        holder.execute(text("SELECT id FROM account WHERE id = :id FOR UPDATE"), {"id": held})
        asyncio.run(Expiries(books.database).expire_all())
    assert [books.balance(account) for account in ("held", "fine")] == [130, 100]
    assert f"grants of account {held} could not expire" in caplog.text
    asyncio.run(Expiries(books.database).expire_all())
    assert books.balance("held") == 100


def test_however_many_requests_of_an_account_ask_it_is_done_once(books: Books) -> None:
    (account_id,) = make_due(books, "alice")
    begun = 0

    def note(*_: object) -> None:
        nonlocal begun
        begun += 1

    async def ask() -> None:
        expiries = Expiries(books.database)
        await asyncio.gather(*(expiries.expire(account_id) for _ in range(200)))

    event.listen(books.database.engine, "checkout", note)
    asyncio.run(ask())
    event.remove(books.database.engine, "checkout", note)
    assert begun == 1
    assert books.balance() == 100
