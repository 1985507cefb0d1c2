"""Reads a Responses answer into events.

    summary, reasoning_text ─▶ Reasoning       output_text ─▶ Text       refusal ─▶ Refusal
    output_item.added ─▶ CallStarted           arguments ─▶ CallArguments
    output_item.done ─▶ what no delta brought, and Signed
    completed, incomplete ─▶ Finished, Usage   failed, error ─▶ raised   anything new ─▶ nothing

A stream that ends with neither of those is not complete. Source: OpenAI API reference, "Create a
model response" and "Streaming events".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.core.events import Event, FinishReason, Refusal
from gateway.dialects.answer_reader import AnswerReader, Object, arguments_of
from gateway.dialects.responses.tables import FINISH_REASONS, STATUSES, read_usage

_PARAGRAPH = "\n\n"
_SUMMARY = "response.reasoning_summary_text.delta"
#: events with a piece of content, by the kind of the content
_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    _SUMMARY: "reasoning",
    "response.reasoning_text.delta": "reasoning",
}
#: parts of items -> the same kind, and the member that holds the text
_PARTS = {
    "output_text": ("text", "text"),
    "refusal": ("refusal", "refusal"),
    "summary_text": ("reasoning", "text"),
    "reasoning_text": ("reasoning", "text"),
}
#: items that hold parts of an answer; others, as of a compaction, are not for the client to read
_READ_ITEMS = ("message", "reasoning")
_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete"}


class ResponsesReader(AnswerReader):
    """One answer."""

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(upstream, credential, names)
        #: index of an item -> the kind of its first delta
        self._first: dict[int, str] = {}
        #: index of an item -> position of its call among the calls
        self._calls: dict[int, int] = {}
        self._read_piece: dict[str, Callable[[Any], list[Event]]] = {
            "text": self._text,
            "reasoning": self._reasoning,
            "refusal": _refusal,
        }

    def _read_whole(self, document: Object) -> list[Event]:
        if document.get("error") or document.get("status") == "failed":
            raise self._failure(_error(document.get("error")))
        events: list[Event] = []
        for index, item in enumerate(document.get("output") or ()):
            events += self._end_item(index, item)
        return events + self._end(document)

    def _read(self, event: Object) -> list[Event]:
        kind = event["type"]
        if kind in _DELTAS:
            return self._read_delta(event["output_index"], kind, event["delta"])
        if kind in _ENDS:
            return self._end({**event["response"], "status": _ENDS[kind]})
        match kind:
            case "response.output_item.added":
                # A failure before the first item is not an answer that broke off.
                self.has_begun = True
                return self._begin_call(event["output_index"], event["item"])
            case "response.reasoning_summary_part.added":
                return self._start_paragraph(event["output_index"])
            case "response.function_call_arguments.delta" if event["output_index"] in self._calls:
                return self._read_arguments(event["output_index"], kind, event["delta"])
            case "response.output_item.done":
                return self._end_item(event["output_index"], event["item"])
            case "response.failed":
                raise self._failure(_error(event["response"].get("error")))
            case "error":
                raise self._failure(_error(event.get("error") or event))
        return []

    def _begin_call(self, index: int, item: Object) -> list[Event]:
        if item.get("type") != "function_call" or index in self._calls:
            return []
        call = self._start_call(item.get("call_id") or item["id"], item["name"])
        self._calls[index] = call.index
        return [call]

    def _read_delta(self, index: int, kind: str, delta: Any) -> list[Event]:
        """Reasoning may come twice, raw and as a summary; the first one counts."""
        content = _DELTAS[kind]
        if not delta or (self._first.setdefault(index, kind) != kind and content == "reasoning"):
            return []
        return self._read_piece[content](delta)

    def _start_paragraph(self, index: int) -> list[Event]:
        """A further part of a summary, where the summary is what is read."""
        return self._reasoning(_PARAGRAPH) if self._first.get(index) == _SUMMARY else []

    def _read_arguments(self, index: int, kind: str, delta: Any) -> list[Event]:
        if not delta:
            return []
        self._first[index] = kind
        return arguments_of(self._calls[index], delta)

    def _end_item(self, index: int, item: Object) -> list[Event]:
        """The content that no delta brought, for some engines send items whole; the signature."""
        events = self._begin_call(index, item)
        if index not in self._first:
            for kind, text in _pieces(item):
                events += self._read_piece[kind](text)
            if index in self._calls:
                events += arguments_of(self._calls[index], item.get("arguments") or "{}")
        if item.get("type") == "reasoning":
            # Reasoning of which nothing can be read is redacted.
            is_redacted = not any(text for kind, text in _pieces(item) if kind == "reasoning")
            events += self._signed(item.get("encrypted_content"), is_redacted=is_redacted)
        return events

    def _end(self, response: Object) -> list[Event]:
        """The end; a response with neither is not complete."""
        reason: FinishReason = "stop"
        if response.get("status") == "incomplete":
            details = response.get("incomplete_details") or {}
            reason = FINISH_REASONS.get(details.get("reason", ""), "length")
        elif response.get("status") != "completed":
            self.ended = True
            return []
        return self._finish(reason, None, read_usage(response.get("usage")))


def _refusal(text: Any) -> list[Event]:
    if text and not isinstance(text, str):
        raise TypeError("a string was expected")
    return [Refusal(text)] if text else []


def _pieces(item: Object) -> Iterator[tuple[str, Any]]:
    """The texts of an item by their kind, paragraphs between them; of reasoning the summary."""
    if item.get("type") not in _READ_ITEMS:
        return
    has_reasoning = False
    for part in item.get("summary") or item.get("content") or ():
        if part.get("type") not in _PARTS:
            continue
        kind, member = _PARTS[part["type"]]
        if kind == "reasoning" and has_reasoning:
            yield kind, _PARAGRAPH
        has_reasoning = has_reasoning or kind == "reasoning"
        yield kind, part.get(member)


def _error(error: Any) -> Object:
    known = error if isinstance(error, dict) else {"message": str(error or "no reason given")}
    words = (known.get(name) for name in ("type", "code"))
    kinds = [str(one) for one in words if one and isinstance(one, str | int)]
    status = next((STATUSES[kind] for kind in kinds if kind in STATUSES), 500)
    return {"type": " ".join(kinds), "message": known.get("message"), "code": status}
