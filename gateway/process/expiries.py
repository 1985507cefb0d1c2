"""Expiries of grants while a replica serves: of accounts that are charged, and of idle ones."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.core.concurrency.single_flight import SingleFlight
from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.database import Database
from gateway.store.due_grants import accounts_with_due_grants

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Expiries:
    """Posts what is due, for an account once however many of its requests ask for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: clients bring it about: what else needs threads does not wait for it
        self._thread = ThreadPoolExecutor(1, "expiries")
        self._under_way: SingleFlight[int, int] = SingleFlight()

    async def expire(self, account_id: int) -> int:
        """Post the due expiries of an account, and return how many. Raises
        `DatabaseUnavailable`."""
        return await self._under_way.run(account_id, lambda: self._ask(_expire, account_id))

    async def expire_all(self) -> None:
        """Post all that is due; an account where that fails keeps no other waiting.

        Raises `DatabaseUnavailable` where it fails for everybody.
        """
        last = 0
        while due := await self._ask(accounts_with_due_grants, last):
            for account_id in due:
                try:
                    await self.expire(account_id)
                except DatabaseBusy as error:
                    _log.warning("grants of account %d could not expire: %s", account_id, error)
                except DatabaseUnavailable:
                    raise
                except Exception:  # noqa: BLE001  # the edge: the next account's turn comes
                    _log.exception("grants of account %d cannot expire", account_id)
            last = due[-1]

    async def _ask(self, function: Callable[[Database, int], T], argument: int) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, self._database, argument)


def _expire(database: Database, account_id: int) -> int:
    # With SQLModel, which a replica needs for nothing that happens all the time.
    from gateway.store.grants import expire_grants

    return expire_grants(database, account_id)
