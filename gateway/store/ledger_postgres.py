"""The hot side of the ledger on PostgreSQL: one statement a batch, on connections of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.core.batch_retry import AttemptedCharge, worth_another_try
from gateway.core.errors import DatabaseBusy, DatabaseUnavailable, DataRefused, FaregateError
from gateway.store.charger_postgres import Charger
from gateway.store.hot_connection import HotConnection, OutcomeUnknown, StatementRefused
from gateway.store.ledger import (
    Charge,
    ChargeReply,
    ChargeResult,
    Claim,
    End,
    Ledger,
    MeteredEnd,
    Refund,
    RefundReply,
    note_late_ends,
)
from gateway.store.locked_accounts import LockedAccounts
from gateway.store.outage import Outage
from gateway.store.retries import CLAIM
from gateway.store.seen_limits import GroupedAccounts
from gateway.store.statements_postgres import (
    END,
    END_METERED,
    END_METERED_GROUPS,
    GIVEN,
    REFUND,
    REFUND_GROUPS,
    document,
    integers,
    texts,
)

T = TypeVar("T", Refund, MeteredEnd)
Item = TypeVar("Item", Refund, MeteredEnd, End, Claim)
Reply = TypeVar("Reply")
#: writes a part of a batch, or passes by what is locked; the results by request
Write = Callable[[Sequence[Item], bool], Awaitable[Mapping[str, Reply | FaregateError]]]
#: statements that are written behind are sent so often, and not after so long
_ATTEMPTS_MAX = 3
_BEHIND_SECONDS = 8.0


class PostgresLedger(Ledger):
    """The ledger on PostgreSQL: one connection charges, one gives back."""

    def __init__(
        self,
        url: str,
        replica_id: str,
        *,
        behind_seconds: float = 0.25,
        outage: Outage | None = None,
    ) -> None:
        super().__init__(behind_seconds)
        outage = outage or Outage()
        self._charge_connection = HotConnection(url, outage)
        self._grouped = GroupedAccounts()
        self._charger = Charger(self._charge_connection, replica_id, self._grouped)
        self._behind_connection = HotConnection(url, outage)
        self._behind_lock = asyncio.Lock()
        self._locked = LockedAccounts()

    async def start(self) -> None:
        """Nothing to do: a connection opens with its first statement."""

    async def _close(self) -> None:
        await self._charge_connection.close()
        await self._behind_connection.close()

    async def _charge_batch(self, batch: Sequence[Charge], tries: int = 3) -> list[ChargeReply]:
        results = await self._charger.charge(batch)
        if len(batch) > 1 and tries > 1 and (again := _crowded_out(batch, results)):
            # They fit together; where they do not after all, another replica was quicker.
            tried = await self._charge_batch([batch[position] for position in again], tries - 1)
            for position, result in zip(again, tried, strict=True):
                results[position] = result
        return results

    async def _refund_batch(self, batch: list[Refund]) -> list[RefundReply]:
        results = await self._in_parts(batch, self._refund_part)
        return [results.get(refund.request_id, False) for refund in batch]

    async def _in_parts(
        self, batch: Sequence[T], write: Write[T, Reply]
    ) -> dict[str, Reply | FaregateError]:
        """The results by request; of what is locked, and of a part that fails, the error."""
        results: dict[str, Reply | FaregateError] = {}
        for part, passes_by in list(self._locked.parts(batch)):
            results |= await _written(part, write, passes_by)
        busy = [item for item in batch if isinstance(results.get(item.request_id), DatabaseBusy)]
        self._locked.note(batch, {item.account_id for item in busy})
        return results

    async def _refund_part(
        self, batch: Sequence[Refund], passes_by: bool
    ) -> dict[str, RefundReply]:
        ids = texts(refund.request_id for refund in batch)
        accounts = integers({refund.account_id for refund in batch})
        values = {"request_ids": ids, "account_ids": accounts}
        refund = REFUND_GROUPS if self._grouped.is_any_of(batch) else REFUND
        statement = refund.passes_by if passes_by else refund.waits
        rows, was_unknown = await self._behind(statement, values, refund.passes_by)
        results: dict[str, RefundReply] = {
            request_id: True if given else _locked()
            for request_id, given in rows
            if given is not None
        }
        if others := self._elsewhere(batch, rows):
            results |= await _written(others, self._refund_part, passes_by)
        if was_unknown and len(results) < len(batch):
            # The answer that was lost may have been theirs.
            rows, _ = await self._behind(GIVEN, {"request_ids": ids})
            results |= {request_id: True for (request_id,) in rows}
        return results

    async def _end_batch(self, batch: Sequence[End]) -> list[FaregateError | None]:
        results = await _written(batch, self._end_part)
        return [results.get(end.request_id) for end in batch]

    async def _end_part(self, batch: Sequence[End], _: bool) -> dict[str, FaregateError | None]:
        ends = document([_flat(end) for end in batch])
        rows, was_unknown = await self._behind(END, {"ends": ends})
        if not was_unknown:
            note_late_ends(len(batch) - len(rows))
        return {}

    async def _metered_end_batch(self, batch: Sequence[MeteredEnd]) -> list[FaregateError | None]:
        results = await self._in_parts(batch, self._metered_end_part)
        return [results.get(end.request_id) for end in batch]

    async def _metered_end_part(
        self, batch: Sequence[MeteredEnd], passes_by: bool
    ) -> dict[str, FaregateError | None]:
        end = END_METERED_GROUPS if self._grouped.is_any_of(batch) else END_METERED
        statement = end.passes_by if passes_by else end.waits
        values = {"ends": document(batch)}
        rows, was_unknown = await self._behind(statement, values, end.passes_by)
        if not was_unknown:
            note_late_ends(len(batch) - len(rows))
        results: dict[str, FaregateError | None] = {
            request_id: None if is_released else _locked()
            for request_id, is_released in rows
            if is_released is not None
        }
        if others := self._elsewhere(batch, rows):
            results |= await _written(others, self._metered_end_part, passes_by)
        return results

    def _elsewhere(self, batch: Sequence[T], rows: Sequence[Any]) -> list[T]:
        """The items that are for groups; their accounts are known from now on."""
        counted = {request_id for request_id, done in rows if done is None}
        others = [item for item in batch if item.request_id in counted] if counted else []
        for item in others:
            self._grouped.note(item.account_id)
        return others

    async def _claim_batch(self, batch: Sequence[Claim]) -> list[int | FaregateError]:
        results = await _written(batch, self._claim_part)
        return [results.get(claim.request_id, 0) for claim in batch]

    async def _claim_part(self, batch: Sequence[Claim], _: bool) -> dict[str, int]:
        rows, _was_unknown = await self._behind(CLAIM, {"claims": document(batch)})
        return dict(rows)

    async def _behind(
        self, statement: str, values: dict[str, Any], skip_locked: str | None = None
    ) -> tuple[Sequence[Any], bool]:
        """The rows, and whether an answer was lost before. `skip_locked` waits for no lock.

        A statement behind the answers releases each hold exactly once, so it may be sent again
        after a failure. Raises `DatabaseUnavailable`, and at once `DataRefused`.
        """
        until = time.monotonic() + _BEHIND_SECONDS
        was_unknown = False
        attempts = 0
        while True:
            attempts += 1
            try:
                async with self._behind_lock:
                    return await self._behind_connection.run(statement, values), was_unknown
            except StatementRefused as refused:
                error = _refusal(refused)
                if isinstance(error, DataRefused):
                    raise error from refused
                if refused.is_lock_timeout and skip_locked is not None:
                    statement = skip_locked
            except OutcomeUnknown as lost:
                error = DatabaseUnavailable("the database went away", cause=lost.cause)
                was_unknown = True
            except DatabaseUnavailable as unavailable:
                error = unavailable
            if attempts == _ATTEMPTS_MAX or time.monotonic() > until:
                if not isinstance(error, DatabaseBusy):
                    self._behind_connection.failed(error)
                raise error
            await asyncio.sleep(0.1 * attempts)


async def _written(
    batch: Sequence[Item], write: Write[Item, Reply], passes_by: bool = False
) -> dict[str, Reply | FaregateError]:
    """The results by request; where the data of one item are refused, each is written alone."""
    try:
        return dict(await write(batch, passes_by))
    except DataRefused as refused:
        if len(batch) == 1:
            return {batch[0].request_id: refused}
    except DatabaseUnavailable as error:
        return dict.fromkeys((item.request_id for item in batch), error)
    results: dict[str, Reply | FaregateError] = {}
    for at, item in enumerate(batch):
        results |= await _written([item], write, passes_by=True)
        failed = results.get(item.request_id)
        if type(failed) is DatabaseUnavailable:  # neither busy nor about data: so are all others
            return results | dict.fromkeys((left.request_id for left in batch[at:]), failed)
    return results


def _flat(end: End) -> dict[str, Any]:
    """The columns of an end: PostgreSQL would read an object within it once for each member."""
    use = end.usage
    if use is None:
        return {"request_id": end.request_id}
    return {
        "request_id": end.request_id,
        "input": use.input,
        "cached": use.cached,
        "output": use.output,
        "reasoning": use.reasoning,
        "cache_write": use.cache_write,
    }


def _locked() -> DatabaseBusy:
    return DatabaseBusy("the account is locked by somebody else")


def _refusal(refused: StatementRefused) -> DatabaseUnavailable:
    if refused.is_busy:
        return DatabaseBusy("the database is busy", cause=refused.cause)
    if refused.is_about_data:
        return DataRefused("the database refused the data", cause=refused.cause)
    return DatabaseUnavailable("the database refused a statement", cause=refused.cause)


def _crowded_out(batch: Sequence[Charge], results: Sequence[ChargeReply]) -> list[int]:
    """The positions of charges that were refused for what others in the batch took or asked for."""
    tried = []
    is_refused = False
    for position, (charge, result) in enumerate(zip(batch, results, strict=True)):
        if isinstance(result, ChargeResult) and result.outcome in (
            "charged",
            "exhausted",
            "capped",
        ):
            is_charged = result.outcome == "charged"
            is_refused = is_refused or not is_charged
            tried.append(
                AttemptedCharge(
                    position,
                    charge.account_id,
                    charge.credits,
                    is_charged,
                    result.balance,
                    _lefts(charge, result),
                )
            )
    return worth_another_try(tried) if is_refused else []


def _lefts(charge: Charge, result: ChargeResult) -> dict[int | str, int]:
    if result.lefts is None:
        return {} if result.limit_left is None else {charge.api_key_id: result.limit_left}
    key_left = result.lefts["key"]
    return {
        **result.lefts["accounts"],
        **({} if key_left is None else {charge.api_key_id: key_left}),
    }
