"""The fields that a GatewayFleet may set for its pods: those that a gateway needs, and no way to
anything else.

Its pods run in the operator's namespace, beside the operator's account and its Secrets. So a fleet
decides where its pods run and how much they get; what runs in them, and what they can read, is the
installation's. An administrator may let fleets have any pod (`FAREGATE_POD_TEMPLATES`).

Owns the list of what is allowed. Must never let through what it does not know.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from posixpath import normpath
from typing import Any

from gateway.core.spec_fields import SpecError
from gateway_operator.render.names import CLIENTS
from gateway_operator.resources.fleet import KIND, Fleet, Template
from gateway_operator.settings import OperatorSettings

Part = Mapping[str, Any]

#: the nodes for pods, and their priority; names and addresses stay the cluster's
_POD = frozenset({
    "affinity", "containers", "dnsConfig", "hostUsers", "imagePullSecrets", "nodeSelector",
    "preemptionPolicy", "priorityClassName", "readinessGates", "runtimeClassName", "schedulerName",
    "securityContext", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints",
    "volumes",
})  # fmt: skip
_CONTAINER = frozenset({
    "name", "env", "livenessProbe", "readinessProbe", "resources", "securityContext",
    "startupProbe", "volumeMounts",
})  # fmt: skip
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_TIMES = frozenset({
    "failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold",
    "terminationGracePeriodSeconds", "timeoutSeconds",
})  # fmt: skip
#: any user but root
_IDENTITIES = frozenset(
    {"runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups"}
)
#: fields that may only have this value
_HARDENING: Mapping[str, object] = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "privileged": False,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}
_SOURCES = frozenset({"configMap", "downwardAPI", "emptyDir", "image"})
_MOUNT = frozenset({"name", "mountPath", "readOnly", "subPath"})
MOUNTS = "/mnt/"
_ENV_SOURCES = frozenset({"configMapKeyRef", "fieldRef", "resourceFieldRef"})
#: variables of the processes that lead to no other database, no other secret and no other code
_VARIABLE = re.compile(
    r"OTEL_.+|TZ|LANG|LC_[A-Z]+|MALLOC_[A-Z_]+|SSL_CERT_(FILE|DIR)"
    r"|(HTTPS?|NO)_PROXY|(https?|no)_proxy"
    r"|FAREGATE_(?!DATABASE|INSTALLATION)[A-Z_]+"
)
#: the way to the pods; a Service's selector, ports and further addresses stay ours
_SERVICE = frozenset({
    "allocateLoadBalancerNodePorts", "externalTrafficPolicy", "healthCheckNodePort",
    "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy", "loadBalancerClass", "loadBalancerIP",
    "loadBalancerSourceRanges", "ports", "sessionAffinity", "sessionAffinityConfig",
    "trafficDistribution", "type",
})  # fmt: skip
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")
_PORT = frozenset({"name", "appProtocol", "nodePort"})
#: annotations by which a node or an Ingress controller is given code or rights
_UNCONFINED = ("container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security.")
_INGRESS_CODE = re.compile(
    r"-snippet$|/auth-(secret|tls-secret|proxy-set-headers)|/proxy-ssl-secret"
)


def check_pod_policy(fleet: Fleet, settings: OperatorSettings) -> None:
    """Raise `SpecError` with a sentence where a fleet asks for more than it may have."""
    if settings.pod_templates == "any":
        return
    for what in _excess(fleet, settings):
        raise SpecError(
            f"{what} is more than a {KIND} may ask for: leave it out, or give the operator"
            " FAREGATE_POD_TEMPLATES=any (in the chart operator.podTemplates)"
        )


def _excess(fleet: Fleet, settings: OperatorSettings) -> Iterator[str]:
    image = fleet.cluster.image
    if image is not None and repository(image) != repository(settings.image):
        yield f"the image {image}, of another repository than the operator's,"
    if fleet.cluster.ingress is not None:
        for name in fleet.cluster.ingress.annotations:
            if _INGRESS_CODE.search(name):
                yield f"ingress.annotations {name}"
    yield from _of_template(fleet.cluster.pod_template, "podTemplate", "gateway")
    if (console := fleet.cluster.console) is not None:
        yield from _of_template(console.pod_template, "console.podTemplate", "console")
    yield from _of_service(fleet.cluster.service_template.spec)


def _of_template(template: Template, at: str, container: str) -> Iterator[str]:
    for name in template.metadata.annotations:
        if name.startswith(_UNCONFINED):
            yield f"{at}.metadata.annotations {name}"
    yield from _of_pod(template.spec, f"{at}.spec", container)


def _of_service(spec: Part) -> Iterator[str]:
    """One port with a number on the nodes, and no address that another's traffic may have."""
    at = "serviceTemplate.spec"
    yield from _others(spec, _SERVICE, at)
    if spec.get("type", _TYPES[0]) not in _TYPES:
        yield f"{at}.type {spec['type']}"
    for port in _parts(spec.get("ports")):
        if port.get("name") != CLIENTS:
            yield f"{at}.ports {port.get('name')}"
        yield from _others(port, _PORT, f"{at}.ports {CLIENTS}")


