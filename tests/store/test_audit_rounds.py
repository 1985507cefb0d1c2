"""The audit beside running gateways: what it finds, what it costs, and what it does not find."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event, text

from gateway.store import audit_slices
from gateway.store.audit_rounds import AuditRound, audit_round
from gateway.store.database import Database
from gateway.store.ledger import Charge, End, Ledger, Refund
from gateway.store.ledger_postgres import PostgresLedger
from tests.harness.books import INSTALLATION, Books
from tests.harness.postgres import PostgresServer
from tests.store.test_balances import plans
from tests.store.test_groups import state

_DAY = 86_400.0


@pytest.fixture
def books(postgres_server: PostgresServer) -> Iterator[Books]:
    """Books on PostgreSQL that may be wrong in the end."""
    database = Database(postgres_server.create_migrated())
    yield Books(database)
    database.close()


def look(books: Books, *, recount_seconds: float = _DAY) -> AuditRound:
    return audit_round(
        books.database, INSTALLATION, round_seconds=60, recount_seconds=recount_seconds
    )


def do(books: Books, statement: str) -> None:
    with books.database.write() as session:
        session.execute(text(statement))


def fill(books: Books, *statements: str) -> None:
    """Write what takes longer than a statement of ours may."""
    database = Database(books.database.url, timeouts=False)
    with database.write() as session:
        for statement in statements:
            session.execute(text(statement))
    database.close()


def sentences(found: AuditRound) -> str:
    return " ".join(finding.sentence for finding in found.findings)


async def _use(ledger: Ledger, charge: Charge, number: int) -> None:
    """One request to its end; every third is refunded."""
    verdict = await ledger.charge(charge)
    if verdict.outcome != "charged":
        return
    if number % 3 == 0:
        await ledger.refund(Refund(charge.request_id, charge.account_id))
    else:
        ledger.end(End(charge.request_id, None))


def charge_some(books: Books, number: int = 6) -> None:
    key, _ = books.issue()

    async def run() -> None:
        ledger = PostgresLedger(books.database.url, "replica", behind_seconds=0.01)
        await asyncio.gather(*(_use(ledger, books.charge(key), n) for n in range(number)))
        await ledger.drain()

    asyncio.run(run())


def test_a_round_counts_the_day_of_an_account_with_limits(books: Books) -> None:
    """It is compared when the account is counted from zero."""
    books.grant(credits=1_000)
    state(books, "alice", limits={"creditsPerDay": 900})
    charge_some(books)
    do(books, "UPDATE change_log SET created_at = '2020-01-01'")
    assert look(books).drift == 0
    do(books, "UPDATE account SET used_in_day = used_in_day - 1")
    do(books, "UPDATE audit_checkpoint SET counted_at = '2020-01-01'")
    found = look(books)
    assert (found.drift, "but the entries are 4" in sentences(found)) == (1, True)


def test_a_round_reads_only_what_is_new(books: Books) -> None:
    books.grant(credits=100)
    charge_some(books)
    first = look(books)
    assert (first.drift, first.accounts, first.recounted, first.entries) == (0, 1, 1, 9)
    again = look(books)
    assert (again.drift, again.recounted, again.entries) == (0, 0, 0)
    books.grant("another")
    third = look(books)
    assert (third.drift, third.recounted, third.entries) == (0, 0, 1)


def test_each_account_is_counted_from_zero_in_its_turn(books: Books) -> None:
    for number in range(4):
        books.grant(account=f"account-{number}", name=f"grant-{number}")
    assert look(books).recounted == 4
    assert look(books, recount_seconds=0.001).recounted == 4
    # A round has its share of all accounts, twice what it takes to be through in time.
    time.sleep(0.2)
    shares = [
        audit_round(books.database, INSTALLATION, round_seconds=0.05, recount_seconds=0.2).recounted
        for _ in range(2)
    ]
    assert shares == [2, 2]


def test_a_ledger_that_was_never_counted_is_counted_in_many_rounds(books: Books) -> None:
    """The share of a round is half of its time; without any, it is one batch of accounts."""
    do(
        books,
        "INSERT INTO account (installation, namespace, name, balance, created_at)"
        " SELECT 'default', 'team', 'account-' || n, 0, now() FROM generate_series(1, 120) AS n",
    )
    do(books, "UPDATE account SET balance = 1 WHERE name = 'account-7'")
    rounds = [
        audit_round(books.database, INSTALLATION, round_seconds=0, recount_seconds=_DAY)
        for _ in range(3)
    ]
    assert [one.recounted for one in rounds] == [50, 50, 22], "each time the one that is wrong, too"
    assert [one.drift for one in rounds] == [1, 1, 1]
    assert books.scalar("SELECT count(*) FROM audit_checkpoint") == 119


def test_an_account_with_more_entries_than_there_is_time_for_is_counted_in_slices(
    books: Books,
) -> None:
    """Counted entries are kept, for the first time and again; others do not wait for it."""
    many = 450_000
    books.grant(credits=2 * many)
    books.grant("other", "bob", credits=5)
    fill(
        books,
        "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model)"
        " SELECT 1, 'charge', -1, 'req_' || n, 1, 'kimi-k2.5'"
        f" FROM generate_series(1, {many}) AS n",
        f"UPDATE account SET balance = {many} WHERE id = 1",
    )
    do(books, "UPDATE account SET balance = 6 WHERE name = 'bob'")
    first = look_for_a_moment(books)
    assert (first.recounted, first.drift, first.entries) == (1, 1, 50_001)
    do(books, "UPDATE account SET balance = 5 WHERE name = 'bob'")
    kept = "SELECT entry_id FROM audit_checkpoint WHERE account_id = 1"
    places = [books.scalar(kept)]
    while places[-1] < books.scalar("SELECT max(id) FROM entry"):
        found = look_for_a_moment(books)
        assert (found.drift, found.entries) == (0, min(100_000, found.entries))
        places.append(books.scalar(kept))
        assert places[-1] > places[-2]
    assert len(places) == 6
    do(books, "UPDATE entry SET credits = -3 WHERE request_id = 'req_400000'")
    assert look(books).drift == 0, "it was counted before"
    do(books, "UPDATE audit_checkpoint SET counted_at = to_timestamp(0) WHERE account_id = 1")
    again = [look_for_a_moment(books) for _ in range(5)]
    assert [found.drift for found in again] == [0, 0, 0, 0, 2]
    assert [found.entries for found in again] == [100_000] * 4 + [50_001]
    assert look(books).drift == 2
    do(books, "UPDATE entry SET credits = -1 WHERE request_id = 'req_400000'")
    look(books)
    assert look(books).drift == 0


def look_for_a_moment(books: Books) -> AuditRound:
    """A round that has time for one statement, in which every account stays counted for a day."""
    return audit_round(books.database, INSTALLATION, round_seconds=0.001, recount_seconds=_DAY)


def test_a_table_that_is_busy_is_waited_for(books: Books) -> None:
    """For longer than a charge would: nobody waits for an audit."""
    books.grant()
    begun = threading.Event()

    def hold() -> None:
        with books.database.write() as session:
            session.execute(text("LOCK TABLE audit_checkpoint IN SHARE ROW EXCLUSIVE MODE"))
            begun.set()
            session.execute(text("SELECT pg_sleep(1.5)"))

    with ThreadPoolExecutor() as threads:
        held = threads.submit(hold)
        assert begun.wait(10)
        assert look(books).recounted == 1
        held.result()


@pytest.mark.parametrize(
    ("damage", "drift", "finding"),
    [
        (
            "UPDATE account SET balance = balance + 7",
            7,
            "team/alice has a balance of 105 but entries of 98",
        ),
        (
            "INSERT INTO entry (account_id, kind, credits, request_id)"
            " VALUES (1, 'charge', -5, 'req_none')",
            5,
            "team/alice has a balance of 98 but entries of 93",
        ),
        (
            "WITH one AS (INSERT INTO entry (account_id, kind, credits, request_id)"
            " VALUES (1, 'refund', 5, 'req_none')) UPDATE account SET balance = balance + 5",
            5,
            "request req_none was refunded 5 without a charge",
        ),
        (
            "WITH one AS (INSERT INTO entry (account_id, kind, credits, grant_id)"
            " VALUES (1, 'grant', 50, 99)) UPDATE account SET balance = balance + 50",
            50,
            "of 50 credits is not what grant 99 allows",
        ),
        (
            "INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits)"
            " VALUES ('req_none', 1, 1, 'r', 3)",
            3,
            "request req_none has a hold of 3 although",
        ),
    ],
    ids=["balance", "entry", "refund", "grant", "hold"],
)
def test_what_is_done_by_hand_is_found_by_the_next_round(
    books: Books, damage: str, drift: int, finding: str
) -> None:
    books.grant(credits=100)
    charge_some(books, 3)
    assert look(books).drift == 0
    do(books, damage)
    for _ in range(2):  # it stays wrong until it is mended
        found = look(books)
        assert found.drift == drift, found
        assert finding in sentences(found)


def test_what_is_repaired_is_right_again(books: Books) -> None:
    books.grant(credits=100)
    look(books)
    do(books, "UPDATE account SET balance = 90")
    assert look(books).drift == 10
    do(books, "UPDATE account SET balance = 100")
    assert look(books).drift == 0
    assert look(books).recounted == 0, "the checkpoint is there again"


@pytest.mark.parametrize(
    ("damage", "drift", "finding"),
    [
        ("UPDATE entry SET credits = -3 WHERE kind = 'charge'", 6, "has a balance of 97 but"),
        ("DELETE FROM entry WHERE kind = 'charge'", 3, "has a balance of 97 but entries of 100"),
        (
            "WITH gone AS (DELETE FROM entry WHERE kind = 'charge' RETURNING credits)"
            " UPDATE account SET balance = 100",
            3,
            "old entries of team/alice were changed, and its balance with them: they were 97",
        ),
        (
            "UPDATE credit_grant SET credits = 1000",
            100,
            "of 100 credits is not what grant 1 allows",
        ),
    ],
    ids=["changed", "deleted", "balance too", "grant"],
)
def test_what_was_counted_before_is_found_when_its_turn_comes(
    books: Books, damage: str, drift: int, finding: str
) -> None:
    books.grant(credits=100)
    key, _ = books.issue()

    async def run() -> None:
        ledger = PostgresLedger(books.database.url, "replica", behind_seconds=0.01)
        for number in (1, 2, 4):  # none of them is refunded
            await _use(ledger, books.charge(key), number)
        await ledger.drain()

    asyncio.run(run())
    assert look(books).drift == 0
    do(books, damage)
    found = look(books, recount_seconds=0.001)
    assert found.drift == drift, found
    assert finding in sentences(found)


def test_no_drift_is_seen_that_is_none(books: Books) -> None:
    """Three replicas and a treasurer book on the same accounts, and nothing is ever wrong."""
    accounts = ("alice", "bob", "carol")
    for account in accounts:
        books.grant(f"first-{account}", account, credits=300)
    charges = [
        books.charge(books.issue(f"key-{account}", account)[0], 1, account) for account in accounts
    ]
    enough = threading.Event()

    async def serve(replica: int) -> None:
        ledger = PostgresLedger(books.database.url, f"replica_{replica}", behind_seconds=0.01)
        numbers = itertools.count()
        while not enough.is_set():
            some = [next(numbers) for _ in range(10)]
            await asyncio.gather(
                *(
                    _use(ledger, replace(charges[n % 3], request_id=f"req_{replica}_{n}"), n // 3)
                    for n in some
                )
            )
        await ledger.drain()

    def grant() -> None:
        for number in itertools.count():
            if enough.wait(0.02):
                return
            books.grant(f"more-{number}", accounts[number % 3], credits=50)

    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(asyncio.run, serve(replica)) for replica in range(3)]
        work.append(threads.submit(grant))
        try:
            rounds = [look(books, recount_seconds=0.5) for _ in range(60)]
        finally:
            enough.set()
    for each in work:
        each.result()
    last = look(books)
    assert [found.findings for found in (*rounds, last) if found.findings] == []
    beside = [found for found in rounds if found.recounted == 0 and found.entries > 0]
    assert len(beside) > 10, "most of what was booked was counted while more was being booked"
    assert last.open_holds == 0
    assert books.scalar("SELECT max(entry_id) FROM audit_checkpoint") == books.scalar(
        "SELECT max(id) FROM entry"
    )


def test_a_slice_reads_no_further_than_its_end(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_slices, "_ENTRIES_AT_ONCE", 200)
    books.grant(credits=20_000)
    books.grant("of-bob", "bob", credits=20_000)
    do(
        books,
        "INSERT INTO entry (account_id, kind, credits, request_id)"
        " SELECT 1 + n % 2, 'charge', -1, 'req_' || n FROM generate_series(1, 20000) AS n",
    )
    do(books, "UPDATE account SET balance = 10000")
    do(books, "ANALYZE entry")
    asked: list[tuple[str, Any]] = []

    @event.listens_for(books.database.engine, "before_cursor_execute")
    def _note(_1: Any, _2: Any, statement: str, values: Any, *_3: Any) -> None:
        asked.append((statement, values))

    assert (look(books).drift, len(asked) > 100) == (0, True)
    statement, values = next(one for one in asked if "LATERAL" in one[0])
    with books.database.engine.connect() as connection:
        explained = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values
        ).scalar_one()
    steps = list(plans(explained[0]["Plan"]))
    assert max(step["Actual Rows"] * step["Actual Loops"] for step in steps) == 200
    assert sum(step.get("Rows Removed by Filter", 0) for step in steps) == 0, "of others"


def test_no_entry_is_compared_with_every_key(books: Books) -> None:
    """An account's many keys would hold up the audit of all accounts."""
    keys, entries, of_bob = 40, 1_200, 5_000
    books.grant(credits=10_000)
    books.grant("of-bob", "bob", credits=10_000)
    for number in range(keys):
        books.issue(f"key-{number}", limits={"creditsPerDay": 1_000})
    for account, kind, credits, key, number in (
        (1, "charge", -1, f"1 + n % {keys}", entries),
        (2, "charge", -1, "NULL", of_bob),
        (2, "refund", 1, "NULL", of_bob),
    ):
        do(
            books,
            "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id)"
            f" SELECT {account}, '{kind}', {credits}, 'req_{account}_' || n, {key}"
            f" FROM generate_series(1, {number}) AS n",
        )
    do(books, f"UPDATE account SET balance = balance - {entries} WHERE id = 1")
    today = "(now() AT TIME ZONE 'UTC')::date"
    do(books, f"INSERT INTO api_key_day SELECT id, {today}, {entries // keys} FROM api_key")
    do(books, "ANALYZE")
    explained: list[Any] = []

    @event.listens_for(books.database.engine, "before_cursor_execute")
    def _explain(connection: Any, _1: Any, statement: str, values: Any, *_2: Any) -> None:
        if "charges AS" in statement and "FROM tree t" in statement:
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
            explained.append(cursor.fetchone()[0][0]["Plan"])

    assert look(books).drift == 0
    (plan,) = explained
    steps = list(plans(plan))
    assert sum(step.get("Rows Removed by Join Filter", 0) for step in steps) == 0
    read = max(step["Actual Rows"] * step["Actual Loops"] for step in steps)
    assert read == entries + 1, "with the grant, and nothing of bob's"


