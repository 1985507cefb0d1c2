"""Leases on both databases: a dead replica's requests are refunded, a living one's are not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway.process.reaper import Reaper
from gateway.store.database_thread import DatabaseThread
from gateway.store.leases import REFUND_BATCH, end_lease, read_leases, renew_lease
from gateway.store.ledger import Ledger
from gateway.store.opening import open_ledger as open_started
from tests.harness.books import Books
from tests.store.noted import statements
from tests.store.test_charges import open_ledger

LEASE = 0.6


def charge(books: Books, replica: str, number: int, account: str = "alice") -> list[str]:
    """Open requests of a replica."""
    key, _ = books.issue(f"key-{replica}-{account}", account)

    async def run() -> list[str]:
        async with open_ledger(books.database, replica) as ledger:
            charges = [books.charge(key, account=account) for _ in range(number)]
            for verdict in await asyncio.gather(*map(ledger.charge, charges)):
                assert verdict.outcome == "charged"
            return [charge.request_id for charge in charges]

    return asyncio.run(run())


@asynccontextmanager
async def reaping(
    books: Books,
    known: set[str],
    *,
    lease_seconds: float = LEASE,
    unconfirmed_seconds: float = 60,
) -> AsyncIterator[Reaper]:
    """The reaper of a replica called `me`."""
    database_thread = DatabaseThread(books.database, "test")
    async with open_ledger(books.database, "me") as ledger:
        yield Reaper(
            database_thread,
            ledger,
            "me",
            lambda: known,
            lease_seconds=lease_seconds,
            unconfirmed_seconds=unconfirmed_seconds,
        )
    database_thread.close()


async def look_until(reaper: Reaper, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await reaper.reap()
            await asyncio.sleep(reaper.pause_seconds)


async def look_for(reaper: Reaper, leases: float) -> None:
    """Look until so many leases have passed."""
    for _ in range(int(leases * 8)):
        await reaper.reap()
        await asyncio.sleep(LEASE / 8)


def test_only_the_dead_ones_requests_are_refunded(books: Books) -> None:
    books.grant(credits=10)
    renew_lease(books.database, "dead", LEASE)
    renew_lease(books.database, "alive", LEASE)
    charge(books, "dead", 3)
    charge(books, "alive", 4)

    async def act() -> None:
        async with reaping(books, set()) as reaper:

            async def live() -> None:
                while True:
                    await asyncio.to_thread(renew_lease, books.database, "alive", LEASE)
                    await asyncio.sleep(LEASE / 6)

            living = asyncio.create_task(live())
            await look_until(reaper, lambda: books.holds() == 4)
            await look_for(reaper, 3)
            living.cancel()

    asyncio.run(act())
    assert books.balance() == 6
    assert books.scalar("SELECT count(*) FROM replica") == 1, "the dead one's row is gone, too"


@pytest.mark.parametrize("hours", [-48, 48])
def test_no_clock_but_the_watchers_own_decides_who_is_dead(books: Books, hours: int) -> None:
    """The rows as a stepped clock leaves them: everything is hours older, or younger, than now."""
    books.grant(credits=10)
    renew_lease(books.database, "other", 3600)
    charge(books, "other", 2)
    mine = charge(books, "me", 3)
    moment = books.now() + timedelta(hours=hours)
    shown = moment.replace(tzinfo=None).isoformat(" ", "microseconds")
    with books.database.write() as session:
        session.execute(text(f"UPDATE replica SET seen_at = '{shown}'"))
        session.execute(text(f"UPDATE hold SET created_at = '{shown}'"))

    async def act() -> None:
        async with reaping(books, set(mine[:1]), lease_seconds=3600) as reaper:
            for _ in range(4):
                await reaper.reap()

    asyncio.run(act())
    assert books.holds() == 5


def test_leases_of_two_fleets_are_as_long_as_each_asks(books: Books) -> None:
    """One with a long lease is not judged by a reaper with a short one, and the other way round."""
    books.grant(credits=10)
    renew_lease(books.database, "long", 3600)
    renew_lease(books.database, "short", LEASE)
    charge(books, "long", 3)
    charge(books, "short", 2)

    async def act(lease_seconds: float) -> None:
        async with reaping(books, set(), lease_seconds=lease_seconds) as reaper:
            await reaper.reap()
            assert reaper.pause_seconds <= LEASE / 4
            await look_until(reaper, lambda: books.holds() == 3)
            await look_for(reaper, 2)
            assert books.holds() == 3

    asyncio.run(act(3600))
    renew_lease(books.database, "short", LEASE)
    charge(books, "short", 2)
    asyncio.run(act(LEASE))


def test_a_lease_of_a_release_that_does_not_name_its_length_is_as_long_as_ours(
    books: Books,
) -> None:
    renew_lease(books.database, "before", 5)
    with books.database.write() as session:
        session.execute(text("UPDATE replica SET lease_seconds = NULL"))
    (lease,) = read_leases(books.database, "me", 60)
    assert lease.seconds == 60


def test_holds_of_a_replica_without_a_row_are_refunded(books: Books) -> None:
    books.grant(credits=10)
    charge(books, "never-seen", 2)
    renew_lease(books.database, "drained", LEASE)
    charge(books, "drained", 1)
    end_lease(books.database, "drained")

    async def act() -> None:
        async with reaping(books, set()) as reaper:
            await reaper.reap()
            assert books.holds() == 3
            await look_until(reaper, lambda: books.holds() == 0)

    asyncio.run(act())
    assert books.balance() == 10


def test_a_replica_gives_back_what_it_does_not_know_and_nothing_else(books: Books) -> None:
    books.grant(credits=10)
    known, unknown = charge(books, "me", 2)

    async def act() -> None:
        async with reaping(books, {known}, unconfirmed_seconds=0.3) as reaper:
            await reaper.reap()
            assert books.holds() == 2
            await look_until(reaper, lambda: books.holds() == 1)
            await look_for(reaper, 3)

    asyncio.run(act())
    assert books.scalar("SELECT request_id FROM hold") == known
    assert unknown != known


def test_a_single_process_refunds_everything_at_its_start(books: Books) -> None:
    if not books.database.is_sqlite:
        return  # on PostgreSQL there may be others
    books.grant(credits=1000)
    charge(books, "before", 500)

    async def act() -> None:
        ledger: Ledger = await open_started(books.database, "after")
        await ledger.drain()

    asyncio.run(act())
    assert books.balance() == 1000


def test_many_holds_are_refunded_in_statements_of_a_bounded_size(books: Books) -> None:
    """By the statement that requests are refunded by: a few for all, and few accounts locked."""
    accounts = [f"account-{number}" for number in range(30)]
    for account in accounts:
        books.grant(f"grant-{account}", account, credits=100)
        charge(books, "dead", 100, account)
    renew_lease(books.database, "dead", LEASE)

    async def act() -> None:
        async with reaping(books, set()) as reaper:
            await look_until(reaper, lambda: books.holds() == 0)

    with statements() as sent:
        asyncio.run(act())
    locked = [statement for statement, _ in sent if "FOR UPDATE" in statement]
    assert len(sent) > len(locked)
    assert len(locked) <= 1, "the desk itself locks nothing but the row of the dead replica"
    assert books.count("refund") == 3000
    assert all(books.balance(account) == 100 for account in accounts)
    if books.database.is_sqlite:
        return
    # By transaction, which is how long locks are held: its refunds and the accounts it locked.
    transactions = (
        "FROM (SELECT count(*) AS refunds, count(DISTINCT account_id) AS accounts FROM entry"
        " WHERE kind = 'refund' GROUP BY xmin::text) AS one"
    )
    assert int(books.scalar(f"SELECT count(*) {transactions}")) <= 3000 / REFUND_BATCH + 1
    assert int(books.scalar(f"SELECT max(refunds) {transactions}")) <= REFUND_BATCH
    assert int(books.scalar(f"SELECT max(accounts) {transactions}")) <= REFUND_BATCH / 100 + 1
