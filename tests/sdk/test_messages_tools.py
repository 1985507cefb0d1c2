"""Tools in the Messages API, judged by the released `anthropic` package and its tool runner."""

import json
from typing import Any

import anthropic
import pytest

from tests.sdk.conversation import PNG, TWO_CALLS, WEATHER_SCHEMA
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
TOOL = {"name": "weather", "description": "The weather", "input_schema": WEATHER_SCHEMA}
OTHER = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
THINKING = {"type": "enabled", "budget_tokens": 1024}
CITIES = [{"city": "Paris"}, {"city": "Rome"}]
LONG = json.dumps({"city": "Llanfairpwllgwyngyll, on the isle of Anglesey"})


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def asked(messages: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "max_tokens": 2000,
        "messages": messages,
        "tools": [TOOL, OTHER],
        **more,
    }


def ask(client: Any, messages: list[Any], **more: Any) -> Any:
    return client.messages.create(**asked(messages, **more))


def final(client: Any, messages: list[Any], **more: Any) -> Any:
    """The message as the stream helper accumulates it."""
    with client.messages.stream(**asked(messages, **more)) as stream:
        return stream.get_final_message()


@pytest.fixture(scope="module")
def get(kind: str) -> Any:
    """Whole answers with the blocking client, accumulated streams with the async one."""
    return ask if kind == "sync" else final


def calls_of(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "tool_use"]


def results_of(message: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": "tool_result",
            "tool_use_id": call.id,
            "content": [{"type": "text", "text": f"sunny in {call.input['city']}"}],
        }
        for call in calls_of(message)
    ]


@pytest.mark.parametrize("way", ["", "!interleave", "!late-name", "!interleave\n!late-name"])
def test_parallel_calls(messages_client: Any, get: Any, way: str) -> None:
    text = f'!tool weather {{"city": "Paris"}}\n!tool weather {{"city": "Rome"}}\n{way}'
    message = get(messages_client, [user(text)])
    assert message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["tool_use", "tool_use"]
    assert [call.input for call in calls_of(message)] == CITIES
    assert [call.name for call in calls_of(message)] == ["weather", "weather"]
    assert len({call.id for call in calls_of(message)}) == 2
    assert all(call.id.replace("_", "").replace("-", "").isalnum() for call in calls_of(message))


def test_one_call_where_the_client_wants_one(messages_client: Any, get: Any) -> None:
    text = '!tool weather {"city": "Paris"}\n!tool weather {"city": "Rome"}'
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    message = get(messages_client, [user(text)], tool_choice=choice)
    assert [call.input for call in calls_of(message)] == CITIES[:1]


def test_the_input_is_streamed(messages_client: Any) -> None:
    with messages_client.messages.stream(**asked([user(f"!tool weather {LONG}")])) as stream:
        events = list(stream)
        [call] = stream.get_final_message().content
    pieces = [event for event in events if event.type == "input_json"]
    assert len(pieces) > 2
    assert "".join(event.partial_json for event in pieces) == LONG
    assert call.input == pieces[-1].snapshot == json.loads(LONG)


def test_text_before_and_between_calls_stays_in_its_place(messages_client: Any, get: Any) -> None:
    text = '!reason Hm.\n!answer I look.\n!tool weather {"city": "Rome"}'
    message = get(messages_client, [user(text)], thinking=THINKING)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[1].text == "I look."


@pytest.mark.parametrize("model", [MODEL, "k3", "open"])
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_a_forced_tool_is_called_with_thinking_asked_for_or_not(
    messages_client: Any, get: Any, model: str, choice: dict[str, Any]
) -> None:
    more = {"model": model, "tool_choice": choice, "thinking": THINKING}
    message = get(messages_client, [user("Hi")], **more)
    assert [call.name for call in calls_of(message)] == ["weather"]
    assert set(calls_of(message)[0].input) == {"city"}
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize("model", [MODEL, "coder", "k3"])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "dropped"])
def test_a_tool_loop_with_thinking(
    messages_client: Any, upstream: Upstream, get: Any, keeps: bool, model: str
) -> None:
    more = {"model": model, "thinking": THINKING}
    first = get(messages_client, [user(TWO_CALLS)], **more)
    assert [block.type for block in first.content] == ["thinking", "tool_use", "tool_use"]
    kept = [block for block in first.content if keeps or block.type != "thinking"]
    again = [user(TWO_CALLS), {"role": "assistant", "content": kept}, user(results_of(first))]
    answer = get(messages_client, again, **more)
    assert answer.content[-1].text == "Sunny in both."
    assert answer.stop_reason == "end_turn"
    _, assistant, *results = upstream.messages()
    assert [call["id"] for call in assistant["tool_calls"]] == [
        "functions.weather:0",
        "functions.weather:1",
    ]
    assert [result["content"] for result in results] == ["sunny in Paris", "sunny in Rome"]
    if keeps:
        assert assistant["reasoning_content"] == "Two cities, then."
    elif model != "k3":
        assert assistant["reasoning_content"].strip()


