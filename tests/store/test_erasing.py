"""An erasure: nothing is left of what an account's clients and people wrote, and all of its money.

Another account keeps both.
"""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.actor import Actor
from gateway.core.events import Usage
from gateway.dialects.base import Caller
from gateway.store import erasing
from gateway.store.audit import audit
from gateway.store.change_log import read_account_changes
from gateway.store.columns import UtcDateTime
from gateway.store.console_tables import BindingRow
from gateway.store.erasing import erase_account
from gateway.store.ledger import Ledger, MeteredEnd, RetryKey
from gateway.store.people import Identity, keep_person
from gateway.store.response_store import ResponseStore
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.store.test_account_statement import with_ledger
from tests.store.test_responses import execute, run, stored

#: what others wrote, by the account that it is about
_WRITTEN = {
    "tagged_requests": "SELECT count(*) FROM request_tags t JOIN entry e"
    " ON e.request_id = t.request_id AND e.kind = 'charge' WHERE e.account_id = {0}",
    "idempotency_keys": "SELECT count(*) FROM entry"
    " WHERE account_id = {0} AND idempotency_key IS NOT NULL",
    "labels": "SELECT count(*) FROM api_key WHERE account_id = {0} AND label <> ''",
    "usage": "SELECT count(*) FROM usage_tag_day WHERE account_id = {0}",
    "hours": "SELECT count(*) FROM usage_tag_hour WHERE account_id = {0}",
    "standing": "SELECT count(*) FROM standing_charge"
    " WHERE account_id = {0} AND idempotency_key <> ''",
}
_MONEY = (
    "SELECT id, kind, credits, request_id, api_key_id, model, route FROM entry ORDER BY id",
    "SELECT id, balance FROM account ORDER BY id",
    "SELECT * FROM usage_day ORDER BY 1, 2, 3, 4, 5",
    "SELECT * FROM request_usage ORDER BY 1",
)


def written(books: Books, account_id: int) -> dict[str, int]:
    found = {what: books.scalar(asked.format(account_id)) for what, asked in _WRITTEN.items()}
    asked = f"SELECT count(*) FROM response WHERE account_id = {account_id}"
    return {**found, "responses": int(str(execute(books.database.url, asked)[0][0]))}


def money(books: Books) -> list[Any]:
    with books.database.read() as session:
        return [session.execute(text(asked)).all() for asked in _MONEY]


def write_some(books: Books, account: str) -> int:
    """Seven requests with all that a client can write, one of them left two days ago, and people:
    one of this account alone, one of more."""
    books.grant(f"grant-{account}", account, credits=100)
    key, _ = books.issue(f"key-{account}", account)
    account_id = books.account_id(account)

    async def use(ledger: Ledger) -> None:
        for number in range(7):
            charge = replace(
                books.charge(key, 2, account),
                idempotency_key=f"{account}-{number}",
                tags=f'{{"user":"{account}"}}',
            )
            await ledger.charge(charge)
            left = RetryKey(f"{account}-{number}", charge.model) if number < 2 else None
            ledger.end_metered(
                MeteredEnd(charge.request_id, account_id, 1, Usage(input=5), None, left)
            )

    async def keep(store: ResponseStore) -> None:
        for number in range(3):
            assert await store.save(Caller(account_id, f"team/{account}"), stored(f"r{number}"))

    with_ledger(books, use)
    run(books.database.url, keep)
    count_usage(books.database, INSTALLATION)
    now = books.now()
    with books.database.write() as session:
        earlier = UtcDateTime().process_bind_param(
            now - timedelta(days=2), session.get_bind().dialect
        )
        session.execute(text("UPDATE api_key SET label = name WHERE id = :id"), {"id": key.id})
        session.execute(
            text("UPDATE standing_charge SET created_at = :at WHERE idempotency_key = :key"),
            {"at": earlier, "key": f"{account}-0"},
        )
        for subject, others in (("only", ()), ("more", ("elsewhere",))):
            identity = Identity("https://issuer", f"{account}-{subject}", subject, "a@b.example")
            person_id = keep_person(session, INSTALLATION, identity, now)
            for name in (account, *others):
                row = BindingRow(person_id=person_id, namespace="team", account=name,
                                 role="member", made_at=now, made_by="test")  # fmt: skip
                session.add(row)
    return account_id


def test_an_erasure_takes_what_was_written_and_no_credit(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_ROWS", 3)
    alice, bob = write_some(books, "alice"), write_some(books, "bob")
    everything = {
        **dict.fromkeys(("tagged_requests", "idempotency_keys"), 7),
        **{"labels": 1, "usage": 1, "hours": 1, "standing": 2, "responses": 3},
    }
    assert written(books, alice) == written(books, bob) == everything
    before = money(books)
    erased = erase_account(books.database, alice, Actor("shell"))
    assert erased == {
        "responses": 3, "tagged_requests": 7, "idempotency_keys": 7, "labels": 1, "people": 1,
    }  # fmt: skip
    assert written(books, alice) == dict.fromkeys(everything, 0) | {"standing": 1}
    assert written(books, bob) == everything
    assert money(books) == before
    assert audit(books.database) == []
    with books.database.read() as session:
        names = "SELECT subject FROM person WHERE name = '' AND email = ''"
        assert session.execute(text(names)).scalars().all() == ["alice-only"]
    event = read_account_changes(books.database, alice, 1)[0]
    assert (event["kind"], event["subject"]) == ("account.erased", "team/alice")
    assert (event["actor"], event["detail"]) == ("shell", erased)
    assert set(erase_account(books.database, alice, Actor("shell")).values()) == {0}
