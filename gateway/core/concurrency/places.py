"""Places for work of one kind: so many at once, shared by account, and waited for in turn.

Owns who may work now, who waits and who is sent away. Must never do the work: that is in the block
behind `async with`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.core.contact import REPLICA
from gateway.core.errors import FaregateError, Overloaded, RateLimited
from gateway.core.shares import FairQueue, Holder, Shares

_Ticket = tuple[Holder, "asyncio.Future[None]"]


class FairSemaphore:
    """`at_once` places, and room for `waiting_max` who wait, for `seconds_max` at most.

    An account has its share of both, so that none has to wait for another's work to end unless
    there is more of it than fits. `work` names it, in the plural. Made for one event loop.
    """

    def __init__(self, work: str, at_once: int, waiting_max: int, seconds_max: float) -> None:
        self._work = work
        self._seconds_max = seconds_max
        self._places = Shares(at_once)
        self._room = Shares(waiting_max)
        self._turns: FairQueue[_Ticket] = FairQueue()

    @asynccontextmanager
    async def acquire(self, holder: Holder) -> AsyncIterator[None]:
        """A place for as long as the block lasts.

        Raises `RateLimited` where as many wait for the account as may, and `Overloaded` where
        nobody else can wait, or no place is free in time.
        """
        # Those who wait are of an account or a namespace that has its share: nobody is overtaken.
        if not self._places.take(holder):
            await self._wait(holder)
        try:
            yield
        finally:
            self._give_back(holder)

    async def _wait(self, holder: Holder) -> None:
        if not self._room.take(holder):
            raise self._refusal(holder)
        future = asyncio.get_running_loop().create_future()
        ticket = (holder, future)
        self._turns.add(holder, ticket)
        try:
            async with asyncio.timeout(self._seconds_max):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled():  # given in the moment of leaving
                self._give_back(holder)
            if isinstance(error, TimeoutError):
                raise Overloaded(f"too many {self._work} at once; try again") from None
            raise
        finally:
            self._turns.remove(holder, ticket)
            self._room.give_back(holder)

    def _give_back(self, holder: Holder) -> None:
        self._places.give_back(holder)
        while (ticket := self._turns.pop(self._places.has_room)) is not None:
            next_holder, future = ticket
            if not future.done():
                self._places.take(next_holder)
                future.set_result(None)

    def _refusal(self, holder: Holder) -> FaregateError:
        if self._room.held(holder[1]):
            return RateLimited(
                f"as many {self._work} of this account wait as may; try again when some are done",
                retry_after_seconds=1.0,
                details={"limit": self._work, "level": REPLICA},
            )
        return Overloaded(f"too many {self._work} at once; try again", retry_after_seconds=1.0)
