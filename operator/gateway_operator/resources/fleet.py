"""A GatewayFleet: what the gateway reads of its spec, what only a cluster needs, and its reasons.

The gateway's part is `gateway.core.spec.GatewayFleetSpec`. Shapes and bounds of both are those of
`crds/gatewayfleets.yaml`, so most of what is checked here cannot get past the API server.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from gateway.core.catalog import Catalog
from gateway.core.spec import API_VERSION, GatewayFleet, GatewayFleetSpec, parse_document
from gateway.core.spec_fields import SpecError
from gateway_operator.resources.names import FIELD_MANAGER, KEY_LABEL, MANAGED_BY_LABEL

KIND = "GatewayFleet"
#: the definition whose annotation names the schema that is served, and the schema this release
#: needs
DEFINITION = "gatewayfleets.faregate.dev"
SCHEMA_ANNOTATION = "faregate.dev/schema"
SCHEMA = 1
#: the time that a drained replica still needs before the kubelet may kill it
ENDPOINTS_SECONDS = 20
DEFAULT_REPLICAS = 2
_CREDENTIAL_TYPES = ("Opaque", "kubernetes.io/basic-auth")

Count = Annotated[int, Meta(ge=0, le=1000)]
Quantity = str | int


class FleetReason(StrEnum):
    """Why a fleet is ready, or is not."""

    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    ROLLOUT_STALLED = "RolloutStalled"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  # a reason
    INVALID_SPEC = "InvalidSpec"
    NOT_OURS = "NotOurs"
    CRD_OUTDATED = "CRDOutdated"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


class _FleetPart(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Autoscaling(_FleetPart, frozen=True, kw_only=True):
    """Replicas by their load, in percent of the CPU that they ask for."""

    min_replicas: Annotated[int, Meta(ge=1, le=1000)] = DEFAULT_REPLICAS
    max_replicas: Annotated[int, Meta(ge=1, le=1000)]
    target_cpu: Annotated[int, Meta(ge=1, le=1000)] = field(
        default=70, name="targetCPUUtilizationPercentage"
    )
    #: MetricSpecs in place of the CPU's, and the behaviour; only the API server judges them
    metrics: list[dict[str, Any]] = []
    behavior: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not be above maxReplicas")


class Times(_FleetPart, frozen=True, kw_only=True):
    """The end of a replica: it goes on for `pre_stop_seconds`, drains, and has time to finish."""

    seconds: Annotated[float, Meta(ge=0, le=7200)] = 300.0
    pre_stop_seconds: Annotated[int, Meta(ge=1, le=600)] = 10
    grace_seconds: Annotated[int, Meta(ge=21, le=7820)] = 330

    def __post_init__(self) -> None:
        if self.pre_stop_seconds + self.seconds + ENDPOINTS_SECONDS > self.grace_seconds:
            raise ValueError(
                f"graceSeconds must be at least preStopSeconds + seconds + {ENDPOINTS_SECONDS}"
            )


class Resources(_FleetPart, frozen=True, kw_only=True):
    """The container's resources, by the resource's name."""

    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}


class Ingress(_FleetPart, frozen=True, kw_only=True):
    """The way in from outside the cluster."""

    host: str
    additional_hosts: list[str] = []
    class_name: str | None = None
    tls_secret_name: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class HTTPRoute(_FleetPart, frozen=True, kw_only=True):
    """The way in through a Gateway of the Gateway API; its members are that API's."""

    parent_refs: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    hostnames: list[str] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class KeyRef(_FleetPart, frozen=True, kw_only=True):
    """One key of a ConfigMap or a Secret."""

    name: str
    key: str


class Authorities(_FleetPart, frozen=True, kw_only=True):
    """Certificate authorities, in one of the two."""

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None

    def __post_init__(self) -> None:
        if (self.config_map_key_ref is None) is (self.secret_key_ref is None):
            raise ValueError("exactly one of configMapKeyRef and secretKeyRef must be given")


class LocalReference(_FleetPart, frozen=True, kw_only=True):
    """An object in the same namespace."""

    name: str


class TemplateMetadata(_FleetPart, frozen=True, kw_only=True):
    """Further labels and annotations."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Template(_FleetPart, frozen=True, kw_only=True):
    """Fields that are laid over the pods or the Service; `spec` is part of a PodSpec or a
    ServiceSpec that only the API server judges."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: dict[str, Any] = {}


class Console(_FleetPart, frozen=True, kw_only=True):
    """The console's pods; the rest of `console` is the gateway's part of the spec."""

    replicas: Count | None = None
    resources: Resources | None = None
    pod_template: Template = Template()


class ClusterSpec(_FleetPart, frozen=True, kw_only=True):
    """The part of the spec that the gateway never sees."""

    replicas: Count | None = None
    autoscaling: Autoscaling | None = None
    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: list[LocalReference] = []
    resources: Resources | None = None
    ingress: Ingress | None = None
    http_route: HTTPRoute | None = None
    upstream_ca: Authorities | None = field(default=None, name="upstreamCA")
    drain: Times = Times()
    pod_template: Template = Template()
    service_template: Template = Template()
    console: Console | None = None

    def __post_init__(self) -> None:
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("at most one of replicas and autoscaling may be given")


class Fleet(Struct, frozen=True, kw_only=True):
    """One GatewayFleet object."""

    name: str
    namespace: str
    uid: str
    gateway: GatewayFleetSpec
    cluster: ClusterSpec

    def credentials(self) -> dict[str, list[str]]:
        """The Secrets for upstreams and for the web hook, and the keys wanted of each."""
        gateway = self.gateway
        refs = [each.credential.secret_ref for each in gateway.upstreams if each.credential]
        if gateway.webhook is not None:
            refs.append(gateway.webhook.secret_ref)
        wanted: dict[str, set[str]] = {}
        for ref in refs:
            wanted.setdefault(ref.name, set()).add(ref.key)
        return {name: sorted(wanted[name]) for name in sorted(wanted)}


def read_fleet(body: Mapping[str, Any]) -> Fleet:
    """The object as the API server gives it.

    Raises `SpecError` for everything that a gateway would refuse at its start.
    """
    document = parse_document({**body, "apiVersion": API_VERSION, "kind": KIND})
    assert isinstance(document, GatewayFleet), "the kind is given"
    Catalog(document.spec)
    try:
        cluster = msgspec.convert(body["spec"], ClusterSpec)
    except msgspec.ValidationError as error:
        raise SpecError(f"{KIND} {document.metadata.name}: {error}") from None
    return Fleet(
        name=document.metadata.name,
        namespace=document.metadata.namespace,
        uid=document.metadata.uid,
        gateway=document.spec,
        cluster=cluster,
    )


def may_be_credential(secret: Mapping[str, Any]) -> bool:
    """True if a Secret may be sent to an upstream.

    Not one that the operator made, nor one that holds a key of a client, nor what Kubernetes and
    Helm keep in Secrets of their own types.
    """
    labels = secret["metadata"].get("labels") or {}
    is_ours = labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER or KEY_LABEL in labels
    return not is_ours and secret.get("type", "Opaque") in _CREDENTIAL_TYPES


def client_url(body: Mapping[str, Any]) -> str:
    """The URL of a fleet for clients, as the Secrets of keys hold it; no slash at its end."""
    metadata = body["metadata"]
    given = (body.get("spec") or {}).get("clientURL")
    url: str = given or f"http://{metadata['name']}.{metadata['namespace']}.svc.cluster.local"
    return url.rstrip("/")
