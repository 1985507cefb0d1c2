"""GatewayFleets: look, plan, carry out. The same for a new object, a changed one, and the sweep.

The children belong to their fleet by owner references, so its end needs nothing from us. Children
that run are left alone if a new spec is wrong in any way.
"""

import asyncio
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.core.errors import DatabaseUnavailable
from gateway.core.keys import PEPPER, hash_key
from gateway.core.spec_fields import SpecError
from gateway.store.counts import count_living_of_people
from gateway_operator.apply import executor
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reporting import report
from gateway_operator.cluster import Cluster, Forbidden, ObjectNotFound, Rejected
from gateway_operator.conditions import ConditionKind, ConditionState, build_status
from gateway_operator.plan.actions import Report
from gateway_operator.plan.fleet import (
    ApplyChild,
    Child,
    DeleteChild,
    FleetAction,
    Identity,
    holds,
    identity,
    is_owned,
    plan_fleet,
)
from gateway_operator.plan.rollout import judge, judge_both
from gateway_operator.render.authorities import authorities
from gateway_operator.render.digest import render
from gateway_operator.render.names import config_name, console_name
from gateway_operator.render.pod_policy import check_pod_policy
from gateway_operator.render.workload import Workload, workloads
from gateway_operator.resources.fleet import (
    DEFINITION,
    KIND,
    SCHEMA_ANNOTATION,
    Fleet,
    FleetReason,
    client_url,
    may_be_credential,
    read_fleet,
)
from gateway_operator.resources.names import FLEET_LABEL, name_of
from gateway_operator.settings import OperatorSettings

#: every kind of child that has the fleet's own name, and that its console's has
_KINDS = (
    "Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress",
    "HTTPRoute",
)  # fmt: skip
_KINDS_OF_CONSOLE = ("Service", "Deployment", "PodDisruptionBudget")


class _Stopped(Exception):
    """Nothing can be made of a fleet as it is."""

    state: ClassVar[ConditionKind] = "stalled"

    def __init__(self, reason: FleetReason, message: str) -> None:
        super().__init__(message)
        self.condition = ConditionState(self.state, reason.value, message)


class _Missing(_Stopped):
    """A fleet waits for another object, which some controller may be making at this moment."""

    state: ClassVar[ConditionKind] = "waiting"

    def __init__(self, message: str) -> None:
        super().__init__(FleetReason.SECRET_NOT_FOUND, message)


async def reconcile_fleet(context: OperatorContext, namespace: str, name: str) -> None:
    """Bring the children of a fleet and its status to what its spec states.

    Raises `ClusterUnavailable`; anything else that is wrong stands in the status.
    """
    async with context.living(KIND, namespace, name) as found:
        if found is None:
            context.admitted.pop((namespace, name), None)
        else:
            await _work(context, found)


async def _work(context: OperatorContext, found: dict[str, Any]) -> None:
    fleet_executor = _FleetExecutor(context=context, body=found)
    try:
        fleet = _read(context, found)
        actual = await _read_children(context.cluster, fleet)
        parts = workloads(fleet)
        secrets = {one.name: await _hash_secrets(context, one) for one in parts}
        rendered = render(fleet, context.settings, secrets)
        scaled = {one.name for one in parts if one.replicas is None}
        fleet_executor.console = next((one for one in parts if one.component == "console"), None)
        admitted = context.admitted.get((fleet.namespace, fleet.name))
        actions = plan_fleet(rendered.children, actual, fleet.uid, scaled, admitted)
        fleet_executor.digest = rendered.digest
        await executor.execute(actions, fleet_executor.perform)
    except _Stopped as stopped:
        await executor.execute([Report(stopped.condition)], fleet_executor.perform)


class _FleetExecutor(Struct, kw_only=True):
    """One plan being carried out."""

    context: OperatorContext
    body: dict[str, Any]
    digest: str | None = None
    console: Workload | None = None

    async def perform(self, action: FleetAction) -> None:
        cluster = self.context.cluster
        match action:
            case DeleteChild(kind=kind, namespace=namespace, name=name):
                await cluster.delete(kind, namespace, name)
                self._admitted.pop((kind, name), None)
            case ApplyChild(body=body):
                try:
                    self._admit(body, await cluster.apply(body))
                except (Forbidden, Rejected) as error:
                    # Nothing else checks the templates before.
                    raise _Stopped(FleetReason.INVALID_SPEC, f"{_shown(body)}: {error}") from None
                except ObjectNotFound:
                    message = f"{_shown(body)}: this cluster has no {body['apiVersion']}"
                    raise _Stopped(FleetReason.INVALID_SPEC, message) from None
            case Report(condition=condition):
                await self._report(condition)

    def _admit(self, applied: Child, came: Child) -> None:
        """Remember what admission changed: it would be applied again at each look."""
        self._admitted.pop(identity(applied), None)
        if not holds(applied, came):
            self._admitted[identity(applied)] = came

    @property
    def _admitted(self) -> dict[Identity, Child]:
        return self.context.admitted.setdefault(name_of(self.body), {})

    async def _report(self, condition: ConditionState | None) -> None:
        cluster, before = self.context.cluster, self.body.get("status") or {}
        workload = await self._deployment(self.body["metadata"]["name"])
        digest = self.digest
        if condition is None:
            condition = judge(workload, await _served_schema(cluster))
            if self.console is not None:
                condition = judge_both(condition, await self._deployment(self.console.name))
        else:
            digest = before.get("configDigest")  # nothing new was rolled out
        status = build_status(
            self.body,
            condition,
            replicas=((workload or {}).get("status") or {}).get("readyReplicas", 0),
            selector=f"{FLEET_LABEL}={self.body['metadata']['name']}",
            url=client_url(self.body),
            configDigest=digest,
            keysOfPeople=await self._keys_of_people(),
        )
        await report(cluster, KIND, self.body, status, condition)
        if self.body["metadata"]["namespace"] == self.context.settings.namespace:
            is_ready = condition.state == "ready"
            self.context.metrics.saw_fleet(self.body["metadata"]["name"], is_ready, workload)

    async def _keys_of_people(self) -> int | None:
        """The number of people's keys that are alive, where people can make some."""
        if self.console is None:
            return None
        try:
            return await self.context.ask(count_living_of_people)
        except DatabaseUnavailable:
            before: int | None = (self.body.get("status") or {}).get("keysOfPeople")
            return before

    async def _deployment(self, name: str) -> Child | None:
        """A Deployment of the fleet, as it is now."""
        metadata = self.body["metadata"]
        if metadata["namespace"] != self.context.settings.namespace:
            return None
        found = await self.context.cluster.get("Deployment", metadata["namespace"], name)
        return found if found is not None and is_owned(found, metadata["uid"]) else None


