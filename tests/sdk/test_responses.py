"""The Responses API, judged by the released `openai` package: answers, streams and tools."""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.sdk.conversation import PNG_URL, TWO_CALLS, Journey, Weather
from tests.sdk.responses import CITIES, MODEL, TOOL, ask, calls_of, final, outputs_for
from tests.sdk.upstream import Upstream

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def get(kind: str) -> Any:
    """Whole answers with the blocking client, accumulated streams with the async one."""
    return ask if kind == "sync" else final


def test_an_answer_is_whole(chat_client: Any) -> None:
    raw = chat_client.responses.with_raw_response.create(
        model=MODEL, input="!answer Hello there\n!cached 2", metadata={"run": "1"}
    )
    response = raw.parse()
    assert response.output_text == "Hello there"
    assert [item.type for item in response.output] == ["message"]
    assert (response.object, response.status, response.model) == ("response", "completed", MODEL)
    assert response.metadata == {"run": "1"}
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 2, 7)
    assert usage.input_tokens_details.cached_tokens == 2
    assert response.error is None
    assert response.completed_at >= response.created_at
    assert raw.headers["x-credits-charged"] == "2"


def test_a_stream_has_every_event_in_order(chat_client: Any) -> None:
    text = "!reason Hm, well.\n!answer A longer answer in pieces"
    stream = ask(chat_client, text, stream=True, reasoning={"effort": "high"})
    events = list(stream)
    for event in events:
        EVENT.validate_python(event.to_dict())
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "A longer answer in pieces"
    assert len(deltas) > 2
    response = events[-1].response
    assert response.id == events[0].response.id
    assert response.output_text == "A longer answer in pieces"


def test_the_accumulator_builds_the_response(chat_client: Any) -> None:
    asked = {"model": MODEL, "input": "!reason Hm.\n!answer Piece by piece it grows"}
    with chat_client.responses.stream(**asked, reasoning={"effort": "low"}) as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert deltas[-1].snapshot == response.output_text == "Piece by piece it grows"
    reasoning, message = response.output
    assert reasoning.summary[0].text == "Hm."
    assert message.status == "completed"
    assert response.usage.output_tokens_details.reasoning_tokens == 1


@pytest.mark.parametrize("way", ["split", "coalesce", "spaces", "tight", "comments", "no-done"])
def test_however_the_upstream_writes_the_client_reads_the_same(chat_client: Any, way: str) -> None:
    response = final(chat_client, f"!answer Grüße, 世界 — and 🎈 too\n!{way}")
    assert response.output_text == "Grüße, 世界 — and 🎈 too"
    assert response.status == "completed"


@pytest.mark.parametrize("place", ["final", "choice", "both", "finish"])
def test_usage_wherever_the_upstream_states_it(chat_client: Any, place: str) -> None:
    usage = final(chat_client, f"!answer one two three\n!usage {place}").usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (6, 3, 9)


def test_nested_models_are_parsed(chat_client: Any, upstream: Upstream) -> None:
    journey = Journey.example()
    asked = {
        "model": MODEL,
        "input": f"!answer {journey.model_dump_json()}",
        "text_format": Journey,
    }
    assert chat_client.responses.parse(**asked).output_parsed == journey
    sent = upstream.body()["response_format"]
    assert sent["json_schema"]["name"] == "Journey"
    with chat_client.responses.stream(**asked) as stream:
        assert stream.get_final_response().output_parsed == journey
    made = chat_client.responses.parse(model=MODEL, input="Plan", text_format=Journey)
    assert isinstance(made.output_parsed, Journey)


@pytest.mark.parametrize("way", ["", "!interleave", "!late-name", "!interleave\n!late-name"])
def test_parallel_calls(chat_client: Any, get: Any, way: str) -> None:
    text = f'!tool weather {{"city": "Paris"}}\n!tool weather {{"city": "Rome"}}\n{way}'
    response = get(chat_client, text, tools=[TOOL])
    assert [json.loads(call.arguments) for call in calls_of(response)] == CITIES
    assert [item.type for item in response.output] == ["function_call", "function_call"]
    assert len({call.call_id for call in calls_of(response)}) == 2
    assert all(call.status == "completed" for call in calls_of(response))
    assert response.status == "completed"


