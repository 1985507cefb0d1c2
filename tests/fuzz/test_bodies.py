"""Bodies that are nearly right: a valid request with a few things in it broken."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.support import MODELS, SKELETONS, STRICT, Prober, bounded
from tests.harness.dialects import DIALECTS, body

Path = tuple[str | int, ...]
#: (what to do, a number that picks the place, what to put there)
Mutation = tuple[str, int, Any]

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


class Verbatim:
    """Text that stands in the body as it is, whether it is JSON or not."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Verbatim({self.text[:80]!r})"


JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2, 0.5, 1e308, -1e308, 2**31, 2**53, 2**63, 2**64, 10**30,
    "", " ", "a", "0", "\x00", "\x7f", "é" * 40, "😀", "x" * 33, "x" * 70_000, "-", "a b", "$",
    [], {}, [None], [[]], [{}], [""], ["", ""], {"": ""}, {"type": None}, {"type": ""},
    {"type": "text"}, {"type": "text", "text": ""}, {"type": "text", "text": " "},
    {"type": "of_the_future", "data": [1]}, {"role": "ghost", "content": "boo"},
    {"role": "assistant", "content": ""}, {"role": "assistant", "content": None},
    {"role": "user", "content": []}, {"role": "tool", "tool_call_id": "x", "content": "y"},
    {"type": "tool_result", "tool_use_id": "x"}, {"type": "function_call_output", "call_id": "x"},
    {"type": "image_url", "image_url": {"url": "data:image/png;x=y;base64,AA=="}},
    {"type": "object", "properties": []}, {"type": "nothing"}, {"$ref": "#"}, {"$ref": "#/x"},
    {"$ref": "http://127.0.0.1/"}, {"anyOf": []}, {"allOf": [{"$ref": "#"}]}, {"enum": []},
    "data:image/png;base64,", "data:image/png;base64,AA==", "data:text/plain;base64,AA==",
    "data:,", "http://127.0.0.1/", "file:///etc/passwd", "{", "[]", "null", '{"a":1}', "{}",
    "auto", "none", "required", "named", "enabled", "disabled", "json_object", "user", "system",
    "assistant", "tool", "function", "custom", "look", "toolu_", "item_reference", "resp_1",
    Verbatim("NaN"), Verbatim("-Infinity"), Verbatim("1e999"), Verbatim("-0"), Verbatim("01"),
    Verbatim("1" * 400), Verbatim('"\\ud800"'), Verbatim('"\\udc00\\ud800"'), Verbatim('"\\x"'),
    Verbatim('"\x01"'), Verbatim("undefined"), Verbatim(""), Verbatim("{,}"),
    Verbatim('{"type":"text","type":"image"}'), Verbatim('{"role":"user","role":1}'),
    *(Verbatim("[" * depth + "]" * depth) for depth in (50, 200, 480, 900, 975, 3000)),
    *(Verbatim('{"a":' * depth + "1" + "}" * depth) for depth in (50, 200, 480, 900, 975, 3000)),
    *(Verbatim('{"items":' * depth + "{}" + "}" * depth) for depth in (23, 25, 300, 480, 950)),
    Verbatim("[" * 20_000), Verbatim('{"a":' * 20_000),
]  # fmt: skip

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
things = st.sampled_from(JUNK) | json_values
mutations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "replace", "delete", "repeat", "double", "add", "wrap"]),
        st.integers(0, 2**16),
        things,
    ),
    min_size=1,
    max_size=4,
)


def places(value: Any, path: Path = ()) -> list[Path]:
    """The path of everything inside a value."""
    found: list[Path] = []
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for name, inner in entries:
        found += [(*path, name), *places(inner, (*path, name))]
    return found


def mutate(value: dict[str, Any], changes: list[Mutation]) -> bytes:
    """The value with these changes, as JSON or nearly so."""
    value = copy.deepcopy(value)
    doubled: list[tuple[str, Any]] = []
    for act, number, junk in changes:
        thing = copy.deepcopy(junk)
        paths = places(value)
        if not paths:
            break
        path: tuple[Any, ...] = paths[number % len(paths)]
        way, last = path[:-1], path[-1]
        holder: Any = value
        for step in way:
            holder = holder[step]
        if act == "delete":
            del holder[last]
        elif act == "repeat" and isinstance(holder, list):
            holder.insert(0, copy.deepcopy(holder[last]))
        elif act == "double" and isinstance(holder, dict):
            doubled.append((str(last), thing))
        elif act == "add" and isinstance(holder[last], list):
            holder[last].append(thing)
        elif act == "add" and isinstance(holder[last], dict):
            holder[last]["of_the_future"] = thing
        elif act == "wrap":
            holder[last] = [holder[last]]
        else:
            holder[last] = thing
    return encode(value, doubled)


def encode(value: Any, doubled: list[tuple[str, Any]]) -> bytes:
    """JSON, with verbatim text and repeated members in it."""
    text = _encode(value)
    for name, thing in doubled:
        member = json.dumps(name)
        text = text.replace(f"{member}:", f"{member}:{_encode(thing)},{member}:", 1)
    return text.encode("utf-8", "surrogatepass")


