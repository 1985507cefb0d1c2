"""From the upstream's chat answer to the client's: nearly the same bytes, but not a pipe.

    chunk ── plain, known ──▶ model spliced in ──▶ frame
      └───── first, last, a new call, another name for reasoning ──▶ decoded, repaired ──▶ frame

Owns what clients rely on: the public model name, a role in the first delta, calls that begin with
id and name, one usage chunk for a client that asked for it and none for others, `[DONE]` only at a
good end. Must never make objects of a chunk that a look at its bytes clears.
"""

from functools import cached_property, partial
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import Usage
from gateway.dialects.base import Chunk, Completion, Exchange
from gateway.dialects.chat.calls import CallSequence
from gateway.dialects.chat.chunk_template import ChunkTemplate, find_text
from gateway.dialects.chat.completion import write_completion
from gateway.dialects.chat.event_writer import EventWriter
from gateway.dialects.chat.model_splice import ModelSplice
from gateway.dialects.chat.repair import (
    repair_delta_calls,
    repair_finish,
    repair_reasoning,
)
from gateway.dialects.chat.request_reader import ChatSource
from gateway.dialects.chat.tables import write_usage
from gateway.dialects.errors import render_openai
from gateway.dialects.finish_reasons import CUT
from gateway.dialects.odd_values import objects_in
from gateway.dialects.sse import DONE_FRAME, KEEP_ALIVE, data_frame

_encode_any = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode


class _PeekFunction(Struct):
    name: str | None = None
    arguments: str | None = None


class _PeekCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _PeekFunction | None = None


class _PeekDelta(Struct):
    tool_calls: list[_PeekCall] | None = None
    function_call: None = None


class _PeekChoice(Struct):
    index: int = 0
    delta: _PeekDelta | None = None


class _Peek(Struct):
    choices: list[_PeekChoice] = []


_peek = msgspec.json.Decoder(_Peek).decode


