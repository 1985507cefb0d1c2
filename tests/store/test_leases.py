"""Leases on both databases: a dead replica's requests are refunded, a living one's are not."""

import asyncio

from sqlalchemy import text

from gateway.store.leases import (
    reap_dead_replicas,
    reap_everything,
    reap_unknown,
    renew_lease,
)
from tests.harness.books import Books
from tests.store.test_charges import open_ledger


def charge(books: Books, replica: str, number: int) -> list[str]:
    """Open requests of a replica."""
    key, _ = books.issue(f"key-{replica}")

    async def run() -> list[str]:
        async with open_ledger(books.database, replica) as ledger:
            charges = [books.charge(key) for _ in range(number)]
            for verdict in await asyncio.gather(*map(ledger.charge, charges)):
                assert verdict.outcome == "charged"
            return [charge.request_id for charge in charges]

    return asyncio.run(run())


def age(books: Books, table: str, column: str) -> None:
    """Make everything in a table an hour older, by whichever clock the database has."""
    moment = "'2001-01-01 00:00:00.000000'"
    with books.database.write() as session:
        session.execute(text(f"UPDATE {table} SET {column} = {moment}"))


def test_only_the_dead_ones_requests_are_refunded(books: Books) -> None:
    books.grant(credits=10)
    renew_lease(books.database, "dead")
    charge(books, "dead", 3)
    age(books, "replica", "seen_at")
    renew_lease(books.database, "alive")
    charge(books, "alive", 4)
    assert reap_dead_replicas(books.database, 60) == 3
    assert reap_dead_replicas(books.database, 60) == 0
    assert books.balance() == 6
    assert books.scalar("SELECT count(*) FROM replica") == 1


def test_a_replica_that_comes_back_is_not_reaped(books: Books) -> None:
    books.grant(credits=10)
    renew_lease(books.database, "asleep")
    charge(books, "asleep", 2)
    age(books, "replica", "seen_at")
    renew_lease(books.database, "asleep")
    assert reap_dead_replicas(books.database, 60) == 0
    assert books.balance() == 8


def test_old_holds_of_a_replica_that_nobody_knows_are_refunded(books: Books) -> None:
    books.grant(credits=10)
    charge(books, "never-seen", 2)
    assert reap_dead_replicas(books.database, 60) == 0
    age(books, "hold", "created_at")
    assert reap_dead_replicas(books.database, 60) == 2
    assert books.balance() == 10


def test_a_replica_gives_back_what_it_does_not_know(books: Books) -> None:
    books.grant(credits=10)
    renew_lease(books.database, "me")
    known, unknown = charge(books, "me", 2)
    assert reap_unknown(books.database, "me", {known}, 60) == 0
    age(books, "hold", "created_at")
    assert reap_unknown(books.database, "me", {known}, 60) == 1
    assert books.scalar("SELECT request_id FROM hold") == known
    assert unknown != known


def test_a_single_process_refunds_everything_at_its_start(books: Books) -> None:
    books.grant(credits=10)
    charge(books, "before", 3)
    assert reap_everything(books.database) == 3
    assert books.balance() == 10
