"""Finds of the fuzz tests, tried again in every run."""

import json
from typing import Any

import pytest

from tests.fuzz.support import SKELETONS, STRICT, Prober
from tests.fuzz.test_bodies import Verbatim, encode, with_schema
from tests.harness.dialects import DIALECTS, body

Path = tuple[str | int, ...]

#: dialect, place in the skeleton, what stands there, and the status that it deserves
CASES: list[tuple[str, Path, Any, int]] = [
    # images that are none, in a history: left out, not refused by the upstream after the charge
    ("messages", ("messages", 0, "content", 1, "source", "media_type"), "text/plain", 200),
    ("messages", ("messages", 0, "content", 1, "source", "media_type"), "image/png;a=b", 200),
    ("messages", ("messages", 0, "content", 1, "source", "data"), "", 200),
    ("responses", ("input", 1, "content", 1, "image_url"), "data:text/plain;base64,AA==", 200),
    ("responses", ("input", 1, "content", 1, "image_url"), "data:,", 200),
    ("chat", ("messages", 1, "content", 1, "image_url", "url"), "data:image/png;a=b;base64,A", 200),
    # calls in a history that no server takes
    ("messages", ("messages", 2, "content", 3, "name"), "", 400),
    ("messages", ("messages", 2, "content", 3, "input"), Verbatim('{"a":1e999}'), 200),
    ("chat", ("messages", 2, "tool_calls", 0, "function", "arguments"), '{"a":1e999}', 200),
    ("responses", ("input", 4, "arguments"), '{"a":[NaN]}', 200),
    # what a client calls its kinds goes into a header
    ("responses", ("input", 10, "type"), "a\r\nset-cookie: b", 200),
    ("responses", ("input", 10, "type"), "\x00", 200),
    ("responses", ("input", 10, "type"), "x" * 70_000, 200),
    ("responses", ("tools", 4, "type"), "é\n", 200),
    ("responses", ("input", 1, "content", 2, "type"), "of\nthe\nfuture", 200),
    # a name that may be left out may also be empty
    ("chat", ("response_format", "json_schema", "name"), "", 200),
    ("responses", ("text", "format", "name"), "", 200),
    # names for the database
    ("responses", ("previous_response_id",), "\x00", 400),
    ("responses", ("previous_response_id",), "resp_" + "x" * 1000, 400),
]


def changed(dialect: str, place: Path, thing: Any) -> bytes:
    """The skeleton with one thing in it replaced."""
    value = json.loads(json.dumps({"model": "kimi-k2.5", **SKELETONS[dialect]}))
    *way, last = place
    holder = value
    for step in way:
        holder = holder[step]
    holder[last] = thing
    return encode(value, [])


@pytest.mark.parametrize(
    ("dialect", "place", "thing", "status"),
    CASES,
    ids=lambda value: None if isinstance(value, int) else repr(value)[:60],
)
def test_what_was_found_once(
    prober: Prober, dialect: str, place: Path, thing: Any, status: int
) -> None:
    response = prober.post(dialect, changed(dialect, place, thing))
    assert response.status_code == status, response.text
    assert "set-cookie" not in response.headers
    assert len(response.headers.get("x-faregate-degraded", "")) < 1000


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", STRICT)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "any"}}},
        {"type": "object", "properties": {"a": {"type": ["string", "any"]}}},
        {"type": "object", "properties": {"a": {"type": ""}}},
        {"type": "object", "additionalProperties": {"type": "file"}},
        {"oneOf": [{}, {"properties": {}}, {"type": "file"}]},
    ],
    ids=str,
)
def test_types_that_are_none_become_some(
    prober: Prober, dialect: str, model: str, schema: dict[str, Any]
) -> None:
    content = encode(with_schema(dialect, model, schema), [])
    assert prober.post(dialect, content, model).status_code == 200


def test_a_header_of_what_was_dropped_stays_small(prober: Prober) -> None:
    """Many clients read at most 16 KB of headers."""
    dropped = [{"type": f"{number}_{'x' * 40}_call"} for number in range(1000)]
    asked = body("responses", "Hi") | {"input": [*dropped, {"role": "user", "content": "Hi"}]}
    response = prober.post("responses", json.dumps(asked).encode())
    assert response.status_code == 200
    assert len(response.headers["x-faregate-degraded"]) < 4000
