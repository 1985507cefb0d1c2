"""From a request's bytes to an answer's frames, through the chat upstream and the simulated one,
which refuses what Moonshot's does: a history without reasoning, duplicate tools, fixed parameters.
"""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError
from gateway.core.spec import FleetLimits, GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec
from gateway.dialects.base import Exchange
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.simulated.server import running
from tests.dialects.messages.support import (
    ALICE,
    DIALECT,
    call_block,
    read_frames,
    read_message,
    result_block,
    tool,
    user,
)

THINKING = {"type": "enabled", "budget_tokens": 2048}
HIDDEN = {"type": "adaptive", "display": "omitted"}
CATALOG = Catalog(
    GatewayFleetSpec(
        pricing=Pricing(chat_credits_per_message=1),
        models=[ModelSpec(id="kimi-k2.5", upstream="main", upstream_model="kimi-k2.6")],
        upstreams=[UpstreamSpec(name="main", url="simulated:")],
    )
)


async def converse(upstream: UpstreamClient, body: dict[str, Any]) -> dict[str, Any]:
    """One answer; a stream that breaks gives its last event."""
    call = await DIALECT.parse(json.dumps(body).encode(), ALICE)
    resolution = CATALOG.resolve(call.request)
    exchange = Exchange("req_0123abcd", ALICE, call.request.model, 1)
    renderer = DIALECT.renderer(call, exchange)
    reply = await upstream.send(upstream.prepare(call.request, resolution), {}, lambda: None)
    try:
        if not call.request.stream:
            whole: dict[str, Any] = json.loads(
                await renderer.complete(
                    await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
                )
            )
            return whole
        frames = renderer.open()
        try:
            while chunks := await reply.read():
                for chunk in chunks:
                    frames += renderer.feed(chunk)
        except FaregateError as error:
            return read_frames(frames + renderer.fail(error))[-1][1]
        return read_message(read_frames(frames + await renderer.close(reply.usage)))
    finally:
        reply.close()


def ask(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The answer to one request, on an upstream of its own."""
    body = {"model": "kimi-k2.5", "max_tokens": 1000, "messages": list(messages), **fields}

    async def run() -> dict[str, Any]:
        async with running() as url:
            upstream = UpstreamClient("main", url, None, FleetLimits(), ChatEndpoint())
            try:
                return await converse(upstream, body)
            finally:
                await upstream.close()

    return asyncio.run(run())


def members(message: dict[str, Any], kind: str, member: str) -> list[Any]:
    return [block[member] for block in message["content"] if block["type"] == kind]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("writes", ["", "!split\n", "!coalesce\n", "!spaces\n", "!comments\n"])
def test_reasoning_text_and_calls_arrive_whole(stream: bool, writes: str) -> None:
    script = (
        f'{writes}!reason Where is it?\n!answer I look.\n!tool A {{"a": 1}}\n!tool A {{"a": 2}}'
    )
    message = ask(user(script), tools=[tool("A")], thinking=THINKING, stream=stream)

    assert members(message, "thinking", "thinking") == ["Where is it?"]
    assert members(message, "text", "text") == ["I look."]
    arguments = members(message, "tool_use", "_json" if stream else "input")
    assert [json.loads(each) if stream else each for each in arguments] == [{"a": 1}, {"a": 2}]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"]["output_tokens_details"]["thinking_tokens"] > 0


def test_calls_that_take_turns_are_put_in_a_row() -> None:
    script = '!interleave\n!late-name\n!tool A {"a": "some text"}\n!tool A {"b": "more text"}'
    message = ask(user(script), tools=[tool("A")], stream=True)

    arguments = [json.loads(each) for each in members(message, "tool_use", "_json")]
    assert arguments == [{"a": "some text"}, {"b": "more text"}]


@pytest.mark.parametrize("thinking", [THINKING, HIDDEN])
def test_a_tool_loop_brings_the_reasoning_back(thinking: dict[str, Any]) -> None:
    """The upstream refuses a call in the history that has lost its reasoning."""
    question = user('!reason Where is it?\n!tool A {"a": 1}\n!then\n!answer It is here.')
    fields: dict[str, Any] = {"tools": [tool("A")], "thinking": thinking}
    first = ask(question, **fields)
    call_id = members(first, "tool_use", "id")[0]

    second = ask(
        question,
        {"role": "assistant", "content": first["content"]},
        {"role": "system", "content": "Hurry."},
        user({"type": "text", "text": "See:"}, result_block(call_id, "found")),
        **fields,
    )

    assert members(second, "tool_use", "id") == []
    assert members(second, "text", "text") != []


def test_a_history_without_thinking_is_answered_too() -> None:
    message = ask(
        user("Go"),
        {"role": "assistant", "content": [call_block("A", "toolu_elsewhere")]},
        user(result_block("toolu_elsewhere")),
        tools=[tool("A"), tool("A")],
        thinking=THINKING,
        temperature=0.2,
    )

    assert message["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("script", "reason"),
    [("!length", "max_tokens"), ("!refuse", "refusal"), ("!finish unexpected_state", "end_turn")],
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_end_is_reported(script: str, reason: str, stream: bool) -> None:
    assert ask(user(f"{script}\n!answer Words."), stream=stream)["stop_reason"] == reason


def test_cached_tokens_are_counted_apart() -> None:
    usage = ask(user("!cached 256\n!answer Hi." + " word" * 2000), stream=True)["usage"]

    assert usage["cache_read_input_tokens"] == 256
    assert usage["input_tokens"] > 0


@pytest.mark.parametrize("fault", ["!cut 3", "!error-event", "!end-early"])
def test_a_stream_that_breaks_ends_with_an_error(fault: str) -> None:
    event = ask(user(f"{fault}\n!chunks 9\n!answer Some words to be cut."), stream=True)

    assert event["type"] == "error"
    assert event["error"]["type"] == "api_error"


def test_a_prefill_is_continued_and_not_repeated() -> None:
    message = ask(
        user("!answer 42 is it"), {"role": "assistant", "content": "The answer: "}, stream=True
    )

    assert message["stop_reason"] == "end_turn"
    assert "The answer" not in members(message, "text", "text")[0]
