"""Reads a Messages answer into events.

    thinking ─▶ Reasoning            signature, redacted_thinking ─▶ Signature
    text ─▶ Text                     tool_use ─▶ CallStarted, CallArguments
    message_delta ─▶ remembered      message_stop ─▶ Finished
    error ─▶ raised                  ping, anything new ─▶ nothing

The end waits for `message_stop`; a body that ends behind the reason of the stop may lack one, as
chat may lack `[DONE]`. A block or delta without a
type is known by its members; one without an index belongs to the newest block. Source: Anthropic
API reference, "Messages" and "Streaming messages".
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.events import Event, Usage
from gateway.dialects.answer_reader import AnswerReader, write_arguments
from gateway.dialects.counts import add_counts
from gateway.dialects.finish_reasons import CUT
from gateway.dialects.messages.tables import read_usage
from gateway.dialects.odd_values import Object, number_of, object_of, text_of

#: members by which a block or a delta is known that has no type
_KINDS = {
    "partial_json": "input_json_delta",
    "thinking": "thinking",
    "text": "text",
    "name": "tool_use",
    "signature": "signature_delta",
}
#: tokens from a cache, and into one; `cache_creation` has the latter by the time they are kept
_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
#: deltas that are pieces of the blocks of that kind
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking"}


class MessagesReader(AnswerReader):
    """One answer."""

    _members = ("type", "content", "stop_reason")

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(upstream, credential, names)
        self._counts: Object = {}
        self._stop: Object = {}
        #: index of the newest block
        self._newest = -1
        #: block index -> position of its call among the calls, and whether it has arguments
        self._calls: dict[int, int] = {}
        self._with_arguments: set[int] = set()
        #: block index -> its call's arguments in the start, if no delta brings them
        self._inputs: dict[int, Object] = {}
        #: block index -> signature of its thinking; the last one counts
        self._signatures: dict[int, Any] = {}

    def _read_whole(self, document: Object) -> list[Event]:
        events = self._read_blocks(document.get("content"))
        return events + self._end(document, _given(document.get("usage")))

    def _read_blocks(self, content: Any) -> list[Event]:
        """Blocks of a whole message, where one of them, or a text, may stand alone."""
        events: list[Event] = []
        for block in content if isinstance(content, list) else [content]:
            events += self._read_block(block) if isinstance(block, dict) else self._text(block)
        return events

    def _read_block(self, block: Object) -> list[Event]:
        """A whole block."""
        match _kind_of(block):
            case "text":
                return self._text(block.get("text"))
            case "thinking":
                reasoning = self._reasoning(block.get("thinking"))
                return reasoning + self._signed(block.get("signature"))
            case "redacted_thinking":
                return self._signed(block.get("data"), is_redacted=True)
            case "tool_use":
                call = self._start_call(block.get("id"), block.get("name"))
                arguments = write_arguments(call.index, block.get("input"))
                return [call, *(arguments or write_arguments(call.index, "{}"))]
            case "":
                return self._text(block)
        return []

    def _read(self, event: Object) -> list[Event]:
        match event["type"]:
            case "content_block_delta":
                return self._read_delta(self._index_of(event), event.get("delta"))
            case "message_start":
                message = object_of(event.get("message"))
                # Tokens of an answer that has only begun count nothing.
                add_counts(self._counts, {**object_of(message.get("usage")), "output_tokens": 0})
                self.has_begun = True
                return self._read_blocks(message.get("content"))
            case "content_block_start":
                index = number_of(event.get("index"))
                self._newest = self._newest + 1 if index is None else index
                return self._start_block(self._newest, object_of(event.get("content_block")))
            case "content_block_stop":
                return self._stop_block(self._index_of(event))
            case "message_delta":
                self._stop |= _given(event.get("delta"))
                self._add_usage(object_of(event.get("usage")))
            case "message_stop":
                return self._end(self._stop, self._counts)
            case "error":
                raise self._failure(event.get("error"))
            case str(kind) if kind:
                return self._leave_out(event)
            case _:
                raise TypeError("an event has a type")
        return []

    def early_usage(self) -> Usage | None:
        return read_usage(self._counts) if self._counts else None

    def finish(self) -> list[Event]:
        return self._end(self._stop, self._counts)

    def _index_of(self, event: Object) -> int:
        index = number_of(event.get("index"))
        return self._newest if index is None else index

    def _start_block(self, index: int, block: Object) -> list[Event]:
        """The content that stands in a start already: some engines send blocks whole."""
        self._calls.pop(index, None)
        self._with_arguments.discard(index)
        self._inputs.pop(index, None)
        match _kind_of(block):
            case "tool_use":
                call = self._start_call(block.get("id"), block.get("name"))
                self._calls[index] = call.index
                given = block.get("input") or ""
                if isinstance(given, dict):
                    self._inputs[index] = given
                    return [call]
                return [call, *self._add_arguments(index, given)]
            case "text":
                return self._text(block.get("text"))
            case "thinking":
                self._sign(index, block.get("signature"))
                return self._reasoning(block.get("thinking"))
            case "redacted_thinking":
                return self._signed(block.get("data"), is_redacted=True)
        return []

    def _read_delta(self, index: int, delta: Any) -> list[Event]:
        if not isinstance(delta, dict):
            return self._add_arguments(index, delta) if index in self._calls else self._text(delta)
        kind = _kind_of(delta)
        match _DELTAS.get(kind, kind):
            case "text":
                return self._text(delta.get("text"))
            case "thinking":
                return self._reasoning(delta.get("thinking"))
            case "signature_delta":
                self._sign(index, delta.get("signature"))
            case "input_json_delta":
                index = index if index in self._calls else self._newest
                return self._add_arguments(index, delta.get("partial_json"))
        return []

    def _add_arguments(self, index: int, fragment: Any) -> list[Event]:
        """More arguments of a call; those of a block of another kind are nobody's."""
        if index not in self._calls:
            return []
        is_first = index not in self._with_arguments
        added = write_arguments(self._calls[index], fragment, is_first=is_first)
        if added:
            self._with_arguments.add(index)
        return added

    def _stop_block(self, index: int) -> list[Event]:
        """Thinking is signed; a call without deltas has the start's arguments, or none."""
        if index in self._signatures:
            return self._signed(self._signatures.pop(index))
        if index not in self._calls or index in self._with_arguments:
            return []
        return self._add_arguments(index, self._inputs.get(index, {}))

    def _add_usage(self, usage: Object) -> None:
        """Add the counts of the end: what was to be written to a cache may have been read there."""
        if usage.get(_READ) and usage.get(_WRITTEN) == 0:
            self._counts.pop(_WRITTEN, None)
            self._counts.pop("cache_creation", None)
        add_counts(self._counts, usage)

    def _sign(self, index: int, signature: Any) -> None:
        if signature:
            self._signatures[index] = signature

    def _end(self, stop: Object, counts: Object) -> list[Event]:
        """The end; one without a reason is none."""
        word = text_of(stop.get("stop_reason"))
        if not word:
            self.ended = True
            return []
        reason = self._reason(word)
        # Not every engine ends its blocks.
        calls = self._inputs if reason in CUT else self._calls
        events = [event for index in calls for event in self._stop_block(index)]
        sequence = stop.get("stop_sequence") if word == "stop_sequence" else None
        return events + self._finish(reason, sequence, read_usage(counts))


def _kind_of(block: Object) -> str:
    """The kind of a block or a delta, by its members if it has no type."""
    kind = block.get("type")
    if isinstance(kind, str) and kind:
        return kind
    return next((known for name, known in _KINDS.items() if name in block), "")


def _given(members: Any) -> Object:
    """The members that are not null."""
    return {name: value for name, value in object_of(members).items() if value is not None}
