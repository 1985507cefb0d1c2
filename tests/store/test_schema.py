"""Migrations make exactly the tables that the code names, and name whom they serve."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from gateway.store.database import Database
from gateway.store.migrate import configuration, migrate
from gateway.store.migrations import HEAD
from gateway.store.response_tables import ResponseRow
from gateway.store.schema import SchemaError, check_schema
from gateway.store.usage_tables import UsageRow


def test_the_migrations_make_the_tables(database: Database) -> None:
    assert UsageRow.metadata is ResponseRow.metadata, "all tables are named at once"
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), ResponseRow.metadata) == []
        script = ScriptDirectory.from_config(configuration(connection))
        assert script.get_current_head() == HEAD


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database)
    check_schema(database)


def test_an_empty_database_is_refused_with_a_sentence(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(SchemaError, match="python -m gateway migrate"):
        check_schema(database)
    database.close()


def test_a_newer_schema_states_which_releases_it_serves(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    check_schema(database)
    with database.write() as session:
        session.execute(text("UPDATE schema_support SET oldest_release = '99.0.0'"))
    with pytest.raises(SchemaError, match=r"99\.0\.0"):
        check_schema(database)
