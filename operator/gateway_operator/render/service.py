"""The Service: clients on port 80, and nothing else. Only ready pods are behind it.

Health and metrics have no credentials, so only pods that reach ours directly get them.
"""

from gateway_operator.render.names import CLIENTS, Child, child, selector
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
            ],
        },
    }
