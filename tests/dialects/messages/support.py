"""Shared by the tests of the Messages dialect: requests, answers, a strict reader of frames.

The reader is written from Anthropic's description of the stream, not from our renderer.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.events import Event, Usage
from gateway.core.request import Request
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller, Exchange, ParsedRequest
from gateway.dialects.messages.answer_writer import MessagesRenderer
from gateway.dialects.messages.dialect import MessagesDialect

SEALER = Sealer(b"k" * 32)
ALICE = Caller(1, "team-a/alice")
BOB = Caller(2, "team-a/bob")
DIALECT = MessagesDialect(SEALER, WorkerThread())
USAGE = Usage(input=120, output=34, cached=100, reasoning=7)


class Piece(Struct):
    """One chunk of an upstream's stream, or its whole answer, already decoded."""

    decoded: Sequence[Event]
    data: bytes = b""
    plain: bool = False
    usage: Usage | None = USAGE
    size: int = 0
    document: dict[str, Any] = {}

    def events(self) -> Sequence[Event]:
        return self.decoded


def parse_call(body: bytes | dict[str, Any], caller: Caller = ALICE) -> ParsedRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(DIALECT.parse(raw, caller))


def parse(*messages: dict[str, Any], caller: Caller = ALICE, **fields: Any) -> Request:
    body = {"model": "kimi-k2.5", "max_tokens": 100, "messages": list(messages), **fields}
    return parse_call(body, caller).request


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if _is_text(content) else list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content[0] if _is_text(content) else list(content)}


def _is_text(content: tuple[Any, ...]) -> bool:
    return len(content) == 1 and isinstance(content[0], str)


def call_block(name: str, call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result_block(call_id: str, content: Any = "done") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object", "properties": {}}, **more}


def renderer_for(caller: Caller = ALICE, **fields: Any) -> MessagesRenderer:
    """A renderer for a request with these additional fields."""
    body = {"model": "kimi-k2.5", "max_tokens": 100, "messages": [user("Hello")], **fields}
    exchange = Exchange("req_0123abcd", caller, "kimi-k2.5", 1_790_000_000)
    return DIALECT.renderer(parse_call(body, caller), exchange)


def stream(
    *chunks: Sequence[Event], usage: Usage | None = USAGE, **fields: Any
) -> list[tuple[str, dict[str, Any]]]:
    """All events of a complete streamed answer, in the order they are sent."""
    renderer = renderer_for(**fields)
    frames = renderer.open()
    for chunk in chunks:
        frames += renderer.feed(Piece(chunk))
    frames += asyncio.run(renderer.close(usage))
    return read_frames(frames)


def answer(*events: Event, usage: Usage | None = USAGE, **fields: Any) -> dict[str, Any]:
    """The body of a complete answer that is not streamed."""
    body = asyncio.run(renderer_for(**fields).complete(Piece(events, usage=usage)))
    message: dict[str, Any] = json.loads(body)
    return message


def read_frames(frames: Sequence[bytes]) -> list[tuple[str, dict[str, Any]]]:
    """Each bytes object must be exactly one event, named as its data's type."""
    events = []
    for frame in frames:
        event, data, *rest = frame.split(b"\n")
        assert rest == [b"", b""], frame
        assert event.startswith(b"event: "), frame
        assert data.startswith(b"data: "), frame
        decoded = json.loads(data.removeprefix(b"data: "))
        assert decoded["type"] == event.removeprefix(b"event: ").decode()
        events.append((decoded["type"], decoded))
    return events


def read_message(events: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The message a client ends up with; fails where the stream breaks its discipline."""
    assert [name for name, _ in events].count("message_start") == 1
    assert events[0][0] == "message_start"
    assert [name for name, _ in events[-2:]] == ["message_delta", "message_stop"]
    message: dict[str, Any] = events[0][1]["message"]
    assert message["content"] == []
    assert message["stop_reason"] is None
    is_open = False
    for name, event in events[1:-2]:
        match name:
            case "content_block_start":
                assert not is_open, "a block is open"
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"] | {"_json": ""})
                is_open = True
            case "content_block_delta":
                assert is_open, "no block is open"
                assert event["index"] == len(message["content"]) - 1
                _apply(message["content"][-1], event["delta"])
            case "content_block_stop":
                assert is_open, "no block is open"
                assert event["index"] == len(message["content"]) - 1
                _check_closed(message["content"][-1])
                is_open = False
            case _:
                assert name == "ping"
    assert not is_open, "a block stayed open"
    message |= events[-2][1]["delta"]
    message["usage"] |= events[-2][1]["usage"]
    return message


def _apply(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match block["type"], delta["type"]:
        case "text", "text_delta":
            assert delta["text"] != ""
            block["text"] += delta["text"]
        case "thinking", "thinking_delta":
            assert delta["thinking"] != ""
            assert block["signature"] == "", "the signature comes last"
            block["thinking"] += delta["thinking"]
        case "thinking", "signature_delta":
            assert block["signature"] == "", "one signature"
            block["signature"] = delta["signature"]
        case "tool_use", "input_json_delta":
            block["_json"] += delta["partial_json"]
        case pair:
            raise AssertionError(f"a delta in the wrong block: {pair}")


def _check_closed(block: dict[str, Any]) -> None:
    if block["type"] == "thinking":
        assert block["signature"] != ""
    if block["type"] == "text":
        assert block["text"] != "", "an empty text block"
