"""Trap 13: what Claude Code adds to a plain request; nothing of it may be an error.

The bodies are small, with the features of what released clients send.
"""

import json
import re
from typing import Any

from tests.harness.dialects import PATHS
from tests.traps.support import (
    Client,
    Sent,
    either_way,
    every_model,
    function,
    read,
    strict_models,
)

Object = dict[str, Any]

CLAUDE_BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "mid-conversation-tool-changes-2026-07-01,of-the-future-2029-01-01"
)


def claude_code(messages: list[Object], **more: Any) -> Object:
    """Claude Code's requests: system in blocks, roles and fields that others do not know."""
    marked = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    deferred = {**function("messages", "WebFetch"), "defer_loading": True, **marked}
    return {
        "model": "kimi-k2.5",
        "max_tokens": 32000,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.b3e; cch=1;"},
            {"type": "text", "text": "You are an agent.", **marked},
            {"type": "text", "text": "Be brief.", **marked},
        ],
        "messages": messages,
        "tools": [
            {**function("messages", "Bash"), "eager_input_streaming": True, "strict": True},
            deferred,
        ],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": json.dumps({"device_id": "d", "session_id": "s-1"})},
        "safeguards": {"level": 1},
        **more,
    }


def ask_claude(client: Client, content: Object) -> Sent:
    return client.post(
        f"{PATHS['messages']}?beta=true",
        content,
        anthropic_beta=CLAUDE_BETAS,
        anthropic_version="2023-06-01",
        x_app="cli",
        anthropic_dangerous_direct_browser_access="true",
    )


CLAUDE_START: list[Object] = [
    {"role": "user", "content": [{"type": "text", "text": "Look around."}]},
    {"role": "system", "content": [{"type": "text", "text": "# Environment"}]},
]


@every_model
def test_trap_13_claude_code_is_served_by_every_family(client: Client, model: str) -> None:
    sent = ask_claude(client, claude_code(CLAUDE_START, model=model))
    assert sent.response.headers["x-credits-charged"] == "5"
    answer = read("messages", sent.response)
    assert answer.reasoning
    assert "cache_control" not in json.dumps(sent.upstream)
    assert sent.degraded == set()


def test_trap_13_the_attribution_block_never_reaches_the_prompt(client: Client) -> None:
    """It varies by request, and would spoil the upstream's prefix cache."""
    sent = ask_claude(client, claude_code(CLAUDE_START))
    system = sent.upstream["messages"][0]
    assert system == {"role": "system", "content": "You are an agent.\n\nBe brief."}
    again = ask_claude(client, claude_code(CLAUDE_START))
    assert json.dumps(again.upstream) == json.dumps(sent.upstream)


def test_trap_13_the_session_is_a_key_of_the_cache_and_no_name_goes_upstream(
    client: Client,
) -> None:
    sent = ask_claude(client, claude_code(CLAUDE_START))
    assert re.fullmatch(r"[0-9a-f]{32}", sent.upstream["prompt_cache_key"])
    assert re.fullmatch(r"[0-9a-f]{32}", sent.upstream["safety_identifier"])


@strict_models
def test_trap_13_a_long_session_with_all_its_kinds_of_block_is_served(
    client: Client, model: str
) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    image = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    results: list[Any] = [
        "text",
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [{"type": "image", "source": image}],
        [{"type": "tool_reference", "tool_name": "WebFetch"}],
        None,
        [],
    ]
    calls = [
        {"type": "tool_use", "id": f"toolu_{index}", "name": "Bash", "input": {"at": "x"}}
        for index in range(len(results))
    ]
    answers = [
        {"type": "tool_result", "tool_use_id": f"toolu_{index}", "content": content}
        for index, content in enumerate(results)
    ]
    del answers[4]["content"]
    messages: list[Object] = [
        *CLAUDE_START,
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "So."}, *calls]},
        {"role": "system", "content": "A reminder, between the calls and their results."},
        {
            "role": "user",
            "content": [*answers, {"type": "text", "text": "And?"}, {"type": "of_the_future"}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "redacted_thinking", "data": "Zm9yZWlnbg=="},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "text", "text": "Found."},
            ],
        },
        {"role": "user", "content": "Go on."},
    ]
    sent = ask_claude(client, claude_code(messages, model=model))
    roles = [event["role"] for event in sent.upstream["messages"]]
    first = roles.index("tool")
    assert roles[first - 1] == "assistant"
    assert roles[first : first + len(results)] == ["tool"] * len(results)
    assert roles.count("tool") == len(results)
    assert sent.upstream["messages"][-1]["content"] == "Go on."


@either_way
def test_trap_13_helper_models_and_tiny_caps_are_served(client: Client, stream: bool) -> None:
    """Titles, the check of the key, and other calls on the side; none of them reasons."""
    for model in ("claude-haiku-4-5-20251001", "claude-opus-4-6", "claude-3-5-haiku-latest"):
        sent = client.ask("messages", "test", model=model, max_tokens=1, stream=stream)
        assert sent.upstream["thinking"] == {"type": "disabled"}
        answer = read("messages", sent.response)
        assert (answer.model, answer.finish) == (model, "max_tokens")


def test_trap_13_a_cache_is_warmed_with_no_tokens_at_all(client: Client) -> None:
    sent = client.ask("messages", "Long prompt", max_tokens=0)
    answer = read("messages", sent.response)
    assert answer.whole["content"] == []
    assert sent.upstream["max_completion_tokens"] == 1


def test_trap_13_the_web_search_helper_learns_that_there_is_none(client: Client) -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    sent = ask_claude(client, claude_code(CLAUDE_START, tools=[tool]))
    assert sent.response.status_code == 400
    assert "web_search_20250305 is not supported" in sent.response.json()["error"]["message"]
    offered = [tool, function("messages", "Bash")]
    sent = ask_claude(client, claude_code(CLAUDE_START, tools=offered))
    assert sent.degraded == {"tools.web_search_20250305"}
    assert len(sent.upstream["tools"]) == 1


def test_trap_13_tokens_are_counted_for_nothing(client: Client) -> None:
    content = claude_code(CLAUDE_START)
    path = f"{PATHS['messages']}/count_tokens?beta=true"
    del content["max_tokens"], content["stream"]
    sent = client.post(path, content, anthropic_beta="token-counting-2024-11-01")
    assert sent.response.status_code == 200
    assert sent.response.json()["input_tokens"] > 20
    tiny = {"model": "claude-opus-4-6", "messages": [{"role": "user", "content": "foo"}]}
    assert 0 < client.post(path, tiny).response.json()["input_tokens"] < 20
    assert client.post(path, tiny).response.headers["x-credits-charged"] == "0"


def test_trap_13_the_start_up_requests_are_answered(client: Client) -> None:
    http = client.gateway.http
    head = http.head("/api/anthropic", headers=client.headers)
    assert head.status_code < 500
    assert head.content == b""
    page = http.get("/api/anthropic/v1/models?limit=1000", headers=client.headers).json()
    assert {"kimi-k2.5", "open"} <= {model["id"] for model in page["data"]}
    one = http.get("/api/anthropic/v1/models/claude-opus-4-6", headers=client.headers).json()
    assert (one["type"], one["id"]) == ("model", "claude-opus-4-6")
