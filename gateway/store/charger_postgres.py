"""Makes charges on PostgreSQL, through lost connections and locks that others hold.

Where nobody knows whether a batch was committed, the same charges are asked again on a new
connection: an id is charged once. A lock is waited for once; then its account is passed by, until
it is to be had again, so that nobody pays for it but its owner.

A batch in which nothing is known to be limited has a statement of its own (`unlimited_charge`), and
so has a charge that is alone (`single_charge`); the whole statement makes the charges that they
leave.
"""

import asyncio
import time
from collections.abc import Sequence

from gateway.core.errors import ChargeUnknown, DatabaseBusy, DatabaseUnavailable, FaregateError
from gateway.store.hot_connection import HotConnection, OutcomeUnknown, StatementRefused
from gateway.store.ledger import Charge, ChargeReply, ChargeResult
from gateway.store.locked_accounts import LockedAccounts
from gateway.store.seen_limits import GroupedAccounts, LimitedKeys
from gateway.store.single_charge import single_charge
from gateway.store.statements_postgres import CHARGES, MADE, document, texts
from gateway.store.unlimited_charge import UNLIMITED_CHARGES, judge, sums_by_key

#: after so long no charge is asked again; an answer may take as long as a connection waits for it
_CHARGE_SECONDS = 8.0
_PAUSE_SECONDS = 0.1
_DUPLICATE = "23505"


class Charger:
    """Charges for one replica, on one connection, one batch at a time."""

    def __init__(
        self, connection: HotConnection, replica_id: str, grouped: GroupedAccounts
    ) -> None:
        self._connection = connection
        self._replica_id = replica_id
        self._grouped = grouped
        self._limited = LimitedKeys()
        self._locked = LockedAccounts()

    async def charge(self, batch: Sequence[Charge]) -> list[ChargeReply]:
        """The result of each charge, in order. Raises `DatabaseUnavailable` for all of them."""
        results: dict[str, ChargeReply] = {}
        for charges, skip_locked in list(self._locked.parts(batch)):
            results |= await _Attempt(
                self._connection,
                self._replica_id,
                self._grouped,
                self._limited,
                charges,
                skip_locked,
            ).run()
        locked = {c.account_id for c in batch if isinstance(results[c.request_id], DatabaseBusy)}
        self._locked.note(batch, locked)
        return [results[charge.request_id] for charge in batch]


