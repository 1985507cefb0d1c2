"""What a replica does beside serving: its lease, the reaping of dead ones, expiries, last uses."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.errors import DatabaseUnavailable
from gateway.expiries import Expiries
from gateway.keyring import Keyring
from gateway.store.database import Database
from gateway.store.keys import note_use
from gateway.store.leases import reap_dead_replicas, reap_unknown, renew_lease
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


class Upkeep:
    """The background tasks of one replica. None of them may end the process."""

    HOUSEKEEPING_SECONDS = 60.0

    def __init__(
        self,
        database: Database,
        replica_id: str,
        keyring: Keyring,
        expiries: Expiries,
        metrics: Metrics,
        known_requests: Callable[[], set[str]],
        *,
        lease_seconds: float,
        heartbeat_seconds: float,
        unconfirmed_seconds: float,
        purge: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._database = database
        self._replica_id = replica_id
        self._keyring = keyring
        self._expiries = expiries
        self._metrics = metrics
        self._known_requests = known_requests
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._unconfirmed_seconds = unconfirmed_seconds
        self._purge = purge
        #: since when, without a gap, the heartbeats have succeeded; None after one that did not
        self._alive_since: float | None = None
        self._last_beat = time.monotonic()

    async def run(self) -> None:
        """Run all tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(Keyring.POLL_SECONDS, self._keyring.poll))
            group.create_task(self._every(self._heartbeat_seconds, self._beat))
            group.create_task(self._every(self._lease_seconds / 4, self._reap))
            group.create_task(self._every(self.HOUSEKEEPING_SECONDS, self._keep_house))

    async def beat(self) -> None:
        """Renew the lease. Raises `DatabaseUnavailable`."""
        now = time.monotonic()
        if now - self._last_beat > self._lease_seconds:
            self._alive_since = None  # this process stood still: others may have reaped it
        self._last_beat = now
        await asyncio.to_thread(renew_lease, self._database, self._replica_id)
        if self._alive_since is None:
            self._alive_since = now

    async def _beat(self) -> None:
        try:
            await self.beat()
        except DatabaseUnavailable:
            self._alive_since = None
            raise

    async def _reap(self) -> None:
        # Whoever could not reach the database for a while must not judge others by it.
        alive_since = self._alive_since
        if alive_since is None or time.monotonic() - alive_since < self._lease_seconds:
            return
        reaped = await asyncio.to_thread(reap_dead_replicas, self._database, self._lease_seconds)
        known = self._known_requests()
        reaped += await asyncio.to_thread(
            reap_unknown, self._database, self._replica_id, known, self._unconfirmed_seconds
        )
        if reaped:
            _log.warning("%d requests of dead replicas or lost commits were refunded", reaped)

    async def _keep_house(self) -> None:
        used, self._keyring.used = self._keyring.used, set()
        if used:
            await asyncio.to_thread(note_use, self._database, sorted(used))
        await self._expiries.expire_all()
        if self._purge is not None:
            await self._purge()

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        failing = False
        while True:
            due = time.monotonic() + seconds
            await asyncio.sleep(seconds)
            self._metrics.loop_delayed(max(0.0, time.monotonic() - due))
            try:
                await act()
                failing = False
            except DatabaseUnavailable as error:
                self._metrics.database_failed(1)
                if not failing:  # said once, not with every try
                    _log.warning("%s fails: %s", act.__name__, error)
                failing = True
            except Exception:  # noqa: BLE001  # the edge: upkeep goes on after a bug
                _log.exception("upkeep met a bug")
