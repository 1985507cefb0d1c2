"""Schemas of tools' parameters as every provider takes them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.request import Tool
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.adapt.tools import fit_parameters
from gateway.dialects.chat.request_writer import write_request as write_chat
from gateway.dialects.gemini.request_writer import write_request as write_gemini
from gateway.dialects.json import encode
from gateway.dialects.messages.request_writer import write_request as write_messages
from gateway.dialects.responses.request_writer import write_request as write_responses
from tests.dialects.support import request, resolve

CITY = {"city": {"type": "string"}}
#: given -> sent
SCHEMAS: list[tuple[dict[str, Any] | None, dict[str, Any]]] = [
    (None, {"type": "object", "properties": {}}),
    ({}, {"type": "object", "properties": {}}),
    ({"type": "object"}, {"type": "object", "properties": {}}),
    ({"type": "object", "properties": None}, {"type": "object", "properties": {}}),
    ({"properties": CITY}, {"type": "object", "properties": CITY}),
    ({"type": None, "properties": CITY}, {"type": "object", "properties": CITY}),
    ({"type": ["object", "null"], "properties": CITY}, {"type": "object", "properties": CITY}),
    ({"type": "object", "properties": CITY}, {"type": "object", "properties": CITY}),
]


@pytest.mark.parametrize("profile", ALL_PROFILES)
@pytest.mark.parametrize(("given", "expected"), SCHEMAS)
def test_parameters_are_an_object_with_members(
    given: dict[str, Any] | None, expected: dict[str, Any], profile: str
) -> None:
    before = json.dumps(given)
    fitted = fit_parameters(Tool("look", parameters=given), ALL_PROFILES[profile])
    assert json.loads(encode(fitted)) == expected
    assert json.dumps(given) == before


#: as Pydantic writes a recursive class
RECURSIVE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "$defs": {"Node": {"properties": {**CITY, "next": {"$ref": "#/$defs/Node"}}}},
}


@pytest.mark.parametrize("profile", ALL_PROFILES)
def test_a_reference_at_the_root_is_what_it_names(profile: str) -> None:
    before = json.dumps(RECURSIVE)
    tool = Tool("look", parameters=RECURSIVE)
    fitted = json.loads(encode(fit_parameters(tool, ALL_PROFILES[profile])))
    assert json.dumps(RECURSIVE) == before
    assert (fitted["type"], list(fitted["properties"])) == ("object", ["city", "next"])
    body = json.loads(write_gemini(request(tools=(tool,)), resolve("gemini-3")).body)
    sent = body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert list(sent["properties"]) == ["city", "next"]


@pytest.mark.parametrize(
    ("write", "path"),
    [
        (write_chat, ("function", "parameters")),
        (write_messages, ("input_schema",)),
        (write_responses, ("parameters",)),
    ],
)
@pytest.mark.parametrize(("given", "expected"), SCHEMAS)
def test_every_dialect_sends_the_repaired_schema(
    write: Callable[..., Any],
    path: tuple[str, ...],
    given: dict[str, Any] | None,
    expected: dict[str, Any],
) -> None:
    wanted = request(tools=(Tool("look", parameters=given),))
    found = json.loads(write(wanted, resolve("generic")).body)["tools"][0]
    for member in path:
        found = found[member]
    assert found == expected


@pytest.mark.parametrize(("given", "expected"), SCHEMAS)
def test_gemini_gets_no_schema_without_members(
    given: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    wanted = request(tools=(Tool("look", parameters=given),))
    body = json.loads(write_gemini(wanted, resolve("gemini-3")).body)
    (function,) = body["tools"][0]["functionDeclarations"]
    assert function.get("parametersJsonSchema") == (expected if expected["properties"] else None)
