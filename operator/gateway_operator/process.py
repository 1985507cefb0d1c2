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
    Iterable,
    Mapping,
)
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from gateway.core.errors import DatabaseUnavailable
from gateway.store.database import Database
from gateway.store.usage_rounds import ROUND_SECONDS
from gateway_operator.apply.audit import Auditor
from gateway_operator.apply.balances import Balances
from gateway_operator.apply.figures import read_figures
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.periodic import repeat
from gateway_operator.apply.reach import Reach
from gateway_operator.apply.usage import count_news
from gateway_operator.cluster import Cluster, ClusterError
from gateway_operator.installation import open_installation
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.plan.balances import ShownFigures
from gateway_operator.plan.orphans import Name
from gateway_operator.probes import Liveness, ProbeServer
from gateway_operator.release import release_if_doomed
from gateway_operator.settings import OperatorSettings, is_postgres
from gateway_operator.sweep import Sweep

_logger = logging.getLogger(__name__)
#: the time that a handler waits for an installation that is not open yet
_OPEN_SECONDS = 20.0
_OPEN_RETRY_SECONDS = 3.0
#: the interval at which liveness is kept green meanwhile
_PROGRESS_SECONDS_MAX = 1.0
#: the interval at which fleets are checked
_FLEET_SECONDS = 10.0
#: the interval at which namespaces are asked
_NAMESPACES_SECONDS = 15.0

Watch = Callable[[Collection[str]], Awaitable[None]]


class WatchedObjects:
    """The objects as the watches have brought them last; both mappings are kept up to date.

    `reasons`: by kind, the namespaces of the objects of each reason to be ready or not. `figures`:
    what the status of an ApiKey shows, in a collection of one.
    """

    def __init__(
        self,
        reasons: Mapping[str, Mapping[str, Collection[str]]],
        figures: Mapping[Name, Iterable[ShownFigures]],
    ) -> None:
        self._reasons = reasons
        self._figures = figures

    def by_reason(self, served: Collection[str]) -> dict[tuple[str, str], int]:
        """The number of objects by kind and reason, of these namespaces or of all."""
        return {
            (kind, reason): sum(not served or namespace in served for namespace in namespaces)
            for kind, by_reason in self._reasons.items()
            for reason, namespaces in by_reason.items()
        }

    def shown(self) -> dict[Name, ShownFigures]:
        """The figures in the statuses of all ApiKeys."""
        return {name: shown for name, each in self._figures.items() for shown in each}


class OperatorProcess:
    """Opens the installation in the background, as the probes must answer meanwhile."""

    def __init__(self, settings: OperatorSettings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.liveness = Liveness(settings.sweep_seconds, settings.silence_seconds)
        self.sweep: Sweep | None = None
        #: set when the process has to end; `failure` is the reason
        self.ending = asyncio.Event()
        self.failure: Exception | None = None
        self._environment = environment
        self._cluster: Cluster | None = None
        self._reach: Reach | None = None
        self._database = Database(settings.database_url)
        self._metrics = OperatorMetrics()
        ports = (settings.liveness_port, settings.readiness_port)
        self._operations = ProbeServer(self.liveness, self._expose, ports)
        self._seen = WatchedObjects({}, {})
        self._is_open = asyncio.Event()
        #: why not, as the last attempt has found
        self._waits_for = ""
        self._has_seen_all = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "the process was started"
        return self._cluster

    async def start(self, seen: WatchedObjects, watch: Watch) -> None:
        """Connect to the cluster and begin to open the installation.

        `watch` is called with the namespaces to watch, at once and whenever others are served.
        """
        self._seen = seen
        self._cluster = cluster = await Cluster.connect(self._environment)
        await self._operations.start()
        self._reach = reach = Reach(cluster, self.settings, self._metrics)
        await reach.look()
        await watch(reach.served)
        self._spawn(self._run(reach))
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

    def set_seen_all(self) -> None:
        """The watches have brought every object that there was at the start."""
        self._has_seen_all.set()

    async def opened(self) -> Sweep:
        """The work that handlers hand over to. Raises `DatabaseUnavailable` after some time."""
        try:
            await asyncio.wait_for(self._is_open.wait(), _OPEN_SECONDS)
        except TimeoutError:
            raise DatabaseUnavailable(
                "the operator still waits for its database", cause=self._waits_for
            ) from None
        assert self.sweep is not None, "what is open has a sweep"
        return self.sweep

    async def _look_around(self, reach: Reach, watch: Watch) -> None:
        """Begin with a namespace that can be served, and let go of one that cannot."""
        if await reach.look():
            await watch(reach.served)
            if self.sweep is not None:
                self.sweep.request()

    async def _follow_password(self) -> None:
        """Connect by what the database's Secret holds now, as passwords rotate.

        Raises `ClusterError`.
        """
        settings = self.settings
        secret = await self.cluster.get("Secret", settings.namespace, settings.database_secret_name)
        held = ((secret or {}).get("data") or {}).get(settings.database_secret_key)
        url = base64.b64decode(held).decode() if held else ""
        if is_postgres(url) and url != self._database.url:
            self._database.move(url)
            _logger.info("the Secret of the database has changed: connecting by what it holds now")

    async def _run(self, reach: Reach) -> None:
        """Open the installation, then sweep. Only an error that waiting cannot end ends it."""
        try:
            sweep = self.sweep = await self._open(reach)
            self._is_open.set()
            self._spawn(sweep.run_queue())
            self._spawn(repeat("looking at the fleets", _FLEET_SECONDS, sweep.check_fleets))
            self._spawn_ledger_checks(sweep.context)
            await sweep.run()
        except Exception as error:  # noqa: BLE001  # raised when the process has ended
            self.failure = error
            self.ending.set()

    def _spawn_ledger_checks(self, context: OperatorContext) -> None:
        settings, figures = self.settings, partial(read_figures, context)
        self._spawn(repeat("the audit", settings.audit_seconds, Auditor(context).check))
        self._spawn(repeat("counting usage", ROUND_SECONDS, partial(count_news, context)))
        self._spawn(repeat("reading figures", settings.balance_seconds, figures))
        self._spawn(self._show_balances(Balances(context, self._seen.shown)))

    async def _show_balances(self, balances: Balances) -> None:
        await self._has_seen_all.wait()
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
                return Sweep(context, self.liveness)
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