class _Attempt:
    """One batch on its way into the books."""

    def __init__(
        self,
        connection: HotConnection,
        replica_id: str,
        grouped: GroupedAccounts,
        limited: LimitedKeys,
        charges: Sequence[Charge],
        skip_locked: bool,
    ) -> None:
        self._connection = connection
        self._replica_id = replica_id
        self._grouped = grouped
        self._limited = limited
        self._skip_locked = skip_locked
        #: set if some charges were left to the whole statement
        self._is_whole = False
        self._left = list(charges)
        self._results: dict[str, ChargeReply] = {}
        self._until = time.monotonic() + _CHARGE_SECONDS
        #: set if a commit was sent whose outcome nobody knows
        self._unknown: ChargeUnknown | None = None
        self._has_lost_a_connection = False

    async def run(self) -> dict[str, ChargeReply]:
        """All results by request id. Raises `DatabaseUnavailable` where nothing can be booked."""
        while self._left:
            try:
                if self._unknown is not None:
                    await self._adopt_committed()
                if self._left:
                    self._record(await self._ask(self._left))
            except StatementRefused as refused:
                await self._recover(refused)
            except OutcomeUnknown as lost:
                self._unknown = ChargeUnknown("the database went away", cause=lost.cause)
                await self._pause(self._unknown)
            except DatabaseUnavailable as unavailable:
                await self._pause(unavailable)
        return self._results

    async def _recover(self, refused: StatementRefused) -> None:
        if refused.sqlstate == _DUPLICATE and self._unknown is not None:
            await self._pause(self._unknown)  # the first attempt is committed by now: look again
        elif refused.is_lock_timeout and not self._skip_locked:
            self._skip_locked = True
        elif refused.has_ended_the_connection and not self._has_lost_a_connection:
            self._has_lost_a_connection = True
        elif refused.is_about_data and len(self._left) > 1:
            await self._ask_one_by_one()
        elif refused.is_busy:
            self._fail(DatabaseBusy("the database is busy", cause=refused.cause))
        else:
            error = DatabaseUnavailable("the database refused the charge", cause=refused.cause)
            self._connection.failed(error)
            self._fail(error)

    async def _pause(self, error: DatabaseUnavailable) -> None:
        """Before the same is asked again, if it may; where nothing was sent, nobody waits."""
        if self._unknown is None:
            raise error
        if time.monotonic() > self._until:
            self._connection.failed(self._unknown)
            self._fail(self._unknown)
        await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask_one_by_one(self) -> None:
        for charge in list(self._left):
            attempt = _Attempt(
                self._connection,
                self._replica_id,
                self._grouped,
                self._limited,
                [charge],
                skip_locked=True,
            )
            attempt._unknown = self._unknown
            try:
                self._record(await attempt.run())
            except DatabaseUnavailable as error:
                self._fail(error)
                return

    async def _ask(self, charges: Sequence[Charge]) -> dict[str, ChargeReply]:
        """The results; a charge that another statement must make has none yet."""
        has_tags = False
        for charge in charges:
            has_tags = has_tags or charge.tags is not None
        for_groups = self._grouped.is_any_of(charges)
        is_whole = self._is_whole or self._skip_locked or for_groups
        if not is_whole and not self._limited.is_any_of(charges):
            return await self._ask_unlimited(charges, has_tags)
        rows = await self._connection.run(
            CHARGES[self._skip_locked, has_tags, for_groups],
            {"charges": document(charges), "replica_id": self._replica_id},
        )
        results: dict[str, ChargeReply] = {}
        for charge, (outcome, *left) in zip(charges, rows, strict=True):
            if outcome == "elsewhere":
                self._grouped.note(charge.account_id)
            else:
                results[charge.request_id] = (
                    _locked() if outcome == "locked" else ChargeResult(outcome, *left)
                )
        return results

    async def _ask_unlimited(
        self, charges: Sequence[Charge], has_tags: bool
    ) -> dict[str, ChargeReply]:
        sums = sums_by_key(charges)
        if len(charges) == 1:
            statement, values = single_charge(charges[0], self._replica_id)
        else:
            statement = UNLIMITED_CHARGES[has_tags]
            values = {
                "sums": document(list(sums.values())),
                "charges": document(charges),
                "replica_id": self._replica_id,
            }
        judged = judge(sums, await self._connection.run(statement, values))
        results: dict[str, ChargeReply] = {}
        for charge in charges:
            outcome = judged[charge.key_hash, charge.account_id]
            if isinstance(outcome, ChargeResult):
                results[charge.request_id] = outcome
            elif outcome == "elsewhere":
                self._grouped.note(charge.account_id)
            elif outcome == "limited":
                self._limited.note(charge.api_key_id)
        self._is_whole = len(results) < len(charges)
        return results

    async def _adopt_committed(self) -> None:
        ids = texts(charge.request_id for charge in self._left)
        rows = await self._connection.run(MADE, {"request_ids": ids})
        self._record(
            {
                request_id: ChargeResult("charged", balance)
                if is_held
                else DatabaseUnavailable("the charge was given back meanwhile")
                for request_id, is_held, balance in rows
            }
        )

    def _record(self, results: dict[str, ChargeReply]) -> None:
        self._results |= results
        self._left = [charge for charge in self._left if charge.request_id not in results]

    def _fail(self, error: FaregateError) -> None:
        self._record({charge.request_id: error for charge in self._left})


def _locked() -> DatabaseBusy:
    return DatabaseBusy("the account is being changed by somebody else; try again")
