"""From the children that a fleet should have and those that are there to what is to be done. Pure.

    named like ours, not owned by the fleet    nothing is done to any child: NotOurs
    there, ours, not wanted any more           delete
    wanted, not there or not as applied        apply, unless admission made of it what is there

An object that we did not make is never adopted, changed or deleted, with any labels.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct

from gateway_operator.conditions import ConditionState
from gateway_operator.plan.actions import Report
from gateway_operator.resources.fleet import FleetReason
from gateway_operator.resources.names import ANNOTATIONS, FIELD_MANAGER

#: on a child: what was applied. Fields that we stop to render are noticed by it.
APPLIED_ANNOTATION = f"{ANNOTATIONS}/applied"

#: members that hold quantities: of resources, volumes, variables, metrics and behaviours
_AMOUNTS = frozenset({"requests", "limits", "sizeLimit", "divisor", "target", "tolerance"})
#: Source: Kubernetes API reference, "Quantity"
_QUANTITY = re.compile(
    r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,2}))?"
)
_UNITS = {
    "": Fraction(1),
    **{unit: Fraction(1000) ** power for power, unit in enumerate("num", -3)},
    **{unit: Fraction(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
#: members that the API server chooses where they are given as 0 or empty
_CHOSEN = frozenset({
    "dnsPolicy", "failureThreshold", "healthCheckNodePort", "imagePullPolicy",
    "internalTrafficPolicy", "ipFamilies", "nodePort", "periodSeconds", "restartPolicy",
    "schedulerName", "sessionAffinity", "successThreshold", "terminationMessagePath",
    "terminationMessagePolicy", "timeoutSeconds",
})  # fmt: skip
#: members that it leaves out where they are 0 or false; of others, false is an answer
_LEFT_OUT = frozenset({
    "hostIPC", "hostNetwork", "hostPID", "hostPort", "initialDelaySeconds",
    "publishNotReadyAddresses", "readOnly", "stdin", "stdinOnce", "tty",
})  # fmt: skip

Child = dict[str, Any]
#: kind and name
Identity = tuple[str, str]


class ApplyChild(Struct, frozen=True):
    """Make a child what it should be, by server-side apply."""

    body: Child


class DeleteChild(Struct, frozen=True):
    """Take a child away that is not wanted any more."""

    kind: str
    namespace: str
    name: str


FleetAction = ApplyChild | DeleteChild | Report


def plan_fleet(
    wanted: Iterable[Child],
    actual: Iterable[Child],
    owner_uid: str,
    scaled: Collection[str],
    admitted: Mapping[Identity, Child] | None = None,
) -> list[FleetAction]:
    """The actions that make `wanted` of `actual`, which holds every object that has the name of a
    child.

    The number of replicas of a Deployment that `scaled` names is somebody else's affair. `admitted`
    holds the children that came back from an apply with something else than was applied.
    """
    admitted = admitted or {}
    desired = {identity(child): child for child in wanted}
    live = {identity(child): child for child in actual}
    foreign = [name for name in desired if name in live and not is_owned(live[name], owner_uid)]
    if foreign:
        names = ", ".join(" ".join(name) for name in foreign)
        message = f"there is, not made for this fleet: {names}; delete it, or rename the fleet"
        return [Report(ConditionState("stalled", FleetReason.NOT_OURS.value, message))]
    # First: an autoscaler must not be there any more when the replicas become a fixed number.
    actions: list[FleetAction] = [
        DeleteChild(child["kind"], child["metadata"]["namespace"], child["metadata"]["name"])
        for name, child in live.items()
        if name not in desired and is_owned(child, owner_uid)
    ]
    for name, child in desired.items():
        if child["kind"] == "Deployment" and child["metadata"]["name"] in scaled:
            child = _leave_replicas(child, live.get(name))
        child = _mark(child)
        is_there = holds(child, live.get(name))
        if not is_there and not _is_as_admitted(child, live.get(name), admitted.get(name)):
            actions.append(ApplyChild(child))
    return [*actions, Report()]


def is_owned(child: Child, owner_uid: str) -> bool:
    """True if an object is the child of this very fleet, not of an earlier one of its name."""
    owners = child["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == owner_uid and owner.get("controller") for owner in owners)


def holds(wanted: Any, live: Any, *, of_amounts: bool = False) -> bool:
    """True if everything that is wanted is there; more may be, as others may have fields too."""
    if live is None and _is_nothing(wanted):
        return True
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            _is_default(key, value, live.get(key))
            or holds(value, live.get(key), of_amounts=of_amounts or key in _AMOUNTS)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return False
        # A volume may be mounted at two paths, and a route have one Gateway's two listeners.
        for name in ("mountPath", "name"):
            if _are_named(name, wanted) and _are_named(name, live):
                named = {item[name]: item for item in live}
                return all(holds(item, named.get(item[name])) for item in wanted)
        return len(wanted) == len(live) and all(map(holds, wanted, live))
    # The API server turns the number 1 of a quantity into "1", "0.5" into "500m".
    if bool(wanted == live) or str(wanted) == str(live):
        return True
    return of_amounts and live is not None and _amount(wanted) == _amount(live)


def _are_named(name: str, items: list[Any]) -> bool:
    """True if each has a name of its own."""
    if not all(isinstance(item, Mapping) and name in item for item in items):
        return False
    return len({item[name] for item in items}) == len(items)


def _is_default(name: str, wanted: Any, live: Any) -> bool:
    """True if a member was given as what the API server takes for no choice."""
    return not wanted and (name in _CHOSEN or (live is None and name in _LEFT_OUT))


def _is_nothing(wanted: Any) -> bool:
    """True of what the API server leaves out: empty texts, lists and maps; never of `false`."""
    if isinstance(wanted, Mapping):
        return all(map(_is_nothing, wanted.values()))
    return wanted is None or wanted in ("", [])


def _amount(quantity: Any) -> int | str:
    """The thousandths of a quantity, rounded up as the API server does; its text if it is none."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        return str(quantity)
    number, unit, exponent = found.groups()
    factor = Fraction(10) ** int(exponent) if exponent else _UNITS[unit or ""]
    return ceil(1000 * Fraction(number) * factor)


