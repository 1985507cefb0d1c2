"""The simulated upstream in the Messages dialect."""

from typing import Any

import httpx
import pytest

from tests.simulated.talk import Talk, named_events

_HEADERS = {"anthropic-version": "2023-06-01"}
_TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
_CALL = {"type": "tool_use", "id": "a", "name": "look", "input": {}}


def _turns(*contents: Any) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": each} for at, each in enumerate(contents)]


def _post(talk: Talk, content: Any, **members: Any) -> httpx.Response:
    messages = _turns(content) if isinstance(content, str) else content
    body = {"model": "generic", "max_tokens": 100, "messages": messages, **members}
    return talk.http.post("/messages", json=body, headers=_HEADERS)


def test_a_message_and_its_stream_hold_the_same(talk: Talk) -> None:
    script = '!reason Hm.\n!answer Yes.\n!tool look {"at": 1}\n!cached 9'
    whole = _post(talk, script, tools=[_TOOL]).json()
    assert [block["type"] for block in whole["content"]] == ["thinking", "text", "tool_use"]
    assert whole["content"][2] == _CALL | {"id": "toolu_look_0", "input": {"at": 1}}
    assert whole["stop_reason"] == "tool_use"
    assert whole["usage"]["cache_read_input_tokens"] == 9
    events = named_events(_post(talk, script, tools=[_TOOL], stream=True))
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[-2]["usage"] == whole["usage"]
    pieces = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(piece.get("text", "") for piece in pieces) == "Yes."
    assert "".join(piece.get("partial_json", "") for piece in pieces) == '{"at": 1}'
    assert talk.stats()["completed"] == 2


@pytest.mark.parametrize(
    ("directive", "last"),
    [
        ("!no-done", "message_delta"),
        ("!end-early", "content_block_stop"),
        ("!error-event", "error"),
        ("!refuse", "message_stop"),
    ],
)
def test_how_a_stream_ends(talk: Talk, directive: str, last: str) -> None:
    events = named_events(_post(talk, f"!answer One two.\n{directive}", stream=True))
    assert events[-1]["type"] == last


def test_errors_have_anthropics_envelope(talk: Talk) -> None:
    for status, kind in ((400, "invalid_request_error"), (429, "rate_limit_error")):
        response = _post(talk, f"!error {status}")
        assert response.status_code == status
        assert response.json()["error"]["type"] == kind
    assert _post(talk, "!error 529").json()["error"]["type"] == "overloaded_error"
    assert _post(talk, "!error 400 odd_error").json()["error"]["type"] == "odd_error"
    assert _post(talk, "Hi", model="kimi-gone").json()["error"]["type"] == "not_found_error"
    body = {"model": "generic", "max_tokens": 1, "messages": _turns("Hi")}
    assert "anthropic-version" in talk.http.post("/messages", json=body).json()["error"]["message"]


@pytest.mark.parametrize(
    "members",
    [
        {"max_tokens": None},
        {"n": 1},
        {"temperature": 1.5},
        {"thinking": {"type": "enabled"}},
        {"thinking": {"type": "adaptive", "budget_tokens": 2000}},
        {"thinking": True},
        {"tool_choice": {"type": "any"}},
        {"tools": [{"name": "look"}]},
        {"messages": []},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": _turns([{"type": "document", "source": {}}])},
        {"messages": _turns([{"type": "text", "text": " "}])},
        {"messages": _turns("x", [_CALL])},
        {"messages": _turns("x", [_CALL], "y")},
        {"messages": _turns("x", "y", [{"type": "tool_result", "tool_use_id": "a"}])},
        {"messages": _turns("x", [_CALL | {"id": "a:0"}], "y")},
        {
            "model": "claude-new",
            "tools": [_TOOL],
            "tool_choice": {"type": "any"},
            "thinking": {"type": "adaptive"},
        },
    ],
)
def test_what_is_refused(talk: Talk, members: dict[str, Any]) -> None:
    response = _post(talk, "Hi", **members)
    assert response.status_code == 400
    assert response.json()["type"] == "error"
    assert talk.stats()["refused"] == 1


def test_tokens_are_counted(talk: Talk) -> None:
    body = {"model": "generic", "system": "Be kind.", "messages": _turns("one two three")}
    response = talk.http.post("/messages/count_tokens", json=body, headers=_HEADERS)
    assert response.json() == {"input_tokens": 5}
    assert talk.stats()["received"] == 0
