"""The registration of handlers: which event leads to which work. Nothing is decided here.

    Account, ApiKey, CreditAllowance,
    CreditGrant, GatewayFleet           kept in mind; queued where it is due
    Secret with our label               the ApiKeys that it belongs to are queued

kopf lists and watches, and writes nothing. The sweep that a start begins with finds what was missed
while nobody watched.
"""

from collections.abc import Collection
from typing import Any

import kopf

# The only way to have namespaces come and go that may not be watched themselves: kopf takes a
# description of the cluster from outside, and this is its type.
from kopf._cogs.structs.references import Insights, NamespaceName

from gateway_operator.login import log_in
from gateway_operator.process import OperatorProcess
from gateway_operator.resources.names import GROUP, VERSION

_PLURALS = {
    "Account": "accounts",
    "ApiKey": "apikeys",
    "CreditAllowance": "creditallowances",
    "CreditGrant": "creditgrants",
    "GatewayFleet": "gatewayfleets",
}


def register(registry: kopf.OperatorRegistry, process: OperatorProcess, insights: Insights) -> None:
    """All handlers of one process. `insights` holds the namespaces that kopf watches."""
    kopf.on.login(registry=registry)(log_in)

    async def watch(namespaces: Collection[str]) -> None:
        if namespaces:
            async with insights.revised:
                insights.namespaces.intersection_update(namespaces)
                insights.namespaces.update(map(NamespaceName, namespaces))
                insights.revised.notify_all()

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        await process.start(watch)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await process.stop()

    for kind, plural in _PLURALS.items():
        _register_objects(registry, process, kind, plural)

    @kopf.on.event("", "v1", "secrets", registry=registry, id="secret")
    async def secret_changed(event: kopf.RawEvent, **_: Any) -> None:
        process.saw_secret(event["type"], dict(event["object"]))


def _register_objects(
    registry: kopf.OperatorRegistry, process: OperatorProcess, kind: str, plural: str
) -> None:
    @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)
    async def object_changed(event: kopf.RawEvent, **_: Any) -> None:
        process.saw(kind, event["type"], dict(event["object"]))