class ChatRenderer(Struct, dict=True, eq=False):
    """Renders one answer."""

    kept_bytes: ClassVar[int] = 0
    _source: ChatSource
    _exchange: Exchange
    _worker_thread: WorkerThread
    _identity: dict[str, Any] | None = None
    #: by choice, from its first call on
    _calls: dict[int, CallSequence | None] = {}
    #: by choice, the reason that cut it off; some servers write another one behind it
    _cuts: dict[int, str] = {}
    _begun: bool = False
    _head: bytes = b""
    _tail: bytes = b""

    # Parts that only a stream needs are made by its first chunk.

    @cached_property
    def _splice(self) -> ModelSplice:
        return ModelSplice(self._exchange.model)

    @cached_property
    def _template(self) -> ChunkTemplate:
        return ChunkTemplate()

    @cached_property
    def _writer(self) -> EventWriter:
        return EventWriter(self._exchange, legacy=self._source.legacy)

    def open(self) -> list[bytes]:
        """Nothing: the upstream's first chunk opens the stream."""
        return []

    def keep_alive(self) -> bytes:
        """A comment, which every SDK skips."""
        return KEEP_ALIVE

    def feed(self, chunk: Chunk) -> list[bytes]:
        """One frame, or none where the chunk held only usage or the beginning of a call."""
        given = chunk.data
        if given is None:
            return self._writer.write(chunk.events())
        data = given
        text = self._template.match(data)
        if text is not None:
            return [self._head + text + self._tail]
        if not (chunk.plain and self._begun):
            if self._begun and b'"choices":[]' in data and b'"delta"' not in data:
                return []  # usage alone, which `close` writes
            return self._repair(data)
        has_calls = b'"tool_calls"' in data or b'"function_call"' in data
        if has_calls and not self._is_tidy(data):
            return self._repair(data)
        if b'"reasoning' in data and (b'"reasoning"' in data or b'"reasoning_details"' in data):
            if b'"reasoning_' in data or b'"reasoning":' not in data:
                return self._repair(data)
            data = data.replace(b'"reasoning":', b'"reasoning_content":')
        if b'"usage"' in data and not self._source.include_usage:
            data = data.replace(b',"usage":null', b"")
            if b'"usage"' in data:
                return self._repair(data)
        frame = data_frame(self._splice.replace(data))
        place = find_text(frame)
        if place is not None and self._template.learn(given):
            self._head, self._tail = frame[: place[0]], frame[place[1] :]
        return [frame]

    async def close(self, usage: Usage | None) -> list[bytes]:
        """The usage chunk for a client that asked for it, then `[DONE]`."""
        if usage is None or not self._source.include_usage:
            return [DONE_FRAME]
        event = {
            **self._known_identity(),
            "model": self._exchange.model,
            "choices": [],
            "usage": write_usage(usage),
        }
        return [data_frame(_encode(event)), DONE_FRAME]

    def fail(self, error: FaregateError) -> list[bytes]:
        """An error object, which every SDK raises; no `[DONE]` follows."""
        return [data_frame(_encode(render_openai(error)))]

    async def complete(self, answer: Completion) -> bytes:
        """The whole completion."""
        if answer.size < LARGE_BYTES:
            return self._whole(answer)
        holder = self._exchange.caller.holder
        return await self._worker_thread.run(holder, answer.size, partial(self._whole, answer))

    def _whole(self, answer: Completion) -> bytes:
        if answer.data is None:
            return self._writer.write_whole(answer.events(), answer.usage)
        legacy = self._source.legacy
        return write_completion(answer.data, answer.usage, self._exchange.model, legacy=legacy)

    def _is_tidy(self, data: bytes) -> bool:
        """True if all that a chunk holds of calls are arguments of the call under way."""
        if self._source.legacy:
            return False
        try:
            peek = _peek(data)
        except (ValueError, RecursionError):
            return False
        emitted: list[tuple[CallSequence, str]] = []
        for choice in peek.choices:
            if choice.delta is None or not choice.delta.tool_calls:
                continue
            calls = self._calls.get(choice.index)
            for call in choice.delta.tool_calls:
                function = call.function or _PeekFunction()
                if calls is None or call.id or function.name or not calls.is_at(call.index):
                    return False
                emitted.append((calls, function.arguments or ""))
        for calls, arguments in emitted:
            calls.note(arguments)
        return True

    def _repair(self, data: bytes) -> list[bytes]:
        event = _decode(data)
        if self._identity is None and event.get("choices"):
            self._identity = {
                name: event[name] for name in ("id", "object", "created") if name in event
            }
        event["model"] = self._exchange.model
        event.pop("usage", None)
        is_emitted = False
        for choice in objects_in(event.get("choices")):
            is_emitted = self._repair_choice(choice) or is_emitted
        return [data_frame(_encode(event))] if is_emitted else []

    def _repair_choice(self, choice: dict[str, Any]) -> bool:
        """Put one choice right; returns True if anything in it is to be sent."""
        choice.pop("usage", None)
        index = choice.get("index")
        if not isinstance(index, int):
            index = choice["index"] = 0
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice["delta"] = {}
        is_first = index not in self._calls
        calls = self._calls.get(index)
        if calls is None and ("tool_calls" in delta or delta.get("function_call")):
            calls = CallSequence()
        self._calls[index] = calls
        reason = choice.get("finish_reason")
        repair_reasoning(delta)
        if calls is not None:
            repair_delta_calls(delta, calls, legacy=self._source.legacy, reason=reason)
        if reason and self._cuts:
            reason = self._cuts.get(index, reason)
        if is_first and not delta.get("role"):
            delta.pop("role", None)
            choice["delta"] = delta = {"role": "assistant", **delta}
        self._begun = True
        if not reason:
            choice["finish_reason"] = None
            return bool(delta)
        called = calls is not None and calls.any_started
        end = choice["finish_reason"] = repair_finish(reason, called, self._source.legacy)
        if end in CUT:
            self._cuts[index] = end
        return True

    def _known_identity(self) -> dict[str, Any]:
        """`id`, `object` and `created` as the other chunks have them."""
        return {
            "id": f"chatcmpl-{self._exchange.request_id}",
            "object": "chat.completion.chunk",
            "created": self._exchange.created,
            **(self._identity or {}),
        }


def _decode(data: bytes) -> dict[str, Any]:
    try:
        event = _decode_any(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise UpstreamBroken("The upstream sent something that is not a JSON object.")
    return event


def _encode(event: dict[str, Any]) -> bytes:
    """A decoded value may still nest too deeply for where the stack is now."""
    try:
        return _encode_any(event)
    except RecursionError:
        raise UpstreamBroken("The upstream sent something that is nested too deeply.") from None
