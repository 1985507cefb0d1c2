"""The background work of a replica: keys, its lease, the dead, expiries and last uses."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from gateway.pipeline.key_cache import KeyCache
from gateway.process.common_parts import note_uses
from gateway.process.expiries import Expiries
from gateway.process.reaper import Reaper
from gateway.process.rounds import Rounds
from gateway.process.webhooks import Webhook
from gateway.store.database import Database
from gateway.store.usage_rounds import ROUND_SECONDS, count_usage
from gateway.telemetry.metrics import Metrics


class Maintenance:
    """The background tasks of one replica. None of them may end the process."""

    HOUSEKEEPING_SECONDS = 60.0

    def __init__(
        self,
        database: Database,
        key_cache: KeyCache,
        expiries: Expiries,
        reaper: Reaper,
        metrics: Metrics,
        *,
        heartbeat_seconds: float,
        purge: Callable[[], Awaitable[object]] | None = None,
        counts_usage_of: str | None = None,
        request_days: int = 0,
        webhook: Webhook | None = None,
    ) -> None:
        self._database = database
        self._key_cache = key_cache
        self._expiries = expiries
        self._reaper = reaper
        self._metrics = metrics
        self._heartbeat_seconds = heartbeat_seconds
        self._purge = purge
        self._counts_usage_of = counts_usage_of
        self._request_days = request_days
        self._webhook = webhook

    async def run(self) -> None:
        """Run all tasks until cancelled."""
        reaper, beat_seconds = self._reaper, self._heartbeat_seconds
        every = Rounds(self._metrics).every
        async with asyncio.TaskGroup() as group:
            group.create_task(every(lambda: KeyCache.POLL_SECONDS, self._key_cache.poll))
            group.create_task(every(lambda: beat_seconds, reaper.renew_lease))
            group.create_task(every(lambda: reaper.pause_seconds, reaper.reap))
            group.create_task(every(lambda: self.HOUSEKEEPING_SECONDS, self._clean_up))
            if self._counts_usage_of is not None:
                count = partial(self._count_usage, self._counts_usage_of)
                group.create_task(every(lambda: ROUND_SECONDS, count))
            if self._webhook is not None:
                group.create_task(every(lambda: Webhook.LOOK_SECONDS, self._webhook.look))
                group.create_task(every(lambda: Webhook.SEND_SECONDS, self._webhook.send_due))

    async def renew_lease(self) -> None:
        """Renew the lease for the first time. Raises `DatabaseUnavailable`."""
        await self._reaper.renew_lease()

    async def _clean_up(self) -> None:
        await note_uses(self._database, self._key_cache)
        await self._expiries.expire_all()
        if self._purge is not None:
            await self._purge()

    async def _count_usage(self, installation: str) -> None:
        """Count what is new; with an operator, that does it."""
        found = await asyncio.to_thread(
            count_usage, self._database, installation, request_days=self._request_days
        )
        if found.is_complete:
            self._metrics.usage_counted()
