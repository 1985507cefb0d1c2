"""Arrays in tools' schemas, as OpenAI demands them: with a schema of their items."""

import json
from typing import Any

import pytest

from gateway.core.request import Tool
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.adapt.array_items import complete_arrays
from gateway.dialects.adapt.tools import are_fit, fit_parameters
from gateway.dialects.json import encode

BARE = {"type": "array"}
WHOLE = {"type": "array", "items": {}}
#: given -> sent
PROPERTIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"a": BARE}, {"a": WHOLE}),
    ({"a": {"type": ["string", "array"]}}, {"a": {"type": ["string", "array"], "items": {}}}),
    ({"a": {"type": "array", "items": BARE}}, {"a": {"type": "array", "items": WHOLE}}),
    ({"a": {"type": "array", "items": None}}, {"a": WHOLE}),
    ({"a": {"anyOf": [BARE, {"type": "null"}]}}, {"a": {"anyOf": [WHOLE, {"type": "null"}]}}),
    ({"a": {"additionalProperties": BARE}}, {"a": {"additionalProperties": WHOLE}}),
    ({"a": {"properties": {"items": BARE}}}, {"a": {"properties": {"items": WHOLE}}}),
]


def schema(properties: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **members}


@pytest.mark.parametrize(("given", "expected"), PROPERTIES)
def test_each_array_states_its_items(given: dict[str, Any], expected: dict[str, Any]) -> None:
    whole, before = schema(given, **{"$defs": given}), json.dumps(given)
    completed = json.loads(encode(complete_arrays(whole)))
    assert completed == schema(expected, **{"$defs": expected})
    assert json.dumps(given) == before
    assert complete_arrays(completed) is completed


@pytest.mark.parametrize(
    "given",
    [{}, {"a": WHOLE}, {"a": {"enum": ["array"]}}, {"type": {"type": "string"}},
     {"a": {"default": {"type": "array"}}}, {"a": "array"}, {"a": {"type": "array", "items": []}}],
)  # fmt: skip
def test_any_other_schema_stays_as_it_is(given: dict[str, Any]) -> None:
    whole = schema(given)
    assert complete_arrays(whole) is whole


@pytest.mark.parametrize("name", ALL_PROFILES)
def test_openai_models_get_it_and_no_others(name: str) -> None:
    profile, tool = ALL_PROFILES[name], Tool("look", parameters=schema({"a": BARE}))
    sent = json.loads(encode(fit_parameters(tool, profile)))["properties"]["a"]
    is_openais = name.startswith("gpt-")
    assert (sent == WHOLE) == is_openais
    if not name.startswith("kimi-"):
        assert are_fit((tool,), profile, need_properties=True) != is_openais


def test_a_large_schema_is_completed_too() -> None:
    many = {f"a{index}": BARE for index in range(2000)}
    completed = json.loads(encode(complete_arrays(schema(many))))
    assert completed["properties"] == dict.fromkeys(many, WHOLE)
