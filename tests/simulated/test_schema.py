"""Moonshot's subset of JSON Schema, and minimal instances."""

from typing import Any

import pytest

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.schema import check_schema, make_instance


def _object(properties: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **members}


_TEXT = {"type": "string"}
_NODE = _object({"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}})


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        (_object({"a": {"description": "?"}}), "'properties.a': type is not defined"),
        (_object({"a": {"enum": ["x"]}}), "'properties.a': type is not defined"),
        (_object({"a": {"oneOf": [_TEXT]}}), "'properties.a': type is not defined"),
        (_object({"a": {"type": "text"}}), "'properties.a': invalid type"),
        ({"properties": {"a": _TEXT}}, "'root': type is not defined"),
        (
            {"type": "object", "anyOf": [_object({})]},
            "'root': when using anyOf, type should be defined in anyOf items",
        ),
        (_object({"a": {"anyOf": [_TEXT, {}]}}), "'properties.a.anyOf{1}': type is not defined"),
        (_object({"a": True}), "'properties': property schema for 'a' must be an object"),
        (
            _object({"a": {"type": "array", "items": _object({"b": {}})}}),
            "'properties.a.items.properties.b': type is not defined",
        ),
        (_object({"a": {"type": "array", "items": [_TEXT]}}), "'properties.a': items must be"),
        (_object({}, additionalProperties={"title": "x"}), "'additionalProperties': type is not"),
        (_object({"a": {"$ref": "#/properties/b"}, "b": _TEXT}), "must start with #/$defs/"),
        (_object({"a": {"$ref": "#/$defs/x"}}), "$defs not found for reference #/$defs/x"),
        (
            _object({"a": {"$ref": "#/$defs/x", "type": "string"}}, **{"$defs": {"x": _TEXT}}),
            "when using $ref, type should be defined in the referenced schema",
        ),
        (
            _object(
                {"a": {"$ref": "#/$defs/x", "description": "?"}},
                **{"$defs": {"x": {**_TEXT, "description": "!"}}},
            ),
            "'properties.a': conflicting keywords found after $ref expansion: description",
        ),
        (_object({"a": {"$ref": 1}}), "$ref must be a string"),
        ({"anyOf": 1}, "anyOf must be an array"),
        ({"type": "object", "properties": []}, "properties must be an object"),
        (_object({"a": _object({}, **{"$defs": {}})}), "$defs must be at root level"),
        (_object({}, **{"$defs": {"x": {"title": "?"}}}), "'$defs.x': type is not defined"),
    ],
)
def test_a_schema_outside_the_subset_is_refused(schema: dict[str, Any], where: str) -> None:
    with pytest.raises(Refused) as caught:
        check_schema(schema, "tools.function.parameters")
    assert caught.value.message.startswith(
        "tools.function.parameters is not a valid moonshot flavored json schema, details: <At path"
    )
    assert where in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {},
        _object({"a": _TEXT, "b": {"type": ["string", "null"]}}, additionalProperties=False),
        _object({"a": {"type": "array", "items": {"anyOf": [_TEXT, {"type": "null"}]}}}),
        _object({"a": {"$ref": "#/$defs/node"}}, **{"$defs": {"node": _NODE}}),
        _object({"a": {"$ref": "#", "description": "the same again"}}),
        _object({"a": _TEXT}, additionalProperties={}),
    ],
)
def test_a_schema_inside_the_subset_is_taken(schema: dict[str, Any]) -> None:
    check_schema(schema, "x")


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        (None, None),
        ({}, "text"),
        ({"const": 5}, 5),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "boolean"}, True),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
        ({"allOf": [_object({"a": _TEXT}, required=["a"])]}, {"a": "text"}),
        ({"anyOf": [_object({}), {"type": "null"}]}, None),
        (
            _object({"a": {"$ref": "#/$defs/n"}}, required=["a"], **{"$defs": {"n": {"const": 1}}}),
            {"a": 1},
        ),
    ],
)
def test_an_instance_is_small_and_valid(schema: Any, instance: Any) -> None:
    assert make_instance(schema) == instance


def test_an_endless_schema_has_an_end() -> None:
    schema = _object({"a": {"$ref": "#"}}, required=["a"])
    instance, depth = make_instance(schema), 0
    while instance is not None:
        instance, depth = instance["a"], depth + 1
    assert depth < 50


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": {"a": 1}},
        {"type": "object", "properties": [], "required": ["a"]},
        {"$ref": 5},
        {"type": "integer", "minimum": "x", "multipleOf": 2},
        {"anyOf": 5},
    ],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(Refused, match="not a valid JSON Schema"):
        make_instance(schema)
