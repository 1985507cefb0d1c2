"""The context of all work: the cluster, the database, the settings, the metrics, the locks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from msgspec import Struct

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.core.keys import InstallationSecret
from gateway.store.database import ADMIN_CONNECTIONS, Database
from gateway_operator.apply.object_locks import ObjectLocks
from gateway_operator.apply.reach import Reach
from gateway_operator.cluster import Cluster
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.plan.fleet import Child, Identity
from gateway_operator.settings import OperatorSettings

P = ParamSpec("P")
T = TypeVar("T")
Body = dict[str, Any]


class OperatorContext(Struct, frozen=True, kw_only=True):
    """One of these per process."""

    cluster: Cluster
    database: Database
    settings: OperatorSettings
    secret: InstallationSecret
    reach: Reach
    metrics: OperatorMetrics
    locks: ObjectLocks
    #: by namespace and name of the fleet, the children that admission changed as they were applied
    admitted: dict[tuple[str, str], dict[Identity, Child]] = msgspec.field(default_factory=dict)
    #: as many threads as the database has connections for us; the others wait their turn
    connections: asyncio.Semaphore = msgspec.field(
        default_factory=lambda: asyncio.Semaphore(ADMIN_CONNECTIONS)
    )

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run a blocking function of the store in a thread."""
        async with self.connections:
            try:
                answer = await asyncio.to_thread(function, *arguments, **named)
            except DatabaseUnavailable as error:
                self.metrics.database_answered(isinstance(error, DatabaseBusy))
                raise
        self.metrics.database_answered(True)
        return answer

    async def ask(
        self,
        function: Callable[Concatenate[Database, str, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """As `run`, of this installation in its database."""
        installation = self.settings.installation
        return await self.run(function, self.database, installation, *arguments, **named)

    @asynccontextmanager
    async def living(self, kind: str, namespace: str, name: str) -> AsyncIterator[Body | None]:
        """One's turn on an object, as it is then; None where it is gone, or going."""
        async with self.locks.hold(kind, namespace, name):
            body = await self.cluster.get(kind, namespace, name)
            is_gone = body is None or body["metadata"].get("deletionTimestamp")
            yield None if is_gone else body
