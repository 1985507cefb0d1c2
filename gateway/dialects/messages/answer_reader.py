"""Reads a Messages answer into events.

    thinking ─▶ Reasoning            signature, redacted_thinking ─▶ Signed
    text ─▶ Text                     tool_use ─▶ CallStarted, CallArguments
    message_delta ─▶ remembered      message_stop ─▶ Finished, Usage
    error ─▶ raised                  ping, anything new ─▶ nothing

The end waits for `message_stop`: a stream without one is not complete. Source: Anthropic API
reference, "Messages" and "Streaming messages".
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.events import Event
from gateway.dialects.answer_reader import AnswerReader, Object, arguments_of, encode_json
from gateway.dialects.messages.tables import FINISH_REASONS, STATUSES, read_usage


class MessagesReader(AnswerReader):
    """One answer."""

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(upstream, credential, names)
        self._counts: Object = {}
        self._stop: Object = {}
        #: block index -> position of its call among the calls, and whether it has arguments
        self._calls: dict[int, int] = {}
        self._with_arguments: set[int] = set()
        #: block index -> signature of its thinking; the last one counts
        self._signatures: dict[int, str] = {}

    def _read_whole(self, document: Object) -> list[Event]:
        if document.get("error"):
            raise self._failure(_error(document["error"]))
        events: list[Event] = []
        for block in document.get("content") or ():
            events += self._read_block(block)
        return events + self._end(document, _given(document.get("usage")))

    def _read_block(self, block: Object) -> list[Event]:
        """A whole block."""
        match block.get("type"):
            case "text":
                return self._text(block.get("text"))
            case "thinking":
                reasoning = self._reasoning(block.get("thinking"))
                return reasoning + self._signed(block.get("signature"))
            case "redacted_thinking":
                return self._signed(block.get("data"), is_redacted=True)
            case "tool_use":
                call = self._start_call(block["id"], block["name"])
                arguments = encode_json(block.get("input") or {}).decode()
                return [call, *arguments_of(call.index, arguments)]
        return []

    def _read(self, event: Object) -> list[Event]:
        match event["type"]:
            case "content_block_delta":
                return self._read_delta(event["index"], event["delta"])
            case "message_start":
                self._counts |= _given(event["message"].get("usage"))
                self.has_begun = True
            case "content_block_start":
                return self._start_block(event["index"], event["content_block"])
            case "content_block_stop":
                return self._stop_block(event["index"])
            case "message_delta":
                self._stop |= {k: v for k, v in event["delta"].items() if v is not None}
                self._counts |= _given(event.get("usage"))
            case "message_stop":
                return self._end(self._stop, self._counts)
            case "error":
                raise self._failure(_error(event["error"]))
        return []

    def _start_block(self, index: int, block: Object) -> list[Event]:
        """The content that stands in a start already: some engines send blocks whole."""
        match block.get("type"):
            case "tool_use":
                call = self._start_call(block["id"], block["name"])
                self._calls[index] = call.index
                if not block.get("input"):
                    return [call]
                self._with_arguments.add(index)
                return [call, *arguments_of(call.index, encode_json(block["input"]).decode())]
            case "text":
                return self._text(block.get("text"))
            case "thinking":
                self._sign(index, block.get("signature"))
                return self._reasoning(block.get("thinking"))
            case "redacted_thinking":
                return self._signed(block.get("data"), is_redacted=True)
        return []

    def _read_delta(self, index: int, delta: Object) -> list[Event]:
        match delta.get("type"):
            case "text_delta":
                return self._text(delta["text"])
            case "thinking_delta":
                return self._reasoning(delta["thinking"])
            case "signature_delta":
                self._sign(index, delta["signature"])
            case "input_json_delta" if index in self._calls and delta["partial_json"]:
                self._with_arguments.add(index)
                return arguments_of(self._calls[index], delta["partial_json"])
        return []

    def _stop_block(self, index: int) -> list[Event]:
        """Thinking is signed; a call without arguments has those of an empty object."""
        if index in self._signatures:
            return self._signed(self._signatures.pop(index))
        if index not in self._calls or index in self._with_arguments:
            return []
        return arguments_of(self._calls[index], "{}")

    def _sign(self, index: int, signature: str | None) -> None:
        if signature:
            self._signatures[index] = signature

    def _end(self, stop: Object, counts: Object) -> list[Event]:
        """The end; one without a reason is none."""
        reason = stop.get("stop_reason")
        if not reason:
            self.ended = True
            return []
        known = FINISH_REASONS.get(reason, "stop")
        is_matched = reason == "stop_sequence"
        return self._finish(
            known, stop.get("stop_sequence") if is_matched else None, read_usage(counts)
        )


def _given(members: Any) -> Object:
    """The members that are not null."""
    if not isinstance(members, dict):
        return {}
    return {name: value for name, value in members.items() if value is not None}


def _error(error: Any) -> Object:
    known = error if isinstance(error, dict) else {"message": str(error)}
    return {**known, "code": STATUSES.get(known.get("type", ""), 500)}
