"""Requests and chunks of the chat dialect, built and read as a client would."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.events import Event, Usage
from gateway.core.request import Request
from gateway.dialects.base import Caller, Exchange, ParsedRequest
from gateway.dialects.chat.answer_writer import ChatRenderer
from gateway.dialects.chat.dialect import ChatDialect

DIALECT = ChatDialect(WorkerThread())
ALICE = Caller(1, "team-a/alice")
PUBLIC = "kimi-k2.5"
UPSTREAM = "kimi-k2.6-upstream"
HELLO = {"role": "user", "content": "hello"}
FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}


def parse_call(body: bytes | dict[str, Any]) -> ParsedRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(DIALECT.parse(raw, ALICE))


def parse(**members: Any) -> Request:
    """A request whose messages are read."""
    request = parse_call({"model": PUBLIC, "messages": [HELLO], **members}).request
    request.read()
    request.written = None
    return request


def renderer(**members: Any) -> ChatRenderer:
    call = parse_call({"model": PUBLIC, "messages": [HELLO], **members})
    return DIALECT.renderer(call, Exchange("req_1", ALICE, PUBLIC, 1_767_225_600))


class Piece(Struct):
    """A chunk as an upstream's reader hands it over."""

    data: bytes
    plain: bool

    def events(self) -> Sequence[Event]:
        raise AssertionError("the chat renderer must not decode events")


class Whole(Struct):
    """A completion as an upstream's reader hands it over."""

    data: bytes
    usage: Usage | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    def events(self) -> Sequence[Event]:
        raise AssertionError("the chat renderer must not decode events")


def piece(
    delta: dict[str, Any] | None = None,
    finish: str | None = None,
    spaces: bool = False,
    **more: Any,
) -> Piece:
    """One chunk; `usage` among `more` is top-level, `choice` is merged into the choice."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish, **more.pop("choice", {})}
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_767_225_500,
        "model": UPSTREAM,
        "choices": [choice],
        **more,
    }
    separators = (", ", ": ") if spaces else (",", ":")
    data = json.dumps(event, separators=separators, ensure_ascii=False).encode()
    plain = finish is None and not more.get("usage") and "usage" not in choice
    return Piece(data, plain)


def feed(render: ChatRenderer, *pieces: Piece) -> list[bytes]:
    return [frame for each in pieces for frame in render.feed(each)]


def close(render: ChatRenderer, usage: Usage | None = None) -> list[bytes]:
    return asyncio.run(render.close(usage))


def read(frames: list[bytes]) -> list[Any]:
    """The data of frames, as a client decodes them; `[DONE]` as a string, comments left out."""
    found: list[Any] = []
    for frame in frames:
        assert frame.endswith(b"\n\n")
        assert frame.count(b"\n") == 2, "one frame, one event"
        if frame.startswith(b":"):
            continue
        assert frame.startswith(b"data: ")
        data = frame[6:-2]
        found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return found


def complete(render: ChatRenderer, answer: dict[str, Any], usage: Usage | None = None) -> Any:
    return json.loads(asyncio.run(render.complete(Whole(json.dumps(answer).encode(), usage))))
