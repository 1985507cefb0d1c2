"""The pod of a gateway or a console: the restricted profile throughout, and time to drain."""

from typing import Any

from gateway_operator.render.authorities import authorities
from gateway_operator.render.names import (
    CLIENT_PORT,
    CLIENTS,
    CONFIG_FILE,
    CONFIG_FOLDER,
    DATA_FOLDER,
    METRICS,
    OPERATIONS_PORT,
)
from gateway_operator.render.overlay import overlay
from gateway_operator.render.workload import Workload
from gateway_operator.resources.fleet import Resources
from gateway_operator.settings import OperatorSettings

_USER = 10001
_IDS = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
#: readable for the group, and nobody else
_GROUP_READS = 0o440


def pod_template(workload: Workload, settings: OperatorSettings) -> dict[str, Any]:
    """The template, with the administrator's laid over ours. Our own labels always win."""
    theirs = workload.template
    scraping = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(OPERATIONS_PORT),
        "prometheus.io/path": "/metrics",
    }
    return {
        "metadata": {
            "labels": {**theirs.metadata.labels, **workload.labels},
            "annotations": {**scraping, **theirs.metadata.annotations},
        },
        "spec": overlay(_pod(workload, settings), theirs.spec),
    }


def _pod(workload: Workload, settings: OperatorSettings) -> dict[str, Any]:
    fleet = workload.fleet
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # The variables that a Service of our own name would add look like settings of ours.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": workload.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            **({} if settings.platform_ids else _IDS),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "topologySpreadConstraints": [
            _spread(workload, "topology.kubernetes.io/zone"),
            _spread(workload, "kubernetes.io/hostname"),
        ],
        "containers": [_container(workload, settings)],
        "volumes": [
            {"name": "config", "configMap": {"name": workload.config_name}},
            {"name": "data", "emptyDir": {"sizeLimit": "16Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *(
                {"name": volume, "secret": _files(name, keys)}
                for volume, name, keys in _credentials(workload)
            ),
            *(each.volume() for each in authorities(fleet, settings)),
        ],
    }
    if fleet.cluster.image_pull_secrets:
        names = [{"name": secret.name} for secret in fleet.cluster.image_pull_secrets]
        pod["imagePullSecrets"] = names
    return pod


def _container(workload: Workload, settings: OperatorSettings) -> dict[str, Any]:
    fleet = workload.fleet
    container: dict[str, Any] = {
        "name": workload.component,
        "image": fleet.cluster.image or settings.image,
        "command": ["python", "-m", "gateway", *workload.command],
        "args": [
            *("--config", f"{CONFIG_FOLDER}/{CONFIG_FILE}", "--data", DATA_FOLDER),
            # Every address of the pod, which may have IPv4, IPv6, or both.
            *("--host", "::", "--port", str(CLIENT_PORT)),
            *("--ops-port", str(OPERATIONS_PORT)),
        ],
        "env": _environment(workload, settings),
        "ports": [
            {"name": CLIENTS, "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": METRICS, "containerPort": OPERATIONS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe("/readyz", every=1, failures=60),
        "readinessProbe": _probe("/readyz", every=5, failures=2),
        "livenessProbe": _probe("/healthz", every=10, failures=6),
        # Routes to an ending pod disappear while it is asked to end: it serves on until they have.
        "lifecycle": {"preStop": {"sleep": {"seconds": workload.pre_stop_seconds}}},
        "resources": _resources(workload.resources),
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
                for volume, name, _ in _credentials(workload)
            ),
            *(each.mount() for each in authorities(fleet, settings)),
        ],
    }
    if fleet.cluster.image_pull_policy is not None:
        container["imagePullPolicy"] = fleet.cluster.image_pull_policy
    return container


def _environment(workload: Workload, settings: OperatorSettings) -> list[dict[str, Any]]:
    def secret(name: str, key: str) -> dict[str, Any]:
        return {"secretKeyRef": {"name": name, "key": key}}

    database = secret(settings.database_secret_name, settings.database_secret_key)
    installation = secret(settings.installation_secret_name, settings.installation_secret_key)
    return [
        {"name": "FAREGATE_DATABASE_URL", "valueFrom": database},
        {"name": "FAREGATE_INSTALLATION", "value": settings.installation},
        {"name": "FAREGATE_INSTALLATION_SECRET", "valueFrom": installation},
        *(each.environment() for each in authorities(workload.fleet, settings)),
    ]


def _resources(given: Resources) -> dict[str, Any]:
    both = {"requests": given.requests, "limits": given.limits}
    return {name: amounts for name, amounts in both.items() if amounts}


def _probe(path: str, *, every: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": METRICS},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _spread(workload: Workload, over: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": over,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": workload.selector},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _credentials(workload: Workload) -> list[tuple[str, str, list[str]]]:
    """Volume, Secret and the keys wanted of it. A Secret's name may be too long for a volume's."""
    wanted = workload.credentials.items()
    return [(f"credential-{number}", name, keys) for number, (name, keys) in enumerate(wanted)]


def _files(name: str, keys: list[str]) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"secretName": name, "defaultMode": _GROUP_READS, "items": items}
