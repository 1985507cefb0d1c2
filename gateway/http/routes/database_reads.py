"""Users' reads of the database, off the request path: in turn, and in a thread of its own.

Writes have their turn among them. Owns how many there are at once, so that none of them keeps the
poll of the keys, the lease or anybody's charge waiting for a thread or a connection.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from gateway.core.concurrency.places import FairSemaphore
from gateway.core.shares import Holder
from gateway.store.database import Database
from gateway.store.database_thread import DatabaseThreads

#: reads that may wait for the one that is under way, and for how long; an account's are not more
#: than its requests to free routes that are worked on, whose refusals cost less
WAITING_MAX = 96
_WAITING_SECONDS_MAX = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseReads:
    """Reads of one replica's users; made once."""

    def __init__(self, database: Database) -> None:
        self._places = FairSemaphore("reads", 1, WAITING_MAX, _WAITING_SECONDS_MAX)
        self._thread = DatabaseThreads(database, "reads")

    async def read(
        self,
        holder: Holder,
        function: Callable[Concatenate[Database, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """The result of a function of the store when it is the account's turn; what it raises.

        Raises `RateLimited` where the account has its share of reads, and `Overloaded`.
        """
        async with self._places.acquire(holder):
            return await self._thread.run(function, *arguments, **named)

    write = read
