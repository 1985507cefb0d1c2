"""Expiries of grants while a replica serves: of accounts that are charged, and of idle ones."""

from gateway.core.concurrency.single_flight import SingleFlight
from gateway.store.database import Database
from gateway.store.database_thread import DatabaseThreads
from gateway.store.due_grants import accounts_with_due_grants, expire_due


class Expiries:
    """Posts what is due, for an account once however many of its requests ask for it."""

    def __init__(self, database: Database) -> None:
        #: clients bring it about: what else needs threads does not wait for it
        self._thread = DatabaseThreads(database, "expiries")
        self._under_way: SingleFlight[int, int] = SingleFlight()

    async def expire(self, account_id: int) -> int:
        """Post the due expiries of an account, and return how many. Raises
        `DatabaseUnavailable`."""
        return await self._under_way.run(account_id, lambda: self._thread.run(_expire, account_id))

    async def expire_all(self) -> None:
        """Post all that is due. Raises `DatabaseUnavailable` where it fails for everybody."""
        await expire_due(lambda last: self._thread.run(accounts_with_due_grants, last), self.expire)


def _expire(database: Database, account_id: int) -> int:
    # With SQLModel, which a replica needs for nothing that happens all the time.
    from gateway.store.grants import expire_grants

    return expire_grants(database, account_id)