@pytest.mark.parametrize(
    ("content", "given"),
    [
        ("plain", "plain"),
        ([], None),
        (None, None),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        (
            [
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                }
            ],
            None,
        ),
    ],
)
def test_results_of_every_shape(
    messages_client: Any, upstream: Upstream, content: Any, given: str | None
) -> None:
    first = ask(messages_client, [user('!tool weather {"city": "Rome"}\n!then\n!answer Good')])
    result = {"type": "tool_result", "tool_use_id": calls_of(first)[0].id, "is_error": False}
    if content is not None:
        result["content"] = content
    again = [user("Weather?"), {"role": "assistant", "content": first.content}, user([result])]
    assert ask(messages_client, again).stop_reason == "end_turn"
    sent = upstream.messages()[2]
    assert sent["role"] == "tool"
    assert sent["content"] == given if given else sent["content"]


def runnable(kind: str, seen: list[str]) -> Any:
    """The tool as the runner wants it: a function with a docstring."""
    if kind == "sync":

        @anthropic.beta_tool
        def weather(city: str) -> str:
            """The weather of a city."""
            seen.append(city)
            return f"sunny in {city}"

        return weather

    @anthropic.beta_async_tool
    async def weather_async(city: str) -> str:
        """The weather of a city."""
        seen.append(city)
        return f"sunny in {city}"

    return weather_async


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_tool_runner_does_without_a_thread(
    messages_client: Any, upstream: Upstream, kind: str, stream: bool
) -> None:
    """It asks for a thread on the server first, and must hear in the right words that there is
    none; else it sends only what is new and the history is lost."""
    before = upstream.received()
    seen: list[str] = []
    tool = runnable(kind, seen)
    name = "weather" if kind == "sync" else "weather_async"
    first, second, third = (f'!tool {name} {{"city": "{c}"}}' for c in ("Paris", "Rome", "Oslo"))
    lines = ["!reason First.", first, second, "!then", "!reason Second.", third]
    text = "\n".join([*lines, "!then", "!answer All sunny."])
    runner = messages_client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=2000,
        messages=[user(text)],
        tools=[tool],
        thinking=THINKING,
        stream=stream,
    )
    message = runner.until_done()
    assert message.content[-1].text == "All sunny."
    assert seen == ["Paris", "Rome", "Oslo"]
    assert upstream.received() == before + 3
    messages = upstream.messages()
    roles = [item["role"] for item in messages]
    assert roles == ["user", "assistant", "tool", "tool", "assistant", "tool"]
    assert [messages[n]["reasoning_content"] for n in (1, 4)] == ["First.", "Second."]
    assert [messages[n]["content"] for n in (2, 3, 5)] == [
        "sunny in Paris",
        "sunny in Rome",
        "sunny in Oslo",
    ]


def test_a_thread_is_declined_in_the_words_the_sdk_looks_for(messages_client: Any) -> None:
    with pytest.raises(anthropic.BadRequestError) as declined:
        messages_client.beta.messages.create(
            model=MODEL, max_tokens=100, messages=[user("Hi")], thread={"type": "create"}
        )
    assert declined.value.error_code == "thread_unsupported_request"
    assert declined.value.details is not None
    assert declined.value.details.to_dict()["unsupported"] == ["thread"]


def test_tools_that_the_client_carries_out(messages_client: Any, upstream: Upstream) -> None:
    tools = [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    raw = messages_client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=1000,
        messages=[user('!tool bash {"command": "ls"}')],
        tools=tools,
    )
    [call] = raw.parse().content
    assert (call.name, call.input) == ("bash", {"command": "ls"})
    assert raw.headers["x-faregate-degraded"] == "tools.web_search_20250305"
    sent = upstream.body()["tools"]
    names = [tool["function"]["name"] for tool in sent]
    assert names == ["bash", "str_replace_based_edit_tool"]
