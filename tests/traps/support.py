"""Shared by the traps: a client that also sees the upstream's requests, and one reading of an
answer in any dialect, streamed or not, by the strict readers of the wire tests."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.dialects.messages.support import read_frames as read_message_frames
from tests.dialects.messages.support import read_message
from tests.dialects.responses.judge import judge, judge_object
from tests.harness.dialects import DIALECTS, PATHS, body, events
from tests.harness.gateway import GatewayProcess

either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)

#: strict families as the harness's fleet names them; `open` is the lenient one
STRICT = ("kimi-k2.5", "k3", "coder", "thinker")
MODELS = (*STRICT, "open")

every_model = pytest.mark.parametrize("model", MODELS)
strict_models = pytest.mark.parametrize("model", STRICT)

PRICE, SURCHARGE = 2, 3

_NO_USAGE: dict[str, Any] = {
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
LOOK = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
}


class Sent(Struct):
    """One answer, and the bodies the upstream received for it."""

    response: httpx.Response
    bodies: list[dict[str, Any]]

    @property
    def upstream(self) -> dict[str, Any]:
        """The one body that was sent upstream, whose answer was good."""
        assert self.response.status_code == 200, self.response.text
        assert len(self.bodies) == 1
        return self.bodies[0]

    @property
    def degraded(self) -> set[str]:
        """The parts that the gateway reports as dropped."""
        named: str = self.response.headers.get("x-faregate-degraded", "")
        return {name for name in named.split(", ") if name}


class Client:
    """A client with a key, and the other end of the wire."""

    def __init__(self, gateway: GatewayProcess, counters: httpx.Client, key: str) -> None:
        self.gateway = gateway
        self.key = key
        self.headers = {"authorization": f"Bearer {key}"}
        self._counters = counters

    def post(self, path: str, content: dict[str, Any], **headers: str) -> Sent:
        """Send any body; header names are written with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._counters.post("/stats/reset")
        response = self.gateway.http.post(path, json=content, headers={**self.headers, **named})
        received = self._counters.get("/stats/requests").json()
        return Sent(response, [each["body"] for each in received])

    def send(self, dialect: str, content: dict[str, Any]) -> Sent:
        return self.post(PATHS[dialect], content)

    def ask(self, dialect: str, text: str, *, stream: bool = False, **more: Any) -> Sent:
        """A request with one user message."""
        return self.send(dialect, {**body(dialect, text, **more), "stream": stream})


class Call(Struct):
    """A tool call as a client sees it."""

    id: str
    name: str
    arguments: str


class Spoken(Struct):
    """An answer in no dialect. `whole` is the object a client ends up with; usage counts cached
    tokens as input and reasoning as output."""

    model: str
    text: str
    reasoning: str
    calls: list[Call]
    finish: str
    input: int
    output: int
    cached: int
    signed_block: int
    whole: dict[str, Any]


def read(dialect: str, response: httpx.Response) -> Spoken:
    """Read an answer of either kind; fails where it breaks a rule of its dialect."""
    assert response.status_code == 200, response.text
    streamed = response.headers["content-type"].startswith("text/event-stream")
    if dialect == "chat":
        return _read_chat(_join_chat(response.text) if streamed else response.json())
    if dialect == "messages":
        return _read_message(_join_message(response) if streamed else response.json())
    if streamed:
        return _read_response(judge(frames(response.content)))
    judge_object(response.json())
    return _read_response(response.json())


def frames(content: bytes) -> list[bytes]:
    """The events of a stream as they were framed, comments left out."""
    cut = content.split(b"\n\n")
    assert cut[-1] == b"", "a stream ends with a whole event"
    return [frame + b"\n\n" for frame in cut[:-1] if not frame.startswith(b":")]


