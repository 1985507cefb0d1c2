"""One gateway process from start to drained: puts the parts together and runs them.

documents ─▶ database (lock, schema, secret) ─▶ keys and grants ─▶ ledger, upstreams, flow
    ─▶ two listeners and upkeep ─▶ signal ─▶ drain ─▶ everything written ─▶ end
"""

import asyncio
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

from msgspec import Struct

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import DatabaseUnavailable
from gateway.core.keys import PEPPER, InstallationSecret
from gateway.core.pseudonyms import Pseudonyms
from gateway.core.seal import Sealer
from gateway.core.shares import Shares
from gateway.core.spec import GatewayFleet
from gateway.core.tokens import TokenCounter, VocabularyError
from gateway.dialects.base import Dialect
from gateway.dialects.chat.dialect import ChatDialect
from gateway.dialects.messages.dialect import MessagesDialect
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.http.connection_admission import (
    OPERATIONS,
    ConnectionAdmission,
    ConnectionLimits,
    Reason,
    within_files,
)
from gateway.http.entrance import Entrance
from gateway.http.routes.database_reads import DatabaseReads
from gateway.http.routes.free import CountedRoutes, FreeRoutes
from gateway.http.routes.operations import Operations
from gateway.http.routes.services import FreeServices
from gateway.http.routes.token_counting import Counting
from gateway.pipeline.billing import Billing
from gateway.pipeline.documents.reader import DocumentReader
from gateway.pipeline.flow import Flow
from gateway.pipeline.key_cache import KeyCache
from gateway.process.expiries import Expiries
from gateway.process.listeners import Listeners, held_ports
from gateway.process.maintenance import Maintenance
from gateway.process.reaper import Reaper
from gateway.process.router import Gateway, charged_paths
from gateway.process.settings import (
    CommandLine,
    Settings,
    SettingsError,
    UpstreamOverride,
    collected_signals,
    read_proxy,
)
from gateway.process.standalone.applier import Applied, Applier
from gateway.process.standalone.credentials import UpstreamCredentials
from gateway.process.standalone.data_folder import DataFolder, open_database
from gateway.process.standalone.documents import SIMULATED, Documents
from gateway.process.standalone.file_watch import FileWatch
from gateway.process.upstreams import open_upstreams
from gateway.store.account_statement import read_balances
from gateway.store.cached_keys import read_by_hash, read_changes
from gateway.store.database import Database
from gateway.store.database_thread import DatabaseThread
from gateway.store.leases import Owner, end_lease
from gateway.store.ledger import Ledger
from gateway.store.opening import open_ledger, open_responses
from gateway.store.outage import Outage
from gateway.store.response_store import ResponseStore
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observers import RequestObserver, open_observer
from gateway.telemetry.process_age import process_age_seconds

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

#: objects more than were freed, after which the collector looks for cycles; requests make few
_COLLECTION_THRESHOLD = 10_000


class Started(Struct, frozen=True):
    """The facts about a gateway that listens."""

    url: str
    #: of health and metrics
    operations_url: str
    fleet: GatewayFleet
    applied: Applied
    #: credits by the account's shown name
    balances: dict[str, int]
    simulated: bool


