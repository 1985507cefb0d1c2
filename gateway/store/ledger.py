"""The hot side of the ledger, as the flow sees it in both databases: charge, refund, end.

    charge ──▶ hold ──┬── end           the request came to its end: nothing more is booked
                      ├── metered end   the same, except that what it did not use goes back, once
                      ├── left end      the same, and the charge stands for a retry
                      └── refund        the credits go back, once

    left end ──▶ standing charge ── claim ──▶ a retry costs so much less, three times at most

A hold is deleted exactly once, and the one that deletes it decides. Everything here is grouped
(`group_commit`).
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.errors import DatabaseUnavailable, DataRefused, FaregateError
from gateway.core.events import Usage
from gateway.store.group_commit import GroupCommit

_log = logging.getLogger(__name__)

Outcome = Literal["charged", "exhausted", "dead", "capped", "expiry_due"]
#: a limit in credits: of its UTC day, its UTC month, or for good
Limit = Literal["day", "month", "ever"]


class Charge(Struct, frozen=True, omit_defaults=True):
    """One charge to be made. `request_id` is made before it is sent and names the charge.

    `tags` is a JSON object, None without any.
    """

    request_id: str
    account_id: int
    api_key_id: int
    key_hash: bytes
    credits: int
    model: str
    route: str
    idempotency_key: str | None = None
    retry_count: int | None = None
    tags: str | None = None


class ChargeResult(Struct, frozen=True):
    """The outcome of a charge; `balance` is the account's afterwards.

    `exhausted`: the balance does not cover it. `dead`: the key is revoked, suspended or expired.
    `capped`: a limit in credits is used up. `expiry_due`: a grant of the account has expired and
    must be posted first. `limit` is the limit that has least left, of the key, its account and the
    accounts above. `limit_left` is what it has left after the charge; where the ledger counts a
    batch together, after the batch. `level` is the account whose limit it is, `namespace/name`;
    None for the key's. `lefts` has what all of them have left, by account, where the ledger tries
    by it again what a batch refused.
    """

    outcome: Outcome
    balance: int = 0
    limit_left: int | None = None
    limit: Limit | None = None
    level: str | None = None
    lefts: dict[str, Any] | None = None


class End(Struct, frozen=True):
    """A request that came to its end, with what it used."""

    request_id: str
    usage: Usage | None


class RetryKey(Struct, frozen=True):
    """The name by which a later attempt is recognised, within its account."""

    idempotency_key: str
    model: str


class MeteredEnd(Struct, frozen=True):
    """A request that came to its end, of whose charge `unused` goes back.

    With token prices, `price` is JSON: the parts of what it cost. `left` is set where the client
    left before any content had come: the charge stands for a retry of that name.
    """

    request_id: str
    account_id: int
    unused: int
    usage: Usage | None
    price: str | None
    left: RetryKey | None = None


class Claim(Struct, frozen=True):
    """A request, before it is charged, that may be the retry of one whose client left."""

    request_id: str
    account_id: int
    idempotency_key: str
    model: str


class Refund(Struct, frozen=True):
    """Credits to be given back for one request."""

    request_id: str
    account_id: int


ChargeReply = ChargeResult | FaregateError
RefundReply = bool | FaregateError
AnyEnd = TypeVar("AnyEnd", End, MeteredEnd)


class Ledger(ABC):
    """The hot side of one database, for one replica; each database writes the batches."""

    def __init__(self, behind_seconds: float) -> None:
        account_of: Callable[[Charge | Refund | MeteredEnd | Claim], int] = attrgetter("account_id")
        self._charges = GroupCommit[Charge, ChargeResult](self._charge_batch, account_of=account_of)
        self._refunds = GroupCommit[Refund, bool](self._refund_batch, account_of=account_of)
        # Nobody waits for an end: what cannot be written now is written later, not given up.
        metered = partial(_write_ends, self._metered_end_batch)
        self._ends = GroupCommit[End, None](
            partial(_write_ends, self._end_batch),
            delay_seconds=behind_seconds,
            keeps_on_failure=True,
        )
        self._metered_ends = GroupCommit[MeteredEnd, None](
            metered,
            account_of=account_of,
            delay_seconds=behind_seconds,
            keeps_on_failure=True,
        )
        self._left_ends = GroupCommit[MeteredEnd, None](
            metered, account_of=account_of, keeps_on_failure=True
        )
        self._claims = GroupCommit[Claim, int](self._claim_batch, account_of=account_of)
        #: books a charge durably. Raises `DatabaseUnavailable`, and `ChargeUnknown` where the
        #: commit's outcome is not known
        self.charge: Callable[[Charge], asyncio.Future[ChargeResult]] = self._charges.submit
        #: gives back durably; False where the hold was gone. Raises `DatabaseUnavailable`
        self.refund: Callable[[Refund], asyncio.Future[bool]] = self._refunds.submit
        #: notes an end; written behind, in batches
        self.end: Callable[[End], None] = self._ends.add
        #: writes an end at once, or as soon as it can be
        self.end_left: Callable[[MeteredEnd], asyncio.Future[None]] = self._left_ends.submit
        #: has an earlier charge stand for a request, durably; the credits that it costs less
        #: therefore, 0 where there is none. Raises `DatabaseUnavailable`
        self.claim: Callable[[Claim], asyncio.Future[int]] = self._claims.submit

    def end_metered(self, end: MeteredEnd) -> None:
        """Note an end with a difference; written behind, in batches."""
        self._metered_ends.add(end)

    def pending(self) -> Iterable[str]:
        """Request ids whose end or refund is not written yet."""
        yield from (item.request_id for item in self._ends.items())
        yield from (item.request_id for item in self._metered_ends.items())
        yield from (item.request_id for item in self._left_ends.items())
        yield from (item.request_id for item in self._refunds.items())

    async def drain(self) -> None:
        """Write everything that waits, then stop."""
        await self._claims.drain()
        await self._charges.drain()
        await self._refunds.drain()
        await asyncio.gather(
            self._ends.drain(), self._left_ends.drain(), self._metered_ends.drain()
        )
        await self._close()

    @abstractmethod
    async def start(self) -> None:
        """Connect, where that is not done by the first batch."""

    @abstractmethod
    async def _charge_batch(self, batch: list[Charge]) -> list[ChargeReply]: ...

    @abstractmethod
    async def _refund_batch(self, batch: list[Refund]) -> list[RefundReply]: ...

    @abstractmethod
    async def _end_batch(self, batch: Sequence[End]) -> Sequence[FaregateError | None]: ...

    @abstractmethod
    async def _metered_end_batch(
        self, batch: Sequence[MeteredEnd]
    ) -> Sequence[FaregateError | None]: ...

    @abstractmethod
    async def _claim_batch(self, batch: list[Claim]) -> Sequence[int | FaregateError]: ...

    @abstractmethod
    async def _close(self) -> None: ...


async def _write_ends(
    write: Callable[[Sequence[AnyEnd]], Awaitable[Sequence[FaregateError | None]]],
    batch: Sequence[AnyEnd],
) -> list[FaregateError | None]:
    """The results of some ends; an end whose data are refused is written without its usage.

    Its hold would stay open otherwise, and be refunded. Where that is refused, too, it is left: to
    try the same again would be in vain.
    """
    results = list(await write(batch))
    if not any(results):
        return results
    for at, end in enumerate(batch):
        refused = results[at]
        if isinstance(refused, DataRefused):
            _log.error("request %s ends without its usage: %s", end.request_id, refused)
            (results[at],) = await write([_bare(end)])
            if isinstance(results[at], DataRefused):
                _log.error("request %s cannot end: %s", end.request_id, results[at])
                results[at] = None
    return results


def _bare(end: AnyEnd) -> AnyEnd:
    if isinstance(end, MeteredEnd):
        return replace(end, usage=None, price=None, left=None)
    return replace(end, usage=None)


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
