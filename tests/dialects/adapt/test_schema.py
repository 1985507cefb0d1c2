"""JSON Schema in Moonshot's subset: what must be inlined, inferred, loosened or dropped."""

import copy
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.dialects.adapt.schema import normalise
from gateway.upstream.simulated.schema import check_schema

Schema = dict[str, Any]


def bring(schema: Schema) -> Any:
    """The normalised schema, which the strict check must accept."""
    before = copy.deepcopy(schema)
    result = msgspec.json.decode(normalise(schema))
    assert schema == before, "the input is not changed"
    check_schema(result, "tools.function.parameters")
    return result


def property_of(schema: Schema, **root: Any) -> Any:
    return bring({"type": "object", "properties": {"x": schema}, **root})["properties"]["x"]


def test_a_schema_inside_the_subset_is_left_alone() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "d", "default": "x", "format": "date"},
            "b": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "c": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"},
            "d": {"type": ["string", "null"]},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    assert bring(schema) == schema


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"enum": ["a", "b"]}, {"enum": ["a", "b"], "type": "string"}),
        ({"enum": [1, 2]}, {"enum": [1, 2], "type": "integer"}),
        ({"enum": ["a", None]}, {"enum": ["a", None], "type": ["string", "null"]}),
        ({"enum": [True]}, {"type": "boolean"}),
        ({"enum": []}, {"type": "string"}),
        ({"const": "a"}, {"enum": ["a"], "type": "string"}),
        ({"const": None}, {"type": "null"}),
        ({"type": "object", "enum": ["a"]}, {"enum": ["a"], "type": "string"}),
        ({"type": "number", "enum": [1]}, {"enum": [1], "type": "number"}),
        ({"properties": {"a": {}}}, {"properties": {"a": {"type": "string"}}, "type": "object"}),
        ({"items": {"type": "string"}}, {"items": {"type": "string"}, "type": "array"}),
        ({"minimum": 1}, {"minimum": 1, "type": "number"}),
        ({"description": "free"}, {"description": "free", "type": "string"}),
        ({}, {"type": "string"}),
        (True, {"type": "string"}),
        ({"type": []}, {"type": "string"}),
        ({"type": "array", "items": {}}, {"type": "array"}),
        ({"type": "array", "items": True}, {"type": "array"}),
        (
            {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        ),
        ({"type": "object", "required": ["gone"]}, {"type": "object"}),
        ({"type": "string", "description": 5}, {"type": "string"}),
        (
            {"type": "object", "additionalProperties": {}},
            {"type": "object", "additionalProperties": {}},
        ),
        (
            {"type": "object", "additionalProperties": {"enum": ["a"]}},
            {"type": "object", "additionalProperties": {"enum": ["a"], "type": "string"}},
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"$ref": "#/$defs/A"}}},
            {"type": "object"},
        ),
        ({"type": "string", "not": {"const": "x"}, "if": {}, "then": {}}, {"type": "string"}),
    ],
)
def test_types_are_inferred_and_the_rest_loosened(given: Any, expected: Any) -> None:
    assert property_of(given) == expected


def test_choices_hold_the_types_themselves() -> None:
    assert property_of({"type": "string", "anyOf": [{"minLength": 1}, {"enum": ["a"]}]}) == {
        "anyOf": [{"type": "string", "minLength": 1}, {"type": "string", "enum": ["a"]}]
    }
    assert property_of({"oneOf": [{"type": "string"}, {"const": 1}], "title": "t"}) == {
        "title": "t",
        "anyOf": [{"type": "string"}, {"enum": [1], "type": "integer"}],
    }
    narrowed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    assert property_of(narrowed) == {"type": "object", "properties": {"a": {"type": "string"}}}


