"""Granted credits, accounts with little left, states and last uses: on both databases."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import event, text

from gateway.core.events import Usage
from gateway.store.balances import (
    AccountBalance,
    cross_marks,
    read_account_balances,
    read_key_balances,
)
from gateway.store.counts import count_grants, count_keys
from gateway.store.database import Database
from gateway.store.grants import apply_grant, expire_grants
from gateway.store.key_uses import note_use
from gateway.store.keys import revoke_key
from gateway.store.ledger import MeteredEnd, Refund
from gateway.store.ledger_postgres import PostgresLedger
from gateway.store.migrate import configuration, migrate
from tests.harness.books import INSTALLATION, Books, grant_object, somebody_else
from tests.harness.gateway import wait_until
from tests.harness.postgres import PostgresServer
from tests.store.test_charges import open_ledger


def charge(books: Books, credits: int, name: str = "key", account: str = "alice") -> str:
    """One charge, of which the hold stays open; its request."""
    key, _ = books.issue(name, account)

    async def run() -> str:
        async with open_ledger(books.database) as ledger:
            made = books.charge(key, credits, account)
            assert (await ledger.charge(made)).outcome == "charged"
            return made.request_id

    return asyncio.run(run())


def spend(books: Books, credits: int) -> None:
    """A charge of which the request has ended."""
    end(books, charge(books, credits))


def end(books: Books, request: str, unused: int = 0) -> None:
    async def run() -> None:
        async with open_ledger(books.database) as ledger:
            ledger.end_metered(
                MeteredEnd(request, books.account_id(), unused, Usage(), '{"credits":0}')
            )

    asyncio.run(run())


def granted(books: Books, account: str = "alice") -> int:
    return int(books.scalar("SELECT granted FROM account WHERE name = :name", name=account))


def marks(books: Books) -> list[tuple[str, int]]:
    return [(one.account, one.mark) for one in cross_marks(books.database, INSTALLATION)]


def test_granted_is_the_balance_after_the_latest_grant(books: Books) -> None:
    books.grant(credits=100)
    assert granted(books) == 100
    request = charge(books, 30)
    assert granted(books) == 100
    books.grant("second", credits=50)
    assert granted(books) == 120
    books.grant("second", credits=50)  # seen again
    charge(books, 20)

    async def refund() -> None:
        async with open_ledger(books.database) as ledger:
            assert await ledger.refund(Refund(request, books.account_id()))

    asyncio.run(refund())
    assert (granted(books), books.balance()) == (120, 130)


def test_a_mark_is_crossed_once_and_anew_after_a_grant(books: Books) -> None:
    books.grant(credits=100)
    books.grant("other", "bob", credits=100)
    assert marks(books) == []
    spend(books, 79)
    assert marks(books) == []
    spend(books, 1)
    assert marks(books) == [("team/alice", 80)]
    assert marks(books) == []
    spend(books, 10)
    assert marks(books) == []
    spend(books, 10)
    assert marks(books) == [("team/alice", 100)], "the highest of several"
    books.grant("more", credits=10)
    assert marks(books) == []
    spend(books, 10)
    assert marks(books) == [("team/alice", 100)]


def test_credits_that_a_request_holds_are_not_used_yet(books: Books) -> None:
    """With token prices the most is charged, and most of it goes back."""
    books.grant(credits=100)
    request = charge(books, 95)
    assert marks(books) == []
    end(books, request, unused=90)
    assert marks(books) == []
    request = charge(books, 90)
    end(books, request, unused=15)
    found = cross_marks(books.database, INSTALLATION)
    assert [(one.mark, one.balance) for one in found] == [(80, 20)]


def test_two_operators_do_not_report_the_same_mark(postgres_server: PostgresServer) -> None:
    database = Database(postgres_server.create_migrated())
    books = Books(database)
    for number in range(40):
        books.grant(f"grant-{number}", f"account-{number}", credits=10)
    with database.write() as session:
        session.execute(text("UPDATE account SET balance = 0"))
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: marks(books), range(3)))
    seen = [crossing for crossings in found for crossing in crossings]
    assert sorted(seen) == sorted((f"team/account-{n}", 100) for n in range(40))
    database.close()


def test_accounts_that_used_most_come_first_and_the_rest_is_one(books: Books) -> None:
    for number in range(4):
        books.grant(f"grant-{number}", f"account-{number}", credits=100)
        charge(books, 10 * (number + 1), f"key-{number}", f"account-{number}")
    found = read_account_balances(books.database, INSTALLATION, 2)
    assert sorted(found, key=lambda one: one.account) == [
        AccountBalance("other", 170, 200),
        AccountBalance("team/account-2", 70, 100),
        AccountBalance("team/account-3", 60, 100),
    ]
    assert read_account_balances(books.database, "elsewhere", 2) == []


def test_an_account_is_shown_until_it_has_neither_a_live_key_nor_a_balance(books: Books) -> None:
    key, _ = books.issue()
    shown = AccountBalance("team/alice", 0, 0)
    assert read_account_balances(books.database, INSTALLATION, 9) == [shown]
    revoke_key(books.database, key.id)
    assert read_account_balances(books.database, INSTALLATION, 9) == []
    books.grant(credits=5)
    shown = AccountBalance("team/alice", 5, 5)
    assert read_account_balances(books.database, INSTALLATION, 9) == [shown]


def test_keys_and_grants_by_their_state(books: Books) -> None:
    revoked, _ = books.issue("revoked", "nobody")
    revoke_key(books.database, revoked.id)
    books.issue("stopped", "nobody", suspended=True)
    books.issue("over", "nobody", expiresAt=(books.now() - timedelta(days=1)).isoformat())
    books.issue("live", "nobody")
    assert count_keys(books.database, INSTALLATION) == {
        "live": 1,
        "suspended": 1,
        "expired": 1,
        "revoked": 1,
    }
    books.grant("first", credits=100, expiresAt=(books.now() + timedelta(days=1)).isoformat())
    books.grant("second", credits=50)
    assert states(books) == (2, 0, 0, 0)
    charge(books, 99)
    assert states(books) == (2, 0, 0, 0)
    charge(books, 1)
    assert states(books) == (1, 1, 0, 0), "the one that expires first is eaten first"
    books.grant("third", credits=10)
    assert states(books) == (2, 1, 0, 0), "as the books say once they are brought up to date"
    void = grant_object("second", credits=50, void=True)
    apply_grant(books.database, INSTALLATION, void)
    assert states(books) == (1, 1, 0, 1)
    soon = books.now() + timedelta(seconds=1)
    books.grant("brief", "bob", credits=10, expiresAt=soon.isoformat())
    wait_until(lambda: books.now() > soon, "the grant to expire")
    assert states(books) == (1, 1, 1, 1)
    expire_grants(books.database, books.account_id("bob"))
    assert states(books) == (1, 1, 1, 1)


def states(books: Books) -> tuple[int, ...]:
    found = count_grants(books.database, INSTALLATION)
    return tuple(found[state] for state in ("live", "spent", "expired", "voided"))


def test_grants_that_are_spent_are_only_counted(postgres_server: PostgresServer) -> None:
    """There is no end to those ever posted; only lots of which something is left are summed up."""
    database = Database(postgres_server.create_migrated())
    books = Books(database)
    books.grant("one", credits=10)
    books.grant("two", credits=10)
    with database.write() as session:
        session.execute(
            text(
                "INSERT INTO credit_grant (installation, identity, namespace, name, uid,"
                " account_id, credits, remaining, reason, payload_hash, posted_at)"
                " SELECT 'default', 'spent-' || n, 'team', 'g', '', 1, 5, 0, '', '', now()"
                " FROM generate_series(1, 2000) AS n"
            )
        )
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def _note(_1: Any, _2: Any, statement: str, values: Any, *_3: Any) -> None:
        asked.append((statement, values))

    assert states(books) == (2, 2000, 0, 0)
    (statement, values) = next(one for one in asked if "credit_grant" in one[0])
    with database.engine.connect() as connection:
        explained = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values
        ).scalar_one()
    summed = [
        plan["Actual Rows"]
        for plan in plans(explained[0]["Plan"])
        if plan["Node Type"] == "WindowAgg"
    ]
    assert {int(rows) for rows in summed} == {2}
    database.close()


def plans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan of PostgreSQL and all that are below it."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from plans(part)


def test_the_last_use_of_a_key_is_remembered(books: Books) -> None:
    key, _ = books.issue()
    books.grant(credits=7)
    (found,) = read_key_balances(books.database, INSTALLATION)
    assert (found.name, found.balance, found.granted, found.used_at) == ("key", 7, 7, None)
    for _ in range(2):
        before = books.now()
        note_use(books.database, [key.id])
        (found,) = read_key_balances(books.database, INSTALLATION)
        assert found.used_at is not None
        assert before <= found.used_at <= books.now()
    revoke_key(books.database, key.id)
    assert read_key_balances(books.database, INSTALLATION) == []


def test_noting_uses_never_holds_up_a_charge(postgres_server: PostgresServer) -> None:
    """A charge locks the rows of its keys; a note of their use must not wait for it."""
    database = Database(postgres_server.create_migrated())
    books = Books(database)
    books.grant(credits=10_000)
    keys = [books.issue(f"key-{number}")[0] for number in range(20)]
    note_use(database, [key.id for key in keys])
    done = threading.Event()

    async def serve() -> int:
        ledger = PostgresLedger(database.url, "replica", behind_seconds=0.01)
        charged = 0
        for _ in range(40):
            made = await asyncio.gather(*(ledger.charge(books.charge(key)) for key in keys))
            charged += sum(verdict.outcome == "charged" for verdict in made)
        await ledger.drain()
        return charged

    def note(ids: list[int]) -> None:
        while not done.is_set():
            note_use(database, ids)

    ids = [key.id for key in keys]
    with ThreadPoolExecutor(3) as threads:
        notes = [threads.submit(note, order) for order in (ids, ids[::-1])]
        try:
            charged = asyncio.run(serve())
        finally:
            done.set()
        for each in notes:
            each.result()
    assert charged == 800
    # The very case: a charge has locked a key's row, and its use is noted nonetheless.
    with database.write() as session:
        session.execute(text("SELECT * FROM api_key FOR SHARE"))
        note_use(database, ids)
    database.close()


def make_ledger_of_the_release_before(database: Database, charges: int) -> None:
    """Alice has been granted 150 and has 130 except for her charges; Bob has nothing."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection.execute(text("BEGIN IMMEDIATE"))
        command.upgrade(configuration(connection), "0002")
        moment = "'2026-01-01 00:00:00.000000'"
        for statement in (
            "INSERT INTO account (installation, namespace, name, balance, created_at)"
            f" VALUES ('default', 'team', 'alice', {130 - charges}, {moment}),"
            f" ('default', 'team', 'bob', 0, {moment})",
            "INSERT INTO api_key (key_id, installation, namespace, name, uid, account_id, prefix,"
            " models, suspended, generation, version, last_used_at, created_at) VALUES ('key_1',"
            f" 'default', 'team', 'key', '', 1, 'sk-', '[]', false, 0, 1, {moment}, {moment})",
            "INSERT INTO entry (account_id, kind, credits, request_id, grant_id, created_at)"
            f" VALUES (1, 'grant', 100, NULL, 1, {moment}),"
            f" (1, 'charge', -20, 'a', NULL, {moment}), (1, 'grant', 50, NULL, 2, {moment})",
            *(
                "INSERT INTO entry (account_id, kind, credits, request_id, created_at)"
                f" VALUES (1, 'charge', -1, 'req_{number}', {moment})"
                for number in range(charges)
            ),
        ):
            connection.execute(text(statement))
        connection.commit()


