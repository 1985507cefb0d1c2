"""The hot side of the ledger: charge, refund, end. What the flow sees, for both databases.

    charge ──▶ hold ──┬── end      the request came to its end: nothing more is booked
                      └── refund   the credits go back, once

A hold is deleted exactly once; whoever deletes it decides. Everything here is grouped: whatever
waits when the last commit is done goes into the next one (no timer).
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from gateway.core.errors import DatabaseUnavailable
from gateway.core.events import Usage
from gateway.core.shares import first_rounds

_log = logging.getLogger(__name__)

Outcome = Literal["charged", "exhausted", "dead", "capped", "expiry_due"]


class Charge(Struct, frozen=True):
    """One charge to be made. `request_id` is made before it is sent and names the charge."""

    request_id: str
    account_id: int
    api_key_id: int
    key_hash: bytes
    credits: int
    model: str
    route: str
    idempotency_key: str | None = None
    retry_count: int | None = None


class Verdict(Struct, frozen=True):
    """What became of a charge; `balance` is the account's afterwards.

    `exhausted`: the balance does not cover it. `dead`: the key is revoked, suspended or expired.
    `capped`: the key's credits of the day are used up. `expiry_due`: a grant of the account has
    expired and must be posted first. `day_left` is what a key with a cap had left before the batch,
    where a ledger says so.
    """

    outcome: Outcome
    balance: int = 0
    day_left: int | None = None


class End(Struct, frozen=True):
    """A request that came to its end, with what it used."""

    request_id: str
    usage: Usage | None


class Refund(Struct, frozen=True):
    """Credits to be given back for one request."""

    request_id: str
    account_id: int


class Ledger(Protocol):
    """The hot side of one database, for one replica."""

    async def charge(self, charge: Charge) -> Verdict:
        """Book a charge durably. Raises `DatabaseUnavailable`, and `ChargeUnknown` where the
        commit's outcome is not known."""

    async def refund(self, refund: Refund) -> bool:
        """Give back durably; False where the hold was gone. Raises `DatabaseUnavailable`."""

    def end(self, end: End) -> None:
        """Note an end; written behind, in batches."""

    def pending(self) -> Iterable[str]:
        """Request ids whose end or refund is not written yet."""

    async def start(self) -> None: ...

    async def drain(self) -> None:
        """Write everything that waits, then stop."""


T = TypeVar("T")
R = TypeVar("R")


def note_late_ends(number: int) -> None:
    """Count ends whose hold was gone: work finished after a reap is free, never charged again."""
    if number > 0:
        _log.warning("%d requests ended after they were refunded; they were free", number)


async def refund_together(ledger: Ledger, refunds: Sequence[Refund]) -> list[Refund]:
    """Give a batch back; those that were given. Others are left as they are."""
    given = await asyncio.gather(*map(ledger.refund, refunds), return_exceptions=True)
    for result in given:
        if isinstance(result, BaseException) and not isinstance(result, DatabaseUnavailable):
            raise result
    return [refund for refund, result in zip(refunds, given, strict=True) if result is True]


class GroupCommit(Generic[T, R]):
    """Hands whatever waits to `execute` as one batch, one batch at a time.

    `execute` gets the items and returns their results in order. An error fails the whole batch,
    or, with `keeps_on_failure`, lets it wait for a better time, which must come soon once the group
    is drained.
    """

    BATCH_MAX = 512
    PAUSE_SECONDS = 0.5
    #: how long a drain goes on trying; a database that is away just now may be back
    DRAIN_SECONDS = 5.0

    def __init__(
        self,
        execute: Callable[[list[T]], Awaitable[list[R]]],
        *,
        account_of: Callable[[T], int | None] = lambda _: None,
        delay_seconds: float = 0.0,
        keeps_on_failure: bool = False,
    ) -> None:
        self._execute = execute
        self._account_of: Callable[[T], int | None] = account_of
        self._delay_seconds = delay_seconds
        self._keeps_on_failure = keeps_on_failure
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._under_way: list[tuple[T, asyncio.Future[R]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._keeps_until = math.inf

    def submit(self, item: T) -> "asyncio.Future[R]":
        """Queue an item; the future has its result once the batch is committed.

        Whoever gives up waiting gives up the result only: the item is written all the same.
        """
        if self._closed:
            raise DatabaseUnavailable("the ledger is closed")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return future

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

    async def _work(self) -> None:
        try:
            while self._waiting:
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                self._under_way = self._next_batch()
                await self._commit(self._under_way)
                self._under_way = []
        finally:
            self._worker = None

    def _next_batch(self) -> list[tuple[T, "asyncio.Future[R]"]]:
        """What waits, in its order; of more than fits, as much of each account's as of any."""
        waiting = self._waiting
        if len(waiting) <= self.BATCH_MAX:
            self._waiting = []
            return waiting
        owners = [self._account_of(item) for item, _ in waiting]
        chosen = set(first_rounds(owners, self.BATCH_MAX))
        self._waiting = [each for at, each in enumerate(waiting) if at not in chosen]
        return [each for at, each in enumerate(waiting) if at in chosen]

    async def _commit(self, batch: list[tuple[T, "asyncio.Future[R]"]]) -> None:
        try:
            results = await self._execute([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # every waiter must hear of it
            if self._keeps_on_failure and time.monotonic() < self._keeps_until:
                self._waiting[:0] = batch
                await asyncio.sleep(self.PAUSE_SECONDS)
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # a waiter that left must not make the loop complain
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
