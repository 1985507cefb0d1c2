"""Migrations make exactly the tables that the code names, and name whom they serve."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from gateway.store.allowances import AllowanceRow
from gateway.store.change_log import ChangeRow
from gateway.store.closing_table import Closing
from gateway.store.database import Database
from gateway.store.migrate import configuration, migrate
from gateway.store.migrations import HEAD
from gateway.store.notice_table import Notice
from gateway.store.request_tables import Hold
from gateway.store.response_store_sqlite import SCHEMA
from gateway.store.response_tables import ResponseItemRow, ResponseRow
from gateway.store.schema import SchemaError, check_schema
from gateway.store.tables import Account
from gateway.store.usage_tables import UsageRow


# It reads a check that was added without a look at the rows as an option that it does not know.
@pytest.mark.filterwarnings("ignore:Can't validate argument 'dialect_options'")
def test_the_migrations_make_the_tables(database: Database) -> None:
    assert UsageRow.metadata is ResponseRow.metadata is Closing.metadata, (
        "all tables are named at once"
    )
    assert ChangeRow.metadata is AllowanceRow.metadata is ResponseRow.metadata
    assert Account.metadata is Hold.metadata is Notice.metadata is ResponseRow.metadata
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), ResponseRow.metadata) == []
        script = ScriptDirectory.from_config(configuration(connection))
        assert script.get_current_head() == HEAD


def test_a_file_of_responses_has_the_tables_of_the_code() -> None:
    """Its statements stand beside the code that runs them, which does not load the tables."""
    tables = {str(model.__tablename__) for model in (ResponseRow, ResponseItemRow)}
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        driven: Any = connection.connection.dbapi_connection
        driven.executescript(SCHEMA)
        options = {
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or name in tables,
            "include_object": lambda found, name, kind, *_: kind != "table" or name in tables,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, ResponseRow.metadata) == []
        assert set(inspect(connection).get_table_names()) == tables
    engine.dispose()


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database)
    check_schema(database)


def test_an_empty_database_is_refused_with_a_sentence(empty_database_url: str) -> None:
    database = Database(empty_database_url)
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
