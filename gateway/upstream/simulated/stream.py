"""From an answer to bytes: one JSON body, or the chunks of a stream.

Owns the JSON and the framing of events; when they are sent is `delivery`'s. Chunks are spliced, not
encoded whole, because the load test pays for every one. Order and members follow Moonshot's: the
role alone, reasoning, content, calls, the finish chunk (with usage inside the choice), and with
`include_usage` a last chunk without choices.
"""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain, zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from gateway.upstream.simulated.answer import Answer, Call, SimulatedUsage
from gateway.upstream.simulated.script import Script

DONE = b"[DONE]"
CREATED = 1_767_225_600
_FRAGMENTS = 4
_encode = msgspec.json.Encoder().encode


class Envelope(Struct, frozen=True):
    """The members that all chunks of one answer share. `choices` is how many answers were asked for
    (`n`)."""

    id: str
    model: str
    choices: int
    include_usage: bool
    #: reasoning is wanted: sealed, or at all where it has to be asked for
    seals: bool = False


def make_envelope(raw: bytes, body: dict[str, Any]) -> Envelope:
    """The envelope of a request; its id comes from the body's bytes, so it is the same again."""
    options = body.get("stream_options")
    return Envelope(
        id=f"chatcmpl-{blake2b(raw, digest_size=12).hexdigest()}",
        model=body["model"],
        choices=body.get("n") or 1,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        seals=bool(body.get("include")),
    )


def render_body(answer: Answer, envelope: Envelope, script: Script) -> bytes:
    """The answer as one JSON object. Usage is at the top except with `!usage choice` and `none`."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.content)}
    if answer.calls and not answer.content:
        message["content"] = None
    if answer.reasoning:
        message |= _reasoning_member(script.reason_as, "".join(answer.reasoning))
    if answer.calls:
        message["tool_calls"] = [_call_object(call) for call in answer.calls]
    finish_reason = None if script.end_early else answer.finish_reason
    choices: list[dict[str, Any]] = [
        {"index": index, "message": message, "finish_reason": finish_reason}
        for index in _indexes(envelope, script)
    ]
    body: dict[str, Any] = {
        "id": envelope.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": envelope.model,
        "choices": choices,
    }
    place = "final" if script.usage is None else script.usage
    if choices and place in ("choice", "both"):
        choices[0]["usage"] = _usage_object(answer.usage)
    if place not in ("choice", "none"):
        body["usage"] = _usage_object(answer.usage)
    return format_json(_encode(body), script)


def render_chunks(answer: Answer, envelope: Envelope, script: Script) -> Iterator[bytes]:
    """The JSON of every chunk in its order, without framing and without `[DONE]`."""
    head = b'{"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
        _encode(envelope.id),
        CREATED,
        _encode(envelope.model),
    )
    indexes = _indexes(envelope, script)
    for delta in _render_deltas(answer, script):
        for index in indexes:
            yield b'%b{"index":%d,"delta":%b,"finish_reason":null}]}' % (head, index, delta)
    if script.end_early:
        return
    place = script.usage or ("both" if envelope.include_usage else "choice")
    usage = _encode(_usage_object(answer.usage))
    in_choice = b',"usage":' + usage if place in ("choice", "both") else b""
    on_top = b',"usage":' + usage if place == "finish" else b""
    finish_reason = _encode(answer.finish_reason)
    for index in indexes:
        yield b'%b{"index":%d,"delta":{},"finish_reason":%b%b}]%b}' % (
            head,
            index,
            finish_reason,
            in_choice,
            on_top,
        )
    if place in ("final", "both"):
        yield head + b'],"usage":' + usage + b"}"


def _indexes(envelope: Envelope, script: Script) -> range:
    return range(envelope.choices if script.choices is None else script.choices)


def frame(payload: bytes, script: Script) -> bytes:
    """One SSE event, dressed as the script asks."""
    name, end = (b"data:" if script.tight else b"data: "), b"\n\n"
    if script.spaces:
        end = b"\r\n\r\n"
        payload = payload if payload is DONE else format_json(payload, script)
    comment = b": keep-alive" + end if script.comments else b""
    return comment + name + payload + end


def format_json(payload: bytes, script: Script) -> bytes:
    """JSON with spaces after colons and commas, where the script asks for that."""
    return msgspec.json.format(payload, indent=0) if script.spaces else payload


def _render_deltas(answer: Answer, script: Script) -> Iterator[bytes]:
    yield b'{"role":"assistant","content":""}'
    for piece in answer.reasoning:
        yield _encode(_reasoning_member(script.reason_as, piece))
    for piece in answer.content:
        yield b'{"content":%b}' % _encode(piece)
    calls = [_render_call(index, call, script) for index, call in enumerate(answer.calls)]
    turns = zip_longest(*calls) if script.interleave else calls
    for fragment in chain.from_iterable(turns):
        if fragment is not None:
            yield _encode({"tool_calls": [fragment]})


def _render_call(index: int, call: Call, script: Script) -> list[dict[str, Any]]:
    """One call's deltas: id and name with empty arguments, then the fragments."""
    fragments = [
        {"index": index, "function": {"arguments": piece}}
        for piece in cut_arguments(call.arguments)
    ]
    start = {"index": index, **_call_object(call)}
    start["function"] = {"name": call.name, "arguments": ""}
    early = fragments[:1] if script.late_name else []
    return [*early, start, *fragments[len(early) :]]


def cut_arguments(arguments: str) -> list[str]:
    """A call's arguments in the pieces a stream sends."""
    step = max(1, -(-len(arguments) // _FRAGMENTS))
    return [arguments[start : start + step] for start in range(0, len(arguments), step)]


def _call_object(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _reasoning_member(member: str, text: str) -> dict[str, Any]:
    if member == "reasoning_details":
        return {member: [{"type": "reasoning.text", "text": text}]}
    return {member: text}


def _usage_object(usage: SimulatedUsage) -> dict[str, Any]:
    """Usage as Moonshot spells it: cached tokens twice, and absent when there are none."""
    members: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }
    if usage.cached:
        members["cached_tokens"] = usage.cached
        members["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.cache_write:
        details = members.setdefault("prompt_tokens_details", {})
        details["cache_write_tokens"] = usage.cache_write
    if usage.reasoning:
        members["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return members
