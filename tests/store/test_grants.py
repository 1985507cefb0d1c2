"""Grants by identity, and the rules of lots against a plain model."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, event, text

from gateway.core.credits import Lot, Lots, add_lot, reconcile_lots, take_lot
from gateway.store.columns import UtcDateTime
from gateway.store.due_grants import accounts_with_due_grants
from gateway.store.grant_rows import find_grant, list_grants
from gateway.store.grants import expire_grants
from gateway.store.ledger import Charge
from gateway.store.opening import open_ledger
from tests.harness.books import INSTALLATION, Books, grant_object
from tests.harness.gateway import wait_until

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_same_grant_is_posted_once(books: Books) -> None:
    first = books.grant(credits=10)
    assert (first.reason, first.is_stalled) == ("Posted", False)
    again = books.grant(credits=10)
    assert (again.reason, again.entry_id) == ("AlreadyPosted", first.entry_id)
    assert books.balance() == 10


def test_the_same_identity_with_another_amount_is_a_conflict(books: Books) -> None:
    books.grant(credits=10)
    conflict = books.grant(credits=11)
    assert conflict.reason == "IdempotencyConflict"
    assert conflict.is_stalled
    assert books.balance() == 10


def test_a_reference_is_the_identity_where_there_is_one(books: Books) -> None:
    books.grant("one", credits=10, reference="invoice-1")
    assert books.grant("two", credits=10, reference="invoice-1").reason == "AlreadyPosted"
    assert books.grant("three", credits=10, reference="invoice-2").reason == "Posted"
    assert books.balance() == 20


def test_an_expired_grant_is_never_posted(books: Books) -> None:
    past = (books.now() - timedelta(seconds=1)).isoformat()
    result = books.grant(credits=10, expiresAt=past)
    assert (result.reason, result.is_stalled) == ("Expired", True)
    assert books.balance() == 0
    assert books.count("grant") == 0


def test_a_void_takes_what_is_left_once(books: Books) -> None:
    books.grant(credits=10)
    assert books.grant(credits=10, void=True).reason == "Voided"
    assert books.grant(credits=10, void=True).reason == "Voided"
    assert books.balance() == 0
    assert books.count("void") == 1


def test_a_due_grant_of_an_idle_account_is_found(books: Books) -> None:
    books.grant(credits=10, expiresAt=(books.now() + timedelta(seconds=1.5)).isoformat())
    deadline = books.now() + timedelta(seconds=10)
    while not (due := accounts_with_due_grants(books.database)):
        assert books.now() < deadline
    assert [expire_grants(books.database, account_id) for account_id in due] == [1]
    assert books.balance() == 0
    assert accounts_with_due_grants(books.database) == []


@pytest.mark.parametrize("name", ["grant", "other"])
def test_accounts_of_two_namespaces_never_meet(books: Books, name: str) -> None:
    from msgspec.structs import replace

    from gateway.store.grants import apply_grant
    from tests.harness.books import INSTALLATION, grant_object

    books.grant(credits=10)
    theirs = grant_object(name, credits=7)
    theirs = replace(theirs, metadata=replace(theirs.metadata, namespace="other"))
    assert apply_grant(books.database, INSTALLATION, theirs).reason == "Posted"
    balance = "SELECT balance FROM account WHERE namespace = :namespace"
    assert books.scalar(balance, namespace="team") == 10
    assert books.scalar(balance, namespace="other") == 7


class Model:
    """The plain model: every credit is one coin that knows its grant; time only goes on."""

    def __init__(self) -> None:
        self.coins: dict[int, int] = {}
        self.expiries: dict[int, datetime | None] = {}
        self.loose = 0

    @property
    def balance(self) -> int:
        return sum(self.coins.values()) + self.loose

    def spend(self, credits: int) -> bool:
        if credits > self.balance:
            return False
        never = datetime.max.replace(tzinfo=UTC)
        for grant in sorted(self.coins, key=lambda g: (self.expiries[g] or never, g)):
            taken = min(credits, self.coins[grant])
            self.coins[grant] -= taken
            credits -= taken
        self.loose -= credits
        return True


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(1, 20), st.none() | st.integers(1, 9)),
        st.tuples(st.just("spend"), st.integers(0, 15), st.none()),
        st.tuples(st.just("void"), st.integers(0, 5), st.none()),
        st.tuples(st.just("expire"), st.integers(0, 5), st.none()),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_without_refunds_the_lots_agree_with_the_model(
    actions: list[tuple[str, int, int | None]],
) -> None:
    """A charge does not touch the lots; settled at the next event they equal coin by coin."""
    model, lots, balance = Model(), Lots(()), 0
    for number, (kind, amount, day) in enumerate(actions):
        if kind == "grant":
            expiry = None if day is None else START + timedelta(days=day)
            model.coins[number], model.expiries[number] = amount, expiry
            lots = add_lot(reconcile_lots(lots, balance), Lot(number, amount, expiry))
            balance += amount
        elif kind == "spend":
            if model.spend(amount):
                balance -= amount
        elif lots.lots:
            grant = lots.lots[amount % len(lots.lots)].grant_id
            lots, taken = take_lot(reconcile_lots(lots, balance), grant)
            assert taken == model.coins.pop(grant)
            balance -= taken
        assert balance == model.balance
        assert reconcile_lots(lots, balance).total == balance
        assert balance >= 0


@given(
    st.lists(st.tuples(st.integers(1, 30), st.none() | st.integers(1, 9)), max_size=6),
    st.integers(0, 200),
    st.integers(0, 60),
)
def test_a_late_refund_is_always_spendable(
    grants: list[tuple[int, int | None]], spent: int, refunded: int
) -> None:
    """Spend, lose every grant to expiry or void, then get something back: it stays."""
    lots = Lots(())
    for number, (credits, day) in enumerate(grants):
        expiry = None if day is None else START + timedelta(days=day)
        lots = add_lot(lots, Lot(number, credits, expiry))
    balance = lots.total
    spent = min(spent, balance)
    refunded = min(refunded, spent)
    balance -= spent
    for number in range(len(grants)):
        lots, taken = take_lot(reconcile_lots(lots, balance), number)
        assert 0 <= taken <= balance
        balance -= taken
    assert balance == 0
    balance += refunded
    reconciled = reconcile_lots(lots, balance)
    assert reconciled.surplus == refunded
    assert reconciled.next_expiry() is None


@given(
    st.lists(st.tuples(st.integers(1, 30), st.none() | st.integers(1, 9)), min_size=1, max_size=9),
    st.integers(0, 200),
)
def test_lots_that_wait_for_their_turn_need_not_be_known(
    grants: list[tuple[int, int | None]], spent: int
) -> None:
    """Settled by those that are eaten first, they are what they are when settled by all."""
    days = [
        (n, c, None if d is None else START + timedelta(days=d)) for n, (c, d) in enumerate(grants)
    ]
    everything = Lots(tuple(Lot(*each) for each in days), 3)
    balance = everything.total - min(spent, everything.total)
    reconciled = reconcile_lots(everything, balance)
    never = datetime.max.replace(tzinfo=UTC)
    order = sorted(everything.lots, key=lambda lot: (lot.expires_at or never, lot.grant_id))
    for known in range(len(order) + 1):
        first = tuple(order[:known])
        rest = sum(lot.remaining for lot in order[known:])
        if sum(lot.remaining for lot in first) < everything.total - balance and rest:
            continue
        some = reconcile_lots(Lots(first, 3, rest), balance)
        left = {lot.grant_id: lot.remaining for lot in reconciled.lots}
        assert [left[lot.grant_id] for lot in first] == [lot.remaining for lot in some.lots]
        assert (some.surplus, some.total) == (reconciled.surplus, reconciled.total)


_GRANTS = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :many)
INSERT INTO credit_grant (installation, identity, namespace, name, uid, account_id, credits,
                          remaining, reason, expires_at, payload_hash, posted_at)
SELECT 'default', 'team/name:many-' || n, 'team', 'many-' || n, '', a.id, 10, 10, '', :expires_at,
       '', :now
FROM number CROSS JOIN account a WHERE a.name = :account
"""
_POSTED = """
INSERT INTO entry (account_id, kind, credits, grant_id, created_at)
SELECT account_id, 'grant', credits, id, posted_at FROM credit_grant WHERE name LIKE 'many-%'
"""
_PAID = """
UPDATE account SET balance = balance + 10 * :many, next_expiry = :expires_at WHERE name = :account
"""


