"""A dialect as `delivery` uses it: how an answer is written in it, and how a stream ends."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.upstream.simulated import (
    gemini_rules,
    gemini_stream,
    messages_rules,
    messages_stream,
    responses_rules,
    responses_stream,
    stream,
)
from gateway.upstream.simulated.answer import Answer
from gateway.upstream.simulated.errors import Refused, error_object, messages_error_object
from gateway.upstream.simulated.script import Script
from gateway.upstream.simulated.stream import Envelope

_BROKEN = "Simulated error in the middle of the stream"


class Wire(Struct, frozen=True, kw_only=True):
    """One dialect.

    `read_body` makes chat of a request, `render_chunks` gives the payloads of a stream except the
    last one, which is `render_end`'s; `refuse` is the body of a refusal.
    """

    read_body: Callable[[Any], Any]
    refuse: Callable[[Refused], bytes]
    render_body: Callable[[Answer, Envelope, Script], bytes]
    render_chunks: Callable[[Answer, Envelope, Script], Iterator[bytes]]
    frame: Callable[[bytes, Script], bytes]
    render_end: Callable[[Answer, Envelope, Script], bytes]
    error: bytes
    #: an error in the middle comes after the first piece of the answer
    chunks_before_error: int
    #: the credential is `x-goog-api-key`, and how long to wait stands in the body
    is_googles: bool = False
    #: the answer to a count of tokens
    render_count: Callable[[int], bytes] = lambda tokens: b'{"input_tokens":%d}' % tokens


CHAT = Wire(
    read_body=lambda body: body,
    refuse=lambda refusal: refusal.body,
    render_body=stream.render_body,
    render_chunks=stream.render_chunks,
    frame=stream.frame,
    render_end=lambda _answer, _envelope, _script: stream.DONE,
    error=error_object("server_error", _BROKEN),
    chunks_before_error=2,
)
CHAT_COUNT = replace(CHAT, render_count=lambda tokens: b'{"data":{"total_tokens":%d}}' % tokens)
MESSAGES = Wire(
    read_body=messages_rules.read_body,
    refuse=lambda refusal: refusal.messages_body,
    render_body=messages_stream.render_body,
    render_chunks=messages_stream.render_chunks,
    frame=messages_stream.frame,
    render_end=lambda _answer, _envelope, _script: messages_stream.STOP,
    error=messages_error_object("api_error", _BROKEN),
    chunks_before_error=4,
)
MESSAGES_COUNT = replace(MESSAGES, read_body=messages_rules.count_body)
RESPONSES = Wire(
    read_body=responses_rules.read_body,
    refuse=lambda refusal: refusal.body,
    render_body=responses_stream.render_body,
    render_chunks=responses_stream.render_chunks,
    frame=messages_stream.frame,
    render_end=responses_stream.render_end,
    error=responses_stream.error_event("server_error", _BROKEN),
    chunks_before_error=5,
)
#: those that a path names alone
WIRES = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/v1/responses": RESPONSES,
}
_GEMINI = Wire(
    read_body=lambda body: body,
    refuse=gemini_stream.refuse,
    render_body=gemini_stream.render_body,
    render_chunks=gemini_stream.render_chunks,
    frame=stream.frame,
    render_end=gemini_stream.render_end,
    error=gemini_stream.error_object(500, _BROKEN),
    chunks_before_error=1,
    is_googles=True,
    render_count=gemini_stream.render_count,
)


def gemini_wire(model: str, verb: str) -> Wire:
    """The Gemini dialect, in which the path names what is wanted of which model."""
    if verb == "countTokens":
        return replace(_GEMINI, read_body=partial(gemini_rules.read_count, model))
    is_stream = verb == "streamGenerateContent"
    return replace(_GEMINI, read_body=partial(gemini_rules.read_body, model, is_stream))
