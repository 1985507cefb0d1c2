"""Charges on SQLite where others write, and where statements and commits fail."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.core.errors import DatabaseUnavailable
from gateway.core.events import Usage
from gateway.store.batch_writer import LOOP_BATCH_MAX, LOOP_SECONDS_MAX
from gateway.store.database import Database
from gateway.store.ledger import Charge, ChargeResult, End, Refund
from gateway.store.ledger_sqlite import SqliteLedger
from gateway.store.migrate import migrate
from tests.harness.books import Books

#: an entry with this idempotency key makes the commit of its transaction fail
BREAKS = "breaks"
_BREAKING = (
    "CREATE TABLE broken (id INTEGER REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED)",
    f"CREATE TRIGGER breaks AFTER INSERT ON entry WHEN new.idempotency_key = '{BREAKS}'"
    " BEGIN INSERT INTO broken VALUES (-1); END",
)


@pytest.fixture
def file_books(tmp_path: Path) -> Iterator[Books]:
    database = Database(f"sqlite:///{tmp_path / 'faregate.db'}")
    migrate(database)
    books = Books(database)
    books.grant(credits=1000)
    yield books
    database.close()


@asynccontextmanager
async def open_ledger(books: Books) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(books.database.path, "replica_test", behind_seconds=0.001)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.drain()


@contextmanager
def another(books: Books) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else's."""
    with closing(sqlite3.connect(books.database.path, isolation_level=None)) as connection:
        yield connection


def run(books: Books, act: Callable[[SqliteLedger], Awaitable[None]]) -> None:
    async def opened() -> None:
        async with open_ledger(books) as ledger:
            await act(ledger)

    asyncio.run(opened())


async def make(ledger: SqliteLedger, charges: list[Charge]) -> list[ChargeResult | BaseException]:
    return await asyncio.gather(*map(ledger.charge, charges), return_exceptions=True)


def outcomes(results: list[ChargeResult | BaseException]) -> list[str]:
    return [
        result.outcome if isinstance(result, ChargeResult) else type(result).__name__
        for result in results
    ]


def test_the_loop_does_not_wait_for_another_connection_s_transaction(file_books: Books) -> None:
    """It is the loop that lets the other one go on: if it waited, both would for five seconds."""
    key, _ = file_books.issue()

    async def act(ledger: SqliteLedger) -> None:
        with another(file_books) as other:
            other.execute("BEGIN IMMEDIATE")
            charging = ledger.charge(file_books.charge(key, 3))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not charging.done()
            other.execute("ROLLBACK")
            assert (await charging).outcome == "charged"
            assert not ledger._connection.in_transaction

    run(file_books, act)
    assert file_books.balance() == 997


def test_few_charges_are_written_on_the_loop_unless_the_disk_is_slow(file_books: Books) -> None:
    """Many, and those after slow ones, are written in the thread, so that the loop goes on."""
    key, _ = file_books.issue()

    async def act(ledger: SqliteLedger) -> None:
        with another(file_books) as other:
            other.execute(
                "CREATE TRIGGER noted AFTER INSERT ON entry BEGIN SELECT note(new.idempotency_key);"
                " END"
            )
        threads: list[str] = []
        now = 1.0

        def note(pause: str | None) -> None:
            nonlocal now
            threads.append(threading.current_thread().name)
            now += float(pause or 0)

        ledger._connection.create_function("note", 1, note)
        ledger._writer._clock = lambda: now

        async def threads_of(number: int, pause: float = 0) -> set[str]:
            threads.clear()
            charges = [file_books.charge(key) for _ in range(number)]
            charges[0] = replace(charges[0], idempotency_key=str(pause))
            assert outcomes(await make(ledger, charges)) == ["charged"] * number
            return set(threads)

        assert await threads_of(LOOP_BATCH_MAX) == {"MainThread"}
        assert await threads_of(LOOP_BATCH_MAX + 1) == {"ledger"}
        assert await threads_of(1, pause=2 * LOOP_SECONDS_MAX) == {"MainThread"}
        assert await threads_of(1) == {"ledger"}

    run(file_books, act)
    assert file_books.balance() == 1000 - 2 * LOOP_BATCH_MAX - 3


