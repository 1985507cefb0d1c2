"""One operator process: what it opens, what runs in it, and how it ends."""

import asyncio
import base64
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
)
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from gateway.core.errors import DatabaseUnavailable
from gateway.store.database import Database, trimmed
from gateway.store.usage_rounds import ROUND_SECONDS
from gateway_operator.apply.audit import Auditor
from gateway_operator.apply.balances import Balances
from gateway_operator.apply.figures import count_news, read_figures
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.periodic import repeat
from gateway_operator.apply.reach import Reach
from gateway_operator.apply.tombstones import LOOK_SECONDS, Tombstones
from gateway_operator.cluster import Cluster, ClusterError
from gateway_operator.installation import open_installation
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.probes import Liveness, ProbeServer
from gateway_operator.release import release_if_doomed
from gateway_operator.resources.apikey import KIND as API_KEY
from gateway_operator.resources.names import APIKEY_LABEL, HEARTBEAT_ANNOTATION, HEARTBEAT_LABEL
from gateway_operator.settings import OperatorSettings, is_postgres
from gateway_operator.sweep import Sweep
from gateway_operator.watched import WatchedObjects
from gateway_operator.work_queue import Job, WorkQueue
from gateway_operator.workers import Workers, is_due

_logger = logging.getLogger(__name__)
#: objects that are worked on at once
_WORKERS = 8
#: the time after a start that work waits for an installation that is not open yet
_OPEN_SECONDS = 20.0
_OPEN_SECONDS_MIN = 0.1
_OPEN_RETRY_SECONDS = 3.0
#: the interval at which liveness is kept green meanwhile
_PROGRESS_SECONDS_MAX = 1.0
#: the interval at which fleets are checked
_FLEET_SECONDS = 10.0
#: the interval at which namespaces are asked
_NAMESPACES_SECONDS = 15.0
#: events of a watch (Kubernetes API concepts, "Efficient detection of changes")
_ADDED, _DELETED = "ADDED", "DELETED"

Watch = Callable[[Collection[str]], Awaitable[None]]


