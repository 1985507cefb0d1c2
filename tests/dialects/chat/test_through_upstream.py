"""From a client's bytes to a client's bytes, through the upstream that is as strict as Moonshot."""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.spec import FleetLimits, GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec
from gateway.dialects.base import Exchange
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.simulated.server import running
from tests.dialects.chat.support import ALICE, DIALECT, TOOL, read

MODELS = ("kimi-k2.6", "kimi-k2.7-code", "kimi-k3", "kimi-k2-thinking", "generic")
CATALOG = Catalog(
    GatewayFleetSpec(
        pricing=Pricing(chat_credits_per_message=1),
        models=[
            ModelSpec(id=f"my-{model}", upstream="main", upstream_model=model) for model in MODELS
        ],
        upstreams=[UpstreamSpec(name="main", url="simulated:")],
    )
)


async def answer(upstream: UpstreamClient, body: dict[str, Any]) -> Any:
    """The completion, or the data of all frames."""
    call = await DIALECT.parse(json.dumps(body).encode(), ALICE)
    resolution = CATALOG.resolve(call.request)
    outgoing = upstream.prepare(call.request, resolution)
    renderer = DIALECT.renderer(call, Exchange("req_1", ALICE, body["model"], 1))
    reply = await upstream.send(outgoing, {}, lambda: None)
    try:
        if not outgoing.stream:
            return json.loads(
                await renderer.complete(
                    await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
                )
            )
        frames = renderer.open()
        while chunks := await reply.read():
            frames += [frame for chunk in chunks for frame in renderer.feed(chunk)]
        return read(frames + await renderer.close(reply.usage))
    finally:
        reply.close()


def ask(*bodies: dict[str, Any]) -> list[Any]:
    async def run() -> list[Any]:
        async with running() as url:
            upstream = UpstreamClient("main", url, None, FleetLimits(), ChatEndpoint())
            try:
                return [await answer(upstream, body) for body in bodies]
            finally:
                await upstream.close()

    return asyncio.run(run())


def add_up(frames: list[Any]) -> dict[str, Any]:
    """The message that a stream's deltas make, as an SDK adds them up."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    for event in frames[:-1]:
        for choice in event["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["reasoning_content"] += delta.get("reasoning_content") or ""
            for piece in delta.get("tool_calls", ()):
                add_call(message["tool_calls"], piece)
            message["finish_reason"] = choice["finish_reason"]
    return message


def add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    function = piece["function"]
    if piece["index"] == len(calls):
        assert piece["id"]
        assert piece["type"] == "function"
        calls.append({"name": function["name"], "arguments": function["arguments"]})
    else:
        assert "id" not in piece
        assert "name" not in function
        calls[piece["index"]]["arguments"] += function["arguments"]


SCRIPT = """\
!reason I think
!answer Grüße, "world"
!tool look {"at": 1}
!tool look {"at": 2}
!usage both"""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "writes",
    [
        "",
        "!split",
        "!coalesce",
        "!spaces",
        "!tight",
        "!comments",
        "!late-name",
        "!interleave",
        "!reason-as reasoning",
        "!reason-as reasoning_details",
        "!no-done",
        "!finish stop",
    ],
)
def test_a_stream_and_an_answer_hold_the_same(model: str, writes: str) -> None:
    body = {
        "model": f"my-{model}",
        "messages": [{"role": "user", "content": f"{writes}\n{SCRIPT}"}],
        "tools": [TOOL],
        "temperature": 0.7,
        "top_p": 1,
        "store": True,
        "reasoning_effort": "high",
    }
    frames, completion = ask(
        {**body, "stream": True, "stream_options": {"include_usage": True}}, body
    )
    streamed = add_up(frames)
    [choice] = completion["choices"]
    assert streamed["content"] == choice["message"]["content"] == 'Grüße, "world"'
    assert streamed["reasoning_content"] == choice["message"]["reasoning_content"] == "I think"
    assert streamed["finish_reason"] == choice["finish_reason"] == "tool_calls"
    calls = [call["function"] for call in choice["message"]["tool_calls"]]
    assert streamed["tool_calls"] == calls
    assert [json.loads(call["arguments"]) for call in calls] == [{"at": 1}, {"at": 2}]

    assert frames[-1] == "[DONE]"
    usages = [event["usage"] for event in frames[:-1] if event.get("usage")]
    assert usages == [frames[-2]["usage"]]
    assert usages == [completion["usage"]]
    assert {event["model"] for event in frames[:-1]} == {f"my-{model}", completion["model"]}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
def test_forced_tools_are_taken_by_every_family(model: str, choice: Any) -> None:
    [completion] = ask(
        {
            "model": f"my-{model}",
            "messages": [{"role": "user", "content": "!tool look {}"}],
            "tools": [TOOL],
            "tool_choice": choice,
            "reasoning_effort": "high",
        }
    )
    assert completion["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop_of_a_client_that_forgets_the_reasoning(model: str) -> None:
    body: dict[str, Any] = {
        "model": f"my-{model}",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": "!tool look {}\n!tool look {}\n!then\n!answer done"},
        ],
        "tools": [TOOL],
        "reasoning_effort": "low",
    }
    [first] = ask(body)
    message = first["choices"][0]["message"]
    message.pop("reasoning_content", None)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": ""}
        for call in message["tool_calls"]
    ]
    [second] = ask({**body, "messages": [*body["messages"], message, *results]})
    assert second["choices"][0]["message"]["content"] == "done"
    [cut_short] = ask({**body, "messages": [*body["messages"], message, results[1]]})
    assert cut_short["choices"][0]["message"]["content"] == "done"
