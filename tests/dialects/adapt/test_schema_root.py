"""The root of a schema as one object: nothing that the schema allows is refused by it."""

import json
from typing import Any

import jsonschema
import pytest

from gateway.dialects.adapt.schema_root import COMBINED, flatten, resolve

TEXT = {"type": "string"}
A = {"properties": {"kind": {"const": "a"}, "a": TEXT}, "required": ["kind", "a"]}
B = {"properties": {"kind": {"const": "b"}, "b": TEXT}, "required": ["kind", "b"]}
#: schema, what it allows, and what the object in its place requires
SCHEMAS: list[tuple[dict[str, Any], list[dict[str, Any]], list[str]]] = [
    ({"allOf": [A, {"properties": {"day": TEXT}}]}, [{"kind": "a", "a": "x"}], ["kind", "a"]),
    ({"oneOf": [A, B]}, [{"kind": "a", "a": "x"}, {"kind": "b", "b": "x"}], ["kind"]),
    ({"type": "object", "properties": {"c": TEXT}, "required": ["c"], "anyOf": [A, {}]},
     [{"c": "x"}, {"c": "x", "kind": "a", "a": "x"}], ["c"]),
    ({"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}], "$defs": {"A": A, "B": B}},
     [{"kind": "a", "a": "x"}, {"kind": "b", "b": "x"}], ["kind"]),
    ({"allOf": [{"oneOf": [A, B]}, {"required": ["day"]}]},
     [{"kind": "b", "b": "x", "day": 1}], ["kind"]),
    ({"anyOf": [{"required": ["x"]}, {"required": ["y"]}],
      "properties": {"x": TEXT, "y": TEXT}}, [{"x": "1"}, {"y": "1"}], []),
    ({"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B", "required": ["b"]}],
      "$defs": {"A": {"$ref": "#/$defs/C"}, "B": B, "C": A}},
     [{"kind": "a", "a": "x"}, {"kind": "b", "b": "x"}], ["kind"]),
    ({"not": {"required": ["x"]}, "properties": {"x": TEXT}}, [{}], []),
    ({"enum": [{"x": 1}]}, [{"x": 1}], []),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "allowed", "required"), SCHEMAS)
def test_one_object_allows_what_the_schema_allows(
    schema: dict[str, Any], allowed: list[dict[str, Any]], required: list[str]
) -> None:
    before = json.dumps(schema)
    flat = flatten(schema)
    assert json.dumps(schema) == before
    assert json.dumps(flatten(schema)) == json.dumps(flat)
    assert COMBINED.isdisjoint(flat)
    assert (flat["type"], flat.get("required", [])) == ("object", required)
    for one in allowed:
        jsonschema.validate(one, schema)
        jsonschema.validate(one, flat)


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": None},
        {"allOf": [1, None, "x"], "required": "x"},
        {"anyOf": [{"$ref": "#/$defs/A"}], "$defs": 1},
        {"anyOf": [{"$ref": "https://example.com/a"}], "properties": []},
        {"anyOf": [{"properties": 1, "required": [1, {}]}]},
    ],
)
def test_what_is_no_schema_breaks_nothing(schema: dict[str, Any]) -> None:
    assert flatten(schema)["properties"] == {}


@pytest.mark.parametrize(
    ("schema", "properties"),
    [
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": A}}, ["kind", "a"]),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}, "properties": {"c": TEXT}}, ["kind", "a", "c"]),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, []),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#"}}}, []),
        ({"$ref": "#/$defs/a~1b%3C~0", "$defs": {"a/b<~": A}}, ["kind", "a"]),
        ({"$ref": "#/$defs/a%3C", "$defs": {"a%3C": A}}, ["kind", "a"]),
        ({"$ref": "#", "properties": {"c": TEXT}}, ["c"]),
        ({"$ref": 1}, []),
        ({"$ref": "#/$defs/" + "a" * 1016, "$defs": {"a" * 1016: A}}, ["kind", "a"]),
        ({"$ref": "#/$defs/" + "a" * 1017, "$defs": {"a" * 1017: A}}, []),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B", "$defs": {"B": B}}, "B": A}},
            ["kind", "a"],
        ),
    ],
)
def test_a_reference_at_the_root_is_followed(schema: dict[str, Any], properties: list[str]) -> None:
    before = json.dumps(schema)
    assert list(resolve(schema).get("properties", ())) == properties
    assert json.dumps(schema) == before


@pytest.mark.parametrize("back", ["#/$defs/A", "#/$defs/B", "https://example.com/schema"])
def test_a_root_that_was_resolved_refers_to_nothing(back: str) -> None:
    a, b = {"$ref": "#/$defs/B", "properties": {"x": TEXT}}, {"$ref": back, **A}
    schema = {"$ref": "#/$defs/A", "properties": {"x": {}}, "$defs": {"A": a, "B": b}}
    resolved = resolve(schema)
    assert "$ref" not in resolved
    assert list(resolved["properties"]) == ["kind", "a", "x"]
    assert resolved["properties"]["x"] == {}
    assert resolved["$defs"] is schema["$defs"]


def test_references_that_multiply_are_followed_once() -> None:
    node = {"anyOf": [{"$ref": "#"}] * 50, "allOf": [{"$ref": "#"}] * 50, "properties": {"a": TEXT}}
    assert flatten(node)["properties"] == {"a": TEXT}
    many = {"anyOf": [{"properties": {"a": {"const": number}}} for number in range(1000)]}
    assert flatten(many)["properties"] == {"a": {}}
