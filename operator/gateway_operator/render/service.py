"""The Service: clients on port 80, and nothing else. Only ready pods are behind it.

Health and metrics have no credentials, so only pods that reach ours directly get them.
"""

from gateway_operator.render.names import CLIENTS, Child
from gateway_operator.render.overlay import overlay
from gateway_operator.render.workload import Workload
from gateway_operator.resources.fleet import Template

PORT = 80


def service(workload: Workload, template: Template | None = None) -> Child:
    """The Service of a Deployment, with what is laid over it; it has the Deployment's name."""
    template = template or Template()
    rendered = workload.child("v1", "Service")
    metadata = rendered["metadata"]
    spec = {
        "type": "ClusterIP",
        "selector": workload.selector,
        "ports": [{"name": CLIENTS, "port": PORT, "targetPort": CLIENTS, "protocol": "TCP"}],
    }
    if template.metadata.annotations:
        metadata["annotations"] = template.metadata.annotations
    metadata["labels"] = {**template.metadata.labels, **metadata["labels"]}
    return {**rendered, "spec": overlay(spec, template.spec)}
