"""Batches of all kinds of keys, as a gateway with many users sees them, on both databases."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from msgspec.structs import replace

from gateway.store.audit import audit
from gateway.store.keys import revoke_key
from gateway.store.ledger import Charge, ChargeResult, Ledger
from tests.harness.books import Books
from tests.store.test_charges import with_ledger
from tests.store.test_groups import state

_LIMIT = 40


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_takes_exactly_what_each_key_may(books: Books, seed: int) -> None:
    """A refused charge takes nothing from the others, and each charge that fits is made."""
    random = Random(seed)
    balances = {"alice": 300, "bob": 60, "carol": 200}
    for account, credits in balances.items():
        books.grant(f"grant-{account}", account, credits=credits)
    keys = {
        name: (books.issue(name, account, **spec)[0], account)
        for name, account, spec in (
            ("first", "alice", {}),
            ("second", "alice", {}),
            ("limited", "alice", {"limits": {"creditsPerDay": _LIMIT}}),
            ("suspended", "alice", {"suspended": True}),
            ("revoked", "bob", {}),
            ("tight", "bob", {}),
            ("grouped", "carol", {}),
        )
    }
    revoke_key(books.database, keys["revoked"][0].id)
    assert state(books, "carol", limits={"credits": _LIMIT}).reason == "Applied"
    left = {**balances, "limited": _LIMIT, "grouped": _LIMIT}

    def charge(names: Sequence[str]) -> tuple[str, Charge]:
        name = random.choice(names)
        key, account = keys["first" if name == "moved" else name]
        made = books.charge(key, random.randrange(1, 9), account)
        # As of a replica that does not know yet that a key has another account.
        return name, replace(made, account_id=books.account_id("bob")) if name == "moved" else made

    def note(name: str, made: Charge, result: ChargeResult) -> None:
        limits = [keys[name][1], *({name} & left.keys())] if name in keys else []
        if name in ("suspended", "revoked", "moved"):
            assert result.outcome == "dead"
        elif result.outcome == "charged":
            for limit in limits:
                left[limit] -= made.credits
                assert left[limit] >= 0
        else:
            assert result.outcome in ("exhausted", "capped")
            refused.append((limits, made.credits))

    refused: list[tuple[list[str], int]] = []

    async def act(ledger: Ledger) -> None:
        some = ["first", "second", "suspended", "revoked", "tight", "moved"]
        for names, size in ((some, 2), (some, 20), (some, 20), ([*keys, "moved"], 64), (some, 3)):
            batch = [charge(names) for _ in range(size)]
            results = await asyncio.gather(*(ledger.charge(made) for _, made in batch))
            for (name, made), result in zip(batch, results, strict=True):
                note(name, made, result)
            for limits, credits in refused:
                assert any(credits > left[limit] for limit in limits)

    with_ledger(books.database, act)
    assert {account: books.balance(account) for account in balances} == {
        account: left[account] for account in balances
    }
    assert books.holds() == books.count("charge") > 0
    assert audit(books.database) == []
