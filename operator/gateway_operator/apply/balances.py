"""Balances and last uses: into the statuses of ApiKeys, and into Events where few are left.

A field manager of its own writes these statuses, so they and the reports of the work on a key do
not touch each other. It writes a few a second only, however many keys are in use.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from gateway.store.balances import Crossing, KeyBalance, cross_marks, read_key_balances
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.cluster import ClusterError, ClusterUnavailable
from gateway_operator.conditions import timestamp
from gateway_operator.plan.balances import ShownFigures, StatusWrite, choose_writes, has_object
from gateway_operator.resources.apikey import KIND
from gateway_operator.resources.names import BALANCE_FIELD_MANAGER, Name

_logger = logging.getLogger(__name__)
#: Events by the share of the granted credits that is used, in percent
REASONS = {80: "CreditsLow", 95: "CreditsVeryLow", 100: "CreditsUsedUp"}
#: keys of one account that get an Event, those that were used last
_KEYS_WITH_EVENT_MAX = 10
_NEVER = datetime.min.replace(tzinfo=UTC)


class Balances:
    """One look is a few statements and, at most, as many writes as there is time for.

    `shown` must know all objects before the first look: a mark is reported once, to those it knows.
    """

    def __init__(
        self, context: OperatorContext, shown: Callable[[], Mapping[Name, ShownFigures]]
    ) -> None:
        self._context = context
        self._shown = shown
        self._written: dict[Name, float] = {}
        self._next_write = monotonic()

    async def check(self) -> None:
        """Read the books and report what is new.

        Raises `DatabaseUnavailable` and `ClusterUnavailable`.
        """
        context = self._context
        until = monotonic() + context.settings.balance_seconds
        keys = await context.ask(read_key_balances)
        # Last of what may fail: a mark that is crossed is not reported again.
        crossings = await context.ask(cross_marks)
        shown = self._shown()
        await self._announce(crossings, [key for key in keys if has_object(key, shown)])
        self._written = {name: at for name, at in self._written.items() if name in shown}
        await self._show(choose_writes(keys, shown, self._written), until)

    async def _announce(self, crossings: Iterable[Crossing], keys: Iterable[KeyBalance]) -> None:
        crossing_of = {crossing.account_id: crossing for crossing in crossings}
        events_of: Counter[int] = Counter()
        concerned = (key for key in keys if key.account_id in crossing_of)
        for key in sorted(concerned, key=lambda key: key.used_at or _NEVER, reverse=True):
            crossing = crossing_of[key.account_id]
            events_of[crossing.account_id] += 1
            if events_of[crossing.account_id] > _KEYS_WITH_EVENT_MAX:
                continue
            message = (
                f"{crossing.mark} % of the credits of {crossing.account} are used:"
                f" {crossing.balance} of {crossing.granted} are left"
            )
            await self._pace()
            await self._context.cluster.event(
                KIND, _body(key), REASONS[crossing.mark], message, warning=crossing.mark > 80
            )

    async def _show(self, writes: Iterable[StatusWrite], until: float) -> None:
        """Write in their order, until it is time for another look."""
        for write in writes:
            await self._pace()
            if monotonic() > until:
                return
            key = write.key
            try:
                await self._context.cluster.apply_status(
                    KIND, key.namespace, key.name, _status(key), BALANCE_FIELD_MANAGER
                )
            except ClusterUnavailable:
                raise
            except ClusterError as error:  # the others are not to wait for it
                _logger.warning(
                    "the balance of %s/%s cannot be shown: %s", key.namespace, key.name, error
                )
            self._written[_name(key)] = monotonic()

    async def _pace(self) -> None:
        """Wait for the next write's turn: they are spread evenly, and none is saved up."""
        await asyncio.sleep(max(0.0, self._next_write - monotonic()))
        self._next_write = monotonic() + 1 / self._context.settings.status_writes_per_second


def _name(key: KeyBalance) -> Name:
    return key.namespace, key.name


def _status(key: KeyBalance) -> dict[str, Any]:
    status: dict[str, Any] = {"balance": key.balance}
    if key.used_at is not None:
        status["lastUsedTime"] = timestamp(key.used_at)
    return status


def _body(key: KeyBalance) -> dict[str, Any]:
    return {"metadata": {"namespace": key.namespace, "name": key.name, "uid": key.uid}}
