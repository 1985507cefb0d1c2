"""The released Anthropic SDK reads our bytes: its own accumulator is the judge."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2
import pytest

from gateway.core.errors import InvalidRequest, UpstreamBroken
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    Reasoning,
    Text,
)
from gateway.dialects.errors import render_anthropic
from gateway.dialects.messages.call_ids import encode_call_id
from gateway.dialects.messages.stream_writer import PING
from tests.dialects.messages.support import ALICE, SEALER, USAGE, Piece, parse_call, renderer_for

ASK: dict[str, Any] = {
    "model": "kimi-k2.5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Weather?"}],
}
EVENTS: list[Event] = [
    Reasoning("Where "),
    Reasoning("is it?"),
    Text("I look"),
    Text(" twice."),
    CallStarted(0, "functions.weather:0", "weather"),
    CallStarted(1, "functions.weather:1", "weather"),
    CallArguments(0, '{"city": '),
    CallArguments(1, '{"city": "Rome"}'),
    CallArguments(0, '"Paris"}'),
    Finished("tool_calls"),
]


class Canned(httpx2.BaseTransport):
    """Answers every request with the same bytes, and keeps what was asked."""

    def __init__(self, body: bytes, content_type: str, status: int = 200) -> None:
        self._body = body
        self._status = status
        self._headers = {"content-type": content_type, "request-id": "req_0123abcd"}
        self.asked: list[bytes] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.read())
        return httpx2.Response(self._status, headers=self._headers, content=self._body)


def client_for(transport: Canned) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="sk-test",
        base_url="http://gateway.test/api/anthropic",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


def streamed(events: Sequence[Event]) -> Canned:
    renderer = renderer_for()
    frames = [*renderer.open(), PING]
    for event in events:
        frames += renderer.feed(Piece([event]))
        frames.append(renderer.keep_alive())
    frames += asyncio.run(renderer.close(USAGE))
    return Canned(b"".join(frames), "text/event-stream")


def whole(events: Sequence[Event]) -> Canned:
    body = asyncio.run(renderer_for().complete(Piece(events)))
    return Canned(body, "application/json")


def check(message: Any) -> None:
    thinking, text, paris, rome = message.content
    assert thinking.thinking == "Where is it?"
    assert SEALER.open(ALICE.account_id, thinking.signature) == b"Where is it?"
    assert text.text == "I look twice."
    assert (paris.name, paris.input) == ("weather", {"city": "Paris"})
    assert (rome.name, rome.input) == ("weather", {"city": "Rome"})
    assert paris.id == encode_call_id("functions.weather:0")
    assert message.stop_reason == "tool_use"
    assert message.usage.input_tokens == 20
    assert message.usage.cache_read_input_tokens == 100
    assert message.usage.output_tokens == 34
    assert message.usage.output_tokens_details.thinking_tokens == 7


def test_the_sdk_accumulates_the_stream() -> None:
    with client_for(streamed(EVENTS)).messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == "I look twice."
        check(stream.get_final_message())


def test_the_sdk_reads_the_raw_stream() -> None:
    with client_for(streamed(EVENTS)).messages.create(**ASK, stream=True) as stream:
        kinds = [event.type for event in stream]

    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_the_sdk_reads_the_whole_answer() -> None:
    check(client_for(whole(EVENTS)).messages.create(**ASK))


def test_the_sdks_next_turn_brings_everything_back() -> None:
    message = client_for(whole(EVENTS)).messages.create(**ASK)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        for block in message.content
        if block.type == "tool_use"
    ]
    transport = whole([Text("Sunny."), Finished("stop")])
    client_for(transport).messages.create(
        **ASK
        | {
            "messages": [
                *ASK["messages"],
                {"role": "assistant", "content": message.content},
                {"role": "user", "content": results},
            ]
        }
    )

    request = parse_call(transport.asked[0]).request
    assert [type(each).__name__ for each in request.messages] == [
        "UserMessage",
        "AssistantMessage",
        "ToolMessage",
        "ToolMessage",
    ]
    found: Any = request.messages[1]
    assert found.reasoning == "Where is it?"
    assert found.text == "I look twice."
    assert [each.id for each in found.calls] == ["functions.weather:0", "functions.weather:1"]
    assert [json.loads(each.arguments) for each in found.calls] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]
    assert request.degraded == []


def test_the_sdk_raises_when_the_stream_breaks() -> None:
    renderer = renderer_for()
    frames = renderer.open() + renderer.feed(Piece([Text("Hal")]))
    frames += renderer.fail(UpstreamBroken("The upstream closed the stream."))
    transport = Canned(b"".join(frames), "text/event-stream")

    with (
        pytest.raises(anthropic.APIStatusError, match="The upstream closed the stream"),
        client_for(transport).messages.stream(**ASK) as stream,
    ):
        stream.get_final_message()


def test_the_sdks_tool_runner_goes_on_without_a_thread() -> None:
    """It asks for a thread first; refused in the right words, it sends all."""
    declined: list[bytes] = []

    class Threadless(Canned):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            body = request.read()
            try:
                parse_call(body)
            except InvalidRequest as error:
                declined.append(body)
                return httpx2.Response(error.status, json=render_anthropic(error, "req_1"))
            return super().handle_request(request)

    transport = Threadless(
        asyncio.run(renderer_for().complete(Piece([Text("Sunny."), Finished("stop")]))),
        "application/json",
    )

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    runner = client_for(transport).beta.messages.tool_runner(**ASK, tools=[weather])
    message = runner.until_done()

    assert message.content[0].text == "Sunny."
    assert [json.loads(body)["thread"] for body in declined] == [{"type": "create"}]
    assert len(transport.asked) == 1
    assert "thread" not in json.loads(transport.asked[0])