def insert_grants(books: Books, many: int, expires_at: datetime, account: str = "alice") -> None:
    values = {"many": many, "expires_at": expires_at, "now": books.now(), "account": account}
    typed = [bindparam("expires_at", type_=UtcDateTime()), bindparam("now", type_=UtcDateTime())]
    with books.database.write() as session:
        session.execute(text(_GRANTS).bindparams(*typed), values)
        session.execute(text(_POSTED))
        session.execute(text(_PAID).bindparams(typed[0]), values)
        if not books.database.is_sqlite:
            session.execute(text("ANALYZE credit_grant"))


def work(books: Books, act: Callable[[], object]) -> tuple[int, float]:
    """The statements that an act sends, and its CPU seconds."""
    sent = 0

    def note(*_: object) -> None:
        nonlocal sent
        sent += 1

    event.listen(books.database.engine, "before_cursor_execute", note)
    began = time.thread_time()
    act()
    spent = time.thread_time() - began
    event.remove(books.database.engine, "before_cursor_execute", note)
    return sent, spent


def test_a_post_does_not_read_the_grants_that_nobody_has_spent(books: Books) -> None:
    """Nor does a void: their work is the same beside ten thousand others."""
    books.grant("first")
    few = work(books, lambda: books.grant("before"))
    insert_grants(books, 10_000, START + timedelta(days=3650))
    many = work(books, lambda: books.grant("after"))
    assert many[0] <= few[0] + 1
    assert many[1] < 0.1
    statements, seconds = work(books, lambda: books.grant("after", void=True))
    assert statements < 20
    assert seconds < 0.1
    assert books.balance() == 100_200


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_expiry_of_many_grants_is_work_by_their_number(books: Books) -> None:
    """Twice the grants, twice the work, some at a time: nobody waits long for the account."""
    costs = []
    for number, many in enumerate((1_000, 2_000, 10_000)):
        account = f"account-{number}"
        books.grant(f"grant-{number}", account)
        insert_grants(books, many, START, account)
        account_id = books.account_id(account)
        assert accounts_with_due_grants(books.database) == [account_id]
        costs.append(work(books, partial(expire_grants, books.database, account_id)))
        assert books.balance(account) == 100
        assert accounts_with_due_grants(books.database) == []
        with books.database.write() as session:
            session.execute(text("UPDATE credit_grant SET name = 'past', identity = id"))
    (once, seconds), (twice, two), (ten, more) = costs
    assert twice <= 2 * once
    assert ten <= 10 * once
    assert two < 3 * seconds + 0.1
    assert more < 15 * seconds + 0.1
    longest = (
        "SELECT max(number) FROM (SELECT count(*) AS number FROM entry WHERE kind = 'expiry'"
        " GROUP BY created_at) AS posted"
    )
    assert books.scalar(longest) == 250


