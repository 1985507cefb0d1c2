"""Reads a Gemini answer into events.

    thought ─▶ Reasoning             thoughtSignature ─▶ Signature, with its place
    text ─▶ Text                     functionCall ─▶ Signature, CallStarted, CallArguments
    finishReason ─▶ remembered       the end ─▶ Finished
    blockReason, error ─▶ raised     anything new ─▶ nothing

An event of a stream is an answer in small; a stream without a `finishReason` is not complete. One
does not end it: some servers write `STOP` into every event, and text may come after it. A
signature belongs to the part that carries it, so its place goes with it. Source: Gemini API
reference, "Generating content"; Gemini API, "Thought signatures".
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.events import Event, FinishReason, Reasoning, Usage
from gateway.dialects.answer_reader import AnswerReader, write_arguments
from gateway.dialects.counts import add_counts
from gateway.dialects.finish_reasons import CUT, FAILED, NO_REASON
from gateway.dialects.gemini.tables import CALL_PLACE, TEXT_PLACE, THOUGHT_PLACE, read_usage
from gateway.dialects.odd_values import Object, number_of, object_of, objects_in, text_of


class GeminiReader(AnswerReader):
    """One answer."""

    _mark = "candidates"
    _members = ("candidates", "promptFeedback", "usageMetadata")

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(upstream, credential, names)
        # Thoughts are marked, so tags are what the model quotes.
        self._thinking = None
        self._counts: Object = {}
        self._end: FinishReason = "stop"
        #: words for an end that are none
        self._no_reason = NO_REASON
        #: the newest event is reasoning, which a signature ends
        self._is_thinking = False

    def _read_whole(self, document: Object) -> list[Event]:
        self._no_reason = frozenset()  # it has ended, by any word
        return self._read(document) + self.finish()

    def _read(self, event: Object) -> list[Event]:
        add_counts(self._counts, event.get("usageMetadata"))
        candidates = event.get("candidates")
        if isinstance(candidates, dict):
            candidates = [candidates]
        events: list[Event] = []
        for candidate in objects_in(candidates):
            if not number_of(candidate.get("index")):
                events += self._read_candidate(candidate)
                break
        block_reason = text_of(object_of(event.get("promptFeedback")).get("blockReason"))
        if block_reason and not candidates:
            message = f"The prompt was blocked by the upstream's filter: {block_reason}."
            raise self._failure({"type": "content_filter", "message": message, "code": 400})
        return events

    def _read_candidate(self, candidate: Object) -> list[Event]:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else content
        events: list[Event] = []
        for part in parts if isinstance(parts, list) else [parts]:
            events += self._read_part(part) if isinstance(part, dict) else self._text(part)
        word = text_of(candidate.get("finishReason"))
        if not word or word in self._no_reason:
            self.goes_on = self.goes_on or (self.complete and bool(events))
            return events
        if word in FAILED:
            raise self._broken(f"{word} {text_of(candidate.get('finishMessage'))}".strip())
        reason = self._reason(word)
        self._end = self._end if self._end in CUT else reason
        self.complete = True
        self.goes_on = self.goes_on or bool(events)
        return events

    def early_usage(self) -> Usage | None:
        return read_usage(self._counts)

    def finish(self) -> list[Event]:
        """The end, if a reason for it has come; one that cut the answer off counts most."""
        return self._finish(self._end, None, read_usage(self._counts)) if self.complete else []

    def _read_part(self, part: Object) -> list[Event]:
        call, signature = part.get("functionCall"), part.get("thoughtSignature")
        if call or isinstance(call, dict):
            return self._read_call(object_of(call), signature)
        is_thought = bool(part.get("thought"))
        text = part.get("text")
        events = self._reasoning(text) if is_thought else self._text(text)
        if events:
            self._is_thinking = isinstance(events[-1], Reasoning)
        return events + self._sign(THOUGHT_PLACE if is_thought else TEXT_PLACE, signature)

    def _read_call(self, call: Object, signature: Any) -> list[Event]:
        """A whole call, for they do not come in pieces; its signature is before it."""
        call_id = self._new_call_id(call.get("id"))
        signed = self._sign(CALL_PLACE + call_id, signature)
        started = self._start_call(call_id, call.get("name"))
        self._is_thinking = False
        arguments = write_arguments(started.index, call.get("args"))
        return [*signed, started, *(arguments or write_arguments(started.index, "{}"))]

    def _sign(self, place: str, signature: Any) -> list[Event]:
        """The event of a signature; one that no reasoning is before stands by itself."""
        if not signature or not isinstance(signature, str):
            return []
        is_redacted, self._is_thinking = not self._is_thinking, False
        return self._signed(f"{place} {signature}", is_redacted=is_redacted)
