"""A check that this release may work on the schema that a database has."""

from gateway import __version__
from gateway.core.errors import Repairable
from gateway.store.database import Database
from gateway.store.migrations import HEAD

#: the table that holds the newest step, if there is one
_SQLITE_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
_POSTGRES_TABLE = (
    "SELECT 1 FROM pg_class WHERE relname = 'alembic_version' AND pg_table_is_visible(oid)"
)


class SchemaError(Repairable, RuntimeError):
    """The database's schema and this release do not fit; the message names the way out."""


def is_current(database: Database) -> bool:
    """True if the newest step that this release knows has been run."""
    return _revision(database) == HEAD


def is_older(database: Database) -> bool:
    """True if steps are missing that this release knows; a newer schema may serve it as it is."""
    revision = _revision(database)
    return revision is None or revision < HEAD


def check_schema(database: Database) -> None:
    """Raise `SchemaError` unless the schema is current, or newer and serving this release."""
    revision = _revision(database)
    if revision == HEAD:
        return
    if revision is None or revision < HEAD:
        raise SchemaError(
            f"the database's schema is at {revision or 'nothing'} and this release needs {HEAD}:"
            " run `python -m gateway migrate`"
        )
    (oldest,) = database.glance("SELECT oldest_release FROM schema_support")
    if _parts(__version__) < _parts(oldest):
        raise SchemaError(
            f"the database's schema serves release {oldest} and newer; this is {__version__}"
        )


def _revision(database: Database) -> str | None:
    with database.plain_read() as transaction:
        if transaction.row(_SQLITE_TABLE if database.is_sqlite else _POSTGRES_TABLE) is None:
            return None
        row = transaction.row("SELECT version_num FROM alembic_version")
        return None if row is None else str(row[0])


def _parts(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".")[:3])
