"""Work on large texts, beside the event loop, so that nobody else who is served waits for it.

One thread, for which accounts take turns: more would only contend for the interpreter's lock. Work
on a small text is done where it stands, since a thread costs more. The work that waits here is
bounded: its text is a body within `limits.bufferedBytes`, or an answer within
`limits.upstreamConnections`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.core.shares import FairQueue, Holder

#: some milliseconds of work, for any text
LARGE_BYTES = 48 * 1024

T = TypeVar("T")


class WorkerThread:
    """The thread of one process, and who waits for it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "aside")
        self._is_busy = False
        self._turns: FairQueue[asyncio.Future[None]] = FairQueue()

    async def run(self, holder: Holder, size: int, work: Callable[[], T]) -> T:
        """Do `work`, which takes a text of `size`, for an account."""
        if size < LARGE_BYTES:
            return work()
        if self._is_busy:
            await self._wait(holder)
        self._is_busy = True
        working = asyncio.get_running_loop().run_in_executor(self._thread, work)
        working.add_done_callback(lambda _: self._pass_on())
        return await working

    async def _wait(self, holder: Holder) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._turns.add(holder, turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._turns.remove(holder, turn)
            if turn.done() and not turn.cancelled():  # it had its turn already
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Whose turn is next."""
        while (turn := self._turns.pop()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False
