"""A provider's answer read into events: what the readers of all dialects share.

    event ── read ──▶ events ──▶ … ── Finished, Usage ──▶ ended
      ├── an error of the provider's ──▶ raised
      └── not an event of the dialect ──▶ UpstreamBroken

Owns the part that all answers share: `<think>` tags in text, why an answer with calls ended, usage
after the end. Must never call an answer complete whose end the provider did not state.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Signature,
    Text,
    Usage,
)
from gateway.dialects.think_tags import ThinkSplitter
from gateway.dialects.upstream_errors import broken_by

Object = dict[str, Any]

#: of an answer that is read into events, for their texts are kept to its end
STREAM_BYTES_MAX = 256 * 1024 * 1024
#: errors of reading where something is missing, or is of another type
_ILL_FORMED = (ValueError, RecursionError, KeyError, TypeError, AttributeError)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
encode_json = msgspec.json.Encoder().encode


class AnswerReader:
    """Reads one answer of the upstream named `upstream`, in order; a dialect is a subclass.

    `names` are the client's names of tools by those that the upstream got in their place.
    `has_begun`: an error from here on is an answer that broke off. `ended`: nothing more is read.
    `complete`: the provider stated the answer's end and its reason.
    """

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        self.usage: Usage | None = None
        self.has_begun = False
        self.ended = False
        self.complete = False
        self._upstream = upstream
        self._credential = credential
        self._names = names or {}
        self._thinking: ThinkSplitter | None = ThinkSplitter()
        self._calls_count = 0
        self._bytes = 0

    def read(self, data: bytes) -> list[Event]:
        """Return the events of one event of the provider's stream.

        Raises `UpstreamBroken` for what is no event of the dialect, and the provider's own errors.
        """
        self._bytes += len(data)
        if self._bytes > STREAM_BYTES_MAX:
            raise UpstreamBroken("The upstream's answer is too large.")
        try:
            events = self._read(_decode(data))
        except _ILL_FORMED:
            raise UpstreamBroken("The upstream sent something that is not an event.") from None
        self.has_begun = self.has_begun or bool(events)
        return events

    def read_whole(self, document: Object) -> list[Event]:
        """Return the events of a whole answer; raises as `read` does."""
        try:
            return self._read_whole(document)
        except _ILL_FORMED:
            raise UpstreamBroken("The upstream sent something that is not an answer.") from None

    def _read(self, event: Object) -> list[Event]:
        raise NotImplementedError

    def _read_whole(self, document: Object) -> list[Event]:
        raise NotImplementedError

    def _text(self, content: Any) -> list[Event]:
        """The events of a piece of text, which may hold `<think>` tags where nobody parsed them."""
        text = _string(content)
        self.has_begun = self.has_begun or bool(text)
        if self._thinking is None:
            return [Text(text)] if text else []
        return _split(self._thinking.feed(text))

    def _reasoning(self, content: Any) -> list[Event]:
        """The events of a piece of reasoning."""
        text = _string(content)
        return [*self._held_text(), Reasoning(text)] if text else []

    def _signed(self, signature: Any, *, is_redacted: bool = False) -> list[Event]:
        """The event of a signature by this upstream."""
        if not _string(signature):
            return []
        return [*self._held_text(), Signature(signature, self._upstream, is_redacted)]

    def _held_text(self) -> list[Event]:
        """The text that looked like a tag's beginning, now that reasoning comes by itself."""
        held = [] if self._thinking is None else _split(self._thinking.finish())
        self._thinking = None
        return [event for event in held if not isinstance(event, Text) or event.text.strip()]

    def _start_call(self, call_id: Any, name: Any) -> CallStarted:
        """The event of the next call."""
        name = _string(name)
        started = CallStarted(self._calls_count, _string(call_id), self._names.get(name, name))
        self._calls_count += 1
        return started

    def _finish(self, reason: FinishReason, sequence: Any, usage: Usage | None) -> list[Event]:
        """The events of a complete end: an answer with calls ends in order to have them made."""
        events = [] if self._thinking is None else _split(self._thinking.finish())
        if reason == "stop" and self._calls_count:
            reason = "tool_calls"
        is_matched = reason == "stop" and isinstance(sequence, str) and sequence
        events.append(Finished(reason, sequence if is_matched else None))
        if usage is not None:
            events.append(usage)
        self.usage = usage
        self.ended = self.complete = True
        return events

    def _failure(self, error: Object) -> FaregateError:
        """The exception for an error object; its `code` is the status it would have had."""
        return broken_by(error, self._credential, self.has_begun)


def arguments_of(index: int, fragment: Any) -> list[Event]:
    """The event of a piece of a call's arguments."""
    text = _string(fragment)
    return [CallArguments(index, text)] if text else []


def _string(value: Any) -> str:
    """The string, or nothing for null; raises `TypeError` for anything else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("a string was expected")
    return value


def _split(split: tuple[str, str]) -> list[Event]:
    reasoning, text = split
    events: list[Event] = []
    if reasoning:
        events.append(Reasoning(reasoning))
    if text:
        events.append(Text(text))
    return events
