"""The services of the free routes, put together once. Must not import their framework."""

from collections.abc import Callable

from msgspec import Struct

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.key_policy import KeyPolicy
from gateway.core.keys import Credential
from gateway.core.shares import Shares
from gateway.core.spec import FleetLimits
from gateway.dialects.responses.stored_responses import ResponseState
from gateway.http.routes.database_reads import DatabaseReads
from gateway.http.routes.token_counting import Counting


class FreeServices(Struct, frozen=True):
    """The parts of a gateway that the free routes use."""

    catalog: Catalog
    reads: DatabaseReads
    responses: ResponseState | None
    limits: FleetLimits
    #: the bytes that all buffered bodies of this replica may hold together
    memory: Shares
    worker_thread: WorkerThread
    counting: Counting
    installation: str
    #: what is kept of a key's plaintext
    credential_of: Callable[[str], Credential]
    key_policy: KeyPolicy
