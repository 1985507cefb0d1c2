"""Names, ports and folders that the children of a fleet share."""

from collections.abc import Mapping
from typing import Any

from gateway_operator.resources.fleet import KIND, Fleet
from gateway_operator.resources.names import (
    CONSOLE_LABEL,
    FIELD_MANAGER,
    FLEET_LABEL,
    GROUP,
    MANAGED_BY_LABEL,
    VERSION,
)

CLIENT_PORT = 8080
OPERATIONS_PORT = 9090
#: names of the ports
CLIENTS, METRICS = "http", "metrics"
CONFIG_FOLDER = "/etc/faregate"
CONFIG_FILE = "fleet.yaml"
DATA_FOLDER = "/var/lib/faregate"
DIGEST_ANNOTATION = f"{GROUP}/config-digest"

Child = dict[str, Any]


def config_name(workload: str) -> str:
    """The name of a Deployment's ConfigMap; every other child has the Deployment's own."""
    return f"{workload}-config"


def console_name(fleet: Fleet) -> str:
    """The name of what belongs to the console of a fleet."""
    return f"{fleet.name}-console"


def selector(fleet: Fleet) -> dict[str, str]:
    """The labels that find the pods of a fleet. A Deployment's can never be changed."""
    return {FLEET_LABEL: fleet.name}


def console_selector(fleet: Fleet) -> dict[str, str]:
    """The labels that find the pods of a fleet's console: no Service of gateways may."""
    return {CONSOLE_LABEL: fleet.name}


def labels(fleet: Fleet, component: str) -> dict[str, str]:
    """Of every child, and of the pods, beside those that find them."""
    return {
        "app.kubernetes.io/name": "faregate",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": fleet.name,
        MANAGED_BY_LABEL: FIELD_MANAGER,
    }


def child(
    fleet: Fleet,
    api_version: str,
    kind: str,
    name: str | None = None,
    given: Mapping[str, str] | None = None,
) -> Child:
    """The beginning of a child, with these labels or the gateways': it goes when its fleet goes."""
    own = labels(fleet, "gateway") | selector(fleet) if given is None else dict(given)
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name or fleet.name,
            "namespace": fleet.namespace,
            "labels": own,
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