class GatewayProcess:
    """One gateway process."""

    def __init__(
        self,
        settings: Settings,
        override: UpstreamOverride,
        command_line: CommandLine,
        environment: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._command_line = command_line
        self._environment = dict(environment)
        self._proxy = read_proxy(environment)
        self._applier = Applier(
            command_line.data, settings, override, environment, command_line.confirm_orphans
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Started, Listeners]]:
        """The started process; leaving the context writes everything and lets go of it.

        Raises `SpecError`, `SettingsError`, `SchemaError`, `WrongSecret` and `FolderInUse`, each
        with a sentence for the administrator.
        """
        line, applier = self._command_line, self._applier
        applies = line.apply or (self._settings.database_url or "sqlite:").startswith("sqlite:")
        watch = FileWatch(line.config)
        documents = applier.read(line.config, strict=applies)
        fleet = applier.fleet_of(documents)
        credentials = applier.credentials_of(documents)
        catalog = Catalog(fleet.spec)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(DataFolder(line.data))
            database, secret = open_database(self._settings, folder)
            stack.callback(database.close)
            line = stack.enter_context(held_ports(line))
            self._command_line = line
            url = folder.note_address(_own_url(line.host, line.port))
            applied = Applied([], [], [], [])
            apply = partial(applier.apply, database=database, secret=secret, url=url)
            if applies:
                applied = apply(documents)
                watch.start(self._apply_anew(documents, apply))
                stack.push_async_callback(watch.close)
            # Before anybody is served: a start may fail, a gateway at work must not end by this.
            keys = applied.keys
            balances = read_balances(database, self._settings.installation) if keys else {}
            listeners = await self._assemble(stack, fleet, credentials, catalog, database, secret)
            is_simulated = any(up.url == SIMULATED for up in fleet.spec.upstreams)
            operations_url = _own_url(line.host, line.ops_port)
            url = fleet.spec.client_url or url
            yield Started(url, operations_url, fleet, applied, balances, is_simulated), listeners

    def _apply_anew(
        self, started: Documents, apply: Callable[[Documents], Applied]
    ) -> Callable[[], Applied]:
        """Read the file as it is now, and apply its keys and grants."""

        def apply_now() -> Applied:
            documents = self._applier.read(self._command_line.config)
            if documents.fleet != started.fleet:
                _log.warning("the GatewayFleet of the file has changed; that takes a restart")
            return apply(documents)

        return apply_now

    async def _assemble(
        self,
        stack: AsyncExitStack,
        fleet: GatewayFleet,
        credentials: UpstreamCredentials,
        catalog: Catalog,
        database: Database,
        secret: InstallationSecret,
    ) -> Listeners:
        limits = fleet.spec.limits
        metrics = Metrics()
        replica_id = f"replica_{secrets.token_hex(8)}"
        reaped: list[Owner] = []
        ledger = await open_ledger(database, replica_id, reaped.append)
        database_thread = _open_database_thread(stack, database)
        key_cache = await _open_key_cache(database, database_thread, secret, metrics)
        responses = self._open_responses(stack, fleet, database, secret)
        expiries = Expiries(database)
        billing = Billing(ledger, expiries.expire, metrics)
        for owner in reaped:
            billing.reaped(owner)
        memory = Shares(limits.buffered_bytes)
        worker_thread = WorkerThread()
        counter = _open_counter(self._settings.vocabulary_file)
        documents = DocumentReader()
        upstreams = await open_upstreams(stack, fleet.spec, credentials.of, metrics, self._proxy)
        observer = self._open_observer(stack)
        flow = Flow(
            key_cache=key_cache,
            catalog=catalog,
            documents=documents,
            pseudonyms=Pseudonyms(secret.pseudonym_key()),
            admissions=upstreams.admissions,
            billing=billing,
            limits=limits,
            metrics=metrics,
            observer=observer,
            memory=memory,
            worker_thread=worker_thread,
        )
        reaper = self._open_reaper(database_thread, ledger, replica_id, flow, billing)
        maintenance = Maintenance(
            database,
            key_cache,
            expiries,
            reaper,
            metrics,
            heartbeat_seconds=self._settings.heartbeat_seconds,
            purge=None if responses is None else responses.purge,
        )
        await _begin(stack, maintenance, ledger, lambda: _end_lease(database, replica_id))
        dialects = _dialects(secret, responses, worker_thread)
        services = FreeServices(
            catalog=catalog,
            reads=DatabaseReads(database),
            responses=responses,
            limits=limits,
            memory=memory,
            worker_thread=worker_thread,
            counting=Counting(counter, documents, catalog, dialects, upstreams, worker_thread),
        )
        free = FreeRoutes(services)
        listeners = Listeners(flow, fleet.spec.drain.seconds)
        counted = CountedRoutes(Entrance(free, key_cache, flow.throttle), metrics, observer)
        gateway = Gateway(flow, charged_paths(list(dialects.values())), counted)
        operations = Operations(metrics, _readiness(listeners, key_cache, database.outage))
        await self._listen(listeners, gateway, operations, metrics)
        _log.info("ready %.2f s after the process began", process_age_seconds() or 0)
        finishing = asyncio.create_task(_finish_start(free))
        stack.callback(finishing.cancel)
        return listeners

    def _open_reaper(
        self,
        database_thread: DatabaseThread,
        ledger: Ledger,
        replica_id: str,
        flow: Flow,
        billing: Billing,
    ) -> Reaper:
        return Reaper(
            database_thread,
            ledger,
            replica_id,
            lambda: {*flow.open_requests(), *ledger.pending()},
            lease_seconds=self._settings.lease_seconds,
            unconfirmed_seconds=self._settings.unconfirmed_seconds,
            refunded=billing.reaped,
        )

    async def _listen(
        self, listeners: Listeners, gateway: Gateway, operations: Operations, metrics: Metrics
    ) -> None:
        line = self._command_line
        settings = self._settings
        limits = ConnectionLimits(
            connections=settings.connections,
            per_peer=settings.connections_per_peer,
            head_seconds=settings.head_seconds,
            unread_seconds=settings.unread_seconds,
        )
        clients = ConnectionAdmission(within_files(limits), metrics.cut)
        metrics.client_connections = lambda: clients.open
        metrics.may_cut(get_args(Reason))
        await listeners.open(
            line.host,
            (gateway, line.port, clients),
            (operations, line.ops_port, ConnectionAdmission(OPERATIONS, metrics.cut)),
        )

    def _open_observer(self, stack: AsyncExitStack) -> RequestObserver | None:
        try:
            signals = collected_signals(self._environment)
            observer, close = open_observer(self._settings.access_log, signals)
        except ImportError:
            raise SettingsError(
                "OTEL_EXPORTER_OTLP_ENDPOINT names a collector of traces, but OpenTelemetry is"
                " not installed: pip install 'faregate[otel]'"
            ) from None
        stack.callback(close)
        return observer

    def _open_responses(
        self,
        stack: AsyncExitStack,
        fleet: GatewayFleet,
        database: Database,
        secret: InstallationSecret,
    ) -> ResponseStore | None:
        store = open_responses(
            database.url,
            Sealer(secret.envelope_key()),
            retention_days=fleet.spec.limits.response_retention_days,
            bytes_max=fleet.spec.limits.response_bytes,
            outage=database.outage,
        )
        if store is not None:
            stack.push_async_callback(store.close)
        return store