def test_a_large_ledger_costs_a_round_next_to_nothing(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    do(
        books,
        "INSERT INTO account (installation, namespace, name, balance, created_at)"
        " SELECT 'default', 'team', 'account-' || n, 0, now() FROM generate_series(1, 1000) AS n",
    )
    do(
        books,
        "WITH made AS (INSERT INTO credit_grant (installation, identity, namespace, name, uid,"
        " account_id, credits, remaining, reason, payload_hash, posted_at)"
        " SELECT 'default', 'team/name:' || id, 'team', 'g', '', id, 2000, 2000, '', '', now()"
        " FROM account RETURNING id, account_id), posted AS ("
        " INSERT INTO entry (account_id, kind, credits, grant_id)"
        " SELECT account_id, 'grant', 2000, id FROM made)"
        " UPDATE account SET balance = 2000",
    )
    fill(
        books,
        "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model)"
        " SELECT 1 + n % 1000, 'charge', -1, 'req_' || n, 1, 'kimi-k2.5'"
        " FROM generate_series(1, 249000) AS n",
        "UPDATE account SET balance = 2000 - taken.credits FROM (SELECT account_id,"
        " count(*) AS credits FROM entry WHERE kind = 'charge' GROUP BY 1) AS taken"
        " WHERE account_id = id",
    )
    began = time.perf_counter()
    first = look(books)
    from_zero = time.perf_counter() - began
    assert (first.drift, first.entries) == (0, 250_000)
    taken = []
    for number in range(5):
        books.grant(f"more-{number}", f"account-{1 + number}", credits=5)
        began = time.perf_counter()
        found = look(books)
        taken.append(time.perf_counter() - began)
        assert (found.drift, found.recounted, found.entries) == (0, 0, 1)
    with capsys.disabled():
        rounds = ", ".join(f"{1000 * seconds:.0f}" for seconds in taken)
        print(f"\n250,000 entries: from zero {from_zero:.2f} s, a round {rounds} ms")
    assert min(taken) < 0.1
    do(books, "UPDATE account SET balance = balance + 1 WHERE name = 'account-500'")
    assert look(books).drift == 1
