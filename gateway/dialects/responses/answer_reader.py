"""Reads a Responses answer into events.

    summary, reasoning_text ─▶ Reasoning       output_text ─▶ Text       refusal ─▶ Refusal
    output_item.added ─▶ CallStarted           arguments ─▶ CallArguments
    message after message, or phase ─▶ MessageStarted, right before its text
    output_text.done ─▶ the rest of a text that deltas only began
    output_item.done ─▶ what no delta brought, Citation, and Signature
    completed, incomplete ─▶ Finished   failed, error ─▶ raised   anything new ─▶ nothing

A stream that ends with neither of those is not complete; its end holds what no event brought. An
event without an index belongs to the newest item, an item or part without a type is known by its
members. Source: OpenAI API reference, "Create a model response" and "Streaming events".
"""

from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

from gateway.core.events import Event, MessageStarted, Refusal
from gateway.dialects.answer_reader import AnswerReader, write_arguments
from gateway.dialects.citations import read_citations
from gateway.dialects.finish_reasons import CUT, FAILED
from gateway.dialects.odd_values import Object, number_of, object_of, read_parts, text_of
from gateway.dialects.responses.tables import read_usage

_PARAGRAPH = "\n\n"
_ARGUMENTS = "response.function_call_arguments.delta"
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
    "text": ("text", "text"),
    "refusal": ("refusal", "refusal"),
    "summary_text": ("reasoning", "text"),
    "reasoning_text": ("reasoning", "text"),
}
#: items that hold parts of an answer -> the kind of those whose type is odd; others, as of a
#: compaction, are not for the client to read
_READ_ITEMS = {"message": "output_text", "reasoning": "reasoning_text"}
_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete"}
_FAILURES = ("response.failed", "response.cancelled")
#: states of a response that its provider has not ended
_UNDER_WAY = ("", "queued", "in_progress")