async def _begin(
    stack: AsyncExitStack, maintenance: Maintenance, ledger: Ledger, end_lease: Callable[[], None]
) -> None:
    """Live from now on: seen by other replicas, and drained before it is gone."""
    await maintenance.renew_lease()
    stack.callback(end_lease)
    stack.push_async_callback(ledger.drain)
    task = asyncio.create_task(maintenance.run())
    stack.callback(task.cancel)


def _open_counter(vocabulary_file: str | None) -> TokenCounter:
    """The counter of this process. Raises `SettingsError` for a file that is no vocabulary."""
    if vocabulary_file is None:
        return TokenCounter()
    try:
        return TokenCounter(Path(vocabulary_file).read_bytes())
    except (OSError, VocabularyError) as error:
        raise SettingsError(
            f"FAREGATE_VOCABULARY_FILE is no vocabulary: {vocabulary_file}: {error}"
        ) from None


def _open_database_thread(stack: AsyncExitStack, database: Database) -> DatabaseThread:
    database_thread = DatabaseThread(database, "maintenance")
    stack.callback(database_thread.close)
    return database_thread


def _in_thread(
    name: str, function: Callable[[Database, T], R], database: Database
) -> Callable[[T], Awaitable[R]]:
    """A function of the store in a thread that it has to itself: clients bring it about."""
    thread = ThreadPoolExecutor(1, name)

    def run(argument: T) -> Awaitable[R]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(thread, function, database, argument)

    return run


def _dialects(
    secret: InstallationSecret, responses: ResponseStore | None, worker_thread: WorkerThread
) -> dict[str, Dialect]:
    sealer = Sealer(secret.envelope_key())
    return {
        "chat": ChatDialect(worker_thread),
        "responses": ResponsesDialect(sealer, responses, worker_thread),
        "messages": MessagesDialect(sealer, worker_thread),
    }


def _own_url(host: str, port: int) -> str:
    """The URL of the gateway for clients on this machine, also when it listens everywhere."""
    name = {"0.0.0.0": "127.0.0.1", "::": "localhost"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://{name}:{port}"


def _end_lease(database: Database, replica_id: str) -> None:
    # A lease that cannot be ended now is over by itself a minute later.
    with suppress(DatabaseUnavailable):
        end_lease(database, replica_id)


async def _open_key_cache(
    database: Database,
    database_thread: DatabaseThread,
    secret: InstallationSecret,
    metrics: Metrics,
) -> KeyCache:
    key_cache = KeyCache(
        {PEPPER: secret.pepper(PEPPER)},
        lambda since: database_thread.run(read_changes, since),
        _in_thread("look-ups", read_by_hash, database),
        metrics,
    )
    metrics.key_poll_age = lambda: key_cache.age_seconds
    await key_cache.poll()
    return key_cache


async def _finish_start(free: FreeRoutes) -> None:
    await free.load()
    # What was made so far stays: from here on the collector looks at what requests make, and not
    # several times within one.
    gc.freeze()
    gc.set_threshold(_COLLECTION_THRESHOLD)
    gc.enable()


def _readiness(
    listeners: Listeners, key_cache: KeyCache, outage: Outage
) -> Callable[[], str | None]:
    def why_not() -> str | None:
        if listeners.is_draining:
            return "draining"
        if outage.is_on:
            return "the database does not answer"
        return None if key_cache.is_loaded else "the keys are not loaded"

    return why_not
