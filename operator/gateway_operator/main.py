"""The registration of handlers: which event leads to which work. Nothing is decided here.

    ApiKey        created, changed     reconcile      deleted: revoke, by a finalizer
    CreditGrant   created, changed     reconcile      deleted: nothing, the money stays
    CreditAllowance   the same
    GatewayFleet  created, changed     reconcile, and a sweep for the addresses of the keys
    Secret        with our label       a check of the ApiKeys that it belongs to

Keys and grants that did not change while the operator was away are not handled one by one when
it starts: the sweep that a start begins with compares them all by a few lists.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import kopf

# The only way to have namespaces come and go that may not be watched themselves: kopf takes a
# description of the cluster from outside, and this is its type.
from kopf._cogs.structs.references import Insights, NamespaceName

from gateway.core.errors import DatabaseUnavailable
from gateway_operator.apply.fleet import reconcile_fleet
from gateway_operator.apply.reporting import report_waiting
from gateway_operator.cluster import ClusterError
from gateway_operator.conditions import ready_reason
from gateway_operator.login import log_in
from gateway_operator.plan.balances import ShownFigures, read_shown
from gateway_operator.process import OperatorProcess, WatchedObjects
from gateway_operator.resources.names import (
    APIKEY_LABEL,
    GROUP,
    HEARTBEAT_ANNOTATION,
    HEARTBEAT_LABEL,
    VERSION,
)
from gateway_operator.sweep import Sweep

_PLURALS = {
    "ApiKey": "apikeys",
    "CreditAllowance": "creditallowances",
    "CreditGrant": "creditgrants",
    "GatewayFleet": "gatewayfleets",
}
_DATABASE_UNAVAILABLE = "DatabaseUnavailable"
#: the shortest time until another attempt, and what chance adds to it at most
_RETRY_SECONDS = 8
_JITTER_SECONDS = 8


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
    async def start(**indices: Any) -> None:
        reasons = {kind: indices[f"{plural}-by-reason"] for kind, plural in _PLURALS.items()}
        await process.start(WatchedObjects(reasons, indices["shown"]), watch)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await process.stop()

    _register_keys(registry, process)
    _register_grants(registry, process)
    _register_allowances(registry, process)
    _register_fleets(registry, process)
    _register_secrets(registry, process)
    _register_indices(registry)


def _register_keys(registry: kopf.OperatorRegistry, process: OperatorProcess) -> None:
    @kopf.on.create(GROUP, VERSION, "apikeys", registry=registry, id="reconcile")
    @kopf.on.update(GROUP, VERSION, "apikeys", registry=registry, id="reconcile")
    async def reconcile_key(body: kopf.Body, **_: Any) -> None:
        await _attempt(process, "ApiKey", body, lambda sweep: sweep.keys.reconcile(*_name(body)))

    @kopf.on.delete(GROUP, VERSION, "apikeys", registry=registry, id="revoke")
    async def revoke_key(body: kopf.Body, uid: str, **_: Any) -> None:
        await _attempt(process, "ApiKey", body, lambda sweep: sweep.keys.revoke(*_name(body), uid))


def _register_grants(registry: kopf.OperatorRegistry, process: OperatorProcess) -> None:
    @kopf.on.create(GROUP, VERSION, "creditgrants", registry=registry, id="reconcile")
    @kopf.on.update(GROUP, VERSION, "creditgrants", registry=registry, id="reconcile")
    async def reconcile_grant(body: kopf.Body, **_: Any) -> None:
        async def work(sweep: Sweep) -> None:
            await sweep.grants.reconcile(*_name(body))
            sweep.request_at(sweep.grants.starts_at(dict(body)))

        await _attempt(process, "CreditGrant", body, work)


def _register_allowances(registry: kopf.OperatorRegistry, process: OperatorProcess) -> None:
    @kopf.on.create(GROUP, VERSION, "creditallowances", registry=registry, id="reconcile")
    @kopf.on.update(GROUP, VERSION, "creditallowances", registry=registry, id="reconcile")
    async def reconcile_allowance(body: kopf.Body, **_: Any) -> None:
        await _attempt(
            process, "CreditAllowance", body, lambda sweep: sweep.post_allowance(*_name(body))
        )


def _register_fleets(registry: kopf.OperatorRegistry, process: OperatorProcess) -> None:
    @kopf.on.create(GROUP, VERSION, "gatewayfleets", registry=registry, id="reconcile")
    @kopf.on.update(GROUP, VERSION, "gatewayfleets", registry=registry, id="reconcile")
    async def reconcile(body: kopf.Body, **_: Any) -> None:
        async def work(sweep: Sweep) -> None:
            sweep.request()
            await reconcile_fleet(sweep.context, dict(body))

        await _attempt(process, "GatewayFleet", body, work)


def _register_secrets(registry: kopf.OperatorRegistry, process: OperatorProcess) -> None:
    @kopf.index(GROUP, VERSION, "apikeys", registry=registry, id="brought")
    def brought(body: kopf.Body, **_: Any) -> dict[tuple[str, str], str]:
        """Which ApiKeys read a Secret that somebody brought along."""
        namespace, name = _name(body)
        reference = (body["spec"].get("valueFrom") or {}).get("secretKeyRef") or {}
        return {(namespace, reference["name"]): name} if "name" in reference else {}

    @kopf.on.event("", "v1", "secrets", registry=registry, id="secret")
    async def secret_changed(type: str | None, body: kopf.Body, **indices: Any) -> None:
        process.set_seen_all()  # no handler is called before all indices are filled
        meta, (namespace, name) = body.metadata, _name(body)
        if HEARTBEAT_LABEL in meta.labels and namespace == process.settings.namespace:
            process.liveness.heartbeat_seen(meta.annotations.get(HEARTBEAT_ANNOTATION))
        sweep = process.sweep
        if type is None or sweep is None:
            return  # the list that a watch begins with; the sweep sees the same
        maker = meta.labels.get(APIKEY_LABEL)
        if maker is not None and type != "ADDED":
            sweep.enqueue(namespace, maker)
        for key in indices["brought"].get((namespace, name), ()):
            sweep.enqueue(namespace, key)


def _register_indices(registry: kopf.OperatorRegistry) -> None:
    """Facts about all objects that are needed at any moment, as the watches bring them."""
    for plural in _PLURALS.values():

        @kopf.index(GROUP, VERSION, plural, registry=registry, id=f"{plural}-by-reason")
        def by_reason(body: kopf.Body, status: kopf.Status, **_: Any) -> dict[str, str]:
            return {ready_reason(status) or "": body["metadata"]["namespace"]}

    @kopf.index(GROUP, VERSION, "apikeys", registry=registry, id="shown")
    def shown(body: kopf.Body, **_: Any) -> dict[tuple[str, str], ShownFigures]:
        return {_name(body): read_shown(body["metadata"]["uid"], body.status)}


def _name(body: kopf.Body) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


async def _attempt(
    process: OperatorProcess,
    kind: str,
    body: kopf.Body,
    work: Callable[[Sweep], Awaitable[None]],
) -> None:
    """Do the work; where something is away, report it in the status and have another
    attempt later."""
    delay = _RETRY_SECONDS + secrets.randbelow(1000 * _JITTER_SECONDS) / 1000
    try:
        await work(await process.opened())
    except DatabaseUnavailable as error:
        try:
            cluster = process.cluster
            await report_waiting(cluster, kind, dict(body), _DATABASE_UNAVAILABLE, str(error))
        except ClusterError as unreported:
            raise kopf.TemporaryError(str(unreported), delay=delay) from None
        raise kopf.TemporaryError(str(error), delay=delay) from None
    except ClusterError as error:
        raise kopf.TemporaryError(str(error), delay=delay) from None
