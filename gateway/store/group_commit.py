"""Group commit: all that waits when a commit is done goes into the next one.

    submit, add ──▶ waiting ──▶ one batch ──▶ execute ──▶ futures

Where several items come at once, the next commit waits 2 ms for more of them: a commit costs the
same for any number. One item after another never waits. (PostgreSQL's `commit_delay` and
`commit_siblings` do the same.)

Owns the order, the size of a batch and its shares. Must never know what is written.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gateway.core.errors import DatabaseUnavailable
from gateway.core.shares import first_rounds

T = TypeVar("T")
R = TypeVar("R")
#: an item, and the future of its result where somebody waits for it
_Entry = tuple[T, asyncio.Future[R] | None]


class GroupCommit(Generic[T, R]):
    """Hands all that waits to `execute` as one batch, one batch at a time.

    `execute` gets the items and returns their results in order, where an item failed its error. An
    error that it raises fails the whole batch. With `keeps_on_failure`, what fails waits for a
    better time, which must come soon once the group is drained. With `skips_abandoned`, an item
    whose caller has stopped waiting is not written.
    """

    BATCH_MAX = 512
    PAUSE_SECONDS = 0.5
    #: the time that a batch waits for more items …
    GATHER_SECONDS = 0.002
    #: … if the batch before it had at least so many
    GATHER_FROM = 4
    #: the time that a drain goes on trying; a database that is away just now may be back
    DRAIN_SECONDS = 5.0

    def __init__(
        self,
        execute: Callable[[list[T]], Awaitable[Sequence[R | Exception]]],
        *,
        account_of: Callable[[T], int | None] = lambda _: None,
        size_of: Callable[[T], int] | None = None,
        batch_bytes_max: int = 0,
        delay_seconds: float = 0.0,
        keeps_on_failure: bool = False,
        skips_abandoned: bool = False,
    ) -> None:
        self._execute = execute
        self._account_of: Callable[[T], int | None] = account_of
        self._size_of = size_of
        self._batch_bytes_max = batch_bytes_max
        self._delay_seconds = delay_seconds
        self._keeps_on_failure = keeps_on_failure
        self._skips_abandoned = skips_abandoned
        self._waiting: list[_Entry[T, R]] = []
        self._under_way: list[_Entry[T, R]] = []
        self._worker: asyncio.Task[None] | None = None
        #: the worker's; to ask for the running loop is a system call
        self._loop: asyncio.AbstractEventLoop
        self._closed = False
        self._last_size = 0
        self._keeps_until = math.inf

    def submit(self, item: T) -> "asyncio.Future[R]":
        """Queue an item; the future has its result once the batch is committed.

        A caller that stops waiting loses the result only: the item is written all the same, unless
        the group skips those.
        """
        if self._worker is None or self._closed:
            self._begin()
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting.append((item, future))
        return future

    def add(self, item: T) -> None:
        """Queue an item whose result nobody needs."""
        if self._worker is None or self._closed:
            self._begin()
        self._waiting.append((item, None))

    def items(self) -> list[T]:
        """All items that are not written yet."""
        return [item for item, _ in self._under_way + self._waiting]

    async def drain(self) -> None:
        """Write what waits and take no more."""
        self._closed = True
        self._keeps_until = time.monotonic() + self.DRAIN_SECONDS
        self._delay_seconds = 0.0
        if self._worker is not None:
            await self._worker

    def _begin(self) -> None:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        self._loop = asyncio.get_running_loop()
        self._worker = self._loop.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                self._under_way = self._next_batch()
                self._last_size = len(self._under_way)
                if self._under_way:
                    await self._commit(self._under_way)
                self._under_way = []
        finally:
            self._worker = None

    async def _gather(self) -> None:
        seconds = self._delay_seconds
        if self._last_size >= self.GATHER_FROM and not self._closed:
            seconds = seconds or self.GATHER_SECONDS
        # A full batch gains nothing by waiting, and more may come than go meanwhile.
        if seconds and len(self._waiting) < self.BATCH_MAX:
            await asyncio.sleep(seconds)

    def _next_batch(self) -> list[_Entry[T, R]]:
        """The first of what waits, in its order.

        Of more than fits, as many items of each account as of any; a first item always fits.
        """
        if self._skips_abandoned:
            self._waiting = [entry for entry in self._waiting if not _is_abandoned(entry)]
        waiting = self._waiting
        sizes = [] if self._size_of is None else [self._size_of(item) for item, _ in waiting]
        if len(waiting) <= self.BATCH_MAX and sum(sizes) <= self._batch_bytes_max:
            self._waiting = []
            return waiting
        owners = [self._account_of(item) for item, _ in waiting]
        chosen = set(first_rounds(owners, self.BATCH_MAX, sizes, self._batch_bytes_max))
        self._waiting = [entry for at, entry in enumerate(waiting) if at not in chosen]
        return [entry for at, entry in enumerate(waiting) if at in chosen]

    async def _commit(self, batch: list[_Entry[T, R]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._execute([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # every waiter must hear of it
            results = [error] * len(batch)
        kept = []
        for entry, result in zip(batch, results, strict=True):
            future = entry[1]
            if future is None and result is None:
                continue
            try:
                if not isinstance(result, Exception):
                    if future is not None:
                        future.set_result(result)
                elif self._keeps_on_failure and time.monotonic() < self._keeps_until:
                    kept.append(entry)
                elif future is not None:
                    future.set_exception(result)
                    future.exception()  # a waiter that left must not make the loop complain
            except asyncio.InvalidStateError:  # its waiter has left
                continue
        if kept:
            self._waiting[:0] = kept
            if len(kept) == len(batch) or not self._delay_seconds:
                await asyncio.sleep(self.PAUSE_SECONDS)


def _is_abandoned(entry: _Entry[T, R]) -> bool:
    return entry[1] is not None and entry[1].done()
