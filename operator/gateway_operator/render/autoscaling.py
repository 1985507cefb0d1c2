"""The HorizontalPodAutoscaler: quick to add a replica, slow to take one away."""

from gateway_operator.render.names import Child, child
from gateway_operator.resources.fleet import Autoscaling, Fleet

#: a replica with open streams is expensive to remove: look back for so long, take one at a time
_SCALE_DOWN_SECONDS = 600
_ONE_EVERY_SECONDS = 120


def autoscaler(fleet: Fleet, wanted: Autoscaling) -> Child:
    """The autoscaler of a fleet."""
    return {
        **child(fleet, "autoscaling/v2", "HorizontalPodAutoscaler"),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": fleet.name},
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": wanted.target_cpu},
                    },
                }
            ],
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": _SCALE_DOWN_SECONDS,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": _ONE_EVERY_SECONDS}],
                }
            },
        },
    }
