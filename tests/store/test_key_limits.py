"""The limits of a key in credits, of its month and for good, on both databases."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import text

from gateway.store.audit import audit
from gateway.store.audit_rounds import audit_round
from gateway.store.key_rows import KeyState
from gateway.store.ledger import ChargeResult, Ledger, Limit, Refund
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import open_ledger, with_ledger
from tests.store.test_groups import state

BOTH = pytest.mark.parametrize(
    ("field", "limit"), [("creditsPerMonth", "month"), ("credits", "ever")]
)


def counted(books: Books) -> tuple[int, int]:
    return (
        int(books.scalar("SELECT used_in_month FROM api_key")),
        int(books.scalar("SELECT used_ever FROM api_key")),
    )


def write(books: Books, statement: str) -> None:
    with books.database.write() as session:
        session.execute(text(statement))


async def ask(books: Books, ledger: Ledger, key: Any, *prices: int) -> list[ChargeResult]:
    return await asyncio.gather(*(ledger.charge(books.charge(key, price)) for price in prices))


@BOTH
def test_two_replicas_never_take_more_than_a_limit(books: Books, field: str, limit: Limit) -> None:
    books.grant(credits=1000)
    key, _ = books.issue(limits={field: 101, "creditsPerDay": 500})

    async def run() -> None:
        async with open_ledger(books.database) as one, open_ledger(books.database, "two") as two:
            found = []
            for _ in range(4):
                both = (ask(books, each, key, *[2] * 20) for each in (one, two))
                found += [result for half in await asyncio.gather(*both) for result in half]
            charged = [one for one in found if one.outcome == "charged"]
            assert len(charged) == 50
            assert {each.outcome for each in found} == {"charged", "capped"}
            assert (await ask(books, one, key, 2))[0].limit == limit
            assert (await ask(books, one, key, 1))[0] == ChargeResult("charged", 899, 0, limit)

    asyncio.run(run())
    assert books.balance() == 899
    assert counted(books) == (101, 101)
    assert books.scalar("SELECT credits FROM api_key_day") == 101
    assert audit(books.database) == []


@pytest.mark.parametrize("field", ["creditsPerDay", "creditsPerMonth", "credits"])
@pytest.mark.parametrize("owner", ["key", "account"])
def test_what_costs_nothing_passes_a_limit_that_was_lowered(
    books: Books, owner: str, field: str
) -> None:
    books.grant(credits=100)

    def limited(credits: int) -> KeyState:
        if owner == "account":
            state(books, "alice", limits={field: credits})
            return books.issue()[0]
        return books.issue(limits={field: credits})[0]

    async def act(ledger: Ledger) -> None:
        await ask(books, ledger, limited(20), 10)
        found = await ask(books, ledger, limited(4), 0, 3, 0)
        assert [each.outcome for each in found] == ["charged", "capped", "charged"]
        assert [each.limit_left for each in found] == [-6, -6, -6]

    with_ledger(books.database, act)
    assert books.balance() == 90
    assert audit(books.database) == []


@pytest.mark.parametrize(
    ("tightest", "name"),
    [("creditsPerDay", "day"), ("creditsPerMonth", "month"), ("credits", "ever")],
)
def test_what_one_limit_refuses_none_counts(books: Books, tightest: str, name: Limit) -> None:
    books.grant(credits=100)
    limits = {"creditsPerDay": 50, "creditsPerMonth": 50, "credits": 50, tightest: 5}
    key, _ = books.issue(limits=limits)

    async def act(ledger: Ledger) -> None:
        for _ in range(2):
            (refused,) = await ask(books, ledger, key, 6)
            assert refused == ChargeResult("capped", 100, 5, name)
        (charged,) = await ask(books, ledger, key, 4)
        assert (charged.outcome, charged.limit_left) == ("charged", 1)
        assert (await ask(books, ledger, key, 2))[0].outcome == "capped"

    with_ledger(books.database, act)
    assert counted(books) == (4, 4)
    assert books.scalar("SELECT credits FROM api_key_day") == 4


def test_of_a_batch_as_much_as_fits_is_charged(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerMonth": 7})

    async def act(ledger: Ledger) -> None:
        found = await ask(books, ledger, key, *[2] * 6)
        assert [each.outcome for each in found].count("charged") == 3

    with_ledger(books.database, act)
    assert counted(books) == (6, 6)


def test_the_next_month_begins_again_and_for_good_does_not(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerMonth": 4, "credits": 10})

    async def act(ledger: Ledger) -> None:
        late = books.charge(key, 4)
        assert (await ledger.charge(late)).outcome == "charged"
        assert (await ask(books, ledger, key, 1))[0].limit == "month"
        write(books, "UPDATE api_key SET used_month = '2020-01-01'")
        write(books, "UPDATE hold SET month = '2020-01-01'")
        assert (await ask(books, ledger, key, 4))[0].outcome == "charged"
        assert counted(books) == (4, 8)
        # What is given back of the last month is no part of this one.
        await ledger.refund(Refund(late.request_id, late.account_id))
        assert counted(books) == (4, 4)
        write(books, "UPDATE api_key SET used_month = '2020-01-01'")
        assert (await ask(books, ledger, key, 4))[0].outcome == "charged"
        write(books, "UPDATE api_key SET used_month = '2020-01-01'")
        assert (await ask(books, ledger, key, 3))[0].limit == "ever"

    with_ledger(books.database, act)
    assert audit(books.database) == []


def test_a_clock_that_went_back_does_not_begin_a_month(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerMonth": 4})

    async def act(ledger: Ledger) -> None:
        charge = books.charge(key, 3)
        await ledger.charge(charge)
        write(books, "UPDATE api_key SET used_month = '2999-01-01'")
        write(books, "UPDATE hold SET month = '2999-01-01'")
        assert (await ask(books, ledger, key, 2))[0].outcome == "capped"
        assert (await ask(books, ledger, key, 1))[0].outcome == "charged"
        await ledger.refund(Refund(charge.request_id, charge.account_id))

    with_ledger(books.database, act)
    assert counted(books) == (1, 1)


def test_refunds_of_two_months_at_once_give_each_back(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerMonth": 50, "credits": 50})

    async def act(ledger: Ledger) -> None:
        charges = [books.charge(key, price) for price in (1, 2, 4, 8)]
        for charge in charges:
            await ledger.charge(charge)
        old = "', '".join(charge.request_id for charge in charges[:2])
        write(books, f"UPDATE hold SET month = '2020-01-01' WHERE request_id IN ('{old}')")
        write(books, "UPDATE api_key SET used_in_month = 12")
        given = [ledger.refund(Refund(each.request_id, each.account_id)) for each in charges]
        assert await asyncio.gather(*given) == [True] * 4

    with_ledger(books.database, act)
    assert counted(books) == (0, 0)
    assert books.balance() == 100


@BOTH
def test_a_refund_gives_back(books: Books, field: str, limit: Limit) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={field: 2})

    async def act(ledger: Ledger) -> None:
        first = books.charge(key, 2)
        assert (await ledger.charge(first)).outcome == "charged"
        assert (await ask(books, ledger, key, 2))[0].limit == limit
        await ledger.refund(Refund(first.request_id, first.account_id))
        assert (await ask(books, ledger, key, 2))[0].outcome == "charged"

    with_ledger(books.database, act)


def test_two_plaintexts_of_a_key_have_one_limit(books: Books) -> None:
    books.grant(credits=100)
    limits = {"creditsPerMonth": 5, "credits": 100}
    old, _ = books.issue(limits=limits)
    new, _ = books.issue(limits=limits, rotation={"generation": 1})
    assert old != new

    async def act(ledger: Ledger) -> None:
        charges = [books.charge(key, 2) for key in (old, new, old, new)]
        found = await asyncio.gather(*map(ledger.charge, charges))
        assert [each.outcome for each in found].count("charged") == 2

    with_ledger(books.database, act)
    assert counted(books) == (4, 4)


def test_a_key_without_limits_counts_nothing(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        assert await ask(books, ledger, key, 3) == [ChargeResult("charged", 7)]

    with_ledger(books.database, act)
    assert counted(books) == (0, 0)
    assert books.scalar("SELECT used_month FROM api_key") is None
    assert books.scalar("SELECT month FROM hold") is None
    assert books.scalar("SELECT count(*) FROM api_key_day") == 0


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("api_key SET used_in_month = used_in_month + 1, used_ever = used_ever + 1",
         ["7 credits of the month, but the entries are 6",
          "7 credits of all time, but the entries are 6"]),
        ("api_key SET used_ever = used_ever + 1",
         ["7 credits of all time, but the entries are 6"]),
        ("api_key_day SET credits = credits - 1", ["5 credits of {day}, but the entries are 6"]),
    ],
)  # fmt: skip
def test_a_counter_that_was_changed_is_found(books: Books, damage: str, found: list[str]) -> None:
    """Of a key whose limits are older than its charges; beside one that has no limits."""
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerDay": 50, "creditsPerMonth": 50, "credits": 50})
    other, _ = books.issue("other")

    async def act(ledger: Ledger) -> None:
        charge = books.charge(key, 8)
        assert (await ledger.charge(charge)).outcome == "charged"
        assert (await ask(books, ledger, key, 4, 2))[1].outcome == "charged"
        assert (await ask(books, ledger, other, 7))[0].outcome == "charged"
        await ledger.refund(Refund(charge.request_id, charge.account_id))

    with_ledger(books.database, act)
    write(books, "UPDATE change_log SET created_at = '2020-01-01 00:00:00.000000'")
    assert audit(books.database) == []
    write(books, f"UPDATE {damage}")
    day = str(datetime.now(UTC).date())
    named = [f"key team/key counts {one.format(day=day)}" for one in found]
    assert audit(books.database) == named
    if not books.database.is_sqlite:
        look = audit_round(books.database, INSTALLATION, round_seconds=60, recount_seconds=86_400)
        assert [one.sentence for one in look.findings] == [one for one in named if day in one]
    undo = damage.translate(str.maketrans("+-", "-+"))
    write(books, f"UPDATE {undo}")
    assert audit(books.database) == []
    write(books, "UPDATE change_log SET created_at = '2999-01-01 00:00:00.000000'")
    write(books, f"UPDATE {damage}")
    assert audit(books.database) == [], "nobody knows what counted before the last change"
    write(books, f"UPDATE {undo}")


#: a clock that goes on by a microsecond a look, from the last one of a day in each transaction
MIDNIGHT = """
CREATE SCHEMA midnight;
CREATE FUNCTION midnight.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$
  DECLARE looks int := coalesce(nullif(current_setting('midnight.looks', true), ''), '0');
  BEGIN
    PERFORM set_config('midnight.looks', (looks + 1)::text, true);
    RETURN timestamptz '2026-01-31T23:59:59.999999Z' + looks * interval '1 microsecond';
  END $$;
DO $$ BEGIN EXECUTE format(
  'ALTER DATABASE %I SET search_path = midnight, public, pg_catalog', current_database()); END $$
"""


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_charge_at_midnight_is_of_one_day(books: Books) -> None:
    """Its entry, its hold and what limits count; on SQLite one moment is given to all of them."""
    books.grant(credits=10)
    limits = {"creditsPerDay": 5, "creditsPerMonth": 5}
    key, _ = books.issue(limits=limits)
    state(books, "alice", limits=limits)
    write(books, MIDNIGHT)

    async def act(ledger: Ledger) -> None:
        assert (await ledger.charge(books.charge(key))).outcome == "charged"

    with_ledger(books.database, act)
    for day in (
        "SELECT (created_at AT TIME ZONE 'UTC')::date FROM entry WHERE kind = 'charge'",
        "SELECT day FROM hold",
        "SELECT day FROM api_key_day",
        "SELECT used_on FROM account",
        "SELECT (used_month + interval '30 days')::date FROM api_key",
    ):
        assert books.scalar(day) == date(2026, 1, 31), day