def _shown(body: Child) -> str:
    return f"{body['kind']} {body['metadata']['name']}"


def _read(context: OperatorContext, body: dict[str, Any]) -> Fleet:
    own = context.settings.namespace
    if body["metadata"]["namespace"] != own:
        message = f"a {KIND} is only valid in the operator's own namespace, which is {own}"
        raise _Stopped(FleetReason.INVALID_SPEC, message)
    try:
        fleet = read_fleet(body)
        check_pod_policy(fleet, context.settings)
        return fleet
    except SpecError as error:
        raise _Stopped(FleetReason.INVALID_SPEC, str(error)) from None


async def _read_children(cluster: Cluster, fleet: Fleet) -> list[Child]:
    """Every object that has the name of a child, by any maker."""
    own, console = fleet.name, console_name(fleet)
    names = [
        *(("ConfigMap", config_name(name)) for name in (own, console)),
        *((kind, own) for kind in _KINDS),
        *((kind, console) for kind in _KINDS_OF_CONSOLE),
    ]
    found = await asyncio.gather(
        *(cluster.get(kind, fleet.namespace, name) for kind, name in names)
    )
    return [child for child in found if child is not None]


async def _hash_secrets(context: OperatorContext, workload: Workload) -> dict[str, str]:
    """A hash of what a Deployment's pods get of each Secret and each ConfigMap with authorities.

    Keyed, as many may read an annotation.
    """
    wanted = _wanted(context.settings, workload)
    credentials, namespace = workload.credentials, workload.fleet.namespace
    found = await asyncio.gather(
        *(context.cluster.get(kind, namespace, name) for kind, name in wanted)
    )
    pepper = context.secret.pepper(PEPPER)
    hashes = {}
    for ((kind, name), keys), held in zip(wanted.items(), found, strict=True):
        is_credential = kind == "Secret" and name in credentials
        if held is not None and is_credential and not may_be_credential(held):
            raise _not_a_credential(name)
        values = _read_values(kind, name, held, keys)
        hashes[name if kind == "Secret" else f"{kind} {name}"] = hash_key(pepper, values).hex()
    return hashes


def _wanted(settings: OperatorSettings, workload: Workload) -> dict[tuple[str, str], set[str]]:
    """By kind and name, the keys that the pods get."""
    own = {
        ("Secret", settings.database_secret_name): {settings.database_secret_key},
        ("Secret", settings.installation_secret_name): {settings.installation_secret_key},
    }
    wanted: dict[tuple[str, str], set[str]] = {}
    for name, keys in workload.credentials.items():
        if ("Secret", name) in own:
            raise _not_a_credential(name)
        wanted["Secret", name] = set(keys)
    wanted |= own
    for each in authorities(workload.fleet, settings):
        wanted.setdefault((each.kind, each.name), set()).add(each.key)
    return dict(sorted(wanted.items()))


def _not_a_credential(name: str) -> _Stopped:
    """It would be sent to any URL that the fleet names, or to any identity provider."""
    return _Stopped(
        FleetReason.INVALID_SPEC,
        f"the Secret {name} is the installation's or of a kind of its own, and no credential for"
        " an upstream or an identity provider",
    )


def _read_values(kind: str, name: str, held: dict[str, Any] | None, keys: set[str]) -> bytes:
    if held is None:
        raise _Missing(f"there is no {kind} {name}")
    data = held.get("data") or {}
    missing = sorted(key for key in keys if not data.get(key))
    if missing:
        message = f"the {kind} {name} has nothing under {', '.join(missing)}"
        raise _Missing(message)
    return msgspec.json.encode({key: data[key] for key in sorted(keys)})


async def _served_schema(cluster: Cluster) -> int | None:
    """The number on the definition; None where this operator may not see definitions."""
    try:
        definition = await cluster.get("CustomResourceDefinition", "", DEFINITION)
    except Forbidden:
        return None
    annotations = ((definition or {}).get("metadata") or {}).get("annotations") or {}
    number: str = annotations.get(SCHEMA_ANNOTATION, "")
    return int(number) if number.isdigit() else 0
