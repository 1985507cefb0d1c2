"""The PodDisruptionBudget: emptying nodes takes one replica at a time."""

from gateway_operator.render.names import Child
from gateway_operator.render.workload import Workload


def disruption(workload: Workload) -> Child:
    """The limit to voluntary disruptions of a Deployment."""
    return {
        **workload.child("policy/v1", "PodDisruptionBudget"),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": workload.selector},
            # A replica that is not ready serves nobody: no node has to wait for it.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
