"""Opens the hot ledger that belongs to a database."""

import logging

from gateway.store.database import Database
from gateway.store.leases import reap_everything
from gateway.store.ledger import Ledger
from gateway.store.ledger_sqlite import SqliteLedger

_log = logging.getLogger(__name__)


async def open_ledger(database: Database, replica_id: str) -> Ledger:
    """The started ledger of `database`. Raises `DatabaseUnavailable`."""
    ledger: Ledger
    if database.is_sqlite:
        # The one process that there may be is just starting: what is open is a dead one's.
        reaped = reap_everything(database)
        if reaped:
            _log.warning("%d requests of an earlier, killed process were refunded", reaped)
        ledger = SqliteLedger(database.path, replica_id)
    else:
        # The driver is 10 MiB that a gateway on SQLite never needs.
        from gateway.store.ledger_postgres import PostgresLedger

        ledger = PostgresLedger(database.url, replica_id)
    await ledger.start()
    return ledger
