"""The context of an apply, where a story calls one itself instead of an operator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.core.keys import InstallationSecret
from gateway_operator.apply.object_locks import ObjectLocks
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reach import Reach
from gateway_operator.cluster import Cluster
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.probes import Liveness
from gateway_operator.settings import read_settings
from gateway_operator.sweep import Sweep
from gateway_operator.watched import WatchedObjects
from gateway_operator.work_queue import WorkQueue
from tests.reconcile.world import World


@asynccontextmanager
async def open_context(world: World, **settings: str) -> AsyncIterator[OperatorContext]:
    """Parts on a world's cluster and database; `settings` are variables without their prefix."""
    given = {f"FAREGATE_{name.upper()}": value for name, value in settings.items()}
    environment, metrics = {**world.environment, **given}, OperatorMetrics()
    cluster = await Cluster.connect(environment)
    try:
        yield OperatorContext(
            cluster=cluster,
            database=world.database,
            settings=read_settings(environment),
            secret=InstallationSecret("a secret that only the tests know, long enough"),
            reach=Reach(cluster, read_settings(environment), metrics),
            metrics=metrics,
            locks=ObjectLocks(metrics),
        )
    finally:
        await cluster.close()


def open_sweep(context: OperatorContext) -> Sweep:
    """The sweep of an operator that no watch has brought anything."""
    return Sweep(context, Liveness(1, 1), WatchedObjects(), WorkQueue(context.metrics))
