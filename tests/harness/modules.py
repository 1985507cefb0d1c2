"""Files of released Go modules: schemas of kinds that others define.

The Go client fetches and checks a module; the cache outside the clone keeps single files of it.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
#: the kinds of the Prometheus operator that the chart makes
_MONITORING = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")
_MONITORING_FILE = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
_MONITORING_KINDS = ("podmonitors", "prometheusrules")
_POLICIES = ("github.com/sigstore/policy-controller", "v0.13.1")
_POLICIES_FILE = "config/300-clusterimagepolicy.yaml"
_GATEWAY_API = ("sigs.k8s.io/gateway-api", "v1.4.1")
_GATEWAY_API_FILE = "config/crd/standard/gateway.networking.k8s.io_{}.yaml"
#: the kinds that Traefik watches
GATEWAY_API_KINDS = (
    "backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes",
    "referencegrants",
)  # fmt: skip


class Unfetchable(Exception):
    """A file of a module is not kept, and cannot be fetched here."""


def monitoring_definitions() -> tuple[dict[str, Any], ...]:
    """The definitions of the Prometheus operator's kinds, as its users apply them."""
    folder = "prometheus-operator-schemas"
    return tuple(
        _definition(fetch(folder, *_MONITORING, _MONITORING_FILE.format(kind)))
        for kind in _MONITORING_KINDS
    )


def image_policy_definition() -> dict[str, Any]:
    """The definition of the policy-controller's ClusterImagePolicy."""
    return _definition(fetch("image-policies", *_POLICIES, _POLICIES_FILE))


def gateway_api_definition(kind: str) -> dict[str, Any]:
    """The definition of a kind of the Gateway API, such as `httproutes`."""
    return _definition(gateway_api_file(kind))


def gateway_api_file(kind: str) -> Path:
    """The same as a file."""
    return fetch("gateway-api", *_GATEWAY_API, _GATEWAY_API_FILE.format(kind))


def _definition(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
    return found


def fetch(folder: str, name: str, version: str, file: str) -> Path:
    """Return the kept copy of one file of a version of a module.

    Raises `Unfetchable`.
    """
    kept = _CACHES / "faregate" / folder / version / Path(file).name
    if kept.exists():
        return kept
    if shutil.which("go") is None:
        raise Unfetchable(f"{file} of {name} {version} is fetched with Go, which is not here")
    with tempfile.TemporaryDirectory() as empty:  # the clone has modules of its own
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{name}@{version}"],
            cwd=empty,
            capture_output=True,
            text=True,
            timeout=600,
        )
    if done.returncode != 0:
        raise Unfetchable(f"{file} of {name} {version} cannot be fetched: {done.stdout}")
    module = Path(json.loads(done.stdout)["Dir"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    shutil.copyfile(module / file, part)
    part.rename(kept)
    return kept
