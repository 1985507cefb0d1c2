"""The services of the routes of accounts, put together once. Must not import their framework."""

from collections.abc import Callable

from msgspec import Struct

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.console_spec import ConsoleSpec
from gateway.core.keys import Credential
from gateway.core.shares import Shares
from gateway.core.spec import FleetLimits
from gateway.http.routes.database_reads import DatabaseReads


class AccountServices(Struct, frozen=True, kw_only=True):
    """The parts that the routes of accounts use."""

    catalog: Catalog
    reads: DatabaseReads
    limits: FleetLimits
    #: the bytes that all buffered bodies of this replica may hold together
    memory: Shares
    worker_thread: WorkerThread
    installation: str
    #: what is kept of a key's plaintext
    credential_of: Callable[[str], Credential]
    console: ConsoleSpec
