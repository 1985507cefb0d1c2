"""Grants by identity, and the rules of lots against a plain model."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.credits import Lot, Lots, add_lot, settle_lots, take_lot
from gateway.store.grant_states import find_grant, list_grants
from gateway.store.grants import accounts_with_due_grants, expire_grants
from tests.harness.books import INSTALLATION, Books, grant_object

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
            lots = add_lot(settle_lots(lots, balance), Lot(number, amount, expiry))
            balance += amount
        elif kind == "spend":
            if model.spend(amount):
                balance -= amount
        elif lots.lots:
            grant = lots.lots[amount % len(lots.lots)].grant_id
            lots, taken = take_lot(settle_lots(lots, balance), grant)
            assert taken == model.coins.pop(grant)
            balance -= taken
        assert balance == model.balance
        assert settle_lots(lots, balance).total == balance
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
        lots, taken = take_lot(settle_lots(lots, balance), number)
        assert 0 <= taken <= balance
        balance -= taken
    assert balance == 0
    balance += refunded
    settled = settle_lots(lots, balance)
    assert settled.surplus == refunded
    assert settled.next_expiry() is None


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
