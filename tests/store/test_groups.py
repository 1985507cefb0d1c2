"""Limits of accounts and of those above them, on both databases."""

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.spec import API_VERSION, AccountObject, parse_document
from gateway.store.audit import audit
from gateway.store.change_log import read_account_changes
from gateway.store.database import Database
from gateway.store.group_rows import AccountResult, list_governed
from gateway.store.groups import apply_account, release_account, release_missing
from gateway.store.key_rows import KeyState
from gateway.store.ledger import Charge, ChargeResult, Ledger, MeteredEnd, Refund
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import open_ledger, with_ledger


def account_object(account: str, name: str = "", uid: str = "", **spec: Any) -> AccountObject:
    document = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "Account",
            "metadata": {"name": name or account, "namespace": "team", "uid": uid},
            "spec": {"account": account, **spec},
        }
    )
    assert isinstance(document, AccountObject)
    return document


def state(books: Books, account: str, **spec: Any) -> AccountResult:
    return apply_account(books.database, INSTALLATION, account_object(account, **spec))


def used(books: Books, account: str) -> tuple[int, int, int]:
    names = ("used_in_day", "used_in_month", "used_ever")
    return tuple(  # type: ignore[return-value]  # of three
        int(books.scalar(f"SELECT {name} FROM account WHERE name = :name", name=account))
        for name in names
    )


def write(books: Books, statement: str) -> None:
    with books.database.write() as session:
        session.execute(text(statement))


async def ask(
    books: Books, ledger: Ledger, key: KeyState, account: str, price: int
) -> ChargeResult:
    return replace(await ledger.charge(books.charge(key, price, account)), lefts=None)


@pytest.fixture
def family(books: Books) -> dict[str, KeyState]:
    """company ── team ── alice, bob; each with credits of its own."""
    state(books, "team", parent="company")
    state(books, "alice", parent="team")
    state(books, "bob", parent="team")
    for name in ("company", "team", "alice", "bob"):
        books.grant(f"grant-{name}", name, credits=100)
    return {name: books.issue(f"key-{name}", name)[0] for name in ("company", "alice", "bob")}


@pytest.mark.parametrize(
    ("field", "limit"),
    [("creditsPerDay", "day"), ("creditsPerMonth", "month"), ("credits", "ever")],
)
@pytest.mark.parametrize("level", ["alice", "team", "company"])
def test_a_charge_counts_against_each_level(
    books: Books, family: dict[str, KeyState], level: str, field: str, limit: Any
) -> None:
    parent = {"alice": {"parent": "team"}, "team": {"parent": "company"}, "company": {}}[level]
    state(books, level, limits={field: 7}, **parent)

    async def act(ledger: Ledger) -> None:
        first = await ask(books, ledger, family["alice"], "alice", 4)
        assert first == ChargeResult("charged", 96, 3, limit, f"team/{level}")
        refused = await ask(books, ledger, family["alice"], "alice", 4)
        assert refused == ChargeResult("capped", 96, 3, limit, f"team/{level}")
        of_bob = await ask(books, ledger, family["bob"], "bob", 4)
        assert of_bob.outcome == ("charged" if level == "alice" else "capped")

    with_ledger(books.database, act)
    assert used(books, level)[2] == 4
    assert books.balance("company") == books.balance("team") == 100
    assert audit(books.database) == []


def test_the_key_s_own_limit_is_named_where_it_is_the_narrower_one(
    books: Books, family: dict[str, KeyState]
) -> None:
    state(books, "company", limits={"credits": 50})
    key, _ = books.issue("narrow", "alice", limits={"creditsPerDay": 5})

    async def act(ledger: Ledger) -> None:
        charged = await ask(books, ledger, key, "alice", 4)
        assert charged == ChargeResult("charged", 96, 1, "day")
        assert await ask(books, ledger, key, "alice", 4) == ChargeResult("capped", 96, 1, "day")
        state(books, "company", limits={"credits": 4})
        wide = await ask(books, ledger, family["alice"], "alice", 1)
        assert wide == ChargeResult("capped", 96, 0, "ever", "team/company")

    with_ledger(books.database, act)
    assert books.scalar("SELECT credits FROM api_key_day") == 4


