"""Bring a database's schema up to date, and check that this release can work on it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from gateway.store.database import Database
from gateway.store.sessions import wait_for_answers

#: any number will do, as long as nobody else in the database takes an advisory lock on it
_LOCK = 0x746F6C6C


def migrate(database: Database) -> None:
    """Run all missing steps in one transaction; a second caller waits for the first.

    Raises `DatabaseUnavailable`.
    """
    with database.translated_errors():
        _upgrade(database)


def _upgrade(database: Database) -> None:
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection.execute(text("BEGIN IMMEDIATE"))
        else:
            # A step may take longer than a statement of the request path.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            wait_for_answers(connection, None)
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.upgrade(configuration(connection), "head")
        connection.commit()


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for one open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
