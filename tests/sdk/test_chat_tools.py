"""Tools in Chat Completions, judged by the released `openai` package: calls, choices and loops."""

import json
from typing import Any

import openai
import pytest

from tests.sdk.conversation import TWO_CALLS, WEATHER_SCHEMA, Weather
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": WEATHER_SCHEMA,
        "strict": True,
    },
}
OTHER = {"type": "function", "function": {"name": "clock"}}
CITIES = [{"city": "Paris"}, {"city": "Rome"}]
LONG = json.dumps({"city": "Llanfairpwllgwyngyll, on the isle of Anglesey"})


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def ask(client: Any, messages: list[Any], **more: Any) -> Any:
    asked = {"model": MODEL, "messages": messages, "tools": [TOOL, OTHER], **more}
    return client.chat.completions.create(**asked)


def final(client: Any, messages: list[Any], **more: Any) -> Any:
    """The completion as the accumulator of a stream has it."""
    asked = {"model": MODEL, "messages": messages, "tools": [TOOL, OTHER], **more}
    with client.chat.completions.stream(**asked) as stream:
        return stream.get_final_completion()


@pytest.fixture(scope="module")
def get(kind: str) -> Any:
    """Whole answers with the blocking client, accumulated streams with the async one."""
    return ask if kind == "sync" else final


def arguments(message: Any) -> list[Any]:
    return [json.loads(call.function.arguments) for call in message.tool_calls]


def results_of(message: Any) -> list[dict[str, Any]]:
    return [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": f"sunny in {json.loads(call.function.arguments)['city']}",
        }
        for call in message.tool_calls
    ]


@pytest.mark.parametrize("way", ["", "!interleave", "!late-name", "!interleave\n!late-name"])
def test_parallel_calls(chat_client: Any, get: Any, way: str) -> None:
    text = f'!tool weather {{"city": "Paris"}}\n!tool weather {{"city": "Rome"}}\n{way}'
    choice = get(chat_client, [user(text)]).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    assert [call.type for call in choice.message.tool_calls] == ["function", "function"]
    assert [call.function.name for call in choice.message.tool_calls] == ["weather", "weather"]
    assert arguments(choice.message) == CITIES
    ids = [call.id for call in choice.message.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 2


@pytest.mark.parametrize("way", ["", "!late-name", "!split", "!coalesce"])
def test_a_call_begins_with_id_and_name_and_goes_on_with_arguments(
    chat_client: Any, way: str
) -> None:
    chunks = list(ask(chat_client, [user(f"!tool weather {LONG}\n{way}")], stream=True))
    deltas = [d for c in chunks for d in c.choices[0].delta.tool_calls or ()]
    assert len(deltas) > 2
    assert {delta.index for delta in deltas} == {0}
    first, *rest = deltas
    assert (first.function.name, first.type) == ("weather", "function")
    assert first.id
    assert all(delta.id is None and delta.function.name is None for delta in rest)
    assert "".join(delta.function.arguments or "" for delta in deltas) == LONG
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason]
    assert reasons == ["tool_calls"]


def test_the_accumulator_parses_arguments_into_a_model(chat_client: Any) -> None:
    tools = [openai.pydantic_function_tool(Weather, name="weather")]
    with chat_client.chat.completions.stream(
        model=MODEL, messages=[user(f"!tool weather {LONG}")], tools=tools
    ) as stream:
        events = list(stream)
        message = stream.get_final_completion().choices[0].message
    done = [e for e in events if e.type == "tool_calls.function.arguments.done"]
    assert done[0].parsed_arguments == Weather(**json.loads(LONG))
    assert message.tool_calls[0].function.parsed_arguments == Weather(**json.loads(LONG))
    completion = chat_client.chat.completions.parse(
        model=MODEL, messages=[user(f"!tool weather {LONG}")], tools=tools
    )
    call = completion.choices[0].message.tool_calls[0]
    assert call.function.parsed_arguments == Weather(**json.loads(LONG))


@pytest.mark.parametrize("model", [MODEL, "k3", "open"])
@pytest.mark.parametrize("choice", ["required", "named", "allowed"])
def test_a_forced_tool_is_called_with_reasoning_asked_for_or_not(
    chat_client: Any, get: Any, model: str, choice: str
) -> None:
    named = {"type": "function", "function": {"name": "weather"}}
    allowed = {"mode": "required", "tools": [named]}
    wanted = {
        "required": "required",
        "named": named,
        "allowed": {"type": "allowed_tools", "allowed_tools": allowed},
    }
    message = (
        get(
            chat_client,
            [user("Hi")],
            model=model,
            tool_choice=wanted[choice],
            reasoning_effort="high",
        )
        .choices[0]
        .message
    )
    assert [call.function.name for call in message.tool_calls] == ["weather"]
    assert set(arguments(message)[0]) == {"city"}


