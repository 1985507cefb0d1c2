"""Kubernetes' own schemas of its objects, the Prometheus operator's and those of ours, made strict.

They are files of the modules k8s.io/kubernetes and github.com/prometheus-operator, which the Go
client fetches and checks; the cache outside the clone keeps just those files of each version.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.helm import ROOT, Body

#: what Chart.yaml names as the oldest, and what the tests run on
OLDEST, NEWEST = "v1.32.0", "v1.36.3"
_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_SPECIFICATION = "api/openapi-spec/swagger.json"
#: the kinds of the Prometheus operator that the chart makes
_MONITORING, _MONITORING_VERSION = "github.com/prometheus-operator/prometheus-operator", "v0.85.0"
_MONITORING_FOLDER = "example/prometheus-operator-crd"
_MONITORING_KINDS = ("podmonitors", "prometheusrules")
#: schemas of two types have none in OpenAPI 2
_TWO_TYPES = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ["integer", "string"],
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ["number", "string"],
}


class Schemas:
    """The schemas of one version of Kubernetes, with those of resources beyond it."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = {name: _strict(name, each) for name, each in definitions.items()}
        self._names: dict[tuple[str, str, str], str] = {}
        for name, definition in definitions.items():
            for kind in definition.get("x-kubernetes-group-version-kind", []):
                self._names[(kind["group"], kind["version"], kind["kind"])] = name
        for resource in (*_ours(), *monitoring_resources()):
            self._add(resource)

    def errors(self, body: Body) -> Iterator[str]:
        """The mistakes of an object; a missing schema is one, too."""
        group, _, version = body["apiVersion"].rpartition("/")
        name = self._names.get((group, version, body["kind"]))
        if name is None:
            yield f"there is no {body['apiVersion']} {body['kind']}"
            return
        schema = {"$ref": f"#/definitions/{name}", "definitions": self._definitions}
        for error in jsonschema.Draft202012Validator(schema).iter_errors(body):
            yield f"{body['kind']} {body['metadata']['name']} {error.json_path}: {error.message}"

    def _add(self, resource: Body) -> None:
        (version,) = resource["spec"]["versions"]
        kind = resource["spec"]["names"]["kind"]
        schema = _strict(kind, version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {
            "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
        }
        self._definitions[kind] = schema
        self._names[(resource["spec"]["group"], version["name"], kind)] = kind


@cache
def schemas_of(version: str) -> Schemas:
    """Skips the test where the schemas are not there and cannot be fetched."""
    kept = _CACHES / "faregate/kubernetes-schemas" / version / "swagger.json"
    if not kept.exists():
        _fetch("k8s.io/kubernetes", version, _SPECIFICATION, kept)
    return Schemas(json.loads(kept.read_text(encoding="utf-8"))["definitions"])


@cache
def monitoring_resources() -> tuple[Body, ...]:
    """The definitions of the Prometheus operator's kinds, as its users apply them."""
    folder = _CACHES / "faregate/prometheus-operator-schemas" / _MONITORING_VERSION
    for kind in _MONITORING_KINDS:
        if not (folder / f"{kind}.yaml").exists():
            file = f"{_MONITORING_FOLDER}/monitoring.coreos.com_{kind}.yaml"
            _fetch(_MONITORING, _MONITORING_VERSION, file, folder / f"{kind}.yaml")
    texts = [(folder / f"{kind}.yaml").read_text("utf-8") for kind in _MONITORING_KINDS]
    return tuple(yaml.load(text, yaml.CSafeLoader) for text in texts)


def _fetch(name: str, version: str, file: str, kept: Path) -> None:
    """Keep one file of a version of a module."""
    if shutil.which("go") is None:
        pytest.skip(f"the schemas of {name} {version} are fetched with Go, which is not here")
    with tempfile.TemporaryDirectory() as folder:  # the clone has modules of its own
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{name}@{version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
        )
    if done.returncode != 0:
        pytest.skip(f"the schemas of {name} {version} cannot be fetched: {done.stdout}")
    module = Path(json.loads(done.stdout)["Dir"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    shutil.copyfile(module / file, part)
    part.rename(kept)


def _ours() -> list[Body]:
    paths = sorted((ROOT / "crds").glob("*.yaml"))
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]


def _strict(name: str, node: Any) -> Any:
    """A schema that takes no fields but its own."""
    if name in _TWO_TYPES:
        return {"type": _TWO_TYPES[name]}
    if isinstance(node, list):
        return [_strict("", each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _strict("", value) for key, value in node.items() if key != "properties"}
    if "properties" in node:
        made["properties"] = {
            field: _strict("", each) for field, each in node["properties"].items()
        }
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made
