"""The console as a process of its own, beside gateways on one PostgreSQL.

file ─▶ database (schema, secret) ─▶ keys ─▶ pages and JSON ─▶ two listeners ─▶ signal ─▶ end

Serves `/console…` and `/api/v1/…`, and nothing of the request path: it has no ledger, no upstream
and none of their credentials, so that gateways feel nothing of its load or its end.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from msgspec import Struct

from gateway.console.site import Site, site_at
from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.console_spec import ConsoleSpec
from gateway.core.keys import PEPPER, InstallationSecret, credential_of
from gateway.core.limits import RefusalThrottle
from gateway.core.shares import Shares
from gateway.core.spec import GatewayFleet
from gateway.http.entrance import Entrance
from gateway.http.paths import is_console, without_slips
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.database_reads import DatabaseReads
from gateway.http.routes.free import CountedRoutes, LazyApplication
from gateway.http.routes.operations import Operations
from gateway.pipeline.connection import Receive, Scope, Send
from gateway.pipeline.key_cache import KeyCache
from gateway.process.common_parts import make_accounts, note_uses, open_key_cache, open_telemetry
from gateway.process.console import open_console
from gateway.process.listeners import Listeners, why_not_ready
from gateway.process.rounds import Rounds
from gateway.process.settings import CommandLine, Settings, SettingsError, UpstreamOverride
from gateway.process.standalone.credentials import UpstreamCredentials
from gateway.process.standalone.data_folder import DataFolder, database_url, open_database
from gateway.process.standalone.documents import read_documents
from gateway.process.standalone.secret_files import SecretFiles
from gateway.store.database import Database
from gateway.telemetry.process_age import process_age_seconds

_log = logging.getLogger(__name__)

#: a page or a download may take so long at the end
_DRAIN_SECONDS = 30.0
#: the interval at which the keys' last uses are written
_USES_SECONDS = 60.0


class _Paths(Struct, frozen=True):
    """The one ASGI callable: pages by their path, all else is the routes of accounts'."""

    pages: CountedRoutes
    accounts: CountedRoutes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if is_console(scope["path"]):
            return self.pages.serve(scope, receive, send)
        scope["path"] = without_slips(scope["path"])
        return self.accounts.serve(scope, receive, send)


class ConsoleProcess:
    """One process with a console."""

    def __init__(
        self, settings: Settings, command_line: CommandLine, environment: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._line = command_line
        self._environment = dict(environment)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[str, Listeners]]:
        """The URL of the pages of a started process; leaving the context lets go of everything.

        Raises `SpecError`, `SettingsError`, `SchemaError`, `WrongSecret` and `DatabaseUnavailable`,
        each with a sentence for the administrator.
        """
        settings, line = self._settings, self._line
        fleet = read_documents(line.config, strict=False).fleet
        console = fleet.spec.console
        if console is None or console.url is None:
            raise SettingsError(f"{line.config}: console.url is not set: no browser would find it")
        if database_url(settings, line.data).startswith("sqlite:"):
            raise SettingsError(
                "FAREGATE_DATABASE_URL is not set: a console of its own needs the gateways'"
                " PostgreSQL; on SQLite `serve` has the console in it"
            )
        site = site_at(console.url)
        async with AsyncExitStack() as stack:
            line.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = DataFolder(line.data)
            folder.note_console(site.origins[0])
            database, secret = open_database(settings, folder)
            stack.callback(database.close)
            yield site.url, await self._assemble(stack, fleet, site, database, secret)

    async def _assemble(
        self,
        stack: AsyncExitStack,
        fleet: GatewayFleet,
        site: Site,
        database: Database,
        secret: InstallationSecret,
    ) -> Listeners:
        settings, line, environment = self._settings, self._line, self._environment
        telemetry = open_telemetry(stack, settings, environment)
        metrics, observer = telemetry.metrics, telemetry.observer
        _, key_cache = await open_key_cache(stack, database, secret, metrics)
        secrets = SecretFiles(line.data / "secrets")
        credentials = UpstreamCredentials(fleet, UpstreamOverride(), secrets, environment)
        given = credentials.of_console()
        mount = open_console(
            stack, site, settings, fleet.spec, given, database.url, secret, is_standalone=False
        )
        services = _account_services(settings, fleet, database, secret)
        accounts = LazyApplication(partial(make_accounts, services))
        entrance = Entrance(accounts, key_cache, RefusalThrottle(), services.console.contact)
        paths = _Paths(
            CountedRoutes(mount, metrics, observer), CountedRoutes(entrance, metrics, observer)
        )
        rounds = asyncio.create_task(_keep_up(Rounds(metrics), database, key_cache))
        stack.callback(rounds.cancel)
        listeners = Listeners(lambda: None, _DRAIN_SECONDS)
        why_not = partial(why_not_ready, listeners, database, key_cache)
        await listeners.serve(line, settings, metrics, paths, Operations(metrics, why_not))
        _log.info("ready %.2f s after the process began", process_age_seconds() or 0)
        return listeners


def _account_services(
    settings: Settings, fleet: GatewayFleet, database: Database, secret: InstallationSecret
) -> AccountServices:
    limits = fleet.spec.limits
    return AccountServices(
        catalog=Catalog(fleet.spec),
        reads=DatabaseReads(database),
        limits=limits,
        memory=Shares(limits.buffered_bytes),
        worker_thread=WorkerThread(),
        installation=settings.installation,
        credential_of=partial(credential_of, secret.pepper(PEPPER)),
        console=fleet.spec.console or ConsoleSpec(),
    )


async def _keep_up(rounds: Rounds, database: Database, key_cache: KeyCache) -> None:
    """Follow the keys, and write when they were used, until cancelled."""
    note = partial(note_uses, database, key_cache)
    async with asyncio.TaskGroup() as group:
        group.create_task(rounds.every(lambda: KeyCache.POLL_SECONDS, key_cache.poll))
        group.create_task(rounds.every(lambda: _USES_SECONDS, note))