def test_a_tool_that_must_not_be_called(chat_client: Any, upstream: Upstream) -> None:
    message = ask(chat_client, [user("Hi")], tool_choice="none").choices[0].message
    assert message.content == "You said: Hi"
    assert upstream.body().get("tool_choice") == "none"


@pytest.mark.parametrize("model", [MODEL, "coder", "thinker", "k3", "open"])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "dropped"])
def test_a_tool_loop_with_reasoning(
    chat_client: Any, upstream: Upstream, get: Any, keeps: bool, model: str
) -> None:
    """The SDK's own message goes back as it is, or without what the SDK does not know."""
    messages = [user(TWO_CALLS)]
    more = {"model": model, "reasoning_effort": "high"}
    message = get(chat_client, messages, **more).choices[0].message
    assert message.reasoning_content == "Two cities, then."
    assert arguments(message) == CITIES
    found = message.model_dump(exclude_none=True)
    calls = [
        {**call, "function": {n: call["function"][n] for n in ("name", "arguments")}}
        for call in found["tool_calls"]
    ]
    back = {"role": "assistant", "content": None, "tool_calls": calls}
    if keeps:
        back["reasoning_content"] = message.reasoning_content
    messages += [back, *results_of(message)]
    answer = get(chat_client, messages, **more).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("Sunny in both.", "stop")
    _, assistant, *results = upstream.messages()
    assert [result["content"] for result in results] == ["sunny in Paris", "sunny in Rome"]
    assert [r["tool_call_id"] for r in results] == [c["id"] for c in assistant["tool_calls"]]
    if keeps:
        assert assistant["reasoning_content"] == "Two cities, then."
    elif model in (MODEL, "coder", "thinker"):
        assert assistant["reasoning_content"].strip()


@pytest.mark.parametrize("content", [None, "", "absent"])
def test_the_sdks_message_object_goes_back_as_it_is(chat_client: Any, content: str | None) -> None:
    messages: list[Any] = [user(TWO_CALLS)]
    message = ask(chat_client, messages, reasoning_effort="high").choices[0].message
    back = message.to_dict()
    back["content"] = content
    if content == "absent":
        del back["content"]
    again = [*messages, back, *results_of(message)]
    answer = ask(chat_client, again, reasoning_effort="high").choices[0]
    assert answer.message.content == "Sunny in both."


def test_the_whole_message_object_is_taken(chat_client: Any) -> None:
    messages: list[Any] = [user(TWO_CALLS)]
    message = ask(chat_client, messages, reasoning_effort="high").choices[0].message
    again = [*messages, message, *results_of(message), user("!answer And now?")]
    answer = ask(chat_client, again, reasoning_effort="high").choices[0]
    assert answer.message.content == "And now?"


def test_functions_of_2023(chat_client: Any) -> None:
    functions = [TOOL["function"]]
    messages: list[Any] = [user('!tool weather {"city": "Rome"}\n!then\n!answer Fine')]
    asked = {"model": MODEL, "functions": functions, "function_call": "auto"}
    choice = chat_client.chat.completions.create(messages=messages, **asked).choices[0]
    assert choice.finish_reason == "function_call"
    call = choice.message.function_call
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Rome"})
    result = {"role": "function", "name": "weather", "content": "sunny"}
    again = [*messages, choice.message, result]
    answer = chat_client.chat.completions.create(messages=again, **asked).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("Fine", "stop")


def test_schemas_that_the_upstream_would_refuse_are_put_right(
    chat_client: Any, upstream: Upstream
) -> None:
    """As MCP servers write them: no types, references anywhere, names that are odd or long."""
    odd = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {
            "where": {"description": "no type at all"},
            "when": {"anyOf": [{"type": "string"}, {"type": "null"}], "type": "string"},
            "more": {"type": "object", "properties": {"x": {"$ref": "#/definitions/X"}}},
        },
        "definitions": {"X": {"enum": ["a", "b"]}},
        "required": ["where"],
    }
    name = "mcp__" + "a_long_server_name_" * 3
    tool = {"type": "function", "function": {"name": name[:64], "parameters": odd}}
    answer = ask(chat_client, [user(f"!tool {name[:64]}")], tools=[tool]).choices[0]
    assert answer.message.tool_calls[0].function.name == name[:64]
    sent = upstream.body()["tools"][0]["function"]["parameters"]
    assert set(sent["properties"]) == {"where", "when", "more"}
