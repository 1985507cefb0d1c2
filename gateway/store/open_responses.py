"""Opens the store of responses that belongs to a database."""

from pathlib import Path

from gateway.core.seal import Sealer
from gateway.store.outage import Outage
from gateway.store.response_store import ResponseStore
from gateway.store.response_store_sqlite import SqliteResponses

#: beside the ledger's file, so that neither waits for the other's writes
SQLITE_FILE = "responses.db"


def open_responses(
    database_url: str,
    sealer: Sealer,
    *,
    retention_days: int,
    bytes_max: int,
    outage: Outage | None = None,
) -> ResponseStore | None:
    """The store beside the ledger at `database_url`, or None where nothing is to be kept (0 days).

    `bytes_max` bounds the JSON of one response with its input. Connects with the first call.
    """
    if retention_days == 0:
        return None
    if not database_url.startswith("sqlite:"):
        # The driver is 10 MiB that a gateway on SQLite never needs.
        from gateway.store.response_store_postgres import PostgresResponses

        return PostgresResponses(
            database_url,
            sealer,
            retention_days=retention_days,
            bytes_max=bytes_max,
            outage=outage,
        )
    path = Path(database_url.removeprefix("sqlite:///")).with_name(SQLITE_FILE)
    return SqliteResponses(str(path), sealer, retention_days=retention_days, bytes_max=bytes_max)
