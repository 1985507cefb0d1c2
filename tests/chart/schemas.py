"""Schemas of Kubernetes' objects, the Prometheus operator's and ours, made strict."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import yaml

from tests.chart.helm import ROOT, Body
from tests.harness.modules import fetch, monitoring_definitions

#: what Chart.yaml names as the oldest, and what the tests run on
OLDEST, NEWEST = "v1.32.0", "v1.36.3"
_SPECIFICATION = "api/openapi-spec/swagger.json"
#: schemas of two types have none in OpenAPI 2
_TWO_TYPES = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ["integer", "string"],
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ["number", "string"],
}


class Schemas:
    """The schemas of one version of Kubernetes, with those of resources beyond it."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = {name: strict(name, each) for name, each in definitions.items()}
        self._names: dict[tuple[str, str, str], str] = {}
        for name, definition in definitions.items():
            for kind in definition.get("x-kubernetes-group-version-kind", []):
                self._names[(kind["group"], kind["version"], kind["kind"])] = name
        for resource in (*_ours(), *monitoring_definitions()):
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
        schema = strict(kind, version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {
            "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
        }
        self._definitions[kind] = schema
        self._names[(resource["spec"]["group"], version["name"], kind)] = kind


@cache
def schemas_of(version: str) -> Schemas:
    """Skips the test where the schemas are not there and cannot be fetched."""
    kept = fetch("kubernetes-schemas", "k8s.io/kubernetes", version, _SPECIFICATION)
    return Schemas(json.loads(kept.read_text(encoding="utf-8"))["definitions"])


def _ours() -> list[Body]:
    paths = sorted((ROOT / "crds").glob("*.yaml"))
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]


def strict(name: str, node: Any) -> Any:
    """A schema that takes no fields but its own."""
    if name in _TWO_TYPES:
        return {"type": _TWO_TYPES[name]}
    if isinstance(node, list):
        return [strict("", each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: strict("", value) for key, value in node.items() if key != "properties"}
    if "properties" in node:
        made["properties"] = {field: strict("", each) for field, each in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made
