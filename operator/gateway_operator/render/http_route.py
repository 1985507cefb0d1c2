"""The HTTPRoute: the way in through a Gateway, whose timeouts would cut streams.

Source: Gateway API v1, "HTTPRoute".
"""

from typing import Any

from gateway_operator.render.names import Child, child
from gateway_operator.render.paths import paths_by_service
from gateway_operator.render.service import PORT
from gateway_operator.resources.fleet import Fleet, HTTPRoute

#: no limit; a gateway has limits of its own
_NONE = "0s"


def http_route(fleet: Fleet, wanted: HTTPRoute) -> Child:
    """The HTTPRoute of a fleet."""
    rendered = child(fleet, "gateway.networking.k8s.io/v1", "HTTPRoute")
    metadata = rendered["metadata"]
    metadata["labels"] = {**wanted.labels, **metadata["labels"]}
    if wanted.annotations:
        metadata["annotations"] = wanted.annotations
    rules = [_rule(paths, name) for name, paths in paths_by_service(fleet).items()]
    spec: dict[str, Any] = {"parentRefs": wanted.parent_refs, "rules": rules}
    if wanted.hostnames:
        spec["hostnames"] = wanted.hostnames
    return {**rendered, "spec": spec}


def _rule(paths: tuple[str, ...], service: str) -> dict[str, Any]:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in paths],
        "backendRefs": [{"name": service, "port": PORT}],
        "timeouts": {"request": _NONE, "backendRequest": _NONE},
    }
