"""A Messages client before an upstream that speaks Messages: what reaches the upstream, what comes
back, what it costs. The upstream refuses thinking that was changed, or lost in manual mode."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.flow.passthrough import LOOP, PLAIN, REASONING, PassthroughClient, gateway_before
from tests.harness.dialects import PATHS, events
from tests.harness.gateway import GatewayProcess, Simulated

BETA = "effort-2025-11-24,context-management-2025-06-27"
TOOL = {"name": "look", "strict": True, "input_schema": {"type": "object", "properties": {}}}
ADAPTIVE = {"type": "adaptive"}
MANUAL = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstreams: list[dict[str, Any]] = [
        {"name": "anthropic", "dialect": "messages"},
        {"name": "other", "dialect": "messages"},
        {"name": "trusted", "dialect": "messages", "betas": ["context-1m-*", "unheard-of-*"]},
    ]
    models = [
        {"id": "claude", "upstream": "anthropic", "upstreamModel": "claude-new"},
        {"id": "claude-trusted", "upstream": "trusted", "upstreamModel": "claude-new"},
        {"id": "claude-other", "upstream": "other", "upstreamModel": "claude-new"},
    ]
    folder = tmp_path_factory.mktemp("passthrough")
    with gateway_before(simulated.url, folder, upstreams, models) as process:
        yield process


class Client(PassthroughClient):
    """One client, and its requests in the dialect."""

    def ask(
        self, *messages: Any, stream: bool = False, betas: str = BETA, **more: Any
    ) -> httpx.Response:
        body = {"model": "claude", "max_tokens": 2000, "thinking": ADAPTIVE, "tools": [TOOL]}
        body |= {"messages": list(messages), "stream": stream, **more}
        headers = {"anthropic-beta": betas}
        response = self.http.post(PATHS["messages"], json=body, headers=headers)
        assert response.status_code == 200, response.text
        return response

    def betas(self) -> str | None:
        found: str | None = self._simulated.requests()[-1]["headers"].get("anthropic-beta")
        return found


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess, simulated: Simulated) -> Iterator[Client]:
    with Client(gateway, simulated) as made:
        yield made


@pytest.fixture(scope="module")
def bob(gateway: GatewayProcess, simulated: Simulated) -> Iterator[Client]:
    with Client(gateway, simulated, "bob") as made:
        yield made


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(given: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": given, **more}


def content_of(response: httpx.Response, *, stream: bool) -> list[dict[str, Any]]:
    """The blocks of an answer, put together as the SDKs do it."""
    if not stream:
        found: list[dict[str, Any]] = response.json()["content"]
        return found
    blocks: list[dict[str, Any]] = []
    for name, data in events(response.text):
        if name == "content_block_start":
            blocks.append(data["content_block"])
        elif name == "content_block_delta":
            delta, block = data["delta"], blocks[-1]
            for member in {"thinking", "text", "signature"} & delta.keys():
                block[member] += delta[member]
    return blocks


def results(content: list[dict[str, Any]]) -> dict[str, Any]:
    calls = [block["id"] for block in content if block["type"] == "tool_use"]
    return user(
        *({"type": "tool_result", "tool_use_id": call_id, "content": "seen"} for call_id in calls)
    )


def test_features_and_betas_reach_the_upstream_unchanged(client: Client) -> None:
    cached = {"type": "ephemeral", "ttl": "1h"}
    source = {"type": "text", "media_type": "text/plain", "data": "It is here."}
    given: dict[str, Any] = {
        "system": [text("Be kind.", cache_control=cached)],
        "cache_control": cached,
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "low"},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "top_k": 7,
        "tools": [
            {**TOOL, "cache_control": cached, "eager_input_streaming": True},
            {"type": "bash_20250124", "name": "bash"},
        ],
    }
    messages = user(
        text("!answer Yes.", cache_control=cached),
        {"type": "document", "source": source, "citations": {"enabled": True}},
    )
    response = client.ask(messages, **given)
    assert client.sent() == {
        "model": "claude-new",
        "max_tokens": 2000,
        "messages": [messages],
        "stream": False,
        **given,
    }
    assert client.betas() == BETA
    assert response.headers["x-credits-charged"] == str(REASONING)
    assert response.json()["model"] == "claude"


def test_a_beta_with_a_price_is_the_administrators_to_allow(client: Client) -> None:
    betas = "context-1m-2025-08-07,effort-2025-11-24,fast-mode-2026-02-01"
    messages = user(text("!answer Yes."))
    response = client.ask(messages, betas=betas, top_k=7)
    assert client.betas() == "effort-2025-11-24"
    assert client.sent()["top_k"] == 7, "as it was written"
    dropped = "betas.context-1m-2025-08-07, betas.fast-mode-2026-02-01"
    assert response.headers["x-faregate-degraded"] == dropped
    response = client.ask(messages, betas=betas, model="claude-trusted")
    assert client.betas() == "context-1m-2025-08-07,effort-2025-11-24"
    assert response.headers["x-faregate-degraded"] == "betas.fast-mode-2026-02-01"


def test_an_unknown_beta_neither_passes_nor_fails_a_request(client: Client) -> None:
    """Members of a beta may stand anywhere in the body, so that is translated."""
    betas = "unheard-of-2031-01-01,effort-2025-11-24"
    messages = user(text("!answer Yes.", unheard_of=1))
    response = client.ask(messages, betas=betas, unheard_of=1)
    assert client.betas() is None
    assert "unheard_of" not in json.dumps(client.sent())
    assert response.headers["x-faregate-degraded"].endswith("betas.unheard-of-2031-01-01")
    client.ask(user(text("!answer Yes.")), betas=betas, top_k=7, model="claude-trusted")
    assert client.betas() == betas
    assert client.sent()["top_k"] == 7


def test_an_upstream_of_another_dialect_gets_no_betas(client: Client) -> None:
    client.ask(user(text("!answer Yes.")), model="kimi-k2.5", tools=[])
    assert client.betas() is None
    assert client.sent()["model"] != "kimi-k2.5"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("thinking", [ADAPTIVE, MANUAL], ids=["adaptive", "manual"])
@pytest.mark.parametrize("hides", [False, True], ids=["shown", "omitted"])
def test_a_tool_loop_keeps_its_thinking(
    client: Client, stream: bool, thinking: dict[str, Any], hides: bool
) -> None:
    """The upstream sees its own signature; the client never does."""
    question = user(text(LOOP))
    more: dict[str, Any] = {"thinking": {**thinking, "display": "omitted"} if hides else thinking}
    first = content_of(client.ask(question, stream=stream, **more), stream=stream)
    assert [block["type"] for block in first] == ["thinking", "tool_use"]
    assert first[0]["thinking"] == ("" if hides else "Where is it?")
    turns = (question, {"role": "assistant", "content": first}, results(first))
    response = client.ask(*turns, stream=stream, **more)
    last = content_of(response, stream=stream)
    assert [block.get("text") for block in last][-1] == "It is here."
    kept = client.sent()["messages"][1]["content"][0]
    assert kept["thinking"] == "Where is it?"
    assert kept["signature"]
    assert kept["signature"] not in response.text
    assert kept["signature"] != first[0]["signature"]
    assert "x-faregate-degraded" not in response.headers


def test_a_loop_in_manual_mode_that_lost_its_thinking_goes_on_without(client: Client) -> None:
    question = user(text(LOOP))
    first = client.ask(question, thinking=MANUAL).json()["content"]
    dropped = [block for block in first if block["type"] != "thinking"]
    turns = (question, {"role": "assistant", "content": dropped}, results(first))
    response = client.ask(*turns, thinking=MANUAL)
    assert response.json()["content"][-1] == text("It is here.")
    assert client.sent()["thinking"] == {"type": "disabled"}
    assert response.headers["x-faregate-degraded"] == "strict, thinking"
    assert response.headers["x-credits-charged"] == str(PLAIN)
    adaptive = client.ask(*turns)
    assert client.sent()["thinking"] == ADAPTIVE
    assert adaptive.headers["x-credits-charged"] == str(REASONING)


def test_thinking_of_another_account_or_upstream_is_left_out(client: Client, bob: Client) -> None:
    question = user(text(LOOP))
    first = client.ask(question).json()["content"]
    turns = (question, {"role": "assistant", "content": first}, results(first))
    for asked, model in ((bob, "claude"), (client, "claude-other")):
        asked.ask(*turns, model=model)
        kinds = [block["type"] for block in asked.sent()["messages"][1]["content"]]
        assert kinds == ["tool_use"]


def test_a_responses_client_brings_the_thinking_back_too(client: Client) -> None:
    tool = {"type": "function", "name": "look", "parameters": TOOL["input_schema"]}
    more = {"model": "claude", "tools": [tool], "reasoning": {"effort": "high"}, "store": False}
    first = client.http.post(PATHS["responses"], json={**more, "input": LOOP}).json()["output"]
    assert [item["type"] for item in first] == ["reasoning", "function_call"]
    given = [{"role": "user", "content": LOOP}, *first]
    given.append({"type": "function_call_output", "call_id": first[1]["call_id"], "output": "seen"})
    last = client.http.post(PATHS["responses"], json={**more, "input": given})
    assert last.status_code == 200, last.text
    kept = client.sent()["messages"][1]["content"]
    assert [block["type"] for block in kept] == ["thinking", "tool_use"]
    assert kept[0]["thinking"] == "Where is it?"
    assert json.dumps(kept[0]["signature"]) not in last.text


def test_a_chat_client_sees_no_signature(client: Client) -> None:
    body = {"model": "claude", "reasoning_effort": "high",
            "messages": [{"role": "user", "content": "!reason Hm.\n!answer Yes."}]}  # fmt: skip
    for stream in (False, True):
        response = client.http.post(PATHS["chat"], json={**body, "stream": stream})
        assert "Hm." in response.text
        assert "signature" not in response.text
        assert "reasoning_details" not in response.text