def _join_chat(text: str) -> dict[str, Any]:
    """The completion that the chunks of a stream add up to."""
    found = [data for _, data in events(text)]
    assert found.pop() == "[DONE]"
    assert all("error" not in chunk for chunk in found), text
    assert {(chunk["object"], chunk["id"], chunk["created"]) for chunk in found} == {
        ("chat.completion.chunk", found[0]["id"], found[0]["created"])
    }
    names = {chunk["model"] for chunk in found}
    assert len(names) == 1
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    finish, usage = None, None
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    for chunk in found:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            assert finish is None, "nothing follows the finish reason"
            finish = choice["finish_reason"]
            _add_delta(message, choice["delta"])
    return {
        "object": "chat.completion",
        "model": names.pop(),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("content", "reasoning_content"):
        message[name] += delta.get(name) or ""
    for piece in delta.get("tool_calls", ()):
        if piece["index"] == len(message["tool_calls"]):
            assert {"id", "type"} <= piece.keys()
            message["tool_calls"].append(
                {"id": piece["id"], "function": {"name": "", "arguments": ""}}
            )
        function = message["tool_calls"][piece["index"]]["function"]
        function["name"] += piece["function"].get("name") or ""
        function["arguments"] += piece["function"].get("arguments") or ""


def _read_chat(whole: dict[str, Any]) -> Spoken:
    choice = whole["choices"][0]
    message, usage = choice["message"], whole.get("usage") or {}
    return Spoken(
        model=whole["model"],
        text=message.get("content") or "",
        reasoning=message.get("reasoning_content") or "",
        calls=[
            Call(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        ],
        finish=choice["finish_reason"],
        input=usage.get("prompt_tokens", 0),
        output=usage.get("completion_tokens", 0),
        cached=usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
        signed_block=usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0),
        whole=whole,
    )


def _join_message(response: httpx.Response) -> dict[str, Any]:
    message = read_message(read_message_frames(frames(response.content)))
    for block in message["content"]:
        text = block.pop("_json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text or "{}")
    return message


def _read_message(whole: dict[str, Any]) -> Spoken:
    assert whole["type"] == "message"
    assert whole["role"] == "assistant"
    usage = whole["usage"]
    cached = usage["cache_read_input_tokens"]
    content = whole["content"]
    return Spoken(
        model=whole["model"],
        text="".join(_members(content, "text")),
        reasoning="".join(_members(content, "thinking")),
        calls=[
            Call(block["id"], block["name"], json.dumps(block["input"]))
            for block in content
            if block["type"] == "tool_use"
        ],
        finish=whole["stop_reason"],
        input=usage["input_tokens"] + cached + usage["cache_creation_input_tokens"],
        output=usage["output_tokens"],
        cached=cached,
        signed_block=usage.get("output_tokens_details", {}).get("thinking_tokens", 0),
        whole=whole,
    )


def _members(blocks: list[dict[str, Any]], kind: str) -> Iterator[str]:
    return (block[kind] for block in blocks if block["type"] == kind)


def _read_response(whole: dict[str, Any]) -> Spoken:
    usage = whole["usage"] or _NO_USAGE
    output = whole["output"]
    return Spoken(
        model=whole["model"],
        text="".join(
            part.get("text", "")
            for item in output
            if item["type"] == "message"
            for part in item["content"]
        ),
        reasoning="".join(
            part["text"]
            for item in output
            if item["type"] == "reasoning"
            for part in item["summary"]
        ),
        calls=[
            Call(item["call_id"], item["name"], item["arguments"])
            for item in output
            if item["type"] == "function_call"
        ],
        finish=whole["status"],
        input=usage["input_tokens"],
        output=usage["output_tokens"],
        cached=usage["input_tokens_details"]["cached_tokens"],
        signed_block=usage["output_tokens_details"]["reasoning_tokens"],
        whole=whole,
    )


def function(dialect: str, name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """A tool on offer, as the dialect spells it."""
    schema = LOOK if schema is None else schema
    if dialect == "messages":
        return {"name": name, "description": "Looks.", "input_schema": schema}
    described = {"name": name, "description": "Looks.", "parameters": schema}
    if dialect == "responses":
        return {"type": "function", **described}
    return {"type": "function", "function": described}


def forced(dialect: str, name: str | None = None) -> dict[str, Any]:
    """The member that forces one tool, or any."""
    if dialect == "messages":
        choice: Any = {"type": "any"} if name is None else {"type": "tool", "name": name}
    elif name is None:
        choice = "required"
    elif dialect == "responses":
        choice = {"type": "function", "name": name}
    else:
        choice = {"type": "function", "function": {"name": name}}
    return {"tool_choice": choice}
