"""The dialect in front of the chat upstream and a provider that refuses what Moonshot refuses."""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.catalog import Catalog
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.spec import FleetLimits, GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec
from gateway.dialects.base import Exchange
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.upstream.client import UpstreamClient
from gateway.upstream.simulated.server import running
from tests.dialects.responses.judge import judge, judge_object
from tests.dialects.responses.support import ALICE, CREATED, SEALER, MemoryState

TOOLS = [
    {"type": "function", "name": "get_weather", "parameters": None, "strict": None},
    {"type": "custom", "name": "apply_patch", "description": "Edits files."},
    {
        "type": "namespace",
        "name": "agents",
        "description": "Helpers.",
        "tools": [{"type": "function", "name": "spawn", "parameters": {"type": "object"}}],
    },
    {"type": "web_search"},
]
PROMPT = "\n".join(
    [
        "!reason I should look.",
        "!tool get_weather {}",
        '!tool apply_patch {"input": "*** Begin Patch"}',
        "!tool agents__spawn {}",
        "!interleave",
        "!then",
        "!answer All done.",
    ]
)


class Chain:
    """One conversation's way to the upstream and back."""

    def __init__(self, url: str) -> None:
        limits = FleetLimits()
        self._upstream = UpstreamClient("simulated", url, None, limits, ChatEndpoint())
        self._catalog = Catalog(
            GatewayFleetSpec(
                models=[ModelSpec(id="kimi-k2.5", upstream="simulated")],
                upstreams=[UpstreamSpec(name="simulated", url=url)],
                pricing=Pricing(chat_credits_per_message=1),
            )
        )
        self._dialect = ResponsesDialect(SEALER, MemoryState(), WorkerThread())
        self._turns = 0

    async def ask(self, **members: Any) -> dict[str, Any]:
        """The final response object, streamed or not."""
        self._turns += 1
        body = {"model": "kimi-k2.5", "tools": TOOLS, "reasoning": {"effort": "high"}, **members}
        call = await self._dialect.parse(json.dumps(body).encode(), ALICE)
        resolution = self._catalog.resolve(call.request)
        reply = await self._upstream.send(
            self._upstream.prepare(call.request, resolution), {}, lambda: None
        )
        exchange = Exchange(f"req_turn{self._turns}", ALICE, call.request.model, CREATED)
        answer = self._dialect.renderer(call, exchange)
        try:
            if not call.request.stream:
                response: dict[str, Any] = json.loads(
                    await answer.complete(
                        await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
                    )
                )
                judge_object(response)
                return response
            frames = answer.open()
            while chunks := await reply.read():
                for chunk in chunks:
                    frames += answer.feed(chunk)
            return judge(frames + await answer.close(reply.usage))
        finally:
            reply.close()

    async def close(self) -> None:
        await self._upstream.close()


def outputs(response: dict[str, Any]) -> list[dict[str, Any]]:
    """A result for every call."""
    return [
        {
            "type": item["type"].removesuffix("_call") + "_call_output",
            "call_id": item["call_id"],
            "output": "ok",
        }
        for item in response["output"]
        if "call_id" in item
    ]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("carries", ["previous_response_id", "references", "items"])
def test_a_tool_loop_keeps_its_reasoning_whatever_carries_it(carries: str, streams: bool) -> None:
    async def story() -> None:
        async with running() as url:
            chain = Chain(url)
            first = await chain.ask(input=PROMPT, stream=streams, store=carries != "items")
            reasoning, weather, patch, spawn = first["output"]
            assert reasoning["summary"][0]["text"] == "I should look."
            assert (weather["type"], weather["name"]) == ("function_call", "get_weather")
            assert (patch["type"], patch["input"]) == ("custom_tool_call", "*** Begin Patch")
            assert (spawn["namespace"], spawn["name"]) == ("agents", "spawn")
            items = [{"role": "user", "content": PROMPT}, *first["output"], *outputs(first)]
            if carries == "items":
                second = await chain.ask(input=items, stream=streams, store=False)
            elif carries == "references":
                items[1] = {"type": "item_reference", "id": reasoning["id"]}
                second = await chain.ask(input=items, stream=streams)
            else:
                second = await chain.ask(
                    input=outputs(first), previous_response_id=first["id"], stream=streams
                )
            assert second["output"][-1]["content"][0]["text"] == "All done."
            assert second["usage"]["total_tokens"] > 0
            assert second["model"] == "kimi-k2.5"
            await chain.close()

    asyncio.run(story())
