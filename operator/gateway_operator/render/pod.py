"""The pod of a gateway: the restricted profile throughout, and time to drain."""

from typing import Any

from gateway_operator.render.authorities import authorities
from gateway_operator.render.names import (
    CLIENT_PORT,
    CLIENTS,
    CONFIG_FILE,
    CONFIG_FOLDER,
    CONTAINER,
    DATA_FOLDER,
    METRICS,
    OPERATIONS_PORT,
    config_name,
    labels,
    selector,
)
from gateway_operator.render.overlay import overlay
from gateway_operator.resources.fleet import Fleet, Resources
from gateway_operator.settings import OperatorSettings

_USER = 10001
_IDS = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
#: readable for the group, and nobody else
_GROUP_READS = 0o440
_MIB = 2**20
#: memory of a replica beside the bodies that it holds: itself, the vocabulary, and room
_OWN_MEMORY_MIB = 256


def pod_template(fleet: Fleet, settings: OperatorSettings) -> dict[str, Any]:
    """The template, with the administrator's laid over ours. Our own labels always win."""
    theirs = fleet.cluster.pod_template
    scraping = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(OPERATIONS_PORT),
        "prometheus.io/path": "/metrics",
    }
    return {
        "metadata": {
            "labels": {**theirs.metadata.labels, **labels(fleet)},
            "annotations": {**scraping, **theirs.metadata.annotations},
        },
        "spec": overlay(_pod(fleet, settings), theirs.spec),
    }


def _pod(fleet: Fleet, settings: OperatorSettings) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # The variables that a Service of our own name would add look like settings of ours.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": fleet.cluster.drain.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            **({} if settings.platform_ids else _IDS),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            _spread(fleet, "topology.kubernetes.io/zone"),
            _spread(fleet, "kubernetes.io/hostname"),
        ],
        "containers": [_container(fleet, settings)],
        "volumes": [
            {"name": "config", "configMap": {"name": config_name(fleet)}},
            {"name": "data", "emptyDir": {"sizeLimit": "16Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *(
                {"name": volume, "secret": _files(name, keys)}
                for volume, name, keys in _credentials(fleet)
            ),
            *(each.volume() for each in authorities(fleet, settings)),
        ],
    }
    if fleet.cluster.image_pull_secrets:
        names = [{"name": secret.name} for secret in fleet.cluster.image_pull_secrets]
        pod["imagePullSecrets"] = names
    return pod


def _container(fleet: Fleet, settings: OperatorSettings) -> dict[str, Any]:
    drain = fleet.cluster.drain
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": fleet.cluster.image or settings.image,
        "command": ["python", "-m", "gateway", "serve"],
        "args": [
            *("--config", f"{CONFIG_FOLDER}/{CONFIG_FILE}", "--data", DATA_FOLDER),
            # Every address of the pod, which may have IPv4, IPv6, or both.
            *("--host", "::", "--port", str(CLIENT_PORT)),
            *("--ops-port", str(OPERATIONS_PORT)),
        ],
        "env": _environment(fleet, settings),
        "ports": [
            {"name": CLIENTS, "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": METRICS, "containerPort": OPERATIONS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe("/readyz", every=1, failures=60),
        "readinessProbe": _probe("/readyz", every=5, failures=2),
        "livenessProbe": _probe("/healthz", every=10, failures=6),
        # Routes to an ending pod disappear while it is asked to end: it serves on until they have.
        "lifecycle": {"preStop": {"sleep": {"seconds": drain.pre_stop_seconds}}},
        "resources": _resources(fleet),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True},
            {"name": "data", "mountPath": DATA_FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # a volume of the pod's own
            *(
                {
                    "name": volume,
                    "mountPath": f"{DATA_FOLDER}/secrets/{fleet.namespace}/{name}",
                    "readOnly": True,
                }
                for volume, name, _ in _credentials(fleet)
            ),
            *(each.mount() for each in authorities(fleet, settings)),
        ],
    }
    if fleet.cluster.image_pull_policy is not None:
        container["imagePullPolicy"] = fleet.cluster.image_pull_policy
    return container


def _environment(fleet: Fleet, settings: OperatorSettings) -> list[dict[str, Any]]:
    def secret(name: str, key: str) -> dict[str, Any]:
        return {"secretKeyRef": {"name": name, "key": key}}

    database = secret(settings.database_secret_name, settings.database_secret_key)
    installation = secret(settings.installation_secret_name, settings.installation_secret_key)
    return [
        {"name": "FAREGATE_DATABASE_URL", "valueFrom": database},
        {"name": "FAREGATE_INSTALLATION", "value": settings.installation},
        {"name": "FAREGATE_INSTALLATION_SECRET", "valueFrom": installation},
        *(each.environment() for each in authorities(fleet, settings)),
    ]


def _resources(fleet: Fleet) -> dict[str, Any]:
    """The administrator's resources, or enough for all bodies that the limits let in."""
    given = fleet.cluster.resources
    if given is None:
        bodies_mib = -(-fleet.gateway.limits.buffered_bytes // _MIB)
        given = Resources(
            requests={"cpu": "250m", "memory": "160Mi"},
            limits={"memory": f"{_OWN_MEMORY_MIB + bodies_mib}Mi"},
        )
    both = {"requests": given.requests, "limits": given.limits}
    return {name: amounts for name, amounts in both.items() if amounts}


def _probe(path: str, *, every: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": METRICS},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _spread(fleet: Fleet, over: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": over,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(fleet)},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _credentials(fleet: Fleet) -> list[tuple[str, str, list[str]]]:
    """Volume, Secret and the keys wanted of it. A Secret's name may be too long for a volume's."""
    wanted = fleet.credentials().items()
    return [(f"credential-{number}", name, keys) for number, (name, keys) in enumerate(wanted)]


def _files(name: str, keys: list[str]) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"secretName": name, "defaultMode": _GROUP_READS, "items": items}