def test_children_without_a_limit_have_their_parent_s_for_children(
    books: Books, family: dict[str, KeyState]
) -> None:
    state(books, "team", parent="company", childLimits={"creditsPerMonth": 5})
    state(books, "bob", parent="team", limits={"creditsPerMonth": 9})

    async def act(ledger: Ledger) -> None:
        assert (await ask(books, ledger, family["alice"], "alice", 6)).level == "team/alice"
        assert (await ask(books, ledger, family["bob"], "bob", 6)).outcome == "charged"

    with_ledger(books.database, act)


def test_a_day_and_a_month_begin_again_and_refunds_go_to_their_own(
    books: Books, family: dict[str, KeyState]
) -> None:
    state(books, "team", limits={"creditsPerDay": 5, "creditsPerMonth": 8, "credits": 20})

    async def act(ledger: Ledger) -> None:
        old = books.charge(family["alice"], 5, "alice")
        assert (await ledger.charge(old)).outcome == "charged"
        write(books, "UPDATE account SET used_on = '2020-01-31' WHERE name = 'team'")
        counted = f'[[{books.account_id("team")}, "2020-01-31"]]'
        write(books, f"UPDATE hold SET counted = '{counted}'")
        new = books.charge(family["bob"], 5, "bob")
        assert (await ledger.charge(new)).outcome == "charged"
        assert used(books, "team") == (5, 5, 10)
        given = [ledger.refund(Refund(each.request_id, each.account_id)) for each in (old, new)]
        assert await asyncio.gather(*given) == [True, True]
        assert used(books, "team") == (0, 0, 0)

    with_ledger(books.database, act)
    assert audit(books.database) == []


def test_what_a_request_did_not_use_is_given_back_to_each_level(
    books: Books, family: dict[str, KeyState]
) -> None:
    state(books, "company", limits={"creditsPerDay": 10})
    state(books, "alice", parent="team", limits={"credits": 10})

    async def act(ledger: Ledger) -> None:
        charge = books.charge(family["alice"], 9, "alice")
        await ledger.charge(charge)
        ledger.end_metered(MeteredEnd(charge.request_id, charge.account_id, 7, None, None))

    with_ledger(books.database, act)
    assert used(books, "company") == used(books, "alice") == (2, 2, 2)
    assert used(books, "team") == (0, 0, 0)
    assert books.balance("alice") == 98


def test_two_replicas_never_take_more_than_a_parent_has(
    books: Books, family: dict[str, KeyState]
) -> None:
    state(books, "company", limits={"creditsPerMonth": 41})

    async def run() -> None:
        async with open_ledger(books.database) as one, open_ledger(books.database, "two") as two:
            for _ in range(3):
                asked = [
                    ask(books, ledger, family[name], name, 2)
                    for ledger in (one, two)
                    for name in [*["alice", "bob", "company"] * 8]
                ]
                await asyncio.gather(*asked)

    asyncio.run(run())
    assert used(books, "company") == (40, 40, 40)
    assert sum(books.balance(name) for name in family) == 260


