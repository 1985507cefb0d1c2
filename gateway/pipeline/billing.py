"""Billing: takes the price of a request, and refunds it or ends it. Once each."""

import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from gateway.core.catalog import Resolution
from gateway.core.errors import (
    CreditLimitReached,
    CreditsExhausted,
    DatabaseUnavailable,
    FaregateError,
    InvalidCredential,
)
from gateway.pipeline.key_cache import CachedKey
from gateway.pipeline.meter import Meter
from gateway.pipeline.request_state import RequestState
from gateway.pipeline.retries import IDEMPOTENCY_KEY, Retries, header_text
from gateway.store.leases import Owner
from gateway.store.ledger import (
    Charge,
    ChargeResult,
    End,
    Ledger,
    Limit,
    MeteredEnd,
    Refund,
    RetryKey,
)
from gateway.telemetry.metrics import Metrics, RequestLabels

_log = logging.getLogger(__name__)

#: a grant may expire while the last one's expiry is being posted, but not for ever
_ATTEMPTS_MAX = 3
_RETRIES = b"x-stainless-retry-count"
#: charges that this replica counted and left to the lease; of older ones it is not known any more
_LEFT_MAX = 10_000
_LIMITS: dict[Limit, str] = {
    "day": "has not so many left of its creditsPerDay until midnight (UTC)",
    "month": "has not so many left of its creditsPerMonth until the month ends (UTC)",
    "ever": "has not so many left of all its credits",
}
#: the limits' names for programs
_LIMIT_NAMES: dict[Limit, str] = {
    "day": "credits_per_day",
    "month": "credits_per_month",
    "ever": "credits",
}