def test_parts_of_all_of_are_merged() -> None:
    merged = property_of(
        {
            "allOf": [
                {"$ref": "#/$defs/A"},
                {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
            ],
            "description": "d",
        },
        **{"$defs": {"A": {"type": "object", "properties": {"a": {}}, "required": ["a"]}}},
    )
    assert merged == {
        "type": "object",
        "description": "d",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    }


def test_references_are_inlined_and_what_stands_beside_them_wins() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/Place", "description": "where"},
            "b": {"$ref": "#/definitions/a~1b"},
            "c": {"$ref": "#/$defs/Again"},
        },
        "$defs": {
            "Place": {"type": "object", "properties": {"x": {"type": "number"}}, "title": "Place"},
            "Again": {"$ref": "#/$defs/Place"},
        },
        "definitions": {"a/b": {"enum": ["y"]}},
    }
    place = {"type": "object", "properties": {"x": {"type": "number"}}, "title": "Place"}
    assert bring(schema) == {
        "type": "object",
        "properties": {
            "a": {**place, "description": "where"},
            "b": {"enum": ["y"], "type": "string"},
            "c": place,
        },
    }


@pytest.mark.parametrize(
    "reference",
    [
        "#",
        "#/$defs/Loop",
        "#/$defs/missing",
        "https://example.com/schema.json",
        "#/$defs/Text/0",
        5,
    ],
)
def test_a_reference_that_leads_back_or_nowhere_becomes_any_object(reference: Any) -> None:
    loop = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Loop"}}}
    schema = property_of({"$ref": reference}, **{"$defs": {"Loop": loop, "Text": "x"}})
    assert schema["type"] == "object"
    assert "$ref" not in str(schema)


def test_a_tool_without_properties_takes_an_empty_object() -> None:
    for empty in ({}, {"type": "object"}, {"type": "string"}, {"description": "nothing"}):
        assert bring(dict(empty))["properties"] == {}
        assert bring(dict(empty))["type"] == "object"


def test_references_that_multiply_are_cut_short() -> None:
    for part in ("anyOf", "allOf"):
        definitions: Schema = {
            f"L{level}": {part: [{"$ref": f"#/$defs/L{level + 1}"}] * 4} for level in range(20)
        }
        definitions["L20"] = {"type": "string"}
        began = time.monotonic()
        encoded = normalise(
            {"type": "object", "properties": {"x": {"$ref": "#/$defs/L0"}}, "$defs": definitions}
        )
        assert time.monotonic() - began < 5
        assert len(encoded) < 500_000


def test_depth_is_bounded() -> None:
    deep: Schema = {"type": "string"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"x": deep}}
    encoded = bytes(normalise(deep))
    assert encoded.count(b'"properties"') < 30
    nested: Schema = {"type": "string"}
    for _ in range(400):
        nested = {"allOf": [nested]}
    try:
        normalise(nested)
    except InvalidRequest as error:
        refused: InvalidRequest | None = error
    else:
        refused = None
    assert refused is None or "deeply" in refused.message


KEYWORDS = [
    "type",
    "properties",
    "items",
    "required",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
    "$defs",
    "additionalProperties",
    "description",
    "a",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["string", "object", "array", "#", "#/$defs/a", "#/properties/a", "nonsense"])
)
SCHEMAS = st.dictionaries(
    st.sampled_from(KEYWORDS),
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


@given(SCHEMAS)
def test_any_schema_comes_out_without_references_and_as_an_object(schema: Schema) -> None:
    result = msgspec.json.decode(normalise(schema))
    assert result.get("type") == "object" or "anyOf" in result
    assert bytes(normalise(schema)) == bytes(normalise(copy.deepcopy(schema)))
    assert_typed(result)


def assert_typed(node: Any) -> None:
    """Every node has a type or alternatives, and no keyword that the subset lacks."""
    assert isinstance(node, dict)
    assert ("type" in node) != ("anyOf" in node)
    assert not node.keys() & {"$ref", "$defs", "oneOf", "allOf", "const"}
    for child in (*node.get("properties", {}).values(), *node.get("anyOf", ())):
        assert_typed(child)
    if "items" in node:
        assert_typed(node["items"])
    assert set(node.get("required", ())) <= set(node.get("properties", ()))
