"""A refusal by the database, and a database that does not answer any more, are two errors."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import text

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.database import Database
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer


def wait_for_a_lock(database: Database) -> None:
    with database.engine.connect() as other:
        other.execute(text("LOCK TABLE account IN ACCESS EXCLUSIVE MODE"))
        with database.read() as session:
            session.execute(text("SET LOCAL lock_timeout = '50ms'"))
            session.execute(text("SELECT 1 FROM account"))


def take_too_long(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SET LOCAL statement_timeout = '50ms'"))
        session.execute(text("SELECT pg_sleep(30)"))


def write_what_another_wrote(database: Database) -> None:
    change = text("UPDATE schema_support SET oldest_release = oldest_release")
    with database.write(snapshot=True) as session:
        session.execute(text("SELECT 1 FROM schema_support"))
        with database.write() as other:
            other.execute(change)
        session.execute(change)


def wait_for_each_other(database: Database) -> None:
    both = Barrier(2, timeout=10)

    def take(first: str, second: str) -> None:
        with database.write() as session:
            session.execute(text("SET LOCAL lock_timeout = '30s'"))
            session.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            session.execute(text(f"LOCK TABLE {first}"))
            both.wait()
            session.execute(text(f"LOCK TABLE {second}"))

    with ThreadPoolExecutor(2) as threads:
        turns = [("account", "entry"), ("entry", "account")]
        for each in [threads.submit(take, *turn) for turn in turns]:
            each.result()


@pytest.mark.parametrize(
    ("hinder", "state"),
    [
        (wait_for_a_lock, "55P03"),
        (take_too_long, "57014"),
        (write_what_another_wrote, "40001"),
        (wait_for_each_other, "40P01"),
    ],
    ids=["lock", "time", "serialization", "deadlock"],
)
def test_a_database_that_answers_not_now_is_busy_and_not_away(
    postgres_server: PostgresServer, hinder: Callable[[Database], None], state: str
) -> None:
    database = Database(postgres_server.create_migrated())
    with pytest.raises(DatabaseBusy) as caught:
        hinder(database)
    assert getattr(getattr(caught.value.__cause__, "orig", None), "sqlstate", None) == state
    with database.read() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1, "it answers the next one"
    database.close()


def test_a_password_that_was_changed_is_taken_without_a_new_start(
    postgres_server: PostgresServer,
) -> None:
    """Each connection is made by the URL as it is then."""
    right = postgres_server.create_database()
    database = Database(right.replace("postgres@", "nobody:old@"))
    assert database.url != right
    with pytest.raises(DatabaseUnavailable):
        database.glance("SELECT 1")
    database.move(right)
    assert database.glance("SELECT 1") == (1,)
    with pytest.raises(DatabaseUnavailable):
        database.move(f"postgresql://faregate@127.0.0.1:{free_port()}/faregate")
        database.glance("SELECT 1")
    database.close()


def test_a_database_that_is_away_or_ends_the_connection_is_not_busy(
    postgres_server: PostgresServer,
) -> None:
    nobody = Database(f"postgresql://faregate@127.0.0.1:{free_port()}/faregate")
    with pytest.raises(DatabaseUnavailable) as caught:
        nobody.glance("SELECT 1")
    assert type(caught.value) is DatabaseUnavailable
    nobody.close()
    database = Database(postgres_server.create_database())
    with pytest.raises(DatabaseUnavailable) as caught, database.read() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert type(caught.value) is DatabaseUnavailable
    database.close()


def test_to_ask_for_one_row_takes_two_turns_to_the_server_and_back(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Each gateway asks for the newest change twice a second: is the connection alive, and what is
    it. What comes after it has a transaction as ever."""
    database = Database(postgres_server.create_database(), connections=1)
    connection = database.engine.raw_connection()
    messages = tmp_path / "messages"
    with messages.open("wb") as file:
        connection.driver_connection.pgconn.trace(file.fileno())  # type: ignore[union-attr]
        connection.close()
        before = messages.read_text()
        assert database.glance("SELECT 2") == (2,)
        sent = re.findall(r"\tF\t\d+\t(\w+)", messages.read_text().removeprefix(before))
        assert sent == ["Query", "Query"]
        with pytest.raises(KeyError), database.plain_write() as transaction:
            transaction.rows("CREATE TABLE undone (id int)")
            raise KeyError
        with database.write() as session:
            assert session.execute(text("SELECT to_regclass('undone')")).scalar_one() is None
            session.execute(text("CREATE TABLE done (id int)"))
        with database.plain_read() as transaction:
            assert transaction.row("SELECT to_regclass('done')::text") == ("done",)
        database.close()
