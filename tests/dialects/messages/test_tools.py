"""Tools, and the choice among them."""

from typing import Any

import pytest

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import Tool, ToolChoice
from gateway.dialects.messages.call_ids import decode_call_id, encode_call_id
from tests.dialects.messages.support import (
    assistant,
    call_block,
    parse,
    result_block,
    tool,
    user,
)

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
SCHEMA = {"type": "object", "properties": {}}


def test_custom_tools_keep_their_schema_and_lose_their_hints() -> None:
    given = tool(
        "Read",
        type="custom",
        description="Reads.",
        strict=True,
        cache_control={"type": "ephemeral"},
        defer_loading=True,
        eager_input_streaming=True,
        input_examples=[{}],
    )

    assert parse(user("Go"), tools=[given]).tools == (Tool("Read", "Reads.", SCHEMA, True),)


def test_a_found_tool_replaces_its_placeholder() -> None:
    tools = [tool("WebFetch", defer_loading=True), tool("Read"), tool("WebFetch", description="F")]

    assert parse(user("Go"), tools=tools).tools == (
        Tool("WebFetch", "F", SCHEMA),
        Tool("Read", None, SCHEMA),
    )


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_20250305",
        "web_fetch_20260318",
        "code_execution_20260521",
        "tool_search_tool_bm25_20251119",
        "computer_20251124",
        "browser_toolset_20260801",
        "mcp_toolset",
        "bash_code_execution_20250825",
        "bash_20250124_and_more",
        "text_editor_code_execution_20250825",
    ],
)
def test_a_server_tool_alone_is_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse(user("Go"), tools=[{"type": kind, "name": "it"}])

    assert caught.value.message == f"tools.0: {kind} is not supported by this model"
    assert caught.value.param == "tools.0"


def test_a_server_tool_among_others_is_left_out_and_named() -> None:
    request = parse(user("Go"), tools=[tool("Read"), SEARCH])

    assert [each.name for each in request.tools] == ["Read"]
    assert request.degraded == ["tools.web_search_20250305"]


def test_a_forced_server_tool_is_refused_though_others_are_there() -> None:
    with pytest.raises(UnsupportedParameter, match=r"tools\.1: web_search_20250305"):
        parse(
            user("Go"),
            tools=[tool("Read"), SEARCH],
            tool_choice={"type": "tool", "name": "web_search"},
        )


@pytest.mark.parametrize(
    ("kind", "given_name", "name", "members"),
    [
        ("bash_20250124", "bash", "bash", {"command", "restart"}),
        ("text_editor_20250124", None, "str_replace_editor", {"command", "path", "new_str"}),
        (
            "text_editor_20250728",
            "str_replace_based_edit_tool",
            "str_replace_based_edit_tool",
            {"command", "path", "insert_text"},
        ),
        ("memory_20250818", "memory", "memory", {"command", "old_path", "new_path"}),
    ],
)
def test_tools_that_the_client_runs_get_their_documented_schema(
    kind: str, given_name: str | None, name: str, members: set[str]
) -> None:
    param = {"type": kind} | ({"name": given_name} if given_name else {})
    (made,) = parse(user("Go"), tools=[param]).tools

    assert made.name == name
    assert made.parameters is not None
    assert members <= set(made.parameters["properties"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "tool", "name": "Read"}, ToolChoice("named", "Read")),
    ],
)
def test_the_choice_is_kept(choice: dict[str, Any] | None, expected: ToolChoice | None) -> None:
    assert parse(user("Go"), tools=[tool("Read")], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ({"type": "tool", "name": "Write"}, "tool_choice"),
        ({"type": "maybe"}, "tool_choice.type"),
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(choice: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(user("Go"), tools=[tool("Read")], tool_choice=choice)

    assert caught.value.param == param


def test_a_choice_without_tools() -> None:
    assert parse(user("Go"), tool_choice={"type": "auto"}).tool_choice is None
    with pytest.raises(InvalidRequest):
        parse(user("Go"), tool_choice={"type": "any"})


def test_a_tool_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(user("Go"), tools=[tool("Read"), {"input_schema": SCHEMA}])

    assert caught.value.param == "tools.1.name"


@pytest.mark.parametrize("upstream_id", ["functions.read:0", "call_a1", "ünï", "a b", "x"])
def test_call_ids_survive_the_way_to_the_client_and_back(upstream_id: str) -> None:
    client_id = encode_call_id(upstream_id)

    assert client_id.replace("-", "").replace("_", "").isalnum()
    assert client_id.isascii()
    assert decode_call_id(client_id) == upstream_id


@pytest.mark.parametrize(
    "client_id",
    ["toolu_01A09q90qw90lq917835lq9", "toolu_", "toolu_ü", "call_1", "functionsexec0", ""],
)
def test_ids_made_elsewhere_stay_as_they_are(client_id: str) -> None:
    assert decode_call_id(client_id) == client_id


def test_the_model_gets_its_own_ids_back() -> None:
    client_id = encode_call_id("functions.A:0")
    request = parse(
        user("Go"), assistant(call_block("A", client_id)), user(result_block(client_id))
    )

    assert request.messages[1].calls[0].id == "functions.A:0"  # type: ignore[union-attr]
    assert request.messages[2].call_id == "functions.A:0"  # type: ignore[union-attr]