@pytest.mark.parametrize("charges", [0, 3, 120])
def test_what_was_granted_before_is_counted_back(empty_database_url: str, charges: int) -> None:
    """A database of the release before, with a ledger in it, is brought up to date."""
    database = Database(empty_database_url)
    make_ledger_of_the_release_before(database, charges)
    migrate(database)
    books = Books(database)
    assert (granted(books, "alice"), granted(books, "bob")) == (130, 0)
    assert marks(books) == [], "what was passed before is not announced afterwards"
    (found,) = read_key_balances(database, INSTALLATION)
    assert found.used_at is not None
    assert found.used_at.year == 2026
    database.close()


def test_a_step_needs_no_right_to_temporary_tables(postgres_server: PostgresServer) -> None:
    """An administrator may give the operator's role no more than its own schema."""
    url = postgres_server.create_database()
    name = url.rsplit("/", 1)[1]
    administrator = Database(url)
    with administrator.write() as session:
        for statement in (
            "CREATE ROLE steward LOGIN",
            f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC",
            "GRANT CREATE ON SCHEMA public TO steward",
        ):
            session.execute(text(statement))
    administrator.close()
    database = Database(url.replace("postgres@", "steward@"))
    make_ledger_of_the_release_before(database, 3)
    migrate(database)
    assert granted(Books(database)) == 130
    database.close()


def is_locking(database: Database) -> bool:
    """True if somebody who wants the table of accounts alone waits for it at this moment."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        " AND relation = to_regclass('account')"
    )
    return bool(database.glance(waiting)[0])


def test_a_step_that_waits_for_a_backup_holds_up_no_charge(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It wants the table of accounts for itself, which all that come after it would wait for."""
    database = Database(postgres_server.create_database())
    make_ledger_of_the_release_before(database, 3)
    with ThreadPoolExecutor() as threads:
        with somebody_else(database) as backup:
            backup.execute(text("LOCK TABLE account IN ACCESS SHARE MODE"))
            step = threads.submit(migrate, database)
            wait_until(lambda: is_locking(database), "the step to wait")
            with database.write() as session:  # behind the step; it gives up after a second
                session.execute(text("UPDATE account SET balance = balance - 1 WHERE id = 1"))
            assert not is_locking(database), "it has let others through"
            assert not step.done()
        step.result(30)
    assert "waiting for account" in caplog.text
    books = Books(database)
    assert granted(books, "alice") == 130
    assert books.scalar("SELECT to_regclass('granted_before')") is None
    database.close()
