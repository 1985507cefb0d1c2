"""From chat chunks and completions to the internal events.

Reads every spelling that servers use: `reasoning_content`, `reasoning`, `reasoning_details` and
`<think>` tags; calls with late names and without ids or indexes; vLLM's `stop_reason` and SGLang's
`matched_stop`. Only the first choice is read. A chunk and a whole message go the same way. A reason
to finish does not end an answer: some servers write one into every chunk.

Sources: OpenAI API reference, "The chat completion chunk object"; Moonshot, "Thinking models";
vLLM, "Reasoning outputs".
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.errors import UpstreamBroken
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    Reasoning,
    Refusal,
    Signature,
    Text,
)
from gateway.dialects.answer_reader import STREAM_BYTES_MAX
from gateway.dialects.chat.calls import CallAssembly, Piece
from gateway.dialects.chat.repair import join_details
from gateway.dialects.chat.signatures import (
    DetailAssembly,
    sign_call,
    sign_details,
    sign_message,
)
from gateway.dialects.citations import read_citations
from gateway.dialects.finish_reasons import CUT, FINISH_REASONS
from gateway.dialects.think_tags import ThinkSplitter, begins_thinking


class _ReadFunction(Struct):
    name: str | None = None
    arguments: str | None = None


class _ReadCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _ReadFunction | None = None
    extra_content: Any = None


class _ReadDelta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: Any = None
    annotations: Any = None
    refusal: str | None = None
    tool_calls: list[_ReadCall] | None = None
    function_call: _ReadFunction | None = None
    extra_content: Any = None


class _ReadChoice(Struct):
    index: int | None = None
    delta: _ReadDelta | None = None
    message: _ReadDelta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    matched_stop: Any = None


class _ChunkOrCompletion(Struct):
    choices: list[_ReadChoice] | None = None


_decode = msgspec.json.Decoder(_ChunkOrCompletion).decode


class EventDecoder:
    """One answer; every chunk must be given, in order.

    Without the name of its `upstream` signatures are left out.
    """

    def __init__(self, upstream: str = "") -> None:
        self._upstream = upstream
        #: details of the reasoning that are not signed for yet, and whether its text is the newest
        self._details = DetailAssembly()
        self._is_thinking = False
        self._call_ids: dict[int, str] = {}
        self._bytes = 0
        self._calls = CallAssembly()
        self._thinking: ThinkSplitter | None = ThinkSplitter()
        #: reasoning comes by itself as well as in the text, where it is the same once more
        self._is_twice = False
        self._end: Finished | None = None

    def decode(self, data: bytes) -> list[Event]:
        """The events of one chunk or completion; raises `UpstreamBroken` for a foreign shape."""
        self._bytes += len(data)
        if self._bytes > STREAM_BYTES_MAX:
            raise UpstreamBroken("The upstream's answer is too large.")
        try:
            answer = _decode(data)
        except (ValueError, RecursionError):
            raise UpstreamBroken("The upstream sent something that is not a chunk.") from None
        events: list[Event] = []
        for choice in answer.choices or ():
            if choice.index:
                continue
            if choice.message is not None and choice.message.tool_calls:
                _number(choice.message.tool_calls)
            if (delta := choice.delta or choice.message) is not None:
                self._read_delta(delta, events)
            if choice.finish_reason:
                self._finish(choice, events)
        return events

    def _read_delta(self, delta: _ReadDelta, events: list[Event]) -> None:
        """Reasoning, then content, then calls: the order in which one delta means them."""
        has_any = delta.reasoning_content or delta.reasoning or delta.reasoning_details
        if has_any and (reasoning := _reasoning(delta)):
            if self._thinking is not None and not self._is_twice:
                self._look_for_tags(delta, self._thinking, events)
            self._is_thinking = True
            events.append(Reasoning(reasoning))
        if has_any and delta.reasoning_details:
            self._details.add(delta.reasoning_details)
        if content := delta.content:
            if self._details.found:
                self._sign_details(events)
            if self._thinking is None:
                events.append(Text(content))
            else:
                self._emit_split(self._thinking.feed(content), events)
                if self._thinking.is_over:
                    self._thinking = None
        if delta.annotations or delta.refusal:
            _emit_rest(delta, events)
        for call in delta.tool_calls or ():
            self._read_call(call, events)
        if delta.function_call is not None:
            self._read_call(_ReadCall(0, None, delta.function_call), events)
        if delta.extra_content is not None:
            self._sign(sign_message(delta.extra_content), events)

    def _read_call(self, call: _ReadCall, events: list[Event]) -> None:
        function = call.function or _ReadFunction()
        for piece in self._calls.take(
            call.index, call.id, function.name, function.arguments, call.extra_content
        ):
            self._emit_piece(piece, events)

    def _emit_piece(self, piece: Piece, events: list[Event]) -> None:
        if piece.id is not None and piece.name is not None:
            self._call_ids[piece.position] = piece.id
            if self._details.found:
                self._sign_details(events)
        if piece.extra is not None:
            signature = sign_call(piece.position, self._call_ids[piece.position], piece.extra)
            self._sign(signature, events)
        if piece.id is not None and piece.name is not None:
            events.append(CallStarted(piece.position, piece.id, piece.name))
        if piece.arguments:
            events.append(CallArguments(piece.position, piece.arguments))

    def _finish(self, choice: _ReadChoice, events: list[Event]) -> None:
        if self._thinking is not None:
            self._emit_split(self._thinking.finish(), events)
        if self._details.found:
            self._sign_details(events)
        reason = FINISH_REASONS.get(choice.finish_reason or "", "stop")
        if self._calls.calls:
            reason = "tool_calls" if reason == "stop" and self._calls.any_started else reason
            for piece in self._calls.finish(is_cut=reason in CUT):
                events.append(CallArguments(piece.position, piece.arguments))
        if self._end is not None and self._end.reason in CUT:
            return
        sequence = None
        if reason == "stop" and (choice.stop_reason or choice.matched_stop):
            sequence = _first_text(choice.stop_reason, choice.matched_stop)
        finished = Finished(reason, sequence)
        if finished != self._end:
            self._end = finished
            events.append(finished)

    def _look_for_tags(
        self, delta: _ReadDelta, thinking: ThinkSplitter, events: list[Event]
    ) -> None:
        """Reasoning comes by itself: no tag is looked for any more, except one beside it."""
        self._is_twice = begins_thinking(delta.content)
        if not self._is_twice:
            _emit_held(thinking, events)
            self._thinking = None

    def _emit_split(self, split: tuple[str, str], events: list[Event]) -> None:
        reasoning, text = split
        _emit(("" if self._is_twice else reasoning, text), events)

    def _sign_details(self, events: list[Event]) -> None:
        """Sign for the details since the last time; they end the reasoning before them."""
        self._sign(sign_details(self._details.take()), events, ends_reasoning=True)
        self._is_thinking = False

    def _sign(self, signature: str, events: list[Event], *, ends_reasoning: bool = False) -> None:
        """Add a signature; one that ends no reasoning stands by itself."""
        if signature and self._upstream:
            is_redacted = not (ends_reasoning and self._is_thinking)
            events.append(Signature(signature, self._upstream, is_redacted))


def _number(calls: list[_ReadCall]) -> None:
    """Give the calls of a whole message their places."""
    for position, call in enumerate(calls):
        call.index = position


def _reasoning(delta: _ReadDelta) -> str:
    if delta.reasoning_content:
        return delta.reasoning_content
    if isinstance(delta.reasoning, str) and delta.reasoning:
        return delta.reasoning
    return join_details(delta.reasoning_details)


def _emit(split: tuple[str, str], events: list[Event]) -> None:
    reasoning, text = split
    if reasoning:
        events.append(Reasoning(reasoning))
    if text:
        events.append(Text(text))


def _emit_held(thinking: ThinkSplitter, events: list[Event]) -> None:
    """The text that looked like a tag's beginning, now that reasoning comes by itself."""
    reasoning, text = thinking.finish()
    _emit((reasoning, text if text.strip() else ""), events)


def _emit_rest(delta: _ReadDelta, events: list[Event]) -> None:
    """Add what few messages have: citations of the text, and a refusal."""
    events += read_citations(delta.annotations)
    if delta.refusal:
        events.append(Refusal(delta.refusal))


def _first_text(*values: Any) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)