def repository(image: str) -> str:
    """An image's address without tag and digest."""
    address = image.partition("@")[0]
    head, colon, tag = address.rpartition(":")
    return head if colon and "/" not in tag else address


def _of_pod(spec: Part, at: str, name_of_ours: str) -> Iterator[str]:
    yield from _others(spec, _POD, at)
    yield from _others(_part(spec.get("dnsConfig")), frozenset({"options"}), f"{at}.dnsConfig")
    yield from _of_security(spec, at)
    ours = {"config", "data", "tmp"}
    for volume in _parts(spec.get("volumes")):
        name = str(volume.get("name"))
        place = f"{at}.volumes {name}"
        if name in ours:
            yield from _others(volume, frozenset({"name", "emptyDir"}), place)
        elif name.startswith(("credential-", "ca-")):
            yield place
        yield from _others(volume, _SOURCES | {"name"}, place)
    for container in _parts(spec.get("containers")):
        if container.get("name") != name_of_ours:
            yield f"{at}.containers {container.get('name')}"
            continue
        yield from _of_container(container, f"{at}.containers {name_of_ours}:")


def _of_container(container: Part, at: str) -> Iterator[str]:
    yield from _others(container, _CONTAINER, at)
    yield from _of_security(container, at)
    for probe in _PROBES:
        yield from _others(_part(container.get(probe)), _TIMES, f"{at}.{probe}")
    for mount in _parts(container.get("volumeMounts")):
        path = str(mount.get("mountPath"))
        yield from _others(mount, _MOUNT, f"{at} volumeMounts {path}")
        if not path.startswith(MOUNTS) or normpath(path) != path.rstrip("/"):
            yield f"{at} volumeMounts {path}, which is not below {MOUNTS},"
    for variable in _parts(container.get("env")):
        name = str(variable.get("name"))
        if _VARIABLE.fullmatch(name) is None:
            yield f"{at} env {name}"
        source = _part(variable.get("valueFrom"))
        yield from _others(source, _ENV_SOURCES, f"{at} env {name}.valueFrom")


def _of_security(owner: Part, at: str) -> Iterator[str]:
    """Any user but root, and nothing that takes away what holds it."""
    if not isinstance(given := owner.get("securityContext", {}), Mapping):
        yield f"{at}.securityContext {given}"
    for name, value in _part(given).items():
        place = f"{at}.securityContext.{name}"
        if name in _IDENTITIES:
            if name == "runAsUser" and value == 0:
                yield f"{place} 0"
        elif name == "seLinuxOptions":
            yield from _others(_part(value), frozenset({"level"}), place)
        elif _HARDENING.get(name, value) != value or name not in _HARDENING:
            yield place


def _others(given: Part, known: Iterable[str], at: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield f"{at}.{name}"


def _part(value: Any) -> Part:
    return value if isinstance(value, Mapping) else {}


def _parts(value: Any) -> list[Part]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