def _encode(value: Any) -> str:
    if isinstance(value, Verbatim):
        return value.text
    if isinstance(value, dict):
        members = [f"{json.dumps(str(name))}:{_encode(inner)}" for name, inner in value.items()]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_encode, value)) + "]"
    return json.dumps(value)


@every_dialect
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_skeletons_are_whole(prober: Prober, dialect: str, model: str, stream: bool) -> None:
    """Else the mutations would only ever break what was broken."""
    asked = {**SKELETONS[dialect], "model": model, "stream": stream}
    if model == "thinker":
        asked = {**body(dialect, "Hi", model=model), "tools": asked["tools"]}
    response = prober.post(dialect, json.dumps(asked).encode(), model)
    assert response.status_code == 200, response.text


@every_dialect
@bounded
@given(st.sampled_from(MODELS), mutations)
def test_a_broken_request_is_refused_by_us_or_served(
    prober: Prober, dialect: str, model: str, changes: list[Mutation]
) -> None:
    content = mutate({"model": model, **SKELETONS[dialect]}, changes)
    prober.post(dialect, content, model)


@every_dialect
@bounded
@given(st.sampled_from(MODELS), st.dictionaries(st.text(max_size=10), things, max_size=3), things)
def test_members_of_a_plain_request_may_hold_anything(
    prober: Prober, dialect: str, model: str, members: dict[str, Any], thing: Any
) -> None:
    known = sorted(SKELETONS[dialect])
    asked = {**body(dialect, "Hi", model=model), **members}
    asked[known[len(repr(thing)) % len(known)]] = thing
    prober.post(dialect, encode(asked, []), model)


keywords = st.sampled_from(
    [
        "type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions",
        "enum", "const", "required", "additionalProperties", "default", "title", "description",
        "not", "if", "then", "format", "pattern", "minimum", "maxItems", "prefixItems", "nullable",
        "patternProperties", "$schema", "$id", "contains", "dependentSchemas", "examples",
    ]
)  # fmt: skip
types = st.sampled_from(
    ["object", "array", "string", "number", "integer", "boolean", "null", "any", "file", ""]
)
references = st.sampled_from(
    ["#", "#/$defs/a", "#/$defs/b", "#/definitions/a", "#/properties/a", "#/$defs", "a", "#a", "##"]
)
names = st.sampled_from(["a", "b", "$defs", "type", "", "a/b", "é"])


def _node(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A schema of inner schemas: keywords at their right places, and at wrong ones."""
    shapes = st.fixed_dictionaries(
        {},
        optional={
            "type": types | st.lists(types, max_size=3),
            "properties": st.dictionaries(names, inner, max_size=3),
            "items": inner | st.lists(inner, max_size=2),
            "anyOf": st.lists(inner, max_size=3),
            "oneOf": st.lists(inner, max_size=3),
            "allOf": st.lists(inner, max_size=3),
            "$ref": references,
            "$defs": st.dictionaries(names, inner, max_size=2),
            "enum": st.lists(json_values, max_size=3),
            "const": json_values,
            "required": st.lists(names, max_size=3),
            "additionalProperties": inner | st.booleans(),
        },
    )
    return shapes | st.dictionaries(keywords, inner, max_size=4)


schemas = st.recursive(
    st.just({}) | st.fixed_dictionaries({"type": types}) | json_values, _node, max_leaves=12
)


def with_schema(dialect: str, model: str, schema: Any) -> dict[str, Any]:
    """A request with a schema wherever one may stand."""
    wanted: dict[str, dict[str, Any]] = {
        "chat": {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
        },
        "messages": {
            "tools": [{"name": "f", "input_schema": schema}],
            "output_config": {"format": {"type": "json_schema", "schema": schema}},
        },
        "responses": {
            "tools": [{"type": "function", "name": "f", "parameters": schema}],
            "text": {"format": {"type": "json_schema", "schema": schema}},
        },
    }
    return {**body(dialect, "Hi", model=model), **wanted[dialect]}


@bounded
@given(
    st.sampled_from(DIALECTS), st.sampled_from(STRICT), schemas.filter(lambda s: type(s) is dict)
)
def test_any_schema_is_brought_into_what_the_upstream_takes(
    prober: Prober, dialect: str, model: str, schema: dict[str, Any]
) -> None:
    response = prober.post(dialect, encode(with_schema(dialect, model, schema), []), model)
    assert response.status_code == 200, response.text


@every_dialect
@pytest.mark.parametrize("model", ["kimi-k2.5", "open"])
def test_schemas_of_every_depth_are_served_or_refused(
    prober: Prober, dialect: str, model: str
) -> None:
    """Also at the depth where the stack suffices for the decoder and no longer for what follows."""
    for depth in (*range(20, 30), *range(100, 1000, 75), *range(460, 500, 4), *range(960, 1000, 6)):
        for opening in ('{"items":', '{"type":"object","properties":{"a":'):
            closing = "}" * opening.count("{")
            schema = Verbatim(opening * depth + "{}" + closing * depth)
            prober.post(dialect, encode(with_schema(dialect, model, schema), []), model)
