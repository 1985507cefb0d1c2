"""Names, ports and folders that the children of a fleet share."""

from typing import Any

from gateway_operator.resources.fleet import KIND, Fleet
from gateway_operator.resources.names import (
    FIELD_MANAGER,
    FLEET_LABEL,
    GROUP,
    MANAGED_BY_LABEL,
    VERSION,
)

CLIENT_PORT = 8080
OPERATIONS_PORT = 9090
CONTAINER = "gateway"
#: names of the ports
CLIENTS, METRICS = "http", "metrics"
CONFIG_FOLDER = "/etc/faregate"
CONFIG_FILE = "fleet.yaml"
DATA_FOLDER = "/var/lib/faregate"
DIGEST_ANNOTATION = f"{GROUP}/config-digest"

Child = dict[str, Any]


def config_name(fleet: Fleet) -> str:
    """The ConfigMap's; every other child has the fleet's own name."""
    return f"{fleet.name}-config"


def selector(fleet: Fleet) -> dict[str, str]:
    """The labels that find the pods of a fleet. A Deployment's can never be changed."""
    return {FLEET_LABEL: fleet.name}


def labels(fleet: Fleet) -> dict[str, str]:
    """Of every child, and of the pods."""
    return {
        "app.kubernetes.io/name": "faregate",
        "app.kubernetes.io/component": "gateway",
        "app.kubernetes.io/instance": fleet.name,
        MANAGED_BY_LABEL: FIELD_MANAGER,
        **selector(fleet),
    }


def child(fleet: Fleet, api_version: str, kind: str, name: str | None = None) -> Child:
    """The beginning of a child: it goes when its fleet goes."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name or fleet.name,
            "namespace": fleet.namespace,
            "labels": labels(fleet),
            "ownerReferences": [
                {
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "kind": KIND,
                    "name": fleet.name,
                    "uid": fleet.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }
