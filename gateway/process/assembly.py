"""One gateway process from start to drained: puts the parts together and runs them.

documents ─▶ database (lock, schema, secret) ─▶ keys and grants ─▶ ledger, upstreams, flow
    ─▶ two listeners and maintenance ─▶ signal ─▶ drain ─▶ everything written ─▶ end
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.core.catalog import Catalog
from gateway.core.errors import DatabaseUnavailable
from gateway.core.keys import InstallationSecret
from gateway.core.spec import GatewayFleet
from gateway.http.routes.operations import Operations
from gateway.pipeline.flow import Flow
from gateway.process.builders import Storage, open_serving, open_storage
from gateway.process.common_parts import open_telemetry
from gateway.process.listeners import Listeners, held_ports, why_not_ready
from gateway.process.maintenance import Maintenance
from gateway.process.reaper import Reaper
from gateway.process.settings import (
    CommandLine,
    Settings,
    UpstreamOverride,
    read_proxy,
)
from gateway.process.standalone.applied import Applied
from gateway.process.standalone.applier import AppliedFile, Applier
from gateway.process.standalone.credentials import UpstreamCredentials
from gateway.process.standalone.data_folder import DataFolder, open_database
from gateway.process.standalone.documents import SIMULATED, Documents
from gateway.process.standalone.file_watch import FileWatch
from gateway.process.upstreams import open_upstreams
from gateway.process.webhooks import Webhook, open_webhook
from gateway.store.account_balances import read_balances
from gateway.store.database import Database
from gateway.store.leases import end_lease
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.process_age import process_age_seconds

if TYPE_CHECKING:
    from gateway.console.site import Site

_log = logging.getLogger(__name__)

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
    #: of the console, for the one who started the gateway
    sign_in_link: str | None


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
        #: where the file is applied there is no operator, and this process does its work
        self._applies = command_line.apply or (settings.database_url or "sqlite:").startswith(
            "sqlite:"
        )
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
        applies = self._applies
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
            if applies:
                file = AppliedFile(applier, line.config, database, secret, url)
                applied = file.apply(documents)
                watch.start(file.apply_again, file.post_due)
                stack.push_async_callback(watch.close)
            # Before anybody is served: a start may fail, a gateway at work must not end by this.
            keys = applied.keys
            balances = read_balances(database, self._settings.installation) if keys else {}
            site, link = self._find_console(fleet, documents, database) if applies else (None, None)
            folder.note_console(None if site is None else site.origins[0])
            listeners = await self._assemble(
                stack, fleet, credentials, catalog, database, secret, site
            )
            is_simulated = any(up.url == SIMULATED for up in fleet.spec.upstreams)
            operations_url = _own_url(line.host, line.ops_port)
            url = fleet.spec.client_url or url
            started = Started(url, operations_url, fleet, applied, balances, is_simulated, link)
            yield started, listeners

    def _find_console(
        self, fleet: GatewayFleet, documents: Documents, database: Database
    ) -> tuple["Site | None", str | None]:
        """The place of the console in this process, and a link to it for who may see keys.

        With an operator it is a process of its own, and none of it is loaded here.
        """
        from gateway.process.console import make_sign_in_link, namespaces_of, site_of

        line, installation = self._command_line, self._settings.installation
        site = site_of(fleet.spec, line)
        if site is None or not line.show_keys:
            return site, None
        namespaces = namespaces_of(documents)
        return site, make_sign_in_link(database, installation, site, "treasurer", namespaces)

    async def _assemble(
        self,
        stack: AsyncExitStack,
        fleet: GatewayFleet,
        credentials: UpstreamCredentials,
        catalog: Catalog,
        database: Database,
        secret: InstallationSecret,
        site: "Site | None",
    ) -> Listeners:
        settings, limits = self._settings, fleet.spec.limits
        telemetry = open_telemetry(stack, settings, self._environment)
        metrics = telemetry.metrics
        storage = await open_storage(stack, limits, database, secret, metrics)
        upstreams = await open_upstreams(stack, fleet.spec, credentials.of, metrics, self._proxy)
        console = None
        if site is not None:
            from gateway.process.console import open_console

            given = credentials.of_console()
            console = open_console(stack, site, settings, fleet.spec, given, database.url, secret)
        serving = open_serving(
            settings, fleet.spec, catalog, secret, upstreams, storage, telemetry, console
        )
        webhook = open_webhook(
            stack,
            fleet,
            credentials.of_webhook(),
            database,
            settings.installation,
            metrics,
            self._proxy,
        )
        await self._live(stack, storage, serving.flow, metrics, webhook)
        listeners = Listeners(serving.flow.cut_all, fleet.spec.drain.seconds)
        why_not = partial(why_not_ready, listeners, storage.database, storage.key_cache)
        operations = Operations(metrics, why_not)
        await listeners.serve(self._command_line, settings, metrics, serving.gateway, operations)
        _log.info("ready %.2f s after the process began", process_age_seconds() or 0)
        _begin_collecting()
        return listeners

    async def _live(
        self,
        stack: AsyncExitStack,
        storage: Storage,
        flow: Flow,
        metrics: Metrics,
        webhook: Webhook | None,
    ) -> None:
        """Live from now on: seen by other replicas, and drained before it is gone."""
        ledger, responses = storage.ledger, storage.responses
        reaper = Reaper(
            storage.thread,
            ledger,
            storage.replica_id,
            lambda: {*flow.open_requests(), *ledger.pending()},
            lease_seconds=self._settings.lease_seconds,
            unconfirmed_seconds=self._settings.unconfirmed_seconds,
            refunded=storage.billing.reaped,
        )
        maintenance = Maintenance(
            storage.database,
            storage.key_cache,
            storage.expiries,
            reaper,
            metrics,
            heartbeat_seconds=self._settings.heartbeat_seconds,
            purge=None if responses is None else responses.purge,
            counts_usage_of=self._settings.installation if self._applies else None,
            request_days=self._settings.request_days,
            webhook=webhook,
        )
        await maintenance.renew_lease()
        stack.callback(_end_lease, storage.database, storage.replica_id)
        stack.push_async_callback(ledger.drain)
        task = asyncio.create_task(maintenance.run())
        stack.callback(task.cancel)


def _own_url(host: str, port: int) -> str:
    """The URL of the gateway for clients on this machine, also when it listens everywhere."""
    name = {"0.0.0.0": "127.0.0.1", "::": "localhost"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://{name}:{port}"


def _end_lease(database: Database, replica_id: str) -> None:
    # A lease that cannot be ended now is over by itself a minute later.
    with suppress(DatabaseUnavailable):
        end_lease(database, replica_id)


def _begin_collecting() -> None:
    # All objects so far stay: from here on the collector looks at what requests make, and not
    # several times within one.
    gc.freeze()
    gc.set_threshold(_COLLECTION_THRESHOLD)
    gc.enable()
