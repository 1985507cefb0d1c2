"""Migrations beside charges: they wait for nobody while they hold up others."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import psycopg
from alembic import command

from gateway.store.database import Database
from gateway.store.migrate import configuration, migrate
from gateway.store.migrations import HEAD
from tests.harness.postgres import PostgresServer

#: the schema of release 0.1.0
_RELEASED = "0005"
#: a charge as it locks: the account first, then the rest, each for a second at most
_CHARGE = (
    "SET LOCAL lock_timeout = '1s'",
    "SELECT id FROM account FOR UPDATE",
    "SELECT pg_sleep(0.05)",
    "SELECT id FROM api_key FOR SHARE",
    "INSERT INTO entry (account_id, kind, credits, request_id, created_at)"
    " VALUES (1, 'charge', 0, gen_random_uuid(), now())",
)


def test_charges_go_on_while_a_release_migrates(postgres_server: PostgresServer) -> None:
    """No step holds one of a charge's tables while it asks for another."""
    database = Database(postgres_server.create_database())
    with database.engine.connect() as connection:
        command.upgrade(configuration(connection), _RELEASED)
        connection.commit()
    begun, over = Barrier(4), Event()

    def charge() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO account (installation, namespace, name, balance, created_at)"
                " VALUES ('default', 'team', gen_random_uuid(), 0, now())"
            )
            begun.wait()
            while not over.is_set():
                with connection.transaction():
                    for statement in _CHARGE:
                        connection.execute(statement.encode())

    with ThreadPoolExecutor(3) as threads:
        charging = [threads.submit(charge) for _ in range(3)]
        begun.wait()
        try:
            migrate(database)
        finally:
            over.set()
        assert [each.result() for each in charging] == [None] * 3, "none was refused"
    with database.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert found == HEAD
    database.close()
