"""Bodies of the Responses API that clients send to `/chat/completions`, as Cursor does."""

from typing import Any

import pytest

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    OutputFormat,
    ReasoningChoice,
    Request,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from tests.dialects.chat.support import HELLO, PUBLIC, TOOL, parse, parse_call

SCHEMA = {"type": "object", "properties": {}}
FLAT = {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA}
LOOK = Tool("look", "Looks.", SCHEMA)
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def parse_input(given: Any, **members: Any) -> Request:
    return parse_call({"model": PUBLIC, "input": given, **members}).request


def call(call_id: str) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": "look",
        "arguments": "{}",
    }


def output(call_id: str, given: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": given}


def test_an_input_becomes_messages() -> None:
    request = parse_input(
        [
            {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go"}]},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "phase": "commentary",
                "content": [{"type": "output_text", "text": "I look."}],
            },
            call("a"),
            call("b"),
            output("a", "seen"),
            output("b", [{"type": "input_text", "text": "seen too"}]),
            call("c"),
            output("c", {"odd": 1}),
        ],
        instructions="Be brief.",
    )
    assert request.messages == (
        SystemMessage("Be brief."),
        SystemMessage("Be kind."),
        UserMessage((TextPart("Go"),)),
        AssistantMessage(
            "I look.", calls=(ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
        ),
        ToolMessage("a", (TextPart("seen"),)),
        ToolMessage("b", (TextPart("seen too"),)),
        AssistantMessage(None, calls=(ToolCall("c", "look", "{}"),)),
        ToolMessage("c", (TextPart('{"odd":1}'),)),
    )
    assert request.degraded == []


def test_an_input_of_text_is_a_message() -> None:
    assert parse_input("Go").messages == (UserMessage((TextPart("Go"),)),)


@pytest.mark.parametrize("given", [["Go"], HELLO | {"content": "Go"}, [HELLO | {"content": "Go"}]])
def test_an_input_that_is_no_list_of_items_is_read(given: Any) -> None:
    assert parse_input(given).messages == (UserMessage((TextPart("Go"),)),)


def test_parts_are_read_in_their_own_spelling() -> None:
    content = [
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBE",
        },
    ]
    expected = (
        ImagePart(PIXEL, "low"),
        TextPart("[file a.pdf]"),
        DocumentPart("", path="messages.0.content.1.file", data="JVBE"),
    )
    message = {"role": "user", "content": content}
    for request in (parse_input([message]), parse(messages=[message])):
        assert request.messages == (UserMessage(expected),)


def test_the_other_members_are_read() -> None:
    request = parse_input(
        "Go",
        stream=True,
        max_output_tokens=9,
        reasoning={"effort": "high", "summary": "auto"},
        text={
            "format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True},
            "verbosity": "low",
        },
        temperature=0.5,
        include=["reasoning.encrypted_content"],
        store=False,
        service_tier="priority",
    )
    assert request.stream
    assert request.max_tokens == 9
    assert request.reasoning == ReasoningChoice(True, "high")
    assert request.output == OutputFormat("json_schema", "a", SCHEMA, True)
    assert request.sampling.temperature == 0.5


def test_items_without_a_word_in_chat_are_left_out_and_named() -> None:
    items: list[dict[str, Any]] = [
        HELLO,
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "custom_tool_call", "call_id": "1", "name": "ApplyPatch", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "x"},
        {"type": "reasoning", "summary": []},
        {"type": 5},
    ]
    request = parse_input(items)
    assert request.messages == (UserMessage((TextPart("hello"),)),)
    assert request.degraded == [
        "input.reasoning",
        "input.custom_tool_call",
        "input.custom_tool_call_output",
        "input.5",
    ]


def test_flat_tools_and_choices_are_read_in_either_body() -> None:
    named = {"type": "function", "name": "look"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [named]}
    other = {**FLAT, "name": "other"}
    for members in ({"input": "hello"}, {"messages": [HELLO]}):
        body = {"model": PUBLIC, **members, "tools": [FLAT, other]}
        request = parse_call({**body, "tool_choice": named}).request
        assert request.tools == (LOOK, Tool("other", "Looks.", SCHEMA))
        assert request.tool_choice == ToolChoice("named", "look")
        request = parse_call({**body, "tool_choice": allowed}).request
        assert request.tools == (LOOK,)
        assert request.tool_choice == ToolChoice("required")


@pytest.mark.parametrize(
    "custom",
    [
        {"type": "custom", "name": "ApplyPatch", "format": {"type": "grammar"}},
        {"type": "custom", "custom": {"name": "ApplyPatch"}},
    ],
    ids=["flat", "nested"],
)
@pytest.mark.parametrize("functions", [[FLAT], [TOOL], []], ids=["flat", "nested", "none"])
def test_a_custom_tool_is_left_out_and_named(
    custom: dict[str, Any], functions: list[dict[str, Any]]
) -> None:
    request = parse(tools=[custom, *functions])
    assert [tool.name for tool in request.tools] == ["look"] * len(functions)
    assert request.degraded == ["tools.custom"]


def test_the_call_of_a_custom_tool_stays_in_the_history() -> None:
    custom = {"name": "patch", "input": "*** Begin Patch"}
    called = {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": custom}]}
    result = {"role": "tool", "tool_call_id": "a", "content": "Done"}
    message = parse(messages=[HELLO, called, result]).messages[1]
    assert isinstance(message, AssistantMessage)
    assert message.calls == (ToolCall("a", "patch", '{"input":"*** Begin Patch"}'),)


def test_messages_win_over_an_input() -> None:
    assert parse(input="Something else") == parse()
    assert parse(messages=[], input="hello").messages == parse().messages


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_is_kept_for_responses_cannot_be_referred_to(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse_input("Go", **{name: "x"})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (5, "input"),
        ([5], "input.0"),
        ([{"id": "msg_1"}], "messages.0.role"),
        ([HELLO, {"role": "user", "content": 5}], "messages.1.content"),
        ([{"type": "function_call", "call_id": "a"}], "messages.0.tool_calls.0.function.name"),
        ([{"type": "function_call_output", "output": "x"}], "messages.0.tool_call_id"),
        ([{"type": "reasoning"}], "messages"),
    ],
)
def test_what_is_wrong_is_refused_by_name(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_input(given)
    assert caught.value.param == param
