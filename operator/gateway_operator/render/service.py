"""The Service: clients on port 80, and nothing else. Only ready pods are behind it.

Health and metrics have no credentials, so only pods that reach ours directly get them.
"""

from gateway_operator.render.names import CLIENTS, Child, child, selector
from gateway_operator.render.overlay import overlay
from gateway_operator.resources.fleet import Fleet

PORT = 80


def service(fleet: Fleet) -> Child:
    """The Service of a fleet, with what is laid over it; it has the fleet's name."""
    template = fleet.cluster.service_template
    rendered = child(fleet, "v1", "Service")
    metadata = rendered["metadata"]
    spec = {
        "type": "ClusterIP",
        "selector": selector(fleet),
        "ports": [{"name": CLIENTS, "port": PORT, "targetPort": CLIENTS, "protocol": "TCP"}],
    }
    if template.metadata.annotations:
        metadata["annotations"] = template.metadata.annotations
    metadata["labels"] = {**template.metadata.labels, **metadata["labels"]}
    return {**rendered, "spec": overlay(spec, template.spec)}