def identity(child: Child) -> Identity:
    """Kind and name, which are of one child in a namespace."""
    return child["kind"], child["metadata"]["name"]


def _is_as_admitted(wanted: Child, live: Child | None, admitted: Child | None) -> bool:
    """True if admission would make of `wanted` what is there: it did so the last time."""
    return (
        live is not None
        and admitted is not None
        and _applied(wanted) == _applied(admitted)
        and _chosen(wanted, live) == _chosen(wanted, admitted)
    )


def _applied(child: Child) -> object:
    return (child["metadata"].get("annotations") or {}).get(APPLIED_ANNOTATION)


def _chosen(wanted: Any, live: Any) -> Any:
    """The members of `live` that `wanted` has; lists are whole."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return {key: _chosen(value, live.get(key)) for key, value in wanted.items()}
    return live


def _leave_replicas(wanted: Child, live: Child | None) -> Child:
    """The Deployment with the replicas that an autoscaler, or a person, may change.

    A field that its only owner stops to apply falls back to its default, and one replica would be
    left of many. So the number stays as it is until another has changed it once.
    """
    if live is None:
        return wanted
    spec = {name: value for name, value in wanted["spec"].items() if name != "replicas"}
    if _owns_replicas(live):
        spec["replicas"] = live["spec"]["replicas"]
    return {**wanted, "spec": spec}


def _owns_replicas(live: Child) -> bool:
    """True if the number is the one that we applied (`metadata.managedFields`)."""
    return any(
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
    )


def _mark(child: Child) -> Child:
    encoded = msgspec.json.encode(child, order="deterministic")
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    metadata = child["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: digest}
    return {**child, "metadata": {**metadata, "annotations": annotations}}
