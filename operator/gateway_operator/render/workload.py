"""The Deployments of a fleet: its gateways, and its console where browsers have an address for it.

Both are rendered by the same functions; here is what sets them apart.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.console_spec import ConsoleSpec
from gateway.core.spec import GatewayFleetSpec
from gateway_operator.render.names import (
    Child,
    child,
    config_name,
    console_name,
    console_selector,
    labels,
    selector,
)
from gateway_operator.resources.fleet import Fleet, Resources, Template

_MIB = 2**20
#: memory of a gateway beside the bodies that it holds: itself, the vocabulary, and room
_OWN_MEMORY_MIB = 256
_CONSOLE_RESOURCES = Resources(
    requests={"cpu": "50m", "memory": "160Mi"}, limits={"memory": "384Mi"}
)
#: the time for routes to disappear, and that after which the kubelet may kill the console
_CONSOLE_PRE_STOP_SECONDS = 10
_CONSOLE_GRACE_SECONDS = 60


class Workload(Struct, frozen=True, kw_only=True):
    """One Deployment of a fleet, and what its pods are made of."""

    fleet: Fleet
    #: of the Deployment, the Service and the budget
    name: str
    #: the name of the container, too
    component: Literal["gateway", "console"]
    #: the labels that find its pods; a Deployment's can never be changed
    selector: dict[str, str]
    #: the command of `python -m gateway`
    command: tuple[str, ...]
    #: what its processes read of the fleet's spec
    config: GatewayFleetSpec
    #: the Secrets that its processes read by name, and the keys wanted of each
    credentials: dict[str, list[str]]
    #: None: leave the number to others
    replicas: int | None
    pre_stop_seconds: int
    grace_seconds: int
    resources: Resources
    template: Template

    @property
    def config_name(self) -> str:
        """The name of its ConfigMap."""
        return config_name(self.name)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its objects and pods."""
        return {**labels(self.fleet, self.component), **self.selector}

    def child(self, api_version: str, kind: str, name: str | None = None) -> Child:
        """The beginning of an object of it: it goes when its fleet goes."""
        return child(self.fleet, api_version, kind, name or self.name, self.labels)


def gateways(fleet: Fleet) -> Workload:
    """The gateways of a fleet.

    `clientURL` is not in what they read, and of `console` only what holds for the JSON API: the
    rest is no reason for their roll-out.
    """
    cluster = fleet.cluster
    return Workload(
        fleet=fleet,
        name=fleet.name,
        component="gateway",
        selector=selector(fleet),
        command=("serve",),
        config=replace(fleet.gateway, client_url=None, console=_for_json(fleet)),
        credentials=fleet.credentials(),
        replicas=cluster.replicas,
        pre_stop_seconds=cluster.drain.pre_stop_seconds,
        grace_seconds=cluster.drain.grace_seconds,
        resources=cluster.resources or _for_bodies(fleet),
        template=cluster.pod_template,
    )


def console(fleet: Fleet) -> Workload | None:
    """The console of a fleet; None where it has no address for browsers.

    It has no credential of an upstream, and none is named in what it reads.
    """
    spec, given = fleet.gateway.console, fleet.cluster.console
    if spec is None or spec.url is None or given is None:
        return None
    upstreams = [replace(upstream, credential=None) for upstream in fleet.gateway.upstreams]
    secret = spec.oidc.secret_ref if spec.oidc is not None else None
    return Workload(
        fleet=fleet,
        name=console_name(fleet),
        component="console",
        selector=console_selector(fleet),
        command=("console", "serve"),
        config=replace(fleet.gateway, upstreams=upstreams, webhook=None),
        credentials={} if secret is None else {secret.name: [secret.key]},
        replicas=given.replicas,
        pre_stop_seconds=_CONSOLE_PRE_STOP_SECONDS,
        grace_seconds=_CONSOLE_GRACE_SECONDS,
        resources=given.resources or _CONSOLE_RESOURCES,
        template=given.pod_template,
    )


def workloads(fleet: Fleet) -> list[Workload]:
    """The Deployments of a fleet, the gateways first."""
    return [gateways(fleet), *filter(None, [console(fleet)])]


def _for_json(fleet: Fleet) -> ConsoleSpec | None:
    """Whom to ask, and what `console` is to management keys; None for the default."""
    given = fleet.gateway.console
    if given is None:
        return None
    rules = replace(
        given, url=None, oidc=None, proxy=None, roles=[], welcome_credits=0, trusted_proxies=[]
    )
    return None if rules == ConsoleSpec() else rules


def _for_bodies(fleet: Fleet) -> Resources:
    """Enough for all bodies that the limits let in."""
    bodies_mib = -(-fleet.gateway.limits.buffered_bytes // _MIB)
    return Resources(
        requests={"cpu": "250m", "memory": "160Mi"},
        limits={"memory": f"{_OWN_MEMORY_MIB + bodies_mib}Mi"},
    )
