"""The Ingress, with what each kind of controller needs to leave streams whole."""

from typing import Any

from gateway_operator.render.names import CLIENTS, Child, child
from gateway_operator.render.paths import paths_by_service
from gateway_operator.resources.fleet import Fleet, Ingress

_NGINX = "nginx.ingress.kubernetes.io"


def ingress(fleet: Fleet, wanted: Ingress) -> Child:
    """The Ingress of a fleet."""
    rendered = child(fleet, "networking.k8s.io/v1", "Ingress")
    metadata = rendered["metadata"]
    metadata["labels"] = {**wanted.labels, **metadata["labels"]}
    annotations = {**_annotations(fleet, wanted), **wanted.annotations}
    if annotations:
        metadata["annotations"] = annotations
    http = {
        "paths": [
            {"path": path, "pathType": "Prefix", "backend": _target(name)}
            for name, paths in paths_by_service(fleet).items()
            for path in paths
        ]
    }
    hosts = [wanted.host, *wanted.additional_hosts]
    spec: dict[str, Any] = {"rules": [{"host": host, "http": http} for host in hosts]}
    if wanted.class_name is not None:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret_name is not None:
        spec["tls"] = [{"hosts": hosts, "secretName": wanted.tls_secret_name}]
    return {**rendered, "spec": spec}


def _target(service: str) -> dict[str, Any]:
    return {"service": {"name": service, "port": {"name": CLIENTS}}}


def _annotations(fleet: Fleet, wanted: Ingress) -> dict[str, str]:
    if "nginx" not in (wanted.class_name or ""):
        return {}  # Traefik, for one, neither buffers nor gives up on a stream
    return {
        f"{_NGINX}/proxy-buffering": "off",
        f"{_NGINX}/proxy-request-buffering": "off",
        f"{_NGINX}/proxy-read-timeout": "3600",
        f"{_NGINX}/proxy-send-timeout": "3600",
        f"{_NGINX}/proxy-body-size": str(fleet.gateway.limits.body_bytes),
    }
