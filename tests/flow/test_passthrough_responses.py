"""A Responses client before an upstream that speaks Responses: what reaches the upstream, what
comes back, what it costs. The upstream refuses reasoning that was changed."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.flow.passthrough import LOOP, PLAIN, REASONING, PassthroughClient, gateway_before
from tests.harness.dialects import PATHS, events
from tests.harness.gateway import GatewayProcess, Simulated

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstreams = [
        {"name": "openai", "dialect": "responses"},
        {"name": "other", "dialect": "responses"},
    ]
    models = [
        {"id": "gpt", "upstream": "openai", "upstreamModel": "gpt-5.1"},
        {"id": "gpt-other", "upstream": "other", "upstreamModel": "gpt-5.1"},
    ]
    folder = tmp_path_factory.mktemp("passthrough")
    with gateway_before(simulated.url, folder, upstreams, models) as process:
        yield process


class Client(PassthroughClient):
    """One client, and its requests in the dialect."""

    def ask(self, given: Any, **more: Any) -> httpx.Response:
        body = {"model": "gpt", "reasoning": {"effort": "high"}, "tools": [TOOL], "input": given}
        response = self.http.post(PATHS["responses"], json={**body, **more})
        assert response.status_code == 200, response.text
        return response


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess, simulated: Simulated) -> Iterator[Client]:
    with Client(gateway, simulated) as made:
        yield made


@pytest.fixture(scope="module")
def bob(gateway: GatewayProcess, simulated: Simulated) -> Iterator[Client]:
    with Client(gateway, simulated, "bob") as made:
        yield made


def output_of(response: httpx.Response, *, stream: bool) -> list[dict[str, Any]]:
    if not stream:
        whole: list[dict[str, Any]] = response.json()["output"]
        return whole
    found = events(response.text)
    return [data["item"] for name, data in found if name == "response.output_item.done"]


def turn(first: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls = [item["call_id"] for item in first if item["type"] == "function_call"]
    outputs = [{"type": "function_call_output", "call_id": one, "output": "seen"} for one in calls]
    return [{"role": "user", "content": LOOP}, *first, *outputs]


def test_a_request_reaches_the_upstream_as_it_was_written(client: Client) -> None:
    given = {"text": {"verbosity": "low"}, "reasoning": {"effort": "xhigh", "summary": "detailed"}}
    response = client.ask("!answer Yes.", **given)
    assert client.sent() == {
        "model": "gpt-5.1",
        "input": "!answer Yes.",
        "tools": [TOOL],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        **given,
    }
    assert response.headers["x-credits-charged"] == str(REASONING)
    assert response.json()["model"] == "gpt"
    assert client.ask("Hi", reasoning={}).headers["x-credits-charged"] == str(PLAIN)
    assert client.sent()["reasoning"] == {"effort": "none"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("is_raw_body", [True, False], ids=["native", "translated"])
def test_a_tool_loop_keeps_its_reasoning(client: Client, stream: bool, is_raw_body: bool) -> None:
    """The upstream sees its own seal; the client never does."""
    more = {"store": False, "stream": stream, **({} if is_raw_body else {"temperature": 1})}
    first = output_of(client.ask(LOOP, **more), stream=stream)
    assert [item["type"] for item in first] == ["reasoning", "function_call"]
    response = client.ask(turn(first), **more)
    last = output_of(response, stream=stream)
    assert last[-1]["content"][0]["text"] == "It is here."
    kept = client.sent()["input"][1]
    assert kept["summary"] == [{"type": "summary_text", "text": "Where is it?"}]
    assert kept["encrypted_content"] != first[0]["encrypted_content"]
    assert kept["encrypted_content"] not in response.text
    assert ("temperature" in response.headers.get("x-faregate-degraded", "")) is not is_raw_body


def test_a_stored_response_is_gone_on_with(client: Client) -> None:
    first = client.ask(LOOP).json()
    outputs = turn(first["output"])[-1:]
    last = client.ask(outputs, previous_response_id=first["id"]).json()
    assert last["output"][-1]["content"][0]["text"] == "It is here."
    kinds = [item["type"] for item in client.sent()["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    assert "previous_response_id" not in client.sent()


def test_reasoning_of_another_account_or_upstream_is_left_out(client: Client, bob: Client) -> None:
    first = client.ask(LOOP).json()["output"]
    for asked, model in ((bob, "gpt"), (client, "gpt-other")):
        response = asked.ask(turn(first), model=model)
        assert response.headers["x-credits-charged"] == str(REASONING)
        kinds = [item.get("type") for item in asked.sent()["input"]]
        assert kinds == [None, "function_call", "function_call_output"]