class Billing:
    """Charges, ends and refunds requests on one ledger."""

    def __init__(
        self,
        ledger: Ledger,
        expire_grants: Callable[[int], Awaitable[object]],
        metrics: Metrics,
    ) -> None:
        self._ledger = ledger
        self._expire_grants = expire_grants
        self._metrics = metrics
        self._retries = Retries(ledger)
        #: requests whose refund failed, and is left to the lease
        self._left: dict[str, None] = {}

    async def charge(
        self,
        state: RequestState,
        key: CachedKey,
        key_hash: bytes,
        resolution: Resolution,
    ) -> None:
        """Take the price, durably.

        Raises `CreditsExhausted`, `CreditLimitReached`, `InvalidCredential` for a key that died
        meanwhile, `DatabaseUnavailable`, and `ChargeUnknown`.
        """
        named = state.connection.named
        is_named = IDEMPOTENCY_KEY in named
        credits = resolution.price if state.meter is None else state.meter.fix_prices()
        if is_named:
            credits = await self._less_covered(state, credits)
        charge = Charge(
            request_id=state.request_id,
            account_id=key.live.account_id,
            api_key_id=key.live.id,
            key_hash=key_hash,
            credits=credits,
            model=resolution.model.id,
            route=state.dialect.name,
            idempotency_key=header_text(named[IDEMPOTENCY_KEY]) if is_named else None,
            retry_count=_number(named[_RETRIES]) if _RETRIES in named else None,
            tags=state.tags,
        )
        began = time.monotonic()
        try:
            result = await self._ledger.charge(charge)
            if result.outcome == "expiry_due":
                result = await self._charge_after_expiry(charge)
        except DatabaseUnavailable:
            self._metrics.database_failed(1)
            raise
        self._metrics.charged(time.monotonic() - began)
        state.balance = result.balance
        state.limit_left = result.limit_left
        if result.outcome != "charged":
            raise _refusal(state, result, charge)
        state.book("charge")
        state.credits = charge.credits
        state.series.charge.value += charge.credits
        state.series.in_flight.value += 1

    async def _less_covered(self, state: RequestState, price: int) -> int:
        """The price, less what an earlier charge that stands for the request has paid of it."""
        try:
            covered = await self._retries.cover(state)
        except DatabaseUnavailable:
            self._metrics.database_failed(1)
            raise
        state.covered = covered
        if state.meter is not None:
            state.meter.covered = covered
        return max(0, price - covered)

    async def _charge_after_expiry(self, charge: Charge) -> ChargeResult:
        for _ in range(_ATTEMPTS_MAX):
            await self._expire_grants(charge.account_id)
            result = await self._ledger.charge(charge)
            if result.outcome != "expiry_due":
                break
        return result

    async def leave(self, state: RequestState) -> None:
        """End a request whose client has left: it pays, by what it has used with token prices."""
        if state.booking != "charged":
            return
        if state.meter is not None and state.meter.bill is None:
            state.usage = await state.meter.measure(state.usage, state.credits)
        self.end(state, self._retries.stands_for(state))

    def end(self, state: RequestState, left: RetryKey | None = None) -> None:
        """The credits stay taken. Written behind; does nothing where end or refund was chosen.

        `left`: the charge stands for a retry of that name.
        """
        if state.booking != "charged":
            return
        state.book("end")
        if state.meter is None and left is None:
            self._ledger.end(End(state.request_id, state.usage))
        else:
            self._end_metered(state, state.meter, left)
        if left is None and state.attempt is not None:
            self._retries.done(state)
        state.series.in_flight.value -= 1
        if state.usage is not None:
            state.series.used(state.usage)

    def _end_metered(self, state: RequestState, meter: Meter | None, left: RetryKey | None) -> None:
        """Keep the price of what was used, and give back the rest of the charge."""
        assert state.key is not None, "it was charged"
        unused, price = 0, None
        if meter is not None:
            bill = meter.bill
            assert bill is not None, "it is measured first"
            unused = state.credits - max(0, bill.credits - meter.covered)
            price = msgspec.json.encode(bill).decode()
            self._metrics.metered(state.labels, unused, bill.uncollected)
        end = MeteredEnd(
            state.request_id, state.key.live.account_id, unused, state.usage, price, left
        )
        if left is None:
            self._ledger.end_metered(end)
        else:
            self._ledger.end_left(end).add_done_callback(lambda _: self._retries.done(state))
        state.credits -= unused
        if state.balance is not None:
            state.balance += unused
        if state.limit_left is not None:
            state.limit_left += unused

    async def refund(self, state: RequestState) -> None:
        """Give the credits back, durably; does nothing where none were taken or end was chosen.

        Where the database cannot confirm it now, the hold stays and the lease refunds it. Where the
        hold is gone, it has: nobody else ends what is charged.
        """
        if state.booking == "charged" and state.key is not None:
            await self._refund(state, Refund(state.request_id, state.key.live.account_id))
        self._retries.done(state)

    async def _refund(self, state: RequestState, refund: Refund) -> None:
        state.book("refund")
        state.series.in_flight.value -= 1
        try:
            given = await self._ledger.refund(refund)
        except DatabaseUnavailable:
            self._metrics.database_failed(1)
            self._leave_to_lease(state.request_id)
            _log.warning("request %s will be refunded by its lease", state.request_id)
            return
        if given:
            state.series.refund.value += state.credits
        if state.balance is not None:
            state.balance += state.credits
        if state.limit_left is not None:
            state.limit_left += state.credits
        state.book("confirm")
        state.credits = 0

    def reaped(self, owner: Owner, own_request: str | None = None) -> None:
        """Count a refund by a lease.

        A charge of our own whose commit was never confirmed (`own_request`) was not counted.
        """
        labels = RequestLabels(owner.key, owner.account, owner.model)
        if own_request is not None and own_request not in self._left:
            self._metrics.booked(labels, "charge", owner.credits)
        if own_request is not None:
            self._left.pop(own_request, None)
        self._metrics.booked(labels, "refund", owner.credits)

    def _leave_to_lease(self, request_id: str) -> None:
        if len(self._left) == _LEFT_MAX:
            del self._left[next(iter(self._left))]
        self._left[request_id] = None


def _refusal(state: RequestState, result: ChargeResult, charge: Charge) -> FaregateError:
    if result.outcome == "dead":
        return InvalidCredential("the API key is not valid")
    costs = "costs" if state.meter is None else "may cost up to"
    if result.outcome == "capped":
        owner, level = "the API key", {"level": "key"}
        if result.level is not None:
            owner = f"the account {result.level}"
            level = {"level": "account", "account": result.level}
        return CreditLimitReached(
            f"this request {costs} {charge.credits} credits,"
            f" and {owner} {_LIMITS[result.limit or 'day']}",
            details={"limit": _LIMIT_NAMES[result.limit or "day"], **level},
        )
    if result.outcome == "expiry_due":
        return DatabaseUnavailable("expired grants of the account could not be posted")
    return CreditsExhausted(
        f"Your credit balance is too low: this request {costs} {charge.credits} credits"
        f" and the balance is {result.balance}.{_advice(state)}",
        details={"limit": "balance", "level": "account"},
    )


def _advice(state: RequestState) -> str:
    if state.meter is None or not state.meter.has_output_price:
        return ""
    return " A lower cap on its output tokens needs fewer credits."


def _number(value: bytes) -> int | None:
    return int(value) if value.isdigit() and len(value) < 9 else None
