"""The hot side of the ledger on PostgreSQL: one statement a batch, on connections of its own."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.events import Usage
from gateway.errors import ChargeUnknown, DatabaseBusy, DatabaseUnavailable, TollgateError
from gateway.store.charger_postgres import Charger, Result
from gateway.store.lane import Lane, StatementRefused
from gateway.store.ledger import Charge, End, GroupCommit, Refund, Verdict, note_late_ends
from gateway.store.outage import Outage
from gateway.store.statements_postgres import END, GIVEN, REFUND, REFUND_PASSING_BY, integers, texts

#: what is written behind is sent so often, and not after so long
_ATTEMPTS_MAX = 3
_BEHIND_SECONDS = 8.0


class PostgresLedger:
    """`gateway.store.ledger.Ledger` on PostgreSQL: one connection charges, one gives back."""

    def __init__(
        self,
        url: str,
        replica_id: str,
        *,
        behind_seconds: float = 0.25,
        outage: Outage | None = None,
    ) -> None:
        outage = outage or Outage()
        self._charge_lane = Lane(url, outage)
        self._charger = Charger(self._charge_lane, replica_id)
        self._behind_lane = Lane(url, outage)
        self._behind_lock = asyncio.Lock()
        self._charges = GroupCommit[Charge, Result](self._charge_batch)
        self._refunds = GroupCommit[Refund, bool | TollgateError](self._refund_batch)
        self._ends = GroupCommit[End, None](
            self._end_batch, delay_seconds=behind_seconds, keeps_on_failure=True
        )

    async def start(self) -> None:
        """Nothing to do: a lane connects with its first statement."""

    async def charge(self, charge: Charge) -> Verdict:
        result = await self._charges.submit(charge)
        if isinstance(result, TollgateError):
            raise result
        return result

    async def refund(self, refund: Refund) -> bool:
        given = await self._refunds.submit(refund)
        if isinstance(given, TollgateError):
            raise given
        return given

    def end(self, end: End) -> None:
        self._ends.submit(end)

    def pending(self) -> Iterable[str]:
        yield from (item.request_id for item in self._ends.items())
        yield from (item.request_id for item in self._refunds.items())

    async def drain(self) -> None:
        for group in (self._charges, self._refunds, self._ends):
            await group.drain()
        await self._charge_lane.close()
        await self._behind_lane.close()

    async def _charge_batch(self, batch: list[Charge]) -> list[Result]:
        results = await self._charger.charge(batch)
        for index, result in enumerate(results):
            if isinstance(result, Verdict) and _was_crowded_out(batch, index, result):
                (results[index],) = await self._charger.charge([batch[index]])
        return results

    async def _refund_batch(self, batch: list[Refund]) -> list[bool | TollgateError]:
        ids = texts(refund.request_id for refund in batch)
        accounts = integers({refund.account_id for refund in batch})
        values = {"request_ids": ids, "account_ids": accounts}
        rows, was_unknown = await self._behind(REFUND, values, REFUND_PASSING_BY)
        results: dict[str, bool | TollgateError] = {
            request_id: True if given else DatabaseBusy("the account is locked by somebody else")
            for request_id, given in rows
        }
        if was_unknown and len(results) < len(batch):
            # The answer that was lost may have been theirs.
            rows, _ = await self._behind(GIVEN, {"request_ids": ids})
            results |= {request_id: True for (request_id,) in rows}
        return [results.get(refund.request_id, False) for refund in batch]

    async def _end_batch(self, batch: list[End]) -> list[None]:
        used: list[tuple[str, Usage]] = [
            (end.request_id, end.usage) for end in batch if end.usage is not None
        ]
        rows, was_unknown = await self._behind(
            END,
            {
                "request_ids": texts(end.request_id for end in batch),
                "used_ids": texts(request_id for request_id, _ in used),
                "input": integers(usage.input for _, usage in used),
                "cached": integers(usage.cached for _, usage in used),
                "output": integers(usage.output for _, usage in used),
                "reasoning": integers(usage.reasoning for _, usage in used),
            },
        )
        if not was_unknown:
            note_late_ends(len(batch) - len(rows))
        return [None] * len(batch)

    async def _behind(
        self, statement: str, values: dict[str, Any], passing_by: str | None = None
    ) -> tuple[Sequence[Any], bool]:
        """The rows, and whether an answer was lost before. `passing_by` waits for no lock.

        What is written behind releases holds exactly once, so it may be sent again after a failure.
        """
        until = time.monotonic() + _BEHIND_SECONDS
        was_unknown = False
        attempts = 0
        while True:
            attempts += 1
            try:
                async with self._behind_lock:
                    return await self._behind_lane.run(statement, values), was_unknown
            except StatementRefused as refused:
                error = _refusal(refused)
                if refused.is_lock_timeout and passing_by is not None:
                    statement = passing_by
            except DatabaseUnavailable as unavailable:
                error = unavailable
                was_unknown = was_unknown or isinstance(unavailable, ChargeUnknown)
            if attempts == _ATTEMPTS_MAX or time.monotonic() > until:
                if not isinstance(error, DatabaseBusy):
                    self._behind_lane.failed(error)
                raise error
            await asyncio.sleep(0.1 * attempts)


def _refusal(refused: StatementRefused) -> DatabaseUnavailable:
    if refused.is_busy:
        return DatabaseBusy("the database is busy", cause=refused.cause)
    return DatabaseUnavailable("the database refused a statement", cause=refused.cause)


def _was_crowded_out(batch: list[Charge], index: int, verdict: Verdict) -> bool:
    """Whether a refusal may be the others' fault: alone, the charge might fit."""
    charge = batch[index]
    if len(batch) == 1 or verdict.outcome not in ("exhausted", "capped"):
        return False
    return verdict.outcome == "capped" or charge.credits <= verdict.balance
