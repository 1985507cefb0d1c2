"""Shared by the tests of the Responses dialect: callers, a state in memory, and answers."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError, InvalidRequest
from gateway.core.events import Event, Usage
from gateway.core.request import Request
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller, Exchange, ParsedRequest, Renderer
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.dialects.responses.stored_responses import ResponseState, StoredResponse, id_of

ALICE = Caller(1, "team-a/alice")
BOB = Caller(2, "team-a/bob")
SEALER = Sealer(b"k" * 32)
CREATED = 1_760_000_000
USAGE = Usage(input=11, output=7, cached=3, reasoning=2)


class MemoryState:
    """The port as a dictionary."""

    def __init__(self, bytes_max: int = 1024 * 1024, *, is_full: bool = False) -> None:
        self.bytes_max = bytes_max
        self.is_full = is_full
        self.responses: dict[tuple[int, str], StoredResponse] = {}

    async def get(self, caller: Caller, response_id: str) -> StoredResponse | None:
        return self.responses.get((caller.account_id, response_id))

    async def items(
        self, caller: Caller, item_ids: Sequence[str], bytes_max: int
    ) -> dict[str, Raw]:
        return {
            id_of(item): item
            for (owner, _), stored in self.responses.items()
            for item in stored.output
            if owner == caller.account_id and id_of(item) in item_ids
        }

    async def save(self, caller: Caller, stored: StoredResponse) -> bool:
        if self.is_full:
            return False
        self.responses[caller.account_id, stored.id] = stored
        return True

    async def delete(self, caller: Caller, response_id: str) -> bool:
        return self.responses.pop((caller.account_id, response_id), None) is not None


class Given:
    """A chunk, or a whole answer, of known events; they are read once, for that takes time."""

    plain = False
    size = 0

    def __init__(self, *events: Event, usage: Usage | None = USAGE, data: bytes = b"{}") -> None:
        self.data = data
        self.document: dict[str, Any] = {}
        self.usage = usage
        self._events = events

    def events(self) -> Sequence[Event]:
        events, self._events = self._events, ()
        return events


def parse_call(
    body: dict[str, Any], state: ResponseState | None = None, caller: Caller = ALICE
) -> ParsedRequest:
    raw = json.dumps({"model": "kimi-k2.5", **body}).encode()
    return asyncio.run(ResponsesDialect(SEALER, state, WorkerThread()).parse(raw, caller))


def parse(
    input: Any, state: ResponseState | None = None, caller: Caller = ALICE, **members: Any
) -> Request:
    return parse_call({"input": input, **members}, state, caller).request


def renderer(
    call: ParsedRequest | None = None,
    state: ResponseState | None = None,
    *,
    request_id: str = "req_0123456789abcdef",
    caller: Caller = ALICE,
) -> Renderer:
    exchange = Exchange(
        request_id=request_id,
        caller=caller,
        model="kimi-k2.5",
        created=CREATED,
    )
    call = call or parse_call({"input": "hi"}, state)
    return ResponsesDialect(SEALER, state, WorkerThread()).renderer(call, exchange)


def stream(answer: Renderer, *events: Event, usage: Usage | None = USAGE) -> list[bytes]:
    """All frames of a complete stream, each event in a chunk of its own."""
    frames = answer.open()
    for event in events:
        frames += answer.feed(Given(event))
    return frames + asyncio.run(answer.close(usage))


def broken(answer: Renderer, error: FaregateError, *events: Event) -> list[bytes]:
    """All frames of a stream that broke."""
    frames = answer.open()
    for event in events:
        frames += answer.feed(Given(event))
    return frames + answer.fail(error)


def complete(answer: Renderer, *events: Event, usage: Usage | None = USAGE) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(
        asyncio.run(answer.complete(Given(*events, usage=usage)))
    )
    return body


def read_frame(frame: bytes) -> dict[str, Any]:
    """The data of one frame; a frame is one event of two lines, whose names agree."""
    first, second, *rest = frame.decode().split("\n")
    assert rest == ["", ""]
    event: dict[str, Any] = json.loads(second.removeprefix("data: "))
    assert first == f"event: {event['type']}"
    return event


def read_frames(frames: list[bytes]) -> list[dict[str, Any]]:
    """The events of a stream, without the line that ends it."""
    return [read_frame(frame) for frame in frames if frame != b"data: [DONE]\n\n"]


def kinds(frames: list[bytes]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in read_frames(frames)]


def user(*content: dict[str, Any] | str) -> dict[str, Any]:
    parts = [
        {"type": "input_text", "text": part} if isinstance(part, str) else part for part in content
    ]
    return {"role": "user", "content": parts}


def user_message(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "id": "msg_1", "content": [part]}


def called(call_id: str, name: str = "get", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def returned(call_id: str, output: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def signed_block(text: str | None = None, **members: Any) -> dict[str, Any]:
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"type": "reasoning", "id": "rs_1", "summary": summary, **members}


def refused(body: dict[str, Any], param: str | None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_call(body)
    assert caught.value.param == param
    return caught.value
