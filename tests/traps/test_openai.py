"""Trap 14: what OpenAI clients add: roles, extras, schemas, long names and odd ids."""

import json
import re
from typing import Any

import pytest

from tests.harness.dialects import PATHS, body
from tests.traps.support import Client, either_way, every_model, function, read

Object = dict[str, Any]

CAT: Object = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "home", "tags", "kind", "any"],
    "properties": {
        "name": {"type": "string", "title": "Name"},
        "home": {"$ref": "#/$defs/Place", "description": "Where it lives."},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}},
        "kind": {"const": "cat"},
        "any": {"description": "A node without a type."},
        "size": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "parent": {"$ref": "#"},
    },
    "$defs": {
        "Place": {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}},
        "City": {"type": "string", "enum": ["Rome", "Paris"]},
        "Tag": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    },
}


@every_model
@either_way
def test_trap_14_extras_of_openai_clients_are_no_error(
    client: Client, model: str, stream: bool
) -> None:
    content = {
        "model": model,
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "system", "content": "And kind."},
            {"role": "user", "content": "Hello", "name": "ann"},
            {"role": "user", "content": [{"type": "text", "text": "Again"}]},
        ],
        "stream": stream,
        "store": False,
        "metadata": {"a": "b"},
        "max_completion_tokens": 1000,
        "user": "ann",
        "seed": 1,
        "service_tier": "auto",
        "verbosity": "low",
        "prediction": {"type": "content", "content": "Hi"},
        "logit_bias": {},
        "parallel_tool_calls": True,
        "of_the_future": {"deep": [None]},
        "prompt_cache_retention": "24h",
    }
    sent = client.send("chat", content)
    roles = [event["role"] for event in sent.upstream["messages"]]
    # A model of any template gets one message of instructions.
    assert roles == ["system"] * (1 if model == "open" else 2) + ["user", "user"]
    if model == "open":
        assert sent.upstream["messages"][0]["content"] == "Be brief.\n\nAnd kind."
    assert read("chat", sent.response).text
    unknown = {"store", "metadata", "user", "service_tier", "prediction", "of_the_future"}
    assert not unknown & sent.upstream.keys()


@every_model
def test_trap_14_schemas_of_pydantic_and_mcp_are_taken(client: Client, model: str) -> None:
    formats: dict[str, Object] = {
        "chat": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "Cat", "schema": CAT, "strict": True},
            }
        },
        "responses": {"text": {"format": {"type": "json_schema", "name": "Cat", "schema": CAT}}},
        "messages": {"output_config": {"format": {"type": "json_schema", "schema": CAT}}},
    }
    for dialect, output in formats.items():
        tools = [function(dialect, "cat", CAT)]
        sent = client.send(
            dialect, {**body(dialect, "A cat", model=model), "tools": tools, **output}
        )
        assert sent.upstream["tools"]
        value = json.loads(read(dialect, sent.response).text)
        assert {"name", "home", "tags", "kind", "any"} <= value.keys()


def test_trap_14_two_tools_of_one_name_are_refused_by_us(client: Client) -> None:
    twice = [function("chat", "look"), function("chat", "look")]
    sent = client.ask("chat", "Hi", tools=twice)
    assert sent.response.status_code == 400
    assert sent.bodies == []


@either_way
@pytest.mark.parametrize(
    "name",
    [
        "mcp__a-rather-long-server-name__a_tool_with_an_even_longer_name_than_that",
        "mcp__" + "long-" * 25,
        "look up!",
        "server.tool",
        "3d",
        "查天气",
    ],
)
def test_trap_14_names_that_are_not_taken_are_cut_and_come_back(
    client: Client, name: str, stream: bool
) -> None:
    for dialect in PATHS:
        tools = [function(dialect, name)]
        upstream = client.ask(dialect, "Hi", tools=tools).upstream["tools"][0]["function"]["name"]
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,127}", upstream)
        sent = client.ask(dialect, f"!tool {upstream} {{}}", tools=tools, stream=stream)
        assert [call.name for call in read(dialect, sent.response).calls] == [name]


@either_way
def test_trap_14_ids_with_dots_and_colons_go_back_as_they_came(
    client: Client, stream: bool
) -> None:
    """Each dialect in its own alphabet; the upstream sees its own id again."""
    for dialect, alphabet in (
        ("chat", r".+"),
        ("messages", r"[a-zA-Z0-9_-]+"),
        ("responses", r".+"),
    ):
        tools = [function(dialect, "look")]
        sent = client.ask(dialect, "!tool look {}", tools=tools, stream=stream)
        (call,) = read(dialect, sent.response).calls
        assert re.fullmatch(alphabet, call.id)
        assert len(call.id) <= 64
        assert (
            client.send(dialect, _bring(dialect, call.id)).upstream["messages"][1]["tool_calls"][0][
                "id"
            ]
            == "functions.look:0"
        )


def _bring(dialect: str, call_id: str) -> Object:
    """The next turn, written by hand."""
    if dialect == "chat":
        called = {"id": call_id, "type": "function", "function": {"name": "look", "arguments": ""}}
        messages: list[Object] = [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": "", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": call_id, "content": ""},
        ]
        return {"model": "kimi-k2.5", "messages": messages}
    if dialect == "messages":
        use = {"type": "tool_use", "id": call_id, "name": "look", "input": {}}
        messages = [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id}]},
        ]
        return {"model": "kimi-k2.5", "max_tokens": 100, "messages": messages}
    items = [
        {"role": "user", "content": "Look"},
        {"type": "function_call", "call_id": call_id, "name": "look", "arguments": ""},
        {"type": "function_call_output", "call_id": call_id, "output": ""},
    ]
    return {"model": "kimi-k2.5", "input": items}