def test_an_account_has_no_more_credits_than_can_be_counted(books: Books) -> None:
    """Those of open requests count: what a refund gives back must fit, too."""
    books.grant("first", credits=10**15)
    state, _ = books.issue()
    asyncio.run(_charge(books, books.charge(state, 10**14)))
    with books.database.write() as session:
        more = 2**63 - 1 - 10**15 - 5
        session.execute(text("UPDATE account SET balance = balance + :more"), {"more": more})
        session.execute(
            text("UPDATE entry SET credits = credits + :more WHERE id = 1"), {"more": more}
        )
        session.execute(
            text(
                "UPDATE credit_grant SET credits = credits + :more, remaining = remaining + :more"
            ),
            {"more": more},
        )
    for _ in range(2):
        refused = books.grant("second", credits=6)
        assert (refused.reason, refused.is_stalled) == ("BalanceTooLarge", True)
        assert "team/alice" in refused.message
    assert books.count("grant") == 1
    assert books.grant("second", credits=5).reason == "Posted"


async def _charge(books: Books, charge: Charge) -> None:
    ledger = await open_ledger(books.database, "replica")
    assert (await ledger.charge(charge)).outcome == "charged"
    await ledger.drain()


def test_a_grant_whose_expiry_nobody_can_read_keeps_no_other_from_its_own(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = "'whenever'" if books.database.is_sqlite else "'infinity'"
    books.grant("spoilt", credits=5, expiresAt="9999-12-31T23:59:59Z")
    books.grant("fine", credits=7, expiresAt=(books.now() + timedelta(seconds=1)).isoformat())
    with books.database.write() as session:
        session.execute(
            text(f"UPDATE credit_grant SET expires_at = {spoilt} WHERE name = 'spoilt'")
        )
    wait_until(lambda: bool(accounts_with_due_grants(books.database)), "the grant to be due")
    assert expire_grants(books.database, books.account_id()) == 1
    assert accounts_with_due_grants(books.database) == []
    assert books.balance() == 5
    assert sorted(list_grants(books.database, INSTALLATION)[0]) == [
        "team/name:fine",
        "team/name:spoilt",
    ]
    assert (
        books.grant("spoilt", credits=5, expiresAt="9999-12-31T23:59:59Z", void=True).reason
        == "Voided"
    )
    assert books.balance() == 0


def test_grants_are_listed_as_each_is_found(books: Books) -> None:
    for number in range(3):
        books.grant(f"grant-{number}", credits=10 + number, reference=f"invoice-{number}")
    books.grant("grant-0", credits=10, reference="invoice-0", void=True)
    states, now = list_grants(books.database, INSTALLATION)
    assert sorted(states) == [f"team/ref:invoice-{number}" for number in range(3)]
    assert [state.voided for _, state in sorted(states.items())] == [True, False, False]
    assert now <= books.now()
    for number in range(3):
        grant = grant_object(f"grant-{number}", reference=f"invoice-{number}")
        found, _ = find_grant(books.database, INSTALLATION, grant)
        assert found == states[f"team/ref:invoice-{number}"]
    assert list_grants(books.database, "another")[0] == {}
