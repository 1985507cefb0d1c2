"""All children of a fleet and the digests of what its pods are made of, in one step.

The hash is made of the rendered pod: pods that differ cannot have the same digest. Replicas,
Service, routes and clients' URL are not in the pods, and keys are rows: none is a roll-out.
"""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway_operator.render.autoscaling import autoscaler
from gateway_operator.render.config import config
from gateway_operator.render.deployment import deployment
from gateway_operator.render.disruption import disruption
from gateway_operator.render.http_route import http_route
from gateway_operator.render.ingress import ingress
from gateway_operator.render.names import Child
from gateway_operator.render.overlay import without_nothing
from gateway_operator.render.pod import pod_template
from gateway_operator.render.service import service
from gateway_operator.render.workload import workloads
from gateway_operator.resources.fleet import Fleet
from gateway_operator.settings import OperatorSettings

_CHARACTERS = 32


class Rendered(Struct, frozen=True):
    """Everything that a fleet should have, in the order in which it is made."""

    children: tuple[Child, ...]
    #: of the gateways
    digest: str


def render(
    fleet: Fleet, settings: OperatorSettings, secrets: Mapping[str, Mapping[str, str]]
) -> Rendered:
    """Render a fleet. `secrets` are hashes of what pods get from Secrets: by the Deployment's name,
    then by the Secret's.

    Pure: equal arguments give equal bytes.
    """
    children, digests = [], []
    for workload in workloads(fleet):
        configuration = config(workload)
        template = pod_template(workload, settings)
        digest = _digest(configuration["data"], template, dict(secrets[workload.name]))
        is_gateway = workload.component == "gateway"
        children += [
            configuration,
            service(workload, fleet.cluster.service_template if is_gateway else None),
            deployment(workload, template, digest),
            disruption(workload),
        ]
        digests.append(digest)
    if fleet.cluster.autoscaling is not None:
        children.append(autoscaler(fleet, fleet.cluster.autoscaling))
    if fleet.cluster.ingress is not None:
        children.append(ingress(fleet, fleet.cluster.ingress))
    if fleet.cluster.http_route is not None:
        children.append(http_route(fleet, fleet.cluster.http_route))
    return Rendered(tuple(map(without_nothing, children)), digests[0])


def _digest(*parts: object) -> str:
    encoded = msgspec.json.encode(parts, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:_CHARACTERS]