def test_arguments_are_streamed_and_parsed(chat_client: Any) -> None:
    long = json.dumps({"city": "Llanfairpwllgwyngyll, on the isle of Anglesey"})
    tools = [openai.pydantic_function_tool(Weather, name="weather")]
    with chat_client.responses.stream(
        model=MODEL, input=f"!tool weather {long}", tools=tools
    ) as stream:
        events = list(stream)
        response = stream.get_final_response()
    deltas = [e for e in events if e.type == "response.function_call_arguments.delta"]
    assert len(deltas) > 2
    assert "".join(event.delta for event in deltas) == deltas[-1].snapshot == long
    parsed = chat_client.responses.parse(model=MODEL, input=f"!tool weather {long}", tools=tools)
    for call in (*calls_of(response), *calls_of(parsed)):
        assert call.parsed_arguments == Weather(**json.loads(long))


@pytest.mark.parametrize("model", [MODEL, "k3", "open"])
@pytest.mark.parametrize("choice", ["required", "named", "allowed"])
def test_a_forced_tool_is_called(chat_client: Any, get: Any, model: str, choice: str) -> None:
    named = {"type": "function", "name": "weather"}
    wanted = {
        "required": "required",
        "named": named,
        "allowed": {"type": "allowed_tools", "mode": "required", "tools": [named]},
    }
    other = {"type": "function", "name": "clock", "parameters": None, "strict": None}
    tools = [TOOL, other]
    more = {"model": model, "tool_choice": wanted[choice], "reasoning": {"effort": "high"}}
    response = get(chat_client, "Hi", tools=tools, **more)
    assert [call.name for call in calls_of(response)] == ["weather"]
    assert set(json.loads(calls_of(response)[0].arguments)) == {"city"}


@pytest.mark.parametrize("model", [MODEL, "coder", "k3"])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "dropped"])
def test_a_tool_loop_with_reasoning(
    chat_client: Any, upstream: Upstream, get: Any, keeps: bool, model: str
) -> None:
    """The items go back as the SDK has them, with and without the reasoning item."""
    more = {"model": model, "tools": [TOOL], "reasoning": {"effort": "high"}, "store": False}
    first = get(chat_client, TWO_CALLS, **more)
    kinds = ["reasoning", "function_call", "function_call"]
    assert [item.type for item in first.output] == kinds
    kept = [item for item in first.output if keeps or item.type != "reasoning"]
    history = [{"role": "user", "content": TWO_CALLS}, *kept, *outputs_for(first)]
    answer = get(chat_client, history, **more)
    assert answer.output_text == "Sunny in both."
    _, assistant, *results = upstream.body()["messages"]
    assert [json.loads(c["function"]["arguments"]) for c in assistant["tool_calls"]] == CITIES
    assert [result["content"] for result in results] == ["sunny in Paris", "sunny in Rome"]
    if keeps:
        assert assistant["reasoning_content"] == "Two cities, then."
    elif model != "k3":
        assert assistant["reasoning_content"].strip()


def test_a_custom_tool_takes_and_gives_plain_text(
    chat_client: Any, upstream: Upstream, get: Any
) -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin"'}
    tools = [{"type": "custom", "name": "patch", "description": "Patches", "format": grammar}]
    text = '!tool patch {"input": "*** Begin\\n+ \\"x\\""}\n!then\n!answer Patched'
    first = get(chat_client, text, tools=tools)
    [call] = first.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "patch", '*** Begin\n+ "x"')
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}
    answer = get(chat_client, [{"role": "user", "content": text}, call, result], tools=tools)
    assert answer.output_text == "Patched"
    *_, assistant, given = upstream.body()["messages"]
    sent = json.loads(assistant["tool_calls"][0]["function"]["arguments"])
    assert sent == {"input": '*** Begin\n+ "x"'}
    assert given["content"] == "ok"


