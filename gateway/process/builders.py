"""The three groups of parts that make a gateway, each built once and not changed afterwards.

    Telemetry ──▶ Storage ──▶ Serving
     what is       what is      what answers
     counted       remembered   clients

Owns what each part is given. The stack that a builder is handed closes what it opened.
"""

import secrets
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.console_spec import ConsoleSpec
from gateway.core.keys import PEPPER, InstallationSecret, credential_of
from gateway.core.pseudonyms import Pseudonyms
from gateway.core.seal import Sealer
from gateway.core.shares import Shares
from gateway.core.spec import FleetLimits, GatewayFleetSpec
from gateway.core.tokens import TokenCounter, VocabularyError
from gateway.dialects.base import Dialect
from gateway.dialects.chat.dialect import ChatDialect
from gateway.dialects.embeddings.dialect import EmbeddingsDialect
from gateway.dialects.messages.dialect import MessagesDialect
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.http.entrance import Application, Entrance
from gateway.http.routes.database_reads import DatabaseReads
from gateway.http.routes.free import CountedRoutes, FreeRoutes
from gateway.http.routes.services import FreeServices
from gateway.http.routes.token_counting import Counting
from gateway.pipeline.billing import Billing
from gateway.pipeline.documents.reader import DocumentReader
from gateway.pipeline.flow import Flow
from gateway.pipeline.key_cache import KeyCache
from gateway.pipeline.meter import Metering
from gateway.process.common_parts import Telemetry, make_accounts, open_key_cache
from gateway.process.expiries import Expiries
from gateway.process.router import Gateway, charged_paths
from gateway.process.settings import Settings, SettingsError
from gateway.store.database import Database
from gateway.store.database_thread import DatabaseThread
from gateway.store.leases import Owner
from gateway.store.ledger import Ledger
from gateway.store.opening import open_ledger, open_responses
from gateway.store.response_store import ResponseStore
from gateway.telemetry.metrics import Metrics
from gateway.upstream.registry import Upstreams

T = TypeVar("T")
R = TypeVar("R")


class Storage(Struct, frozen=True):
    """The database, and the parts that remember something in it or of it."""

    database: Database
    replica_id: str
    ledger: Ledger
    #: for the replica's own short questions
    thread: DatabaseThread
    key_cache: KeyCache
    #: None where responses are not stored
    responses: ResponseStore | None
    expiries: Expiries
    billing: Billing


class Serving(Struct, frozen=True):
    """The parts that answer clients."""

    flow: Flow
    gateway: Gateway


async def open_storage(
    stack: AsyncExitStack,
    limits: FleetLimits,
    database: Database,
    secret: InstallationSecret,
    metrics: Metrics,
) -> Storage:
    """Raises `DatabaseUnavailable` where the keys cannot be read."""
    replica_id = f"replica_{secrets.token_hex(8)}"
    reaped: list[Owner] = []
    ledger = await open_ledger(database, replica_id, reaped.append)
    thread, key_cache = await open_key_cache(stack, database, secret, metrics)
    responses = open_responses(
        database.url,
        Sealer(secret.envelope_key()),
        retention_days=limits.response_retention_days,
        bytes_max=limits.response_bytes,
        outage=database.outage,
    )
    if responses is not None:
        stack.push_async_callback(responses.close)
    expiries = Expiries(database)
    billing = Billing(ledger, expiries.expire, metrics)
    for owner in reaped:
        billing.reaped(owner)
    return Storage(database, replica_id, ledger, thread, key_cache, responses, expiries, billing)


def open_serving(
    settings: Settings,
    fleet: GatewayFleetSpec,
    catalog: Catalog,
    secret: InstallationSecret,
    upstreams: Upstreams,
    storage: Storage,
    telemetry: Telemetry,
    console: Application | None,
) -> Serving:
    """Raises `SettingsError` for a file that is no vocabulary."""
    limits, console_spec = fleet.limits, fleet.console or ConsoleSpec()
    memory = Shares(limits.buffered_bytes)
    worker_thread = WorkerThread()
    documents = DocumentReader()
    dialects = _dialects(secret, storage.responses, worker_thread)
    counter = _open_counter(settings.vocabulary_file)
    flow = Flow(
        key_cache=storage.key_cache,
        catalog=catalog,
        documents=documents,
        pseudonyms=Pseudonyms(secret.pseudonym_key()),
        admissions=upstreams.admissions,
        billing=storage.billing,
        limits=limits,
        metrics=telemetry.metrics,
        observer=telemetry.observer,
        memory=memory,
        worker_thread=worker_thread,
        metering=Metering(counter, worker_thread),
        contact=console_spec.contact,
    )
    services = FreeServices(
        catalog=catalog,
        reads=DatabaseReads(storage.database),
        responses=storage.responses,
        limits=limits,
        memory=memory,
        worker_thread=worker_thread,
        counting=Counting(counter, documents, catalog, dialects, upstreams, worker_thread),
        installation=settings.installation,
        credential_of=partial(credential_of, secret.pepper(PEPPER)),
        console=console_spec,
    )
    free = FreeRoutes(services, make_accounts)
    entrance = Entrance(free, storage.key_cache, flow.throttle, console_spec.contact)
    metrics, observer = telemetry.metrics, telemetry.observer
    gateway = Gateway(
        flow,
        charged_paths(list(dialects.values())),
        CountedRoutes(entrance, metrics, observer),
        None if console is None else CountedRoutes(console, metrics, observer),
    )
    return Serving(flow, gateway)


def _dialects(
    secret: InstallationSecret, responses: ResponseStore | None, worker_thread: WorkerThread
) -> dict[str, Dialect]:
    sealer = Sealer(secret.envelope_key())
    return {
        "chat": ChatDialect(worker_thread),
        "responses": ResponsesDialect(sealer, responses, worker_thread),
        "messages": MessagesDialect(sealer, worker_thread),
        "embeddings": EmbeddingsDialect(worker_thread),
    }


def _open_counter(vocabulary_file: str | None) -> TokenCounter:
    if vocabulary_file is None:
        return TokenCounter()
    try:
        return TokenCounter(Path(vocabulary_file).read_bytes())
    except (OSError, VocabularyError) as error:
        raise SettingsError(
            f"FAREGATE_VOCABULARY_FILE is no vocabulary: {vocabulary_file}: {error}"
        ) from None
