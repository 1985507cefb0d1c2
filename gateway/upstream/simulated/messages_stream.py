"""From an answer to bytes in the Messages dialect: one message, or the events of a stream.

Order and members follow Anthropic's: `message_start`, a `ping`, then each block from its start to
its stop (thinking with its signature, text, calls), `message_delta` with the reason and the usage,
and at last `message_stop`. Must never have two blocks open at once, as the dialect does not.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.upstream.simulated.answer import Answer, Call, SimulatedUsage
from gateway.upstream.simulated.messages_thinking import sign
from gateway.upstream.simulated.script import Script
from gateway.upstream.simulated.stream import Envelope, cut_arguments, format_json

Object = dict[str, Any]

STOP = b'{"type":"message_stop"}'
_encode = msgspec.json.Encoder().encode
_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def render_body(answer: Answer, envelope: Envelope, script: Script) -> bytes:
    """The answer as one message."""
    blocks: list[Object] = []
    if answer.reasoning:
        text = "".join(answer.reasoning)
        blocks.append(_thinking(text, sign(text)))
    if answer.content:
        blocks.append({"type": "text", "text": "".join(answer.content)})
    blocks += [{**_tool_use(call), "input": call.argument_object} for call in answer.calls]
    reason = None if script.end_early else _reason(answer)
    message = {**_message(envelope), "content": blocks, "stop_reason": reason}
    return format_json(_encode({**message, "usage": _usage(answer.usage, script)}), script)


def render_chunks(answer: Answer, envelope: Envelope, script: Script) -> Iterator[bytes]:
    """The JSON of every event in its order, except `message_stop`."""
    usage = {**_usage(answer.usage, script), "output_tokens": 1}
    usage.pop("output_tokens_details", None)
    message = {**_message(envelope), "content": [], "usage": usage}
    yield _encode({"type": "message_start", "message": message})
    yield b'{"type":"ping"}'
    for index, (start, deltas) in enumerate(_blocks(answer)):
        yield _event("content_block_start", index, content_block=start)
        for delta in deltas:
            yield _event("content_block_delta", index, delta=delta)
        yield _event("content_block_stop", index)
    if not script.end_early:
        delta = {"stop_reason": _reason(answer), "stop_sequence": None}
        usage = _usage(answer.usage, script)
        yield _encode({"type": "message_delta", "delta": delta, "usage": usage})


def frame(payload: bytes, script: Script) -> bytes:
    """One event, named by its type and dressed as the script asks."""
    found = re.match(rb'\{"type":"([\w.]+)"', payload)
    name = found[1] if found else b"error"
    colon, end = (b":", b"\n") if script.tight else (b": ", b"\n")
    if script.spaces:
        end, payload = b"\r\n", format_json(payload, script)
    comment = b": keep-alive" + end + end if script.comments else b""
    return comment + b"event%b%b%bdata%b%b%b%b" % (colon, name, end, colon, payload, end, end)


def _blocks(answer: Answer) -> Iterator[tuple[Object, list[Object]]]:
    """The start of each block, and its deltas."""
    if answer.reasoning:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in answer.reasoning]
        signature = {"type": "signature_delta", "signature": sign("".join(answer.reasoning))}
        yield _thinking("", ""), [*deltas, signature]
    if answer.content:
        texts = [{"type": "text_delta", "text": piece} for piece in answer.content]
        yield {"type": "text", "text": ""}, texts
    for call in answer.calls:
        pieces = ["", *cut_arguments(call.arguments)]
        inputs = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        yield {**_tool_use(call), "input": {}}, inputs


def _event(type: str, index: int, **members: Object) -> bytes:
    return _encode({"type": type, "index": index, **members})


def _message(envelope: Envelope) -> Object:
    return {
        "id": envelope.id.replace("chatcmpl-", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": envelope.model,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _thinking(text: str, signature: str) -> Object:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _tool_use(call: Call) -> Object:
    """Ids are numbered as in chat, in the alphabet of this dialect."""
    name, _, number = call.id.rpartition(":")
    call_id = f"toolu_{name.removeprefix('functions.')}_{number}"
    return {"type": "tool_use", "id": call_id, "name": call.name}


def _reason(answer: Answer) -> str:
    return _REASONS.get(answer.finish_reason, answer.finish_reason)


def _usage(usage: SimulatedUsage, script: Script) -> Object:
    """Input is what did not come from the cache; output includes thinking."""
    if script.usage == "none":
        return {"input_tokens": 0, "output_tokens": 0}
    members: Object = {
        "input_tokens": usage.prompt - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }
    if script.cache_write_hour:
        members["cache_creation"] = {"ephemeral_1h_input_tokens": usage.cache_write}
    if usage.reasoning:
        members["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return members
