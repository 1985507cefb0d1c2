"""The Service: clients on port 80, metrics beside it. Only ready pods are behind it."""

from gateway_operator.render.names import (
    CLIENTS,
    METRICS,
    OPERATIONS_PORT,
    Child,
    child,
    selector,
)
from gateway_operator.resources.fleet import Fleet

PORT = 80


def service(fleet: Fleet) -> Child:
    """The Service of a fleet; it has the fleet's name."""
    return {
        **child(fleet, "v1", "Service"),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(fleet),
            "ports": [
                {"name": CLIENTS, "port": PORT, "targetPort": CLIENTS, "protocol": "TCP"},
                {
                    "name": METRICS,
                    "port": OPERATIONS_PORT,
                    "targetPort": METRICS,
                    "protocol": "TCP",
                },
            ],
        },
    }
