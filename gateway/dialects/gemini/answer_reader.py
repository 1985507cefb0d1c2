"""Reads a Gemini answer into events.

    thought ─▶ Reasoning             thoughtSignature ─▶ Signed, with its place
    text ─▶ Text                     functionCall ─▶ Signed, CallStarted, CallArguments
    finishReason ─▶ Finished, Usage  blockReason, error ─▶ raised      anything new ─▶ nothing

An event of a stream is an answer in small; a stream without a `finishReason` is not complete. A
signature belongs to the part that carries it, so its place goes with it. Source: Gemini API
reference, "Generating content"; Gemini API, "Thought signatures".
"""

from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import msgspec

from gateway.core.events import CallArguments, Event, Reasoning
from gateway.dialects.answer_reader import AnswerReader, Object, encode_json
from gateway.dialects.gemini.tables import (
    CALL_PLACE,
    FAILURES,
    FINISH_REASONS,
    TEXT_PLACE,
    THOUGHT_PLACE,
    read_usage,
)
from gateway.dialects.gemini.types import (
    Candidate,
    FunctionCall,
    GeminiPart,
    GenerateContentResponse,
)


class GeminiReader(AnswerReader):
    """One answer."""

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(upstream, credential, names)
        # Thoughts are marked, so tags are what the model quotes.
        self._thinking = None
        self._counts: Any = None
        #: the newest event is reasoning, which a signature ends
        self._is_thinking = False

    def _read_whole(self, document: Object) -> list[Event]:
        return self._read(document)

    def _read(self, event: Object) -> list[Event]:
        answer = msgspec.convert(event, GenerateContentResponse)
        if answer.error is not None:
            raise self._failure(answer.error)
        if answer.usage_metadata is not None:
            self._counts = answer.usage_metadata
        events: list[Event] = []
        for candidate in answer.candidates or ():
            if not candidate.index:
                events += self._read_candidate(candidate)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            message = f"The prompt was blocked by the upstream's filter: {feedback.block_reason}."
            raise self._failure({"type": "content_filter", "message": message, "code": 400})
        return events

    def _read_candidate(self, candidate: Candidate) -> list[Event]:
        events: list[Event] = []
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                events += self._read_part(part)
        reason = candidate.finish_reason
        if not reason:
            return events
        if reason in FAILURES:
            message = f"{reason} {candidate.finish_message or ''}".strip()
            raise self._failure({"type": "server_error", "message": message, "code": 500})
        known = FINISH_REASONS.get(reason, "stop")
        return events + self._finish(known, None, read_usage(self._counts))

    def _read_part(self, part: GeminiPart) -> list[Event]:
        call, signature = part.function_call, part.thought_signature
        if call is not None:
            return self._read_call(call, signature)
        events = self._reasoning(part.text) if part.thought else self._text(part.text)
        if events:
            self._is_thinking = isinstance(events[-1], Reasoning)
        return events + self._sign(THOUGHT_PLACE if part.thought else TEXT_PLACE, signature)

    def _read_call(self, call: FunctionCall, signature: str | None) -> list[Event]:
        """A whole call, for they do not come in pieces; its signature is before it."""
        call_id = call.id or f"call_{token_hex(12)}"
        signed = self._sign(CALL_PLACE + call_id, signature)
        started = self._start_call(call_id, call.name)
        self._is_thinking = False
        arguments = encode_json(call.args or {}).decode()
        return [*signed, started, CallArguments(started.index, arguments)]

    def _sign(self, place: str, signature: str | None) -> list[Event]:
        """The event of a signature; one that no reasoning is before stands by itself."""
        if not signature:
            return []
        is_redacted, self._is_thinking = not self._is_thinking, False
        return self._signed(f"{place} {signature}", is_redacted=is_redacted)