@pytest.mark.parametrize("number", [16, 17, 128, 145, 512])
def test_a_batch_of_any_size_is_written_whole(file_books: Books, number: int) -> None:
    """As one statement after the other takes its rows; every second end has no usage."""
    key, _ = file_books.issue()

    async def act(ledger: SqliteLedger) -> None:
        charges = [file_books.charge(key) for _ in range(number)]
        assert outcomes(await make(ledger, charges)) == ["charged"] * number
        assert file_books.holds() == number
        for place, charge in enumerate(charges):
            used = Usage(input=place, output=2 * place + 1) if place % 2 else None
            ledger.end(End(charge.request_id, used))

    run(file_books, act)
    assert (file_books.balance(), file_books.holds()) == (1000 - number, 0)
    of_a_charge = """
        SELECT count(*) FROM entry e JOIN request_usage u ON u.request_id = e.request_id
        WHERE e.kind = 'charge' AND u.output_tokens = 2 * u.input_tokens + 1
    """
    assert file_books.scalar(of_a_charge) == number // 2
    assert file_books.scalar("SELECT count(DISTINCT request_id) FROM entry") == number


def test_a_commit_that_fails_is_rolled_back_and_costs_only_its_cause(file_books: Books) -> None:
    key, _ = file_books.issue()

    async def act(ledger: SqliteLedger) -> None:
        with another(file_books) as other:
            for statement in _BREAKING:
                other.execute(statement)
        charges = [file_books.charge(key) for _ in range(3)]
        charges[1] = replace(charges[1], idempotency_key=BREAKS)
        results = await make(ledger, charges)
        assert isinstance(results.pop(1), DatabaseUnavailable)
        assert outcomes(results) == ["charged"] * 2
        assert not ledger._connection.in_transaction
        assert (await ledger.charge(file_books.charge(key))).outcome == "charged"

    run(file_books, act)
    assert file_books.balance() == 997
    assert file_books.count("charge") == file_books.holds() == 3


def test_a_statement_that_fails_leaves_nothing_behind(file_books: Books) -> None:
    """A file that may not grow fails in the middle of a batch."""
    key, _ = file_books.issue()

    async def act(ledger: SqliteLedger) -> None:
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        large = [
            replace(file_books.charge(key), idempotency_key="x" * 8000 + str(number))
            for number in range(5)
        ]
        for result in await make(ledger, large):
            assert isinstance(result, DatabaseUnavailable)
        assert not ledger._connection.in_transaction
        ledger._connection.execute("PRAGMA max_page_count = 1000000")
        assert outcomes(await make(ledger, large)) == ["charged"] * 5

    run(file_books, act)
    assert file_books.balance() == 995
    assert file_books.count("charge") == file_books.holds() == 5


def test_books_are_exact_while_somebody_else_writes(file_books: Books) -> None:
    key, _ = file_books.issue()
    stop, written = threading.Event(), [0]

    def write() -> None:
        with another(file_books) as other:
            while not stop.wait(0.002):  # without a pause nobody else would have a turn
                other.execute("BEGIN IMMEDIATE")
                other.execute("UPDATE account SET balance = balance + 1")
                other.execute("COMMIT")
                written[0] += 1

    async def one(ledger: SqliteLedger, number: int) -> None:
        charge = file_books.charge(key)
        assert (await ledger.charge(charge)).outcome == "charged"
        if number % 3 == 0:
            assert await ledger.refund(Refund(charge.request_id, charge.account_id))
        else:
            ledger.end(End(charge.request_id, Usage(input=1)))

    async def act(ledger: SqliteLedger) -> None:
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for start in range(0, 300, 30):
                await asyncio.gather(*(one(ledger, start + each) for each in range(30)))
        finally:
            stop.set()
            await asyncio.to_thread(writer.join)

    run(file_books, act)
    assert file_books.balance() == 1000 + written[0] - 300 + 100
    assert (file_books.count("charge"), file_books.count("refund")) == (300, 100)
    assert file_books.holds() == 0
    assert file_books.scalar("SELECT count(*) FROM request_usage") == 200
