"""Tools and the choice among them, on their way in."""

from typing import Any

import pytest

from gateway.core.request import AssistantMessage
from tests.dialects.responses.support import called, parse, parse_call, refused, returned, user


def test_functions_are_flat_and_lose_nothing() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        {"type": "function", "name": "a", "description": "d", "parameters": schema, "strict": True},
        {"type": "function", "name": "b", "parameters": None, "strict": None},
    ]
    first, second = parse("hi", tools=tools).tools
    assert (first.name, first.description, first.parameters, first.strict) == (
        "a",
        "d",
        schema,
        True,
    )
    assert second.parameters is None, "so that it is known that the client gave none"
    assert second.strict is False


def test_a_grammar_is_put_into_the_description() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
    (tool,) = parse(
        "hi", tools=[{"type": "custom", "name": "p", "description": "d", "format": grammar}]
    ).tools
    assert tool.description == "d\n\n`input` must match this lark grammar:\nstart: A"
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]


def test_a_tool_of_a_namespace_is_found_again_however_long_its_name_is() -> None:
    tools = [
        {"type": "namespace", "name": "n" * 40, "tools": [{"type": "function", "name": "t." * 20}]}
    ]
    call = parse_call({"input": "hi", "tools": tools})
    (tool,) = call.request.tools
    binding = call.source.toolbox.bindings[tool.name]
    assert (binding.namespace, binding.name) == ("n" * 40, "t." * 20)
    history = [user("hi"), called("1", "t." * 20) | {"namespace": "n" * 40}, returned("1")]
    message = parse(history).messages[1]
    assert isinstance(message, AssistantMessage)
    assert message.calls[0].name == tool.name


def test_tools_in_items_are_added_and_the_first_definition_counts() -> None:
    def tool(name: str, description: str) -> dict[str, str]:
        return {"type": "function", "name": name, "description": description}

    items = [
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [tool("a", "2"), tool("b", "3")],
        },
        user("hi"),
    ]
    call = parse_call({"input": items, "tools": [tool("a", "1")]})
    found = [(tool.name, tool.description) for tool in call.request.tools]
    assert found == [("a", "1"), ("b", "3")]


def test_the_web_search_is_dropped_in_silence() -> None:
    request = parse("hi", tools=[{"type": "web_search", "external_web_access": True}])
    assert request.tools == ()
    assert request.degraded == ["tools.web_search"]


def test_other_hosted_tools_are_dropped_beside_functions_and_refused_alone() -> None:
    hosted = {"type": "code_interpreter", "container": {"type": "auto"}}
    function = {"type": "function", "name": "a"}
    call = parse_call({"input": "hi", "tools": [hosted, function]})
    assert call.request.degraded == ["tools.code_interpreter"]
    assert [tool["type"] for tool in call.source.toolbox.echo] == ["function"]
    odd = {"type": "of_the_future", "name": 1, "format": "pcm", "tools": "all"}
    assert parse("hi", tools=[odd, function]).degraded == ["tools.of_the_future"]
    refused({"input": "hi", "tools": [hosted]}, "tools.0")
    refused(
        {"input": "hi", "tools": [function], "tool_choice": {"type": "code_interpreter"}},
        "tool_choice",
    )


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("required", "required", None),
        ({"type": "function", "name": "a"}, "named", "a"),
        ({"type": "function", "name": "t", "namespace": "ns"}, "named", "ns__t"),
        ({"type": "custom", "name": "c"}, "named", "c"),
        ({"type": "shell"}, "named", "shell"),
    ],
)
def test_choices_among_tools(choice: Any, mode: str, name: str | None) -> None:
    tools = [
        {"type": "function", "name": "a"},
        {"type": "custom", "name": "c"},
        {"type": "shell"},
        {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "t"}]},
    ]
    request = parse("hi", tools=tools, tool_choice=choice)
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.tool_choice.name) == (mode, name)


def test_allowed_tools_are_a_hard_limit() -> None:
    tools = [{"type": "function", "name": name} for name in "abc"]
    allowed = [{"type": "function", "name": "b"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    request = parse("hi", tools=tools, tool_choice=choice)
    assert [tool.name for tool in request.tools] == ["b"]
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "required"
    none = {"type": "allowed_tools", "mode": "auto", "tools": []}
    assert parse("hi", tools=tools, tool_choice=none).tools == ()