class OperatorProcess:
    """Opens the installation in the background, as the probes must answer meanwhile."""

    def __init__(self, settings: OperatorSettings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.liveness = Liveness(settings.sweep_seconds, settings.silence_seconds)
        self._sweep: Sweep | None = None
        self._seen = WatchedObjects()
        #: set when the process has to end; `failure` is the reason
        self.ending = asyncio.Event()
        self.failure: Exception | None = None
        self._environment = environment
        self._cluster: Cluster | None = None
        self._reach: Reach | None = None
        self._database = Database(settings.database_url)
        self._metrics = OperatorMetrics()
        self._queue = WorkQueue(self._metrics)
        ports = (settings.liveness_port, settings.readiness_port)
        self._operations = ProbeServer(self.liveness, self._expose, ports)
        self._is_open = asyncio.Event()
        self._open_until = 0.0
        #: why not, as the last attempt has found
        self._waits_for = ""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "the process was started"
        return self._cluster

    async def start(self, watch: Watch) -> None:
        """Connect to the cluster and begin to open the installation.

        `watch` is called with the namespaces to watch, at once and whenever others are served.
        """
        self._open_until = asyncio.get_running_loop().time() + _OPEN_SECONDS
        self._cluster = cluster = await Cluster.connect(self._environment)
        await self._operations.start()
        self._reach = reach = Reach(cluster, self.settings, self._metrics)
        await reach.look()
        await watch(reach.served)
        self._spawn(self._run(reach))
        workers = Workers(self._queue, cluster, self._opened)
        for _ in range(_WORKERS):
            self._spawn(workers.run())
        self._spawn(repeat("reading the database's Secret", _FLEET_SECONDS, self._follow_password))
        if reach.served:
            looks = partial(self._look_around, reach, watch)
            self._spawn(repeat("looking at the namespaces", _NAMESPACES_SECONDS, looks))

    async def stop(self) -> None:
        """End what runs, and leave nothing that would hang."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        settings = self.settings
        await release_if_doomed(self.cluster, settings.namespace, settings.namespaces)
        await self._operations.stop()
        await self.cluster.close()
        self._database.close()

    def saw(self, kind: str, event: str | None, body: dict[str, Any]) -> None:
        """A watch has brought an object; `event` is None in the list that it begins with."""
        metadata = body["metadata"]
        job = Job(kind, metadata["namespace"], metadata["name"])
        if event == _DELETED:
            self._seen.lost(kind, (job.namespace, job.name))
            return
        self._seen.saw(kind, body)
        if is_due(kind, body):
            self._queue.add(job, is_ending="deletionTimestamp" in metadata)

    def saw_secret(self, event: str | None, body: dict[str, Any]) -> None:
        """The watch has brought a Secret that holds a key, without what it holds."""
        metadata = body["metadata"]
        namespace, labels = metadata["namespace"], metadata.get("labels") or {}
        if HEARTBEAT_LABEL in labels and namespace == self.settings.namespace:
            annotations = metadata.get("annotations") or {}
            self.liveness.heartbeat_seen(annotations.get(HEARTBEAT_ANNOTATION))
        maker = labels.get(APIKEY_LABEL)
        if maker is not None and event != _ADDED:
            self._queue.add(Job(API_KEY, namespace, maker))
        for reader in self._seen.readers_of((namespace, metadata["name"])):
            self._queue.add(Job(API_KEY, *reader))

    async def _opened(self) -> Sweep:
        """All work, once it can be done. Raises `DatabaseUnavailable` where that takes long."""
        left = self._open_until - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._is_open.wait(), max(left, _OPEN_SECONDS_MIN))
        except TimeoutError:
            raise DatabaseUnavailable(
                "the operator still waits for its database", cause=self._waits_for
            ) from None
        assert self._sweep is not None, "what is open has a sweep"
        return self._sweep

    async def _look_around(self, reach: Reach, watch: Watch) -> None:
        """Begin with a namespace that can be served, and let go of one that cannot."""
        if await reach.look():
            await watch(reach.served)
            if self._sweep is not None:
                self._sweep.request()

    async def _follow_password(self) -> None:
        """Connect by what the database's Secret holds now, as passwords rotate.

        Raises `ClusterError`.
        """
        settings = self.settings
        secret = await self.cluster.get("Secret", settings.namespace, settings.database_secret_name)
        held = ((secret or {}).get("data") or {}).get(settings.database_secret_key)
        url = trimmed(base64.b64decode(held).decode()) if held else ""
        if is_postgres(url) and url != self._database.url:
            self._database.move(url)
            _logger.info("the Secret of the database has changed: connecting by what it holds now")

    async def _run(self, reach: Reach) -> None:
        """Open the installation, then sweep. Only an error that waiting cannot end ends it."""
        try:
            sweep = self._sweep = await self._open(reach)
            self._is_open.set()
            self._spawn(repeat("looking at the fleets", _FLEET_SECONDS, sweep.check_fleets))
            self._spawn_ledger_checks(sweep.context)
            await sweep.run()
        except Exception as error:  # noqa: BLE001  # raised when the process has ended
            self.failure = error
            self.ending.set()

    def _spawn_ledger_checks(self, context: OperatorContext) -> None:
        settings, figures = self.settings, partial(read_figures, context)
        self._spawn(repeat("the audit", settings.audit_seconds, Auditor(context).check))
        dead = Tombstones(context).look
        self._spawn(repeat("keeping revoked keys dead", LOOK_SECONDS, dead))
        self._spawn(repeat("counting usage", ROUND_SECONDS, partial(count_news, context)))
        self._spawn(repeat("reading figures", settings.balance_seconds, figures))
        self._spawn(self._show_balances(Balances(context, self._seen.shown)))

    async def _show_balances(self, balances: Balances) -> None:
        await self._seen.complete.wait()
        await repeat("showing balances", self.settings.balance_seconds, balances.check)

    async def _expose(self) -> bytes:
        """The metrics: what the watches have seen is counted here, the text is made elsewhere."""
        served = () if self._reach is None else self._reach.served
        self._metrics.saw_objects(self._seen.by_reason(served))
        return await asyncio.to_thread(self._metrics.exposition)

    async def _open(self, reach: Reach) -> Sweep:
        while True:
            try:
                async with self._reporting_progress():
                    context = await open_installation(
                        self.cluster, self._database, self.settings, self._metrics, reach
                    )
                return Sweep(context, self.liveness, self._seen, self._queue)
            except (DatabaseUnavailable, ClusterError) as error:
                if str(error) != self._waits_for:  # once, not with every try
                    _logger.warning("cannot open the installation yet: %s", error)
                self._waits_for = str(error)
                await asyncio.sleep(_OPEN_RETRY_SECONDS)

    @asynccontextmanager
    async def _reporting_progress(self) -> AsyncIterator[None]:
        """Keep liveness green: a step of the schema may take long, and a restart would begin it
        again."""

        async def turn() -> None:
            while True:
                self.liveness.loop_progress()
                await asyncio.sleep(_PROGRESS_SECONDS_MAX)

        turns = asyncio.create_task(turn())
        try:
            yield
        finally:
            turns.cancel()
            self.liveness.loop_progress()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
