"""Opens the hot ledger and the store of responses that belong to a database."""

import logging
from collections.abc import Callable
from pathlib import Path

from gateway.core.errors import DatabaseUnavailable
from gateway.core.seal import Sealer
from gateway.store.database import Database
from gateway.store.leases import REFUND_BATCH, Owner, all_holds, owners_of
from gateway.store.ledger import Ledger, refund_together
from gateway.store.ledger_sqlite import SqliteLedger
from gateway.store.outage import Outage
from gateway.store.response_store import ResponseStore
from gateway.store.response_store_sqlite import SqliteResponses

_log = logging.getLogger(__name__)

#: stored responses are beside the ledger's file, so that neither waits for the other's writes
RESPONSES_FILE = "responses.db"


async def open_ledger(
    database: Database, replica_id: str, refunded: Callable[[Owner], None] = lambda _: None
) -> Ledger:
    """The started ledger of `database`; `refunded` is called for each request of a dead process.

    Raises `DatabaseUnavailable`.
    """
    if database.is_sqlite:
        sqlite = SqliteLedger(database.path, replica_id, outage=database.outage)
        await sqlite.start()
        await _refund_everything(database, sqlite, refunded)
        return sqlite
    # The driver is 10 MiB that a gateway on SQLite never needs.
    from gateway.store.ledger_postgres import PostgresLedger

    postgres = PostgresLedger(database.url, replica_id, outage=database.outage)
    await postgres.start()
    return postgres


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
    path = str(responses_file(database_url))
    return SqliteResponses(path, sealer, retention_days=retention_days, bytes_max=bytes_max)


def responses_file(database_url: str) -> Path:
    """The file of stored responses beside a SQLite database."""
    return Path(database_url.removeprefix("sqlite:///")).with_name(RESPONSES_FILE)


async def _refund_everything(
    database: Database, ledger: Ledger, refunded: Callable[[Owner], None]
) -> None:
    """The one process that there may be is just starting: what is open is a dead one's."""
    holds = all_holds(database)
    count = 0
    for start in range(0, len(holds), REFUND_BATCH):
        batch = holds[start : start + REFUND_BATCH]
        owners = owners_of(database, batch)
        for refund in await refund_together(ledger, batch):
            count += 1
            if refund.request_id in owners:
                refunded(owners[refund.request_id])
    if count < len(holds):
        raise DatabaseUnavailable("the requests of an earlier process could not be refunded")
    if count:
        _log.warning("%d requests of an earlier, killed process were refunded", count)
