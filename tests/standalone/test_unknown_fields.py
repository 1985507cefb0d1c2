"""Fields that mean nothing: a misspelt limit stops the start, a cluster's own field does not."""

from pathlib import Path
from typing import Any

import msgspec.inspect as shapes
import pytest
import yaml

from gateway.core.spec import (
    AccountSpec,
    ApiKeySpec,
    CreditAllowanceSpec,
    CreditGrantSpec,
    GatewayFleetSpec,
)
from gateway.core.spec_fields import SpecError
from gateway.process.standalone.documents import read_documents
from gateway.process.standalone.unknown_fields import CLUSTER_FIELDS
from tests.harness.gateway import ROOT, api_key, credit_grant, fleet

KINDS: dict[str, type] = {
    "accounts": AccountSpec,
    "apikeys": ApiKeySpec,
    "creditallowances": CreditAllowanceSpec,
    "creditgrants": CreditGrantSpec,
    "gatewayfleets": GatewayFleetSpec,
}
FLEET = fleet("http://x/v1")


def read(folder: Path, *documents: dict[str, Any], strict: bool = True) -> None:
    path = folder / "file.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    read_documents(path, strict=strict)


def changed(document: dict[str, Any], path: str, value: Any = 1) -> dict[str, Any]:
    """A copy with one more field, at a path such as `spec.models.0.prices`."""
    copy = yaml.safe_load(yaml.safe_dump(document))
    *parents, name = path.split(".")
    place = copy
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
    place[name] = value
    return dict(copy)


@pytest.mark.parametrize(
    ("document", "path", "sentence"),
    [
        (api_key("a"), "spec.limits.creditPerDay",
         "ApiKey team/a: there is no field spec.limits.creditPerDay; do you mean creditsPerDay?"),
        (api_key("a"), "spec.limits.credits_per_day", "do you mean creditsPerDay?"),
        (api_key("a"), "spec.model", "no field spec.model; do you mean models?"),
        (api_key("a"), "spec.rotation.generations", "do you mean generation?"),
        (api_key("a"), "spec.zzzzzzz", "ApiKey team/a: there is no field spec.zzzzzzz$"),
        (api_key("a"), "metadata.nmespace", "do you mean namespace?"),
        (api_key("a"), "sepc", "no field sepc; do you mean spec?"),
        (credit_grant("g"), "spec.expireAt", "CreditGrant team/g: .*; do you mean expiresAt?"),
        (FLEET, "spec.limits.bodyByte", "GatewayFleet team/fleet: .*; do you mean bodyBytes?"),
        (FLEET, "spec.models.1.upstreem", r"no field spec\.models\[1\]\.upstreem; do you mean"),
        (FLEET, "spec.models.0.pricing.chatCredits", "do you mean chatCreditsPerMessage?"),
        (FLEET, "spec.upstreams.0.timeout", r"no field spec\.upstreams\[0\]\.timeout"),
        (FLEET, "spec.drain.second", "do you mean seconds?"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_refused_with_its_path_and_the_nearest_known(
    tmp_path: Path, document: dict[str, Any], path: str, sentence: str
) -> None:
    others = [] if document is FLEET else [FLEET]
    with pytest.raises(SpecError, match=sentence):
        read(tmp_path, changed(document, path), *others)
    read(tmp_path, changed(document, path), *others, strict=False)
    read(tmp_path, document, *others)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.replicas", 3),
        ("spec.podTemplate", {"metadata": {"labels": {"a": "b"}}}),
        ("spec.drain.preStopSeconds", 5),
        ("metadata.labels", {"app.kubernetes.io/name": "x"}),
        ("metadata.annotations", {"a": "b"}),
        ("status", {"conditions": [{"type": "Ready"}]}),
    ],
)
def test_what_only_a_cluster_needs_is_accepted(tmp_path: Path, path: str, value: Any) -> None:
    read(tmp_path, changed(FLEET, path, value))


def schema_of(name: str) -> dict[str, Any]:
    definition = yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(schema["properties"]["spec"])


def fields_of(schema: dict[str, Any], shape: shapes.Type) -> None:
    """Every field of a definition is read, or is known as a cluster's."""
    if isinstance(shape, shapes.UnionType):
        for each in shape.types:
            fields_of(schema, each)
    elif isinstance(shape, shapes.ListType):
        fields_of(schema.get("items", {}), shape.item_type)
    elif isinstance(shape, shapes.StructType):
        known = {field.encode_name: field.type for field in shape.fields}
        others = CLUSTER_FIELDS.get(shape.cls, frozenset())
        assert schema["properties"].keys() == known.keys() | others
        assert not known.keys() & others
        for name, each in known.items():
            fields_of(schema["properties"][name], each)


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_a_definition_is_read_or_known_as_a_clusters(name: str) -> None:
    fields_of(schema_of(name), shapes.type_info(KINDS[name]))


def test_the_examples_have_no_unknown_field() -> None:
    read_documents(ROOT / "examples" / "quickstart.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spec: {account: a, account: b, secretName: s}", "account is there twice"),
        ("spec: {account: a, secretName: s, limits: {creditsPerDay: 1, creditsPerDay: 9}}",
         "creditsPerDay is there twice"),
    ],
)  # fmt: skip
def test_a_field_that_is_there_twice_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "file.yaml"
    head = "apiVersion: faregate.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: a}\n"
    path.write_text(yaml.safe_dump(FLEET) + "---\n" + head + text)
    with pytest.raises(SpecError, match=sentence):
        read_documents(path)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"name": "Not A Name"}, "metadata.name"),
        ({"name": "a/b"}, "metadata.name"),
        ({"name": "a", "namespace": "two/parts"}, "metadata.namespace"),
        ({"name": "a", "namespace": "x" * 64}, "metadata.namespace"),
        ({"name": ""}, "metadata.name"),
    ],
)
def test_names_are_those_that_an_api_server_takes(
    tmp_path: Path, metadata: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        read(tmp_path, FLEET, {**api_key("a"), "metadata": metadata})


def test_two_keys_have_no_secret_together(tmp_path: Path) -> None:
    first, second = api_key("a", secretName="s"), api_key("b", secretName="s")
    with pytest.raises(SpecError, match="ApiKeys team/a and team/b have the same secretName, s"):
        read(tmp_path, FLEET, first, second)
