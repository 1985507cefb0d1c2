"""The released OpenAI SDK as the judge: its client, its accumulator and its types."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    Reasoning,
    Refusal,
    Text,
)
from gateway.dialects.base import Exchange
from gateway.dialects.errors import render_openai
from gateway.dialects.json import encode
from gateway.dialects.responses.dialect import ResponsesDialect
from tests.dialects.responses.support import (
    ALICE,
    CREATED,
    SEALER,
    USAGE,
    Given,
    MemoryState,
    broken,
    read_frames,
    renderer,
    stream,
)

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
STOP = Finished("stop")
CALLS = Finished("tool_calls")
Script = Callable[[int], Sequence[Event | FaregateError]]


class Weather(BaseModel):
    """Structured output."""

    city: str
    degrees: int


def client(script: Script) -> OpenAI:
    """A client whose n-th request is answered with the n-th script, by the dialect itself."""
    state = MemoryState()
    dialect = ResponsesDialect(SEALER, state, WorkerThread())
    turns = iter(range(100))

    async def exchange(body: bytes, turn: int) -> list[bytes]:
        call = await dialect.parse(body, ALICE)
        model = call.request.model
        answer = dialect.renderer(call, Exchange(f"req_{turn}", ALICE, model, CREATED))
        events = script(turn)
        if not call.request.stream:
            given = [event for event in events if not isinstance(event, FaregateError)]
            return [await answer.complete(Given(*given))]
        frames = answer.open()
        for event in events:
            if isinstance(event, FaregateError):
                return frames + answer.fail(event)
            frames += answer.feed(Given(event))
        return frames + await answer.close(USAGE)

    def handle(request: httpx2.Request) -> httpx2.Response:
        try:
            frames = asyncio.run(exchange(request.read(), next(turns)))
        except FaregateError as error:
            return httpx2.Response(error.status, content=encode(render_openai(error)))
        is_stream = frames[0].startswith(b"event:")
        kind = "text/event-stream" if is_stream else "application/json"
        return httpx2.Response(200, headers={"content-type": kind}, content=_one_by_one(frames))

    transport = httpx2.MockTransport(handle)
    return OpenAI(
        api_key="sk-test",
        base_url="http://gateway.test/api/openai/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


def _one_by_one(frames: list[bytes]) -> Iterator[bytes]:
    yield from frames


def test_the_accumulator_reads_reasoning_text_and_calls() -> None:
    events = (
        Reasoning("Hm, "),
        Reasoning("Paris."),
        Text("Let me "),
        Text("look."),
        CallStarted(0, "get:0", "get"),
        CallArguments(0, '{"city"'),
        CallStarted(1, "get:1", "get"),
        CallArguments(1, '{"city":"Oslo"}'),
        CallArguments(0, ':"Paris"}'),
        Text("Wait."),
        CALLS,
    )
    with client(lambda _: events).responses.stream(model="kimi-k2.5", input="hi") as stream:
        snapshots = [
            event.snapshot for event in stream if event.type == "response.output_text.delta"
        ]
        response = stream.get_final_response()
    assert snapshots == ["Let me ", "Let me look.", "Wait."]
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "message",
    ]
    assert response.output_text == "Let me look.Wait."
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == ['{"city":"Paris"}', '{"city":"Oslo"}']
    assert response.usage is not None
    assert response.usage.total_tokens == 18


@pytest.mark.parametrize(
    "events", [(STOP,), (Refusal("no"), STOP), (Text("a"), Refusal("b"), STOP)]
)
def test_the_accumulator_reads_odd_answers(events: tuple[Event, ...]) -> None:
    with client(lambda _: events).responses.stream(model="kimi-k2.5", input="hi") as stream:
        response = stream.get_final_response()
    assert response.output[0].type == "message"


def test_structured_output_is_parsed_streamed_and_not() -> None:
    text = '{"city":"Paris","degrees":21}'
    asking = client(lambda _: (Text(text[:9]), Text(text[9:]), STOP)).responses
    parsed = asking.parse(model="kimi-k2.5", input="hi", text_format=Weather)
    assert parsed.output_parsed == Weather(city="Paris", degrees=21)
    with asking.stream(model="kimi-k2.5", input="hi", text_format=Weather) as stream:
        final = stream.get_final_response()
    assert final.output_parsed == Weather(city="Paris", degrees=21)


def test_a_tool_loop_runs_over_the_stored_response() -> None:
    scripts: list[Sequence[Event]] = [
        (Reasoning("hm"), CallStarted(0, "get:0", "get"), CallArguments(0, "{}"), CALLS),
        (Text("Sunny."), STOP),
    ]
    responses = client(lambda turn: scripts[turn]).responses
    tools: Any = [{"type": "function", "name": "get", "parameters": {}, "strict": False}]
    first = responses.create(model="kimi-k2.5", input="weather?", tools=tools)
    call = next(item for item in first.output if item.type == "function_call")
    second = responses.create(
        model="kimi-k2.5",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}],
        tools=tools,
    )
    assert second.output_text == "Sunny."
    assert second.previous_response_id == first.id


def test_a_tool_loop_runs_over_the_items_given_back() -> None:
    scripts: list[Sequence[Event]] = [
        (Reasoning("hm"), CallStarted(0, "get:0", "get"), CallArguments(0, "{}"), CALLS),
        (Text("Sunny."), STOP),
    ]
    responses = client(lambda turn: scripts[turn]).responses
    first = responses.create(model="kimi-k2.5", input="weather?", store=False)
    items: list[Any] = [{"role": "user", "content": "weather?"}]
    items += [item.to_dict() for item in first.output]
    items.append({"type": "function_call_output", "call_id": "get:0", "output": "sunny"})
    assert responses.create(model="kimi-k2.5", input=items).output_text == "Sunny."


def test_an_unknown_previous_response_is_a_400_with_its_code() -> None:
    responses = client(lambda _: (STOP,)).responses
    with pytest.raises(openai.BadRequestError) as caught:
        responses.create(model="kimi-k2.5", input="hi", previous_response_id="resp_none")
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


def test_a_cut_answer_never_looks_complete() -> None:
    responses = client(lambda _: (Text("The"), Finished("length"))).responses
    with (
        responses.stream(model="kimi-k2.5", input="hi") as stream,
        pytest.raises(RuntimeError, match=r"response\.completed"),
    ):
        stream.get_final_response()
    response = responses.create(model="kimi-k2.5", input="hi")
    assert response.status == "incomplete"


def test_a_broken_stream_raises() -> None:
    responses = client(lambda _: (Text("The"), UpstreamBroken("the upstream is gone"))).responses
    with (
        responses.stream(model="kimi-k2.5", input="hi") as stream,
        pytest.raises(openai.APIError, match="the upstream is gone"),
    ):
        stream.get_final_response()


def test_every_event_and_object_is_of_the_sdks_types() -> None:
    events = (
        Reasoning("hm"),
        Text("a"),
        Refusal("b"),
        CallStarted(0, "x", "get"),
        CallArguments(0, "{}"),
    )
    frames = stream(renderer(), *events, CALLS)
    frames += stream(renderer(), Text("a"), Finished("length"))
    frames += broken(renderer(), UpstreamBroken("cut"), *events)
    for event in read_frames(frames):
        assert _EVENT.validate_python(event).type == event["type"]
        if "response" in event:
            Response.model_validate(event["response"])
