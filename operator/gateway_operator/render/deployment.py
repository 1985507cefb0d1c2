"""The Deployment: a new replica is ready before an old one is asked to end."""

from typing import Any

from gateway_operator.render.names import DIGEST_ANNOTATION, Child, child, selector
from gateway_operator.resources.fleet import DEFAULT_REPLICAS, Fleet

#: a scrape and a look at the first errors before the next one goes
_SEEN_READY_SECONDS = 5
#: a roll-out that did not get on for so long is reported as stalled
_PROGRESS_SECONDS = 180


def deployment(fleet: Fleet, template: dict[str, Any], digest: str) -> Child:
    """The Deployment of a fleet. Another digest on its pods is a roll-out.

    Without `replicas` it begins with two, or with autoscaling's least; the plan leaves the number
    alone later.
    """
    scaling = fleet.cluster.autoscaling
    replicas = fleet.cluster.replicas if scaling is None else scaling.min_replicas
    metadata = template["metadata"]
    annotations = {**metadata["annotations"], DIGEST_ANNOTATION: digest}
    return {
        **child(fleet, "apps/v1", "Deployment"),
        "spec": {
            "replicas": DEFAULT_REPLICAS if replicas is None else replicas,
            "revisionHistoryLimit": 3,
            "minReadySeconds": _SEEN_READY_SECONDS,
            "progressDeadlineSeconds": _PROGRESS_SECONDS,
            "selector": {"matchLabels": selector(fleet)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
            },
            "template": {**template, "metadata": {**metadata, "annotations": annotations}},
        },
    }
