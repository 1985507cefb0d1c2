"""Charges, refunds and ends on both databases, through the hot ledger itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.core.events import Usage
from gateway.store.database import Database
from gateway.store.grants import expire_grants
from gateway.store.group_commit import GroupCommit
from gateway.store.keys import revoke_key, suspend_key
from gateway.store.ledger import ChargeResult, End, Ledger, Refund
from gateway.store.ledger_postgres import PostgresLedger
from gateway.store.ledger_sqlite import SqliteLedger
from gateway.store.migrate import migrate
from tests.harness.books import Books

REPLICA = "replica_test"


@asynccontextmanager
async def open_ledger(database: Database, replica: str = REPLICA) -> AsyncIterator[Ledger]:
    ledger: Ledger
    if database.is_sqlite:
        ledger = SqliteLedger(database.path, replica, behind_seconds=0.01)
    else:
        ledger = PostgresLedger(database.url, replica, behind_seconds=0.01)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.drain()


def with_ledger(database: Database, act: Callable[[Ledger], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_ledger(database) as ledger:
            await act(ledger)

    asyncio.run(run())


def test_a_charge_takes_the_price_and_leaves_a_hold(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        assert await ledger.charge(books.charge(key, 3)) == ChargeResult("charged", 7)

    with_ledger(books.database, act)
    assert books.balance() == 7
    assert books.holds() == 1


def test_tags_are_written_with_those_charges_that_are_made(books: Books) -> None:
    """Also where a batch is tried again row by row, and passes by what is locked."""
    books.grant(credits=5)
    key, _ = books.issue()
    some = [replace(books.charge(key), tags=tags) for tags in ('{"a":"1"}', None, '{"b":"2"}')]
    dear = replace(books.charge(key, 9), tags='{"c":"3"}')
    odd = replace(books.charge(key), model="\0", tags='{"d":"4"}')

    async def act(ledger: Ledger) -> None:
        await asyncio.gather(*map(ledger.charge, (*some, dear)))
        more = replace(books.charge(key), tags='{"e":"5"}')
        await asyncio.gather(*map(ledger.charge, (odd, more)), return_exceptions=True)

    with_ledger(books.database, act)
    with books.database.read() as session:
        kept = session.execute(text("SELECT tags FROM request_tags ORDER BY 1")).scalars().all()
        lost = session.execute(
            text(
                "SELECT count(*) FROM request_tags t WHERE NOT EXISTS"
                " (SELECT 1 FROM entry e WHERE e.request_id = t.request_id)"
            )
        ).scalar_one()
    of_odd = ['{"d":"4"}'] if books.database.is_sqlite else []  # SQLite takes any text
    assert kept == ['{"a":"1"}', '{"b":"2"}', *of_odd, '{"e":"5"}']
    assert (lost, books.count("charge")) == (0, len(kept) + 1)


def test_an_end_that_cannot_be_written_now_is_written_later(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    def rename(table: str, name: str) -> None:
        with books.database.write() as session:
            session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))

    async def act(ledger: Ledger) -> None:
        charge = books.charge(key, 4)
        await ledger.charge(charge)
        rename("request_usage", "away")
        ledger.end(End(charge.request_id, Usage(input=3, output=2)))
        await asyncio.sleep(0.3)  # time for it to fail
        assert charge.request_id in set(ledger.pending())
        rename("away", "request_usage")

    with_ledger(books.database, act)
    assert books.holds() == 0
    assert books.scalar("SELECT output_tokens FROM request_usage") == 2


def test_many_at_once_never_take_more_than_there_is(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        charges = [books.charge(key) for _ in range(300)]
        verdicts = await asyncio.gather(*map(ledger.charge, charges))
        outcomes = [verdict.outcome for verdict in verdicts]
        assert outcomes.count("charged") == 100
        assert outcomes.count("exhausted") == 200

    with_ledger(books.database, act)
    assert books.balance() == 0
    assert books.count("charge") == 100


def test_a_dear_request_does_not_crowd_out_a_cheap_one(books: Books) -> None:
    books.grant(credits=5)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        dear, cheap = books.charge(key, 6), books.charge(key, 5)
        verdicts = await asyncio.gather(ledger.charge(dear), ledger.charge(cheap))
        assert [verdict.outcome for verdict in verdicts] == ["exhausted", "charged"]

    with_ledger(books.database, act)


def test_of_more_charges_than_a_batch_holds_no_account_s_wait_for_all_of_another_s() -> None:
    batches: list[list[int]] = []

    async def execute(batch: list[int]) -> list[int]:
        batches.append(batch)
        await asyncio.sleep(0)
        return batch

    async def run() -> None:
        group = GroupCommit[int, int](execute, account_of=lambda number: number % 1000)
        many = [group.submit(1000 * number) for number in range(3000)]
        assert await group.submit(7) == 7
        assert await asyncio.gather(*many) == [1000 * number for number in range(3000)]
        await group.drain()

    asyncio.run(run())
    assert batches[0] == [*range(0, 511_000, 1000), 7]
    assert all(len(batch) <= GroupCommit.BATCH_MAX for batch in batches)


def test_a_batch_is_bounded_by_bytes_and_holds_one_item_at_least() -> None:
    batches: list[list[int]] = []

    async def execute(batch: list[int]) -> list[int]:
        batches.append(batch)
        return batch

    async def run() -> None:
        group = GroupCommit[int, int](execute, size_of=lambda size: size, batch_bytes_max=10)
        for size in (4, 4, 4, 30, 1):
            group.add(size)
        await group.drain()

    asyncio.run(run())
    assert batches == [[4, 4], [4], [30], [1]]


def test_full_batches_are_not_delayed() -> None:
    """More than one batch may come within a delay, for as long as the load lasts."""
    batches: list[int] = []

    async def execute(batch: list[int]) -> list[None]:
        batches.append(len(batch))
        return [None] * len(batch)

    async def run() -> None:
        group = GroupCommit[int, None](execute, delay_seconds=3600)
        for number in range(2 * group.BATCH_MAX + 1):
            group.add(number)
        for _ in range(10):
            await asyncio.sleep(0)
        assert batches == [group.BATCH_MAX] * 2
        assert len(group.items()) == 1

    asyncio.run(run())


def test_items_that_come_together_go_into_one_commit_though_they_come_one_by_one() -> None:
    batches: list[int] = []

    async def execute(batch: list[int]) -> list[int]:
        batches.append(len(batch))
        return batch

    class Patient(GroupCommit[int, int]):
        GATHER_SECONDS = 0.05

    async def caller(group: GroupCommit[int, int], number: int) -> None:
        for _ in range(10):
            await group.submit(number)
            for _ in range(number):
                await asyncio.sleep(0)

    async def run() -> None:
        group = Patient(execute)
        await asyncio.gather(*(caller(group, number) for number in range(8)))
        await group.drain()

    asyncio.run(run())
    assert sum(batches) == 80
    assert len(batches) < 20, batches  # 38 without the wait


def test_one_item_after_another_waits_for_no_others_nor_does_a_drain() -> None:
    async def execute(batch: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return batch

    class Patient(GroupCommit[int, int]):
        GATHER_SECONDS = 3600

    async def run() -> None:
        group = Patient(execute)
        for number in range(10):
            assert await group.submit(number) == number
        many = [group.submit(number) for number in range(group.GATHER_FROM)]
        assert await asyncio.gather(*many) == [0, 1, 2, 3]
        late = group.submit(4)
        await group.drain()
        assert late.result() == 4

    asyncio.run(run())


def test_an_item_that_nobody_waits_for_any_more_is_written_unless_the_group_skips_those() -> None:
    written: list[int] = []

    async def execute(batch: list[int]) -> list[int]:
        written.extend(batch)
        return batch

    async def run(skips_abandoned: bool) -> None:
        group = GroupCommit[int, int](execute, skips_abandoned=skips_abandoned)
        group.submit(1).cancel()
        group.add(2)
        await group.drain()

    asyncio.run(run(skips_abandoned=True))
    assert written == [2]
    asyncio.run(run(skips_abandoned=False))
    assert written == [2, 1, 2]


def test_what_waits_is_written_at_a_drain_though_the_database_is_away_just_then() -> None:
    written: list[int] = []
    failures = [DatabaseUnavailable("the database does not answer")] * 2

    async def execute(batch: list[int]) -> list[int]:
        if failures:
            raise failures.pop()
        written.extend(batch)
        return batch

    async def run() -> None:
        group = GroupCommit[int, int](execute, keeps_on_failure=True)
        group.submit(7)
        await group.drain()

    asyncio.run(run())
    assert written == [7]


def test_a_drain_does_not_wait_for_ever_for_a_database() -> None:
    async def execute(batch: list[int]) -> list[int]:
        raise DatabaseUnavailable("the database does not answer")

    class Hasty(GroupCommit[int, int]):
        DRAIN_SECONDS = 0.0

    async def run() -> "asyncio.Future[int]":
        group = Hasty(execute, keeps_on_failure=True)
        future = group.submit(7)
        await group.drain()
        return future

    assert isinstance(asyncio.run(run()).exception(), DatabaseUnavailable)


def test_two_replicas_share_one_account_exactly(books: Books) -> None:
    if books.database.is_sqlite:
        return  # one process only, by contract
    books.grant(credits=100)
    key, _ = books.issue()

    async def run() -> None:
        database = books.database
        async with open_ledger(database, "one") as one, open_ledger(database, "two") as two:
            ledgers = [one, two] * 100
            verdicts = await asyncio.gather(
                *(ledger.charge(books.charge(key)) for ledger in ledgers)
            )
            assert [verdict.outcome for verdict in verdicts].count("charged") == 100

    asyncio.run(run())
    assert books.balance() == 0


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_connection_that_ended_between_two_charges_costs_no_request(books: Books) -> None:
    """A server that was started again has closed its connections: seen before anything is sent."""
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        assert await ledger.charge(books.charge(key)) == ChargeResult("charged", 9)
        gone = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        ours = " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert books.scalar(gone + ours) >= 1
        assert await ledger.charge(books.charge(key)) == ChargeResult("charged", 8)

    with_ledger(books.database, act)


def test_a_refund_gives_back_once(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        charge = books.charge(key, 4)
        await ledger.charge(charge)
        refund = Refund(charge.request_id, charge.account_id)
        given = await asyncio.gather(*(ledger.refund(refund) for _ in range(5)))
        assert sorted(given)[-1] is True or given.count(True) >= 1
        assert await ledger.refund(refund) is False

    with_ledger(books.database, act)
    assert books.balance() == 10
    assert books.count("refund") == 1
    assert books.holds() == 0


def test_an_end_keeps_the_credits_and_a_late_refund_finds_nothing(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()

    async def run() -> None:
        charge = books.charge(key, 4)
        async with open_ledger(books.database) as ledger:
            await ledger.charge(charge)
            ledger.end(End(charge.request_id, Usage(input=3, output=2)))
            assert charge.request_id in set(ledger.pending())
        async with open_ledger(books.database) as ledger:
            assert await ledger.refund(Refund(charge.request_id, charge.account_id)) is False

    asyncio.run(run())
    assert books.balance() == 6
    assert books.scalar("SELECT output_tokens FROM request_usage") == 2


@pytest.mark.parametrize("how", ["revoked", "suspended", "expired", "wrong hash"])
def test_a_dead_key_cannot_be_charged(books: Books, how: str) -> None:
    books.grant(credits=10)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    key, _ = books.issue(**({"expiresAt": past} if how == "expired" else {}))
    charge = books.charge(key)
    if how == "revoked":
        revoke_key(books.database, key.id)
    elif how == "suspended":
        suspend_key(books.database, key.id)
    elif how == "wrong hash":
        books.issue(rotation={"generation": 1, "overlap": "0s"})

    async def act(ledger: Ledger) -> None:
        assert (await ledger.charge(charge)).outcome == "dead"

    with_ledger(books.database, act)
    assert books.balance() == 10


def test_a_rotated_key_lives_on_for_its_overlap(books: Books) -> None:
    books.grant(credits=10)
    key, _ = books.issue()
    old = books.charge(key)
    books.issue(rotation={"generation": 1, "overlap": "10m"})

    async def act(ledger: Ledger) -> None:
        assert (await ledger.charge(old)).outcome == "charged"

    with_ledger(books.database, act)


def test_no_charge_after_a_revocation_is_committed(books: Books) -> None:
    """Under load: every charge that came back after `revoke_key` returned must be refused."""
    books.grant(credits=100_000)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        revoked = asyncio.Event()
        late: list[str] = []

        async def client() -> None:
            while True:
                began_after = revoked.is_set()
                verdict = await ledger.charge(books.charge(key))
                if began_after:
                    late.append(verdict.outcome)
                if verdict.outcome == "dead":
                    return

        clients = [asyncio.create_task(client()) for _ in range(16)]
        while books.count("charge") < 50:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(revoke_key, books.database, key.id)
        charged = books.count("charge")
        revoked.set()
        await asyncio.gather(*clients)
        assert set(late) <= {"dead"}
        assert books.count("charge") == charged

    with_ledger(books.database, act)


def test_a_charge_that_waited_for_the_accounts_lock_sees_the_revocation(books: Books) -> None:
    """The statement's snapshot is older than the mark; the lock on the key's row must not be."""
    if books.database.is_sqlite:
        return  # SQLite has one writer at a time
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        with books.database.write() as session:
            from sqlalchemy import text

            session.execute(text("SELECT id FROM account FOR UPDATE"))
            waiting = asyncio.ensure_future(ledger.charge(books.charge(key)))
            while not books.scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
            session.execute(text("UPDATE api_key SET revoked_at = now()"))
        assert (await waiting).outcome == "dead"

    with_ledger(books.database, act)
    assert books.balance() == 10


def test_the_daily_cap_is_exact_and_the_next_day_starts_anew(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerDay": 7})

    async def ask(ledger: Ledger, number: int) -> list[str]:
        charges = [books.charge(key, 2) for _ in range(number)]
        return [v.outcome for v in await asyncio.gather(*map(ledger.charge, charges))]

    async def act(ledger: Ledger) -> None:
        assert (await ask(ledger, 6)).count("charged") == 3
        assert await ask(ledger, 1) == ["capped"]
        with books.database.write() as session:
            from sqlalchemy import text

            session.execute(text("UPDATE api_key_day SET day = '2000-01-01'"))
        assert await ask(ledger, 1) == ["charged"]

    with_ledger(books.database, act)
    assert books.balance() == 92


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_charges_that_cannot_fit_cost_no_statement_of_their_own(books: Books) -> None:
    """Requests of one key beyond its day, and of one account beyond its balance."""
    books.grant(credits=1000)
    books.grant("bobs", "bob", credits=10)
    books.grant("carols", "carol", credits=1000)
    capped, _ = books.issue(limits={"creditsPerDay": 4})
    poor, _ = books.issue("poor", "bob")
    other, _ = books.issue("other", "carol")

    costs = []

    async def act(ledger: Ledger) -> None:
        for _ in range(5):
            before = int(books.scalar("SELECT pg_current_xact_id()::text::bigint"))
            charges = [books.charge(capped, 3) for _ in range(150)]
            charges += [books.charge(poor, price, "bob") for price in (11, 6, 5, 4, 3) * 30]
            charges += [books.charge(other, 1, "carol") for _ in range(20)]
            verdicts = await asyncio.gather(*map(ledger.charge, charges))
            assert {verdict.outcome for verdict in verdicts[-20:]} == {"charged"}
            after = int(books.scalar("SELECT pg_current_xact_id()::text::bigint"))
            costs.append(after - before)

    with_ledger(books.database, act)
    # Each charge statement takes locks, and so a number; the server's own vacuum takes some too.
    assert min(costs) <= 4
    assert books.balance() == 997
    assert books.balance("bob") == 0
    assert books.balance("carol") == 900


def test_a_refund_on_the_same_day_gives_the_cap_back_too(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue(limits={"creditsPerDay": 2})

    async def act(ledger: Ledger) -> None:
        first = books.charge(key, 2)
        assert (await ledger.charge(first)).outcome == "charged"
        assert (await ledger.charge(books.charge(key, 2))).outcome == "capped"
        await ledger.refund(Refund(first.request_id, first.account_id))
        assert (await ledger.charge(books.charge(key, 2))).outcome == "charged"

    with_ledger(books.database, act)


def test_expired_credits_cannot_be_spent(books: Books) -> None:
    soon = (books.now() + timedelta(seconds=2)).isoformat()
    books.grant("short", credits=10, expiresAt=soon)
    books.grant("long", credits=5)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        assert (await ledger.charge(books.charge(key, 4))).balance == 11
        while (verdict := await ledger.charge(books.charge(key, 0))).outcome == "charged":
            await asyncio.sleep(0.02)
        assert verdict.outcome == "expiry_due"
        assert await asyncio.to_thread(expire_grants, books.database, books.account_id()) == 1
        assert (await ledger.charge(books.charge(key, 6))).outcome == "exhausted"
        assert (await ledger.charge(books.charge(key, 5))).outcome == "charged"

    with_ledger(books.database, act)
    assert books.balance() == 0


def test_an_unknown_account_or_odd_text_fails_alone(books: Books) -> None:
    from msgspec.structs import replace

    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger: Ledger) -> None:
        good = books.charge(key)
        stranger = replace(books.charge(key), account_id=999_999)
        odd = replace(books.charge(key), idempotency_key="\U0001f600'\"\\{}")
        outcomes = await asyncio.gather(*map(ledger.charge, [stranger, good, odd]))
        assert [verdict.outcome for verdict in outcomes] == ["dead", "charged", "charged"]

    with_ledger(books.database, act)
    assert books.balance() == 8


def test_a_file_that_somebody_else_writes_is_waited_for_once_a_batch(tmp_path: Path) -> None:
    """Not once for each charge that waits: each would have its own five seconds."""
    database = Database(f"sqlite:///{tmp_path / 'faregate.db'}")
    migrate(database)
    books = Books(database)
    books.grant(credits=100)
    key, _ = books.issue()
    begun: list[str] = []

    async def act(ledger: Ledger) -> None:
        assert isinstance(ledger, SqliteLedger)
        ledger._connection.set_trace_callback(
            lambda statement: begun.append(statement) if "BEGIN" in statement else None
        )
        ledger._connection.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        charges = [books.charge(key) for _ in range(20)]
        for result in await asyncio.gather(*map(ledger.charge, charges), return_exceptions=True):
            assert isinstance(result, DatabaseBusy)
        assert len(begun) <= 2
        other.execute("ROLLBACK")
        other.close()
        assert (await ledger.charge(charges[0])).outcome == "charged"

    with_ledger(database, act)
    database.close()
