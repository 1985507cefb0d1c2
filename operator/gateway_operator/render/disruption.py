"""The PodDisruptionBudget: emptying nodes takes one replica at a time."""

from gateway_operator.render.names import Child, child, selector
from gateway_operator.resources.fleet import Fleet


def disruption(fleet: Fleet) -> Child:
    """The limit to voluntary disruptions of a fleet."""
    return {
        **child(fleet, "policy/v1", "PodDisruptionBudget"),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(fleet)},
            # A replica that is not ready serves nobody: no node has to wait for it.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
