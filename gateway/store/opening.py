"""Opens the hot ledger that belongs to a database."""

import logging

from gateway.errors import DatabaseUnavailable
from gateway.store.database import Database
from gateway.store.leases import REFUND_BATCH, all_holds
from gateway.store.ledger import Ledger, refund_together
from gateway.store.ledger_sqlite import SqliteLedger

_log = logging.getLogger(__name__)


async def open_ledger(database: Database, replica_id: str) -> Ledger:
    """The started ledger of `database`. Raises `DatabaseUnavailable`."""
    if database.is_sqlite:
        sqlite = SqliteLedger(database.path, replica_id, outage=database.outage)
        await sqlite.start()
        await _refund_everything(database, sqlite)
        return sqlite
    # The driver is 10 MiB that a gateway on SQLite never needs.
    from gateway.store.ledger_postgres import PostgresLedger

    postgres = PostgresLedger(database.url, replica_id, outage=database.outage)
    await postgres.start()
    return postgres


async def _refund_everything(database: Database, ledger: Ledger) -> None:
    """The one process that there may be is just starting: what is open is a dead one's."""
    holds = all_holds(database)
    refunded = 0
    for start in range(0, len(holds), REFUND_BATCH):
        refunded += await refund_together(ledger, holds[start : start + REFUND_BATCH])
    if refunded < len(holds):
        raise DatabaseUnavailable("the requests of an earlier process could not be refunded")
    if refunded:
        _log.warning("%d requests of an earlier, killed process were refunded", refunded)
