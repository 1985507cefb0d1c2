"""From an answer to bytes in the Responses dialect: one response, or the events of a stream.

Order and members follow OpenAI's: `response.created`, `response.in_progress`, then each item from
where it is added to where it is done (reasoning, message, calls), and at last `response.completed`
or `response.incomplete` with everything again. OpenAI and Moonshot send a summary of the reasoning,
engines the reasoning itself. Sources: OpenAI API reference, "Streaming events"; vLLM, "Responses
API".
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.upstream.simulated.answer import Answer, Call, SimulatedUsage
from gateway.upstream.simulated.messages_thinking import sign
from gateway.upstream.simulated.responses_rules import is_an_engines
from gateway.upstream.simulated.script import Script
from gateway.upstream.simulated.stream import CREATED, Envelope, cut_arguments, format_json

Object = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def render_body(answer: Answer, envelope: Envelope, script: Script) -> bytes:
    """The answer as one response."""
    return format_json(_encode(_response(answer, envelope, script)), script)


def render_chunks(answer: Answer, envelope: Envelope, script: Script) -> Iterator[bytes]:
    """The JSON of every event in its order, except the last."""
    for number, (kind, members) in enumerate(_events(answer, envelope)):
        yield _event(kind, number, **members)


def render_end(answer: Answer, envelope: Envelope, script: Script) -> bytes:
    """The event of the end."""
    number = sum(1 for _ in _events(answer, envelope))
    response = _response(answer, envelope, script)
    return _event(f"response.{response['status']}", number, response=response)


def error_event(code: str, message: str) -> bytes:
    """An error in the middle, and likewise in the place of a whole answer."""
    error = {"type": code, "code": code, "message": message, "param": None}
    return _encode({"type": "error", "sequence_number": 0, "error": error})


def _events(answer: Answer, envelope: Envelope) -> Iterator[tuple[str, Object]]:
    begun = {**_frame(envelope), "status": "in_progress", "output": [], "usage": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(_items(answer, envelope)):
        place = {"item_id": item["id"], "output_index": index}
        started = {**item, "status": "in_progress", **_empty(item)}
        yield "response.output_item.added", {"output_index": index, "item": started}
        match item["type"]:
            case "reasoning":
                yield from _reasoning_events(place, item, answer)
            case "message":
                yield from _message_events(place, item, answer)
            case "function_call":
                yield from _call_events(place, item)
        yield "response.output_item.done", {"output_index": index, "item": item}


def _empty(item: Object) -> Object:
    """An item as it is when it is added."""
    match item["type"]:
        case "reasoning":
            return {"summary": [], "content": [], "encrypted_content": None}
        case "message":
            return {"content": []}
    return {"arguments": ""}


def _reasoning_events(place: Object, item: Object, answer: Answer) -> Iterator[tuple[str, Object]]:
    if item["content"]:
        for piece in answer.reasoning:
            members = {**place, "content_index": 0, "delta": piece}
            yield "response.reasoning_text.delta", members
        members = {**place, "content_index": 0, "text": item["content"][0]["text"]}
        yield "response.reasoning_text.done", members
        return
    [part] = item["summary"]
    place = {**place, "summary_index": 0}
    yield "response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}
    for piece in answer.reasoning:
        yield "response.reasoning_summary_text.delta", {**place, "delta": piece}
    yield "response.reasoning_summary_text.done", {**place, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {**place, "part": part}


def _message_events(place: Object, item: Object, answer: Answer) -> Iterator[tuple[str, Object]]:
    [part] = item["content"]
    place = {**place, "content_index": 0}
    yield "response.content_part.added", {**place, "part": {**part, "text": ""}}
    for piece in answer.content:
        yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**place, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {**place, "part": part}


def _call_events(place: Object, item: Object) -> Iterator[tuple[str, Object]]:
    for piece in cut_arguments(item["arguments"]):
        yield "response.function_call_arguments.delta", {**place, "delta": piece}
    yield "response.function_call_arguments.done", {**place, "arguments": item["arguments"]}


def _event(type: str, number: int, **members: Any) -> bytes:
    return _encode({"type": type, "sequence_number": number, **members})


def _response(answer: Answer, envelope: Envelope, script: Script) -> Object:
    reason = _INCOMPLETE.get(answer.finish_reason)
    status = "in_progress" if script.end_early else "incomplete" if reason else "completed"
    return {
        **_frame(envelope),
        "status": status,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": _items(answer, envelope),
        "usage": None if script.usage == "none" else _usage(answer.usage),
    }


def _frame(envelope: Envelope) -> Object:
    return {
        "id": envelope.id.replace("chatcmpl-", "resp_"),
        "object": "response",
        "created_at": CREATED,
        "model": envelope.model,
        "error": None,
        "incomplete_details": None,
        "store": False,
    }


def _items(answer: Answer, envelope: Envelope) -> list[Object]:
    tail = envelope.id.removeprefix("chatcmpl-")
    items = []
    if answer.reasoning:
        items.append(_reasoning("".join(answer.reasoning), envelope))
    if answer.content:
        text = {"type": "output_text", "text": "".join(answer.content), "annotations": []}
        items.append({"type": "message", "role": "assistant", "content": [text]})
    items += [_call(call) for call in answer.calls]
    kinds = {"reasoning": "rs", "message": "msg", "function_call": "fc"}
    return [
        {"id": f"{kinds[item['type']]}_{tail}_{index}", "status": "completed", **item}
        for index, item in enumerate(items)
    ]


def _reasoning(text: str, envelope: Envelope) -> Object:
    item: Object = {"type": "reasoning", "summary": [], "content": [], "encrypted_content": None}
    if is_an_engines(envelope.model):
        return {**item, "content": [{"type": "reasoning_text", "text": text}]}
    if envelope.seals:
        item["encrypted_content"] = sign(text)
    return {**item, "summary": [{"type": "summary_text", "text": text}]}


def _call(call: Call) -> Object:
    return {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def _usage(usage: SimulatedUsage) -> Object:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