def test_accounts_without_groups_are_charged_as_before(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        assert await ask(books, ledger, key, "alice", 3) == ChargeResult("charged", 7)

    with_ledger(books.database, act)
    assert books.scalar("SELECT counted FROM hold") is None
    assert books.scalar("SELECT used_on FROM account") is None


def test_trees_of_three_levels_without_cycles(books: Books, family: dict[str, KeyState]) -> None:
    assert state(books, "carol", parent="alice").reason == "InvalidParent"
    assert state(books, "company", parent="alice").reason == "InvalidParent"
    assert state(books, "company", parent="group").reason == "InvalidParent"
    assert state(books, "alice", parent="company").reason == "Applied"
    assert state(books, "carol", parent="alice").reason == "Applied"


def test_one_object_governs_an_account_until_it_is_gone(books: Books) -> None:
    first = account_object("alice", "first", "uid-1", limits={"credits": 5})
    second = account_object("alice", "second", "uid-2", limits={"credits": 9})
    assert apply_account(books.database, INSTALLATION, first).reason == "Applied"
    taken = apply_account(books.database, INSTALLATION, second)
    assert (taken.reason, "first" in taken.message) == ("AccountTaken", True)
    governed = list_governed(books.database, INSTALLATION)
    release_missing(books.database, governed, [first, second])
    assert apply_account(books.database, INSTALLATION, second).reason == "AccountTaken"
    again = account_object("alice", "first", "uid-3", limits={"credits": 5})
    assert apply_account(books.database, INSTALLATION, again).reason == "Applied"
    release_account(books.database, governed[0])
    governed = list_governed(books.database, INSTALLATION)
    assert governed[0].object_uid == "uid-3", "what was made again meanwhile stays"
    release_missing(books.database, governed, [second])
    assert list_governed(books.database, INSTALLATION) == []
    assert apply_account(books.database, INSTALLATION, second).reason == "Applied"
    changes = read_account_changes(books.database, books.account_id(), 10)
    assert [change["detail"] for change in changes] == [
        {"credits": {"from": None, "to": 9}},
        {"credits": {"from": 5, "to": None}},
        {"credits": {"from": None, "to": 5}},
    ]


class Model:
    """A tree with limits, counted simply."""

    def __init__(self, random: Random) -> None:
        self.parents: dict[str, str] = {}
        self.limits: dict[str, int] = {}
        self.names = [f"account-{number}" for number in range(7)]
        for name in self.names:
            if random.random() < 0.6:
                self.limits[name] = random.randrange(5, 40)
        for number, name in enumerate(self.names[1:], 1):
            above = random.choice(self.names[:number])
            if random.random() < 0.8 and len(self.path(above)) < 3:
                self.parents[name] = above

    def path(self, name: str) -> list[str]:
        found = [name]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return found

    def counted(self, charges: list[tuple[str, int]]) -> dict[str, int]:
        return {
            name: sum(credits for payer, credits in charges if name in self.path(payer))
            for name in self.limits
        }


@pytest.mark.parametrize("seed", range(4))
def test_random_trees_and_batches_equal_a_simple_model(books: Books, seed: int) -> None:
    random = Random(seed)
    model = Model(random)
    keys = {}
    for name in model.names:
        parent = {"parent": model.parents[name]} if name in model.parents else {}
        limits = {"credits": model.limits[name]} if name in model.limits else {}
        kind = random.choice(["credits", "creditsPerDay", "creditsPerMonth"])
        stated = {kind: limits["credits"]} if limits else {}
        assert state(books, name, limits=stated, **parent).reason == "Applied"
        books.grant(f"grant-{name}", name, credits=60)
        keys[name], _ = books.issue(f"key-{name}", name)
    made: list[tuple[Charge, str, int]] = []

    async def one(ledger: Ledger) -> None:
        name, price = random.choice(model.names), random.randrange(1, 9)
        charge = books.charge(keys[name], price, name)
        result = await ledger.charge(charge)
        if result.outcome == "charged":
            made.append((charge, name, price))
        elif result.level is not None and result.outcome == "capped":
            assert result.level.removeprefix("team/") in model.path(name)

    async def give_back(ledger: Ledger) -> None:
        if made:
            charge, name, price = made.pop(random.randrange(len(made)))
            part = random.randrange(price + 1)
            if part == price:
                assert await ledger.refund(Refund(charge.request_id, charge.account_id))
            else:
                ledger.end_metered(
                    MeteredEnd(charge.request_id, charge.account_id, part, None, None)
                )
                ended.append((name, price - part))

    ended: list[tuple[str, int]] = []

    async def run() -> None:
        async with open_ledger(books.database) as first, open_ledger(books.database, "b") as second:
            for _ in range(12):
                ledgers = [random.choice([first, second]) for _ in range(20)]
                await asyncio.gather(
                    *((one if random.random() < 0.75 else give_back)(each) for each in ledgers)
                )
                for name, limit in model.limits.items():
                    assert used(books, name)[2] <= limit

    asyncio.run(run())
    counted = model.counted([*ended, *((name, price) for _, name, price in made)])
    assert {name: used(books, name) for name in model.limits} == {
        name: (credits,) * 3 for name, credits in counted.items()
    }
    assert audit(books.database) == []
    assert_miscounts_are_found(books, random, list(model.limits))


def assert_miscounts_are_found(books: Books, random: Random, names: list[str]) -> None:
    """The tree is older than its charges: each counter that is changed by hand is reported."""
    for age in ("'2020-01-01'", "(SELECT min(created_at) FROM change_log)"):
        write(books, f"UPDATE change_log SET created_at = {age}")
        assert audit(books.database) == []
    name = random.choice(names)
    of_one = f"WHERE name = '{name}'"
    for damage, found in (
        ("used_in_month = used_in_month + 1, used_ever = used_ever + 1", ["the month", "all time"]),
        ("used_ever = used_ever + 1", ["all time"]),
        ("used_in_day = used_in_day - 1", [str(datetime.now(UTC).date())]),
        ("used_on = NULL, used_in_day = 0, used_in_month = 0, used_ever = 0", ["all time"]),
    ):
        before = used(books, name)
        if not before[0]:
            return  # nobody was charged
        write(books, f"UPDATE account SET {damage} {of_one}")
        sentences = audit(books.database)
        assert [one.split(" credits of ")[1].split(",")[0] for one in sentences] == found
        assert all(one.startswith(f"account team/{name} counts ") for one in sentences)
        day, month, ever = before
        write(
            books,
            f"UPDATE account SET used_on = '{datetime.now(UTC).date()}', used_in_day = {day},"
            f" used_in_month = {month}, used_ever = {ever} {of_one}",
        )
    assert audit(books.database) == []


def test_of_the_time_before_a_change_the_entries_are_the_least(
    books: Books, family: dict[str, KeyState]
) -> None:
    """A charge of before the limit does not count, and the log may have no older change."""
    key = family["alice"]

    async def act(ledger: Ledger) -> None:
        await ledger.charge(books.charge(key, 7, "alice"))
        state(books, "company", limits={"credits": 50})
        for price in (5, 4):
            await ledger.charge(books.charge(key, price, "alice"))

    with_ledger(books.database, act)
    shift = (
        "datetime('now', '-{} seconds')" if books.database.is_sqlite else "now() - interval '{} s'"
    )
    write(books, f"UPDATE change_log SET created_at = {shift.format(60)}")
    write(books, f"UPDATE entry SET created_at = {shift.format(120)} WHERE credits = -7")
    assert used(books, "company") == (9, 9, 9)
    assert audit(books.database) == []
    counters = "used_in_day = {0}, used_in_month = {0}, used_ever = {0}"
    for counted, differing in ((8, 3), (30, 0), (9, 0)):
        write(books, f"UPDATE account SET {counters.format(counted)} WHERE name = 'company'")
        found = [one.split(" but ")[1] for one in audit(books.database)]
        assert found == ["the entries are at least 9"] * differing


def test_changes_of_the_tree_wait_for_nobody_and_nobody_for_them(database: Database) -> None:
    """Charges, refunds and moves at once: no deadlock, and the books are right."""
    books = Books(database)
    names = [f"account-{number}" for number in range(6)]
    keys = {}
    for name in names:
        books.grant(f"grant-{name}", name, credits=500)
        keys[name], _ = books.issue(f"key-{name}", name)
    state(books, names[-1], limits={"credits": 60}, childLimits={"credits": 100})

    async def move(random: Random) -> None:
        name, parent = random.sample(names, 2)
        wanted = account_object(name, parent=parent, limits={"credits": 60})
        await asyncio.to_thread(apply_account, database, INSTALLATION, wanted)

    async def live(ledger: Ledger, random: Random) -> None:
        name = random.choice(names)
        charge = books.charge(keys[name], 1, name)
        result = await ledger.charge(charge)
        if result.outcome == "charged" and random.random() < 0.5:
            assert await ledger.refund(Refund(charge.request_id, charge.account_id))

    async def run() -> None:
        random = Random(1)
        async with open_ledger(database) as one, open_ledger(database, "two") as two:
            for _ in range(25):
                moves = [move(random) for _ in range(2)]
                await asyncio.gather(*moves, *(live(each, random) for each in [one, two] * 8))

    asyncio.run(run())
    assert audit(database) == []
    assert all(used(books, name)[2] <= 60 for name in names)


def test_an_audit_knows_that_an_account_has_left(books: Books, family: dict[str, KeyState]) -> None:
    """Its entries have counted where it was, and are not read there any more."""
    state(books, "team", limits={"credits": 50})

    async def act(ledger: Ledger) -> None:
        assert (await ask(books, ledger, family["alice"], "alice", 6)).limit_left == 44

    with_ledger(books.database, act)
    state(books, "alice")
    assert (used(books, "team")[2], audit(books.database)) == (6, [])
