"""The HorizontalPodAutoscaler: quick to add a replica, slow to take one away."""

from typing import Any

from gateway_operator.render.names import Child, child
from gateway_operator.resources.fleet import Autoscaling, Fleet

#: a replica with open streams is expensive to remove: look back for ten minutes, take one at a time
_SCALE_DOWN = {
    "stabilizationWindowSeconds": 600,
    "selectPolicy": "Max",
    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
}


def autoscaler(fleet: Fleet, wanted: Autoscaling) -> Child:
    """The autoscaler of a fleet."""
    return {
        **child(fleet, "autoscaling/v2", "HorizontalPodAutoscaler"),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": fleet.name},
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": wanted.metrics or [_cpu(wanted.target_cpu)],
            "behavior": {"scaleDown": _SCALE_DOWN, **wanted.behavior},
        },
    }


def _cpu(percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
