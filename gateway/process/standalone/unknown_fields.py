"""Fields of a document that no part reads: a misspelt limit is an error, not a missing limit.

Owns the list of what only a cluster needs: that is accepted, and not read. Source: `crds/`, with
which a test compares it.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import msgspec.inspect as shapes

from gateway.core.console_spec import ConsoleSpec
from gateway.core.spec import (
    AccountObject,
    ApiKey,
    CreditAllowance,
    CreditGrant,
    Document,
    Drain,
    GatewayFleet,
    GatewayFleetSpec,
    Metadata,
)

_OF_OBJECTS = frozenset({"apiVersion", "kind", "status"})
#: fields that are accepted beside those that are read, with any content
CLUSTER_FIELDS: dict[type, frozenset[str]] = {
    AccountObject: _OF_OBJECTS,
    ApiKey: _OF_OBJECTS,
    CreditAllowance: _OF_OBJECTS,
    CreditGrant: _OF_OBJECTS,
    GatewayFleet: _OF_OBJECTS,
    Metadata: frozenset(
        {
            "annotations",
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "labels",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
        }
    ),
    GatewayFleetSpec: frozenset(
        {
            "autoscaling",
            "httpRoute",
            "image",
            "imagePullPolicy",
            "imagePullSecrets",
            "ingress",
            "podTemplate",
            "replicas",
            "resources",
            "serviceTemplate",
            "upstreamCA",
        }
    ),
    ConsoleSpec: frozenset({"podTemplate", "replicas", "resources"}),
    Drain: frozenset({"graceSeconds", "preStopSeconds"}),
}


def unknown_fields(raw: dict[str, Any], document: Document) -> Iterator[str]:
    """A sentence for each field of `raw`, of which `document` was read, that means nothing."""
    return _look(raw, shapes.type_info(type(document)), "")


def _look(value: Any, shape: shapes.Type, path: str) -> Iterator[str]:
    if isinstance(shape, shapes.UnionType):
        for each in shape.types:
            yield from _look(value, each, path)
    elif isinstance(shape, shapes.ListType) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _look(item, shape.item_type, f"{path}[{index}]")
    elif isinstance(shape, shapes.StructType) and isinstance(value, dict):
        known = {field.encode_name: field.type for field in shape.fields}
        others = CLUSTER_FIELDS.get(shape.cls, frozenset())
        for name, member in value.items():
            where = f"{path}.{name}" if path else str(name)
            if name in known:
                yield from _look(member, known[name], where)
            elif name not in others:
                yield _sentence(where, str(name), [*known, *others])


def _sentence(where: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"there is no field {where}" + (f"; do you mean {near[0]}?" if near else "")
