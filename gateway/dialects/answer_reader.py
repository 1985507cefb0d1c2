"""A provider's answer read into events: what the readers of all dialects share.

    event ── read ──▶ events ──▶ … ── Finished ──▶ ended
      ├── an error of the provider's ──▶ raised
      └── not an event of the dialect ──▶ UpstreamBroken

Owns the part that all answers share: errors in an answer, `<think>` tags in text, why it ended,
usage after the end. A member of an odd type is read for what it holds. Must never call an answer
complete whose end the provider did not state, or lose a call.
"""

from collections.abc import Mapping
from secrets import token_hex
from typing import Any

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
from gateway.dialects.finish_reasons import FAILED, FINISH_REASONS
from gateway.dialects.odd_values import (
    Object,
    arguments_of,
    decode_odd,
    first_arguments,
    read_parts,
    text_of,
)
from gateway.dialects.think_tags import ThinkSplitter
from gateway.dialects.upstream_errors import broken_by, find_error, read_stray

#: of an answer that is read into events, for their texts are kept to its end
STREAM_BYTES_MAX = 256 * 1024 * 1024
#: errors of reading where something is missing, or is of another type
_ILL_FORMED = (ValueError, OverflowError, RecursionError, KeyError, TypeError, AttributeError)


class AnswerReader:
    """Reads one answer of the upstream named `upstream`, in order; a dialect is a subclass.

    `names` are the client's names of tools by those that the upstream got in their place.
    `has_begun`: an error from here on is an answer that broke off. `ended`: nothing more is read.
    `complete`: the provider stated the answer's end and its reason; `unknown_reason` is its word
    for that, where nobody knows it. `goes_on`: content came beside a reason or behind it, so that
    only the end of the body proves the answer's.
    """

    #: an event has this member, if it is no error
    _mark = "type"
    #: an answer has one of these members, and an error has none
    _members: tuple[str, ...] = ()

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        self.usage: Usage | None = None
        self.has_begun = False
        self.ended = False
        self.complete = False
        self.goes_on = False
        self.unknown_reason: str | None = None
        self._upstream = upstream
        self._credential = credential
        self._names = names or {}
        self._thinking: ThinkSplitter | None = ThinkSplitter()
        #: of its calls, each once: clients bring results back by them
        self._call_ids: set[str] = set()
        self._bytes = 0

    def read(self, data: bytes) -> list[Event]:
        """Return the events of one event of the provider's stream.

        Raises `UpstreamBroken` for what is no event of the dialect, and the provider's own errors.
        """
        self._bytes += len(data)
        if self._bytes > STREAM_BYTES_MAX:
            raise UpstreamBroken("The upstream's answer is too large.")
        try:
            event = decode_odd(data)
            if type(event) is not dict or "error" in event or self._mark not in event:
                event = self._checked(event)
            events = self._read(event)
        except _ILL_FORMED:
            stray = read_stray(data, self._credential, self.has_begun)
            broken = UpstreamBroken("The upstream sent something that is not an event.")
            raise stray or broken from None
        self.has_begun = self.has_begun or bool(events)
        return events

    def read_whole(self, document: Any) -> list[Event]:
        """Return the events of a whole answer; raises as `read` does."""
        try:
            return self._read_whole(self._checked(document))
        except _ILL_FORMED:
            raise UpstreamBroken("The upstream sent something that is not an answer.") from None

    def _checked(self, value: Any) -> Object:
        """The object that should be an event or an answer; raises the error that it may be."""
        if (error := find_error(value, self._members)) is not None:
            raise self._failure(error)
        if not isinstance(value, dict):
            raise TypeError("an object was expected")
        return value

    def _read(self, event: Object) -> list[Event]:
        raise NotImplementedError

    def _read_whole(self, document: Object) -> list[Event]:
        raise NotImplementedError

    def finish(self) -> list[Event]:
        """The events of the end of a stream in which no event is the last."""
        return []

    def early_usage(self) -> Usage | None:
        """The part of `usage` that came before the end, in a dialect that reports some then."""
        return None

    def _leave_out(self, event: Object) -> list[Event]:
        """Nothing, for an event of an unknown kind; raises one that is an error by its own name."""
        self._checked(event)
        return []

    def _text(self, content: Any) -> list[Event]:
        """The events of a piece of text, which may hold `<think>` tags where nobody parsed them."""
        if not isinstance(content, str):
            content, thoughts = read_parts(content)
            if thoughts:
                return self._reasoning(thoughts) + self._text(content)
        self.has_begun = self.has_begun or bool(content)
        if self._thinking is None:
            return [Text(content)] if content else []
        return _split(self._thinking.feed(content))

    def _reasoning(self, content: Any) -> list[Event]:
        """The events of a piece of reasoning."""
        if not isinstance(content, str):
            content = "".join(read_parts(content))
        return [*self._held_text(), Reasoning(content)] if content else []

    def _signed(self, signature: Any, *, is_redacted: bool = False) -> list[Event]:
        """The event of a signature by this upstream; nobody could check one that is no text."""
        if not signature or not isinstance(signature, str):
            return []
        return [*self._held_text(), Signature(signature, self._upstream, is_redacted)]

    def _held_text(self) -> list[Event]:
        """The text that looked like a tag's beginning, now that reasoning comes by itself."""
        held = [] if self._thinking is None else _split(self._thinking.finish())
        self._thinking = None
        return [event for event in held if not isinstance(event, Text) or event.text.strip()]

    def _start_call(self, call_id: Any, name: Any) -> CallStarted:
        """The event of the next call; one without a name could not be made, nor be left out."""
        if not (known := text_of(name)):
            raise UpstreamBroken("The upstream made a call without a name.")
        index, made = len(self._call_ids), self._new_call_id(call_id)
        self._call_ids.add(made)
        return CallStarted(index, made, self._names.get(known, known))

    def _new_call_id(self, call_id: Any) -> str:
        """The upstream's id of a call, unless it gave none, or gave another call the same."""
        given = text_of(call_id)
        return given if given and given not in self._call_ids else f"call_{token_hex(12)}"

    def _reason(self, word: Any, unknown: FinishReason = "stop") -> FinishReason:
        """Why an answer ended; raises for a word that reports a failure."""
        known = text_of(word)
        if known in FAILED:
            raise self._broken(known)
        if known and known not in FINISH_REASONS:
            self.unknown_reason = known
        return FINISH_REASONS.get(known, unknown)

    def _finish(self, reason: FinishReason, sequence: Any, usage: Usage | None) -> list[Event]:
        """The events of a complete end: an answer with calls ends in order to have them made."""
        events = [] if self._thinking is None else _split(self._thinking.finish())
        if reason == "stop" and self._call_ids:
            reason = "tool_calls"
        is_matched = reason == "stop" and isinstance(sequence, str) and sequence
        events.append(Finished(reason, sequence if is_matched else None))
        self.usage = usage
        self.ended = self.complete = True
        return events

    def _failure(self, error: Any) -> FaregateError:
        """The exception for an error in the answer."""
        return broken_by(error, self._credential, self.has_begun)

    def _broken(self, reason: str) -> FaregateError:
        """The exception for an answer that ended for a reason that is a failure."""
        return broken_by({"message": reason}, self._credential, begun=True)


def write_arguments(index: int, fragment: Any, *, is_first: bool = True) -> list[Event]:
    """The event of a call's arguments, whole or a piece."""
    text = first_arguments(fragment) if is_first else arguments_of(fragment)
    return [CallArguments(index, text)] if text else []


def _split(split: tuple[str, str]) -> list[Event]:
    reasoning, text = split
    events: list[Event] = []
    if reasoning:
        events.append(Reasoning(reasoning))
    if text:
        events.append(Text(text))
    return events
