"""The parts that a gateway and a console of its own have in common.

Must not import what serves charged requests.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from msgspec import Struct

from gateway.core.keys import PEPPER, InstallationSecret
from gateway.http.entrance import Application
from gateway.http.routes.account_services import AccountServices
from gateway.pipeline.key_cache import KeyCache
from gateway.process.settings import Settings, SettingsError, collected_signals
from gateway.store.cached_keys import read_by_hash, read_changes
from gateway.store.database import Database
from gateway.store.database_thread import DatabaseThread, DatabaseThreads
from gateway.store.key_uses import note_use
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observers import RequestObserver, open_observer


class Telemetry(Struct, frozen=True):
    """The parts that count and report requests."""

    metrics: Metrics
    #: None where neither an access log nor a collector is asked for
    observer: RequestObserver | None


def open_telemetry(
    stack: AsyncExitStack, settings: Settings, environment: Mapping[str, str]
) -> Telemetry:
    """Raises `SettingsError` for a collector without OpenTelemetry."""
    try:
        observer, close = open_observer(settings.access_log, collected_signals(environment))
    except ImportError:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT names a collector of traces, but OpenTelemetry is"
            " not installed: pip install 'faregate[otel]'"
        ) from None
    stack.callback(close)
    return Telemetry(Metrics(), observer)


async def open_key_cache(
    stack: AsyncExitStack, database: Database, secret: InstallationSecret, metrics: Metrics
) -> tuple[DatabaseThread, KeyCache]:
    """The keys in memory, and the thread that reads them.

    Raises `DatabaseUnavailable` where they cannot be read.
    """
    thread = DatabaseThread(database, "maintenance")
    stack.callback(thread.close)
    # Clients cause them: nothing else waits for one.
    look_ups = DatabaseThreads(database, "look-ups")
    key_cache = KeyCache(
        {PEPPER: secret.pepper(PEPPER)},
        lambda since: thread.run(read_changes, since),
        lambda hashes: look_ups.run(read_by_hash, hashes),
        metrics,
    )
    metrics.key_poll_age = lambda: key_cache.age_seconds
    await key_cache.poll()
    return thread, key_cache


async def note_uses(database: Database, key_cache: KeyCache) -> None:
    """Write when keys were used since the last time. Raises `DatabaseUnavailable`."""
    used, key_cache.used = key_cache.used, {}
    if used:
        await asyncio.to_thread(note_use, database, sorted(used))


def make_accounts(services: AccountServices) -> Application:
    """The routes of `/api/v1`."""
    # With SQLModel, which few replicas ever need.
    from gateway.console.api.application import account_app

    return account_app(services)
