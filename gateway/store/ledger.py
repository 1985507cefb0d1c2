"""The hot side of the ledger: charge, refund, end. What the flow sees, for both databases.

    charge ──▶ hold ──┬── end      the request came to its end: nothing more is booked
                      └── refund   the credits go back, once

A hold is deleted exactly once, and the one that deletes it decides. Everything here is grouped
(`group_commit`).
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from gateway.core.errors import DatabaseUnavailable
from gateway.core.events import Usage

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


class ChargeResult(Struct, frozen=True):
    """The outcome of a charge; `balance` is the account's afterwards.

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

    async def charge(self, charge: Charge) -> ChargeResult:
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
