"""The Deployment: a new replica is ready before an old one is asked to end."""

from typing import Any

from gateway_operator.render.names import DIGEST_ANNOTATION, Child
from gateway_operator.render.workload import Workload
from gateway_operator.resources.fleet import DEFAULT_REPLICAS

#: a scrape and a look at the first errors before the next one goes
_SEEN_READY_SECONDS = 5
#: a roll-out that did not get on for so long is reported as stalled
_PROGRESS_SECONDS = 180


def deployment(workload: Workload, template: dict[str, Any], digest: str) -> Child:
    """The Deployment. Another digest on its pods is a roll-out.

    Without `replicas` it begins with two, or with autoscaling's least; the plan leaves the number
    alone later.
    """
    replicas, scaling = workload.replicas, workload.fleet.cluster.autoscaling
    if workload.component == "gateway" and scaling is not None:
        replicas = scaling.min_replicas
    metadata = template["metadata"]
    annotations = {**metadata["annotations"], DIGEST_ANNOTATION: digest}
    return {
        **workload.child("apps/v1", "Deployment"),
        "spec": {
            "replicas": DEFAULT_REPLICAS if replicas is None else replicas,
            "revisionHistoryLimit": 3,
            "minReadySeconds": _SEEN_READY_SECONDS,
            "progressDeadlineSeconds": _PROGRESS_SECONDS,
            "selector": {"matchLabels": workload.selector},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
            },
            "template": {**template, "metadata": {**metadata, "annotations": annotations}},
        },
    }