class ResponsesReader(AnswerReader):
    """One answer."""

    _members = ("type", "output", "status")

    def __init__(
        self, upstream: str, credential: str | None, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(upstream, credential, names)
        #: index of the newest item
        self._newest = -1
        self._ended_items: set[int] = set()
        #: index of an item -> the kind of its first delta
        self._first: dict[int, str] = {}
        #: index of an item -> number of the part of its summary under way; not all announce parts
        self._parts: dict[int, int | None] = {}
        #: the part under way by its item's index and its kind of deltas; the number of characters
        #: that they brought, and their checksum: to keep the text would take much memory
        self._place: tuple[int, str] | None = None
        self._begun = self._sum = 0
        #: index of the message whose text was the last, and phases of messages by index
        self._message: int | None = None
        self._phases: dict[int, str] = {}
        #: index of an item -> position of its call among the calls
        self._calls: dict[int, int] = {}

    def _read_whole(self, document: Object) -> list[Event]:
        return self._read_output(document.get("output")) + self._end(document)

    def _read_output(self, output: Any) -> list[Event]:
        """Items of a whole answer, where one of them, or a text, may stand alone."""
        events: list[Event] = []
        for index, item in enumerate(output if isinstance(output, list) else [output]):
            events += self._end_item(index, item) if isinstance(item, dict) else self._text(item)
        return events

    def _read(self, event: Object) -> list[Event]:
        kind = event["type"]
        if not kind or not isinstance(kind, str):
            raise TypeError("an event has a type")
        if kind in _DELTAS:
            return self._read_delta(self._index_of(event), kind, event)
        if (pieces := kind.removesuffix("done") + "delta") in _DELTAS:
            return self._end_part(self._index_of(event), pieces, event)
        if kind in _ENDS:
            return self._end_stream(_ENDS[kind], object_of(event.get("response")))
        match kind:
            case "response.output_item.added":
                # A failure before the first item is not an answer that broke off.
                self.has_begun = True
                index = number_of(event.get("output_index"))
                self._newest = self._newest + 1 if index is None else index
                item = object_of(event.get("item"))
                self._note_phase(self._newest, item)
                return self._begin_call(self._newest, item)
            case "response.reasoning_summary_part.added":
                index = self._index_of(event)
                self._parts[index] = number_of(event.get("summary_index"))
                return self._paragraph(index)
            case "response.function_call_arguments.delta":
                return self._read_arguments(self._index_of(event), kind, event.get("delta"))
            case "response.function_call_arguments.done":
                return self._end_arguments(self._index_of(event), event.get("arguments"))
            case "response.output_item.done":
                return self._end_item(self._index_of(event), object_of(event.get("item")))
            case "error":
                raise self._failure(event)
            case _ if kind in _FAILURES:
                raise self._failure(object_of(event.get("response")).get("error"))
        return self._leave_out(event)

    def _index_of(self, event: Object) -> int:
        index = number_of(event.get("output_index"))
        return max(self._newest, 0) if index is None else index

    def _begin_call(self, index: int, item: Object) -> list[Event]:
        if _kind_of(item) != "function_call" or index in self._calls:
            return []
        call = self._start_call(item.get("call_id") or item.get("id"), item.get("name"))
        self._calls[index] = call.index
        return [call]

    def _note_phase(self, index: int, item: Object) -> None:
        if (phase := item.get("phase")) and isinstance(phase, str):
            self._phases[index] = phase

    def _message_piece(self, index: int, kind: str, content: Any) -> list[Event]:
        """A piece of a message, behind its beginning where that is of interest."""
        read_piece = self._text if kind == "text" else self._refusal
        if index == self._message:
            return read_piece(content)
        is_further, phase = self._message is not None, self._phases.get(index)
        # What is held back of the message before belongs to that.
        held = self._held_text() if is_further else []
        read = read_piece(content)
        if not read and not held:
            return []
        self._message = index
        if is_further or phase is not None:
            held.append(MessageStarted(phase))
        return held + read

    def _refusal(self, content: Any) -> list[Event]:
        text = "".join(read_parts(content))
        return [Refusal(text)] if text else []

    def _read_delta(self, index: int, kind: str, event: Object) -> list[Event]:
        """Reasoning may come twice, raw and as a summary; the first one counts."""
        content, delta = _DELTAS[kind], event.get("delta")
        if not delta and type(delta) is not int:
            return []
        is_further = kind == _SUMMARY and self._is_further(index, event) and index in self._first
        if self._first.setdefault(index, kind) != kind and content == "reasoning":
            return []
        if self._place != (index, kind):
            self._place, self._begun, self._sum = (index, kind), 0, 0
        piece = text_of(delta)
        self._begun += len(piece)
        self._sum = crc32(piece.encode(), self._sum)
        if content == "reasoning":
            return (self._paragraph(index) if is_further else []) + self._reasoning(delta)
        return self._message_piece(index, content, delta)

    def _end_part(self, index: int, kind: str, event: Object) -> list[Event]:
        """The rest of a part of which deltas, of that kind, brought the beginning."""
        whole = event.get("refusal" if _DELTAS[kind] == "refusal" else "text")
        events: list[Event] = []
        if self._place == (index, kind) and isinstance(whole, str):
            begun, rest = whole[: self._begun], whole[self._begun :]
            if rest and crc32(begun.encode()) == self._sum:
                events = self._read_delta(index, kind, {**event, "delta": rest})
        self._place = None
        return events

    def _is_further(self, index: int, event: Object) -> bool:
        """True if an event's part of a summary is another than the one of the event before."""
        before = self._parts.get(index)
        number = self._parts[index] = number_of(event.get("summary_index"))
        return number is not None and before is not None and number != before

    def _paragraph(self, index: int) -> list[Event]:
        """The break before a further part of a summary, where the summary is what is read."""
        return self._reasoning(_PARAGRAPH) if self._first.get(index) == _SUMMARY else []

    def _read_arguments(self, index: int, kind: str, delta: Any) -> list[Event]:
        if index not in self._calls:
            return []
        added = write_arguments(self._calls[index], delta, is_first=index not in self._first)
        if added:
            self._first[index] = kind
        return added

    def _end_arguments(self, index: int, arguments: Any) -> list[Event]:
        """The arguments that no delta brought."""
        if index in self._first or index in self._ended_items:
            return []
        return self._read_arguments(index, _ARGUMENTS, arguments)

    def _end_item(self, index: int, item: Object) -> list[Event]:
        """The content that no delta brought, for some engines send items whole; the signature."""
        events = self._begin_call(index, item)
        self._ended_items.add(index)
        if index not in self._first:
            self._note_phase(index, item)
            for kind, text in _pieces(item):
                is_thought = kind == "reasoning"
                events += (
                    self._reasoning(text) if is_thought else self._message_piece(index, kind, text)
                )
            if index in self._calls:
                arguments = write_arguments(self._calls[index], item.get("arguments"))
                events += arguments or write_arguments(self._calls[index], "{}")
        if index == self._message:
            events += _citations(item)
        if _kind_of(item) == "reasoning":
            # Reasoning of which nothing can be read is redacted.
            is_redacted = not any(text for kind, text in _pieces(item) if kind == "reasoning")
            events += self._signed(item.get("encrypted_content"), is_redacted=is_redacted)
        return events

    def _end_stream(self, status: str, response: Object) -> list[Event]:
        """The end, with the items of which no event has come; its name counts, unless it failed."""
        if response.get("error"):
            raise self._failure(response["error"])
        stated = text_of(response.get("status"))
        if stated not in ("incomplete", *FAILED):
            stated = status
        events: list[Event] = []
        if not self._first and not self._ended_items and not self._calls:
            events = self._read_output(response.get("output"))
        output = response.get("output")
        for index, item in enumerate(output if isinstance(output, list) else ()):
            events += self._end_arguments(index, object_of(item).get("arguments"))
        return events + self._end({**response, "status": stated})

    def _end(self, response: Object) -> list[Event]:
        """The end; a response that goes on is not complete."""
        status = text_of(response.get("status"))
        if status in _UNDER_WAY:
            self.ended = True
            return []
        if status == "incomplete":
            details = response.get("incomplete_details")
            word = details.get("reason") if isinstance(details, dict) else details
            reason = self._reason(word, "length")
        else:
            reason = self._reason(status)
        events: list[Event] = []
        for index, position in () if reason in CUT else self._calls.items():
            if index not in self._first and index not in self._ended_items:
                events += write_arguments(position, "{}")
        return events + self._finish(reason, None, read_usage(response.get("usage")))


def _kind_of(item: Object) -> str:
    """The kind of an item, by its members if it has no type."""
    kind = item.get("type")
    if isinstance(kind, str) and kind:
        return kind
    if "name" in item:
        return "function_call"
    if "summary" in item:
        return "reasoning"
    return "message" if isinstance(item.get("content"), str | list) else ""


def _pieces(item: Object) -> Iterator[tuple[str, Any]]:
    """The texts of an item by their kind, paragraphs between them; of reasoning the summary."""
    own = _READ_ITEMS.get(_kind_of(item))
    if own is None:
        return
    has_reasoning = False
    parts = item["summary"] if text_of(item.get("summary")) else item.get("content")
    for part in parts if isinstance(parts, list) else [parts]:
        kind, text = _read_part(part, own)
        if kind == "reasoning" and text and has_reasoning:
            yield kind, _PARAGRAPH
        has_reasoning = has_reasoning or (kind == "reasoning" and bool(text))
        yield kind, text


def _citations(item: Object) -> list[Event]:
    """The citations of a message, whose parts are one text."""
    citations: list[Event] = []
    length = 0
    parts = item.get("content")
    for part in parts if isinstance(parts, list) else ():
        kind, text = _read_part(part, "output_text")
        citations += read_citations(object_of(part).get("annotations"), length)
        length += len(text) if kind == "text" and isinstance(text, str) else 0
    return citations


def _read_part(part: Any, own: str) -> tuple[str, Any]:
    """The kind of a part and its text; a part of an unknown type has none."""
    if not isinstance(part, dict):
        return _PARTS[own][0], part
    type = part.get("type")
    if isinstance(type, str) and type:
        kind, member = _PARTS.get(type, ("text", ""))
        return kind, part.get(member)
    if "refusal" in part:
        return _PARTS["refusal"][0], part["refusal"]
    return _PARTS[own][0], part