def test_a_custom_tools_input_is_streamed(chat_client: Any) -> None:
    tools = [{"type": "custom", "name": "patch"}]
    text = '!tool patch {"input": "a text that comes in more than one piece"}'
    with chat_client.responses.stream(model=MODEL, input=text, tools=tools) as stream:
        events = list(stream)
        [call] = stream.get_final_response().output
    done = [e for e in events if e.type == "response.custom_tool_call_input.done"]
    deltas = [e for e in events if e.type == "response.custom_tool_call_input.delta"]
    assert "".join(e.delta for e in deltas) == "a text that comes in more than one piece"
    assert done[0].input == call.input == "a text that comes in more than one piece"


def test_images_in_messages_and_in_tool_results(chat_client: Any, upstream: Upstream) -> None:
    picture = {"type": "input_image", "image_url": PNG_URL, "detail": "auto"}
    parts = [{"type": "input_text", "text": "What is it?"}, picture]
    response = ask(chat_client, [{"role": "user", "content": parts}])
    assert response.output_text == "I see 1 image. You said: What is it?"
    first = ask(chat_client, "!tool look\n!then\n!answer Seen", tools=[{**TOOL, "name": "look"}])
    result = {
        "type": "function_call_output",
        "call_id": calls_of(first)[0].call_id,
        "output": [{"type": "input_text", "text": "here"}, picture],
    }
    again = [{"role": "user", "content": "Look"}, *first.output, result]
    ask(chat_client, again, tools=[{**TOOL, "name": "look"}])
    assert PNG_URL in json.dumps(upstream.body()["messages"])


@pytest.mark.parametrize(
    ("text", "reason"), [("!length", "max_output_tokens"), ("!refuse", "content_filter")]
)
def test_answers_that_were_cut_are_incomplete(
    chat_client: Any, kind: str, text: str, reason: str
) -> None:
    asked = {"model": MODEL, "input": f"!answer Half an\n{text}"}
    if kind == "sync":
        response = chat_client.responses.create(**asked)
    else:  # the accumulator knows complete ones only
        with chat_client.responses.stream(**asked) as stream:
            *_, last = stream
        assert last.type == "response.incomplete"
        response = last.response
    assert (response.status, response.incomplete_details.reason) == ("incomplete", reason)
    assert response.output_text == "Half an"
    assert response.output[-1].status == "incomplete"


def test_what_a_stock_client_sends_is_taken(chat_client: Any, upstream: Upstream) -> None:
    response = ask(
        chat_client,
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "!answer Yes"}]},
            {"role": "assistant", "content": "Well"},
            {"role": "user", "content": "!answer No"},
        ],
        instructions="You are kind.",
        include=["reasoning.encrypted_content", "file_search_call.results"],
        max_tool_calls=3,
        parallel_tool_calls=True,
        prompt_cache_key="ann",
        reasoning={"effort": None, "summary": "auto"},
        service_tier="auto",
        temperature=0.7,
        text={"verbosity": "low", "format": {"type": "text"}},
        tools=[{"type": "web_search"}, TOOL],
        top_p=0.9,
        truncation="auto",
        user="ann",
        extra_body={"client_metadata": {"x": "y"}},
    )
    assert response.output_text == "No"
    assert response.instructions == "You are kind."
    assert [tool.type for tool in response.tools] == ["function"]
    body = upstream.body()
    messages = [(message["role"], message["content"]) for message in body["messages"][:2]]
    assert messages == [("system", "You are kind."), ("system", "Be brief.")]
    assert body.keys().isdisjoint({"temperature", "user", "service_tier", "truncation"})


def test_tokens_are_counted(chat_client: Any) -> None:
    def count(**more: Any) -> int:
        asked = {"model": MODEL, "input": "How many tokens are these?", **more}
        return int(chat_client.responses.input_tokens.count(**asked).input_tokens)

    plain = count()
    assert 5 < plain < 30
    assert count(instructions="Be brief, and be kind.") > plain
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
    assert count(tools=[tool]) > plain + 10
    assert count(input="word " * 1000) > 900
    image = {"type": "input_image", "image_url": PNG_URL, "detail": "auto"}
    assert count(input=[{"role": "user", "content": [image]}]) >= 1
    assert int(chat_client.responses.input_tokens.count(input="foo").input_tokens) < 20
