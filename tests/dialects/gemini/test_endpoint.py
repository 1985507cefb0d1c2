"""A Gemini upstream behind its client, against the simulated one."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError, UpstreamMisconfigured, UpstreamOverloaded
from gateway.core.events import Finished, Text
from gateway.core.request import TextPart as TextPart
from gateway.core.request import UserMessage
from gateway.core.spec import FleetLimits
from gateway.dialects.gemini.endpoint import GeminiEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.simulated.server import running
from tests.dialects.support import request, resolve

KEY = "AIzaSimulated-key"


def ask(script: str, *, stream: bool, key: str | None = KEY) -> tuple[list[Any], dict[str, Any]]:
    """The events of an answer, and the request as the upstream received it."""

    async def run() -> tuple[list[Any], dict[str, Any]]:
        async with running(api_key=KEY) as url:
            url = url.replace("/v1", "/v1beta")
            upstream = UpstreamClient("main", url, key, FleetLimits(), GeminiEndpoint())
            wanted = request(UserMessage((TextPart(script),)), stream=stream)
            outgoing = upstream.prepare(wanted, resolve("gemini-3", True))
            try:
                reply = await upstream.send(outgoing, {}, lambda: None)
                events = []
                if stream:
                    while chunks := await reply.read():
                        events += [event for chunk in chunks for event in chunk.events()]
                else:
                    events += (
                        await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
                    ).events()
                reply.close()
            finally:
                await upstream.close()
            stats = url.replace("/v1beta", "/stats/requests")
            bearer = {"authorization": f"Bearer {KEY}"}
            async with httpx.AsyncClient(trust_env=False, headers=bearer) as client:
                received = (await client.get(stats)).json()[-1]
            return events, received

    return asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_by_its_own_credential(stream: bool) -> None:
    events, received = ask("!answer Yes.", stream=stream)
    assert "".join(event.text for event in events if isinstance(event, Text)) == "Yes."
    assert Finished("stop") in events
    assert "authorization" not in received["headers"]
    assert KEY not in str(received)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("key", [None, "AIzaOther-key"])
def test_a_wrong_key_is_the_administrators_although_it_is_a_400(
    stream: bool, key: str | None
) -> None:
    with pytest.raises(UpstreamMisconfigured):
        ask("Hi", stream=stream, key=key)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_how_long_to_wait_stands_in_the_body(stream: bool) -> None:
    with pytest.raises(FaregateError) as caught:
        ask("!error 429 RATE_LIMIT_EXCEEDED 37", stream=stream)
    assert type(caught.value) is UpstreamOverloaded
    assert caught.value.retry_after_seconds == 37.0


def test_a_key_is_a_header_of_its_own() -> None:
    endpoint = GeminiEndpoint()
    assert endpoint.headers("https://example.com", KEY) == {"x-goog-api-key": KEY}
    assert endpoint.headers("https://example.com", None) == {}
