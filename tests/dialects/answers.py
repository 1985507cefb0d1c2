"""Answers of Messages, Responses and Gemini, with all that is read, as each client gets them."""

import asyncio
import json
from copy import deepcopy
from functools import cache
from typing import Any, get_args

from gateway.core.errors import UpstreamBroken
from gateway.core.events import Event, Usage
from gateway.core.spec import UpstreamDialect
from gateway.dialects.answer_reader import AnswerReader
from gateway.dialects.event_stream import EventAnswer, EventChunk, EventStream
from gateway.dialects.gemini.answer_reader import GeminiReader
from gateway.dialects.messages.answer_reader import MessagesReader
from gateway.dialects.responses.answer_reader import ResponsesReader
from tests.dialects.clients import DIALECTS, Got, Object

Path = tuple[Any, ...]

ABSENT = object()
READERS: dict[str, type[AnswerReader]] = {
    "messages": MessagesReader,
    "responses": ResponsesReader,
    "gemini": GeminiReader,
}
assert {"chat", *READERS} == {*get_args(UpstreamDialect)}, "a dialect has no reader here"
#: of each of the answers
AT = ("look", {"at": 1})
PLAIN = ("Hello", "Hm.", [AT])

MESSAGE: Object = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "tool_use", "id": "a", "name": "look", "input": {"at": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
MESSAGE_EVENTS: list[Object] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {**MESSAGE["content"][0], "thinking": "", "signature": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm."},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "s"},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "a", "name": "look", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"at":1}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 1},
    },
    {"type": "message_stop"},
]
OUTPUT: list[Object] = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "content": [],
        "encrypted_content": "s",
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "final_answer",
        "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "a",
        "name": "look",
        "arguments": '{"at":1}',
        "status": "completed",
    },
]
RESPONSE: Object = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "output": OUTPUT,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_BEGUN = {**RESPONSE, "status": "in_progress", "output": []}
RESPONSE_EVENTS: list[Object] = [
    {"type": "response.created", "sequence_number": 0, "response": _BEGUN},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "reasoning", "id": "rs_1", "summary": []},
    },
    {
        "type": "response.reasoning_summary_part.added",
        "output_index": 0,
        "summary_index": 0,
        "part": {},
    },
    {
        "type": "response.reasoning_summary_text.delta",
        "output_index": 0,
        "summary_index": 0,
        "delta": "Hm.",
    },
    {"type": "response.output_item.done", "output_index": 0, "item": OUTPUT[0]},
    {"type": "response.output_item.added", "output_index": 1, "item": {**OUTPUT[1], "content": []}},
    {
        "type": "response.output_text.delta",
        "output_index": 1,
        "item_id": "msg_1",
        "content_index": 0,
        "delta": "Hello",
    },
    {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[1]},
    {
        "type": "response.output_item.added",
        "output_index": 2,
        "item": {**OUTPUT[2], "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"at":1}'},
    {"type": "response.output_item.done", "output_index": 2, "item": OUTPUT[2]},
    {"type": "response.completed", "response": RESPONSE},
]
CANDIDATE: Object = {
    "content": {
        "role": "model",
        "parts": [
            {"text": "Hm.", "thought": True},
            {"text": "Hello", "thoughtSignature": "t"},
            {
                "functionCall": {"id": "a", "name": "look", "args": {"at": 1}},
                "thoughtSignature": "s",
            },
        ],
    },
    "finishReason": "STOP",
    "finishMessage": "Done.",
    "index": 0,
}
GEMINI: Object = {
    "candidates": [CANDIDATE],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
    "modelVersion": "gemini",
    "responseId": "r",
    "promptFeedback": None,
}
GEMINI_EVENTS: list[Object] = [
    *(
        {**GEMINI, "candidates": [{"content": {"parts": [part]}, "index": 0}]}
        for part in CANDIDATE["content"]["parts"]
    ),
    {**GEMINI, "candidates": [{**CANDIDATE, "content": {"role": "model"}}]},
]


def with_value(given: Any, path: Path, value: Any) -> Any:
    answer = deepcopy(given)
    holder: Any = answer
    for name in path[:-1]:
        holder = holder[name]
    if value is not ABSENT:
        holder[path[-1]] = value
    elif isinstance(holder, list):
        del holder[path[-1]]
    else:
        holder.pop(path[-1], None)
    return answer


Pieces = tuple[tuple[Event, ...], ...]


@cache
def received_stream(dialect: str, pieces: Pieces, usage: Usage | None) -> Got:
    """The content that a client makes of these events."""
    make, read, _ = DIALECTS[dialect]
    answer = make()
    frames = answer.open()
    for events in pieces:
        frames += answer.feed(EventChunk(list(events)))
    got: Got = read(frames + asyncio.run(answer.close(usage)))
    return got


@cache
def received_whole(dialect: str, pieces: Pieces, usage: Usage | None) -> Got:
    make, _, read = DIALECTS[dialect]
    completion = EventAnswer(list(pieces[0]), usage, 1)
    got: Got = read(json.loads(asyncio.run(make().complete(completion))))
    return got


def streamed(upstream: str, events: list[Object]) -> dict[str, Got]:
    """The answer as each client gets it."""
    stream, chunks = EventStream(READERS[upstream]("main", None)), []
    for event in events:
        chunks += stream.feed(b"data: %b\n\n" % json.dumps(event).encode())
        if stream.ended or stream.failure:
            break
    if not stream.ended and stream.failure is None:
        chunks += stream.finish()
    if stream.failure is not None:
        raise stream.failure
    if not stream.complete:
        raise UpstreamBroken("incomplete")
    pieces = tuple(tuple(chunk.events()) for chunk in chunks)
    return {dialect: received_stream(dialect, pieces, stream.usage) for dialect in DIALECTS}


def whole(upstream: str, answer: Any) -> dict[str, Got]:
    stream = EventStream(READERS[upstream]("main", None))
    completion = stream.answer(json.dumps(answer).encode())
    if not stream.complete:
        raise UpstreamBroken("incomplete")
    pieces = (tuple(completion.events()),)
    return {dialect: received_whole(dialect, pieces, completion.usage) for dialect in DIALECTS}
