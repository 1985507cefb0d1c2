"""The log of changes: each change of a key or a grant once, with its actor, or neither."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.core.actor import Actor
from gateway.core.keys import generate_key
from gateway.store.change_log import read_account_changes, read_all_changes
from gateway.store.grants import apply_grant
from gateway.store.key_errors import KeyMoved
from gateway.store.keys import apply_key, revoke_key, suspend_key
from tests.harness.books import INSTALLATION, Books, credential, grant_object, key_object

ANN = Actor("kubectl", datetime(2026, 10, 1, 12, tzinfo=UTC))


def log_of(books: Books) -> list[dict[str, Any]]:
    """The oldest first."""
    return read_account_changes(books.database, books.account_id(), 100)[::-1]


def apply(books: Books, plaintext: str | None = None, **spec: Any) -> None:
    given = None if plaintext is None else credential(plaintext)
    apply_key(books.database, INSTALLATION, key_object(**spec), given, actor=ANN)


def test_a_key_s_life_is_in_the_log_with_its_actor(books: Books) -> None:
    plaintext = generate_key()
    apply(books, plaintext, limits={"creditsPerDay": 100})
    apply(books, plaintext, limits={"creditsPerDay": 100})
    apply(books, limits={"creditsPerDay": 50, "creditsPerMonth": 60}, models=["kimi-*"])
    limits = {"creditsPerDay": 50, "creditsPerMonth": 60}
    apply(books, limits=limits, models=["kimi-*"], suspended=True)
    rotation = {"rotation": {"generation": 1, "overlap": "0s"}}
    apply(books, generate_key(), limits=limits, models=["kimi-*"], **rotation)
    key_id = int(books.scalar("SELECT id FROM api_key"))
    suspend_key(books.database, key_id)
    suspend_key(books.database, key_id)
    revoke_key(books.database, key_id, ANN)
    revoke_key(books.database, key_id, ANN)
    apply(books, generate_key())
    found = log_of(books)
    assert [one["kind"] for one in found] == [
        "key.made",
        "key.changed",
        "key.suspended",
        "key.rotated",
        "key.resumed",
        "key.suspended",
        "key.revoked",
        "key.reissued",
    ]
    assert {one["subject"] for one in found} == {"team/key"}
    assert [one["actor"] for one in found] == ["kubectl"] * 5 + ["unknown"] + ["kubectl"] * 2
    assert found[0]["acted_at"] == "2026-10-01T12:00:00Z"
    assert found[0]["detail"]["credits_per_day"] == 100
    changed = dict(found[1]["detail"])
    assert changed.pop("key_id").startswith("key_")
    assert changed == {
        "credits_per_day": {"from": 100, "to": 50},
        "credits_per_month": {"from": None, "to": 60},
        "models": {"from": [], "to": ["kimi-*"]},
    }
    assert plaintext not in str(found)


def test_a_grant_that_is_posted_and_voided_is_in_the_log_once_each(books: Books) -> None:
    grant = grant_object(credits=70, reason="Welcome", reference="INV-1")
    void = grant_object(credits=70, reason="Welcome", reference="INV-1", void=True)
    for each in (grant, grant, void, void):
        apply_grant(books.database, INSTALLATION, each, ANN)
    posted, voided = log_of(books)
    assert (posted["kind"], posted["subject"], posted["actor"]) == (
        "grant.posted", "team/grant", "kubectl",
    )  # fmt: skip
    assert posted["detail"] == {
        "credits": 70,
        "entry_id": int(books.scalar("SELECT id FROM entry WHERE kind = 'grant'")),
        "reason": "Welcome",
        "reference": "INV-1",
    }
    assert (voided["kind"], voided["detail"]) == ("grant.voided", {"credits": 70})


def test_what_was_not_done_is_not_in_the_log(books: Books) -> None:
    key, _ = books.issue()
    books.grant(credits=5)
    before = log_of(books)
    with pytest.raises(KeyMoved):
        apply_key(
            books.database, INSTALLATION, key_object(suspended=True), None,
            seen_version=key.version + 1, actor=ANN,
        )  # fmt: skip
    assert books.grant(credits=6).reason == "IdempotencyConflict"
    assert log_of(books) == before


def test_the_log_is_read_by_pages_of_one_account_or_of_all(books: Books) -> None:
    for number in range(5):
        books.grant(f"grant-{number}")
    books.grant("other", account="bob")
    first = read_account_changes(books.database, books.account_id(), 3)
    rest = read_account_changes(books.database, books.account_id(), 3, first[-1]["id"])
    assert [one["subject"][-1] for one in (*first, *rest)] == ["4", "3", "2", "1", "0"]
    assert len(read_all_changes(books.database, INSTALLATION, 100)) == 6
    assert read_all_changes(books.database, "another", 100) == []
