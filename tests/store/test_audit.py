"""The audit notices every broken promise: each is broken by hand here, on both databases."""

import pytest
from sqlalchemy import text

from gateway.store.audit import audit
from gateway.store.database import Database
from tests.harness.books import Books

_ENTRY = "INSERT INTO entry (account_id, kind, credits, request_id, grant_id, created_at) VALUES"
_STANDING = (
    "INSERT INTO standing_charge (request_id, model, idempotency_key, account_id, credits, retries,"
    " created_at) VALUES"
)
_WHEN = "'2026-01-01 00:00:00.000000'"


@pytest.fixture
def broken(database_url: str) -> Books:
    """Like `books`, but nobody insists on right books in the end."""
    database = Database(database_url)
    books = Books(database)
    books.grant(credits=10)
    books.issue()
    assert audit(database) == []
    return books


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE account SET balance = balance + 1", "has a balance of 11 but entries of 10"),
        (
            f"{_ENTRY} (1, 'refund', 1, 'req_1', NULL, {_WHEN})",
            "request req_1 was refunded 1 without a charge",
        ),
        (
            "INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits, created_at)"
            f" VALUES ('req_1', 1, 1, 'r', 1, {_WHEN})",
            "request req_1 has a hold although it was never charged",
        ),
        (
            f"{_STANDING} ('req_1', 'm', 'k', 1, 2, 0, {_WHEN})",
            "request req_1 stands for retries with 2 credits but has cost 0",
        ),
        (
            f"{_STANDING} ('req_1', 'm', 'k', 1, 0, 1, {_WHEN})",
            "request req_1 stands for 1 retries but there are 0",
        ),
        ("UPDATE credit_grant SET credits = 11", "grant 1 of 11 credits has entries of 10"),
        (f"{_ENTRY} (1, 'void', -11, NULL, 1, {_WHEN})", "grant 1 took back 11 of its 10"),
        (f"{_ENTRY} (1, 'grant', 1, NULL, 99, {_WHEN})", "of grant 99 has no grant"),
        (
            "INSERT INTO api_key_day (api_key_id, day, credits) VALUES (1, '2026-01-01', -1)",
            "key 1 counts -1 credits",
        ),
        ("UPDATE api_key SET used_ever = -1", "key 1 counts -1 credits on all days"),
        (
            "UPDATE api_key SET used_in_month = 2, used_ever = 1, used_month = '2026-01-01'",
            "key 1 counts 2 credits on 2026-01-01",
        ),
    ],
)
def test_what_differs_is_reported(broken: Books, damage: str, finding: str) -> None:
    with broken.database.write() as session:
        session.execute(text(damage))
    assert finding in " ".join(audit(broken.database))
    broken.database.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE account SET balance = -1",
        f"{_ENTRY} (1, 'grant', 10, NULL, 1, {_WHEN})",
        f"{_ENTRY} (1, 'charge', 10, 'req_1', NULL, {_WHEN})",
        f"{_ENTRY} (1, 'charge', -1, NULL, NULL, {_WHEN})",
    ],
)
def test_some_promises_the_database_itself_keeps(broken: Books, damage: str) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), broken.database.write() as session:
        session.execute(text(damage))
    assert audit(broken.database) == []
    broken.database.close()
