"""One operator process: what it opens, what runs in it, and how it ends."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from gateway.errors import DatabaseUnavailable
from gateway.store.database import Database
from gateway_operator.cluster import Cluster, ClusterError
from gateway_operator.installation import open_installation
from gateway_operator.probes import Pulse, Readiness
from gateway_operator.release import release_if_doomed
from gateway_operator.settings import OperatorSettings
from gateway_operator.sweep import Sweep

_logger = logging.getLogger(__name__)
#: how long a handler waits for an installation that is not open yet
_OPEN_SECONDS = 20.0
_OPEN_RETRY_SECONDS = 3.0


class Process:
    """Opens the installation in the background, as the probes must answer meanwhile."""

    def __init__(self, settings: OperatorSettings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.pulse = Pulse(settings.sweep_seconds, settings.silence_seconds)
        self.sweep: Sweep | None = None
        #: set when the process has to end; `failure` says why
        self.ending = asyncio.Event()
        self.failure: Exception | None = None
        self._environment = environment
        self._cluster: Cluster | None = None
        self._database = Database(settings.database_url)
        self._readiness = Readiness(self.pulse, settings.readiness_port)
        self._is_open = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "the process was started"
        return self._cluster

    async def start(self) -> None:
        """Connect to the cluster and begin to open the installation."""
        self._cluster = await Cluster.connect(self._environment)
        await self._readiness.start()
        self._spawn(self._run())

    async def stop(self) -> None:
        """End what runs, and leave nothing that would hang."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        settings = self.settings
        await release_if_doomed(self.cluster, settings.namespace, settings.namespaces)
        await self._readiness.stop()
        await self.cluster.close()
        self._database.close()

    async def opened(self) -> Sweep:
        """The work that handlers hand over to. Raises `DatabaseUnavailable` after some time."""
        try:
            await asyncio.wait_for(self._is_open.wait(), _OPEN_SECONDS)
        except TimeoutError:
            raise DatabaseUnavailable("the operator still waits for its database") from None
        assert self.sweep is not None, "what is open has a sweep"
        return self.sweep

    async def _run(self) -> None:
        """Open the installation, then sweep. Only what cannot be mended by waiting ends it."""
        try:
            sweep = self.sweep = await self._open()
            self._is_open.set()
            self._spawn(sweep.run_pokes())
            self._spawn(sweep.run_fleets())
            await sweep.run()
        except Exception as error:  # noqa: BLE001  # told when the process has ended
            self.failure = error
            self.ending.set()

    async def _open(self) -> Sweep:
        while True:
            try:
                parts = await open_installation(self.cluster, self._database, self.settings)
                return Sweep(parts, self.pulse)
            except (DatabaseUnavailable, ClusterError) as error:
                _logger.warning("cannot open the installation yet: %s", error)
                self.pulse.turn()
                await asyncio.sleep(_OPEN_RETRY_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
