"""The output items of one response, each as it grows and as it ends.

    reasoning   added → summary part added → text deltas → text done → part done → done
    message     added (content empty) → (part added → deltas → text done → part done)* → done
                annotations among the deltas
    call        added (name, no arguments) → deltas → arguments done → done

Owns the frames between an item's `added` and its `done`. An item keeps its id and its index; a
message is added without content before its first part, for the SDKs' accumulators insist on both.
Source: OpenAI API reference, "Responses", streaming events.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from msgspec import Raw

from gateway.core.events import Citation, Signature
from gateway.dialects.citations import write_response_citation
from gateway.dialects.responses.calls import ITEMS, Binding, unwrap
from gateway.dialects.responses.types import Object

ItemStatus = Literal["in_progress", "completed", "incomplete"]
PartKind = Literal["output_text", "refusal"]

_encode = msgspec.json.Encoder().encode


def frame(type: str, number: int, **members: object) -> bytes:
    """One event: its line `event:` equals its `type`, and it stands in one piece."""
    data = _encode({"type": type, "sequence_number": number, **members})
    return b"event: %b\ndata: %b\n\n" % (type.encode(), data)


def _delta_prefix(type: str, **members: object) -> bytes:
    """All of a delta's frame up to its text; the text and `_DELTA_SUFFIX` follow."""
    data = _encode({"type": type, **members})
    return b'event: %b\ndata: %b,"delta":' % (type.encode(), data[:-1])


_DELTA_SUFFIX = b',"sequence_number":%d}\n\n'


class OutputItem:
    """One item. `raw` is its final JSON, None as long as it is open."""

    def __init__(self, id: str, index: int, numbers: Iterator[int]) -> None:
        self.id = id
        self.index = index
        self.raw: Raw | None = None
        self._numbers = numbers

    def open(self) -> list[bytes]:
        """The frames that announce the item."""
        item = self._value("in_progress")
        added = frame(
            "response.output_item.added", next(self._numbers), output_index=self.index, item=item
        )
        return [added, *self._begin()]

    def close(self, status: ItemStatus) -> list[bytes]:
        """The frames that end the item; sets `raw`."""
        frames = self._end()
        self.raw = Raw(_encode(self._value(status)))
        done = frame(
            "response.output_item.done", next(self._numbers), output_index=self.index, item=self.raw
        )
        return [*frames, done]

    def _event(self, type: str, **members: object) -> bytes:
        place = {"item_id": self.id, "output_index": self.index}
        data = {"type": type, "sequence_number": next(self._numbers), **place, **members}
        return b"event: %b\ndata: %b\n\n" % (type.encode(), _encode(data))

    def _begin(self) -> list[bytes]:
        return []

    def _end(self) -> list[bytes]:
        return []

    def _value(self, status: ItemStatus) -> Object:
        raise NotImplementedError


class ReasoningOutput(OutputItem):
    """Reasoning, as one summary; what it was is sealed into `encrypted_content` as well."""

    def __init__(
        self,
        id: str,
        index: int,
        numbers: Iterator[int],
        seal: Callable[[str, Signature | None], str],
    ) -> None:
        super().__init__(id, index, numbers)
        self._seal = seal
        #: its upstream's signature
        self.signed: Signature | None = None
        self._pieces: list[str] = []
        self._prefix = _delta_prefix(
            "response.reasoning_summary_text.delta",
            item_id=id,
            output_index=index,
            summary_index=0,
        )

    def add(self, text: str) -> bytes:
        self._pieces.append(text)
        return self._prefix + _encode(text) + _DELTA_SUFFIX % next(self._numbers)

    def _begin(self) -> list[bytes]:
        part = {"type": "summary_text", "text": ""}
        return [self._event("response.reasoning_summary_part.added", summary_index=0, part=part)]

    def _end(self) -> list[bytes]:
        text = "".join(self._pieces)
        part = {"type": "summary_text", "text": text}
        return [
            self._event("response.reasoning_summary_text.done", summary_index=0, text=text),
            self._event("response.reasoning_summary_part.done", summary_index=0, part=part),
        ]

    def _value(self, status: ItemStatus) -> Object:
        value: Object = {"type": "reasoning", "id": self.id, "summary": [], "status": status}
        if status != "in_progress":
            text = "".join(self._pieces)
            value["summary"] = [{"type": "summary_text", "text": text}]
            value["encrypted_content"] = self._seal(text, self.signed)
        return value


class MessageOutput(OutputItem):
    """A message of one or more parts, one after the other; `phase` is as its upstream gave it."""

    def __init__(self, id: str, index: int, numbers: Iterator[int], phase: str | None) -> None:
        super().__init__(id, index, numbers)
        self._phase = phase
        self.part_kind: PartKind | None = None
        self._parts: list[Object] = []
        self._pieces: list[str] = []
        self._logprobs: list[Raw] = []
        self._annotations: list[Object] = []
        self._prefix = b""

    def fill(self, text: str, status: ItemStatus) -> None:
        """Make it one text that is whole; sets `raw`. Nobody reads its frames."""
        self.part_kind = "output_text"
        self._pieces.append(text)
        self._parts.append(self._part())
        self.raw = Raw(_encode(self._value(status)))

    def switch(self, kind: PartKind) -> list[bytes]:
        """End the part under way and begin one of another kind."""
        frames = self._end_part()
        self.part_kind = kind
        place = {"item_id": self.id, "output_index": self.index, "content_index": len(self._parts)}
        if kind == "output_text":
            self._prefix = _delta_prefix("response.output_text.delta", **place, logprobs=[])
        else:
            self._prefix = _delta_prefix("response.refusal.delta", **place)
        frames.append(
            self._event(
                "response.content_part.added", content_index=len(self._parts), part=self._part()
            )
        )
        return frames

    def add(self, text: str) -> bytes:
        """A delta of the part under way."""
        self._pieces.append(text)
        return self._prefix + _encode(text) + _DELTA_SUFFIX % next(self._numbers)

    def add_with_logprobs(self, text: str, logprobs: list[Raw]) -> bytes:
        """A delta of a text part, with the logarithmic probabilities of its tokens."""
        self._pieces.append(text)
        self._logprobs.extend(logprobs)
        return self._event(
            "response.output_text.delta",
            content_index=len(self._parts),
            delta=text,
            logprobs=logprobs,
        )

    def annotate(self, citation: Citation) -> bytes:
        """A citation of the text part under way."""
        annotation = write_response_citation(citation)
        self._annotations.append(annotation)
        return self._event(
            "response.output_text.annotation.added",
            content_index=len(self._parts),
            annotation_index=len(self._annotations) - 1,
            annotation=annotation,
        )

    def _end(self) -> list[bytes]:
        return self._end_part()

    def _end_part(self) -> list[bytes]:
        if self.part_kind is None:
            return []
        index, part = len(self._parts), self._part()
        if self.part_kind == "output_text":
            done = self._event(
                "response.output_text.done",
                content_index=index,
                text=part["text"],
                logprobs=part["logprobs"],
            )
        else:
            done = self._event(
                "response.refusal.done", content_index=index, refusal=part["refusal"]
            )
        self._parts.append(part)
        self.part_kind, self._pieces, self._logprobs, self._annotations = None, [], [], []
        return [done, self._event("response.content_part.done", content_index=index, part=part)]

    def _part(self) -> Object:
        text = "".join(self._pieces)
        if self.part_kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": self._annotations,
            "logprobs": self._logprobs,
        }

    def _value(self, status: ItemStatus) -> Object:
        value: Object = {
            "type": "message",
            "id": self.id,
            "status": status,
            "role": "assistant",
            "content": self._parts,
        }
        if self._phase is not None:
            value["phase"] = self._phase
        return value


class CallOutput(OutputItem):
    """A tool call, named as the client named the tool.

    A function's arguments go out as they come. Those of other kinds travel inside a function's, so
    they are kept back until the call is whole.
    """

    def __init__(
        self, id: str, index: int, numbers: Iterator[int], call_id: str, binding: Binding
    ) -> None:
        super().__init__(id, index, numbers)
        self._call_id = call_id
        self._binding = binding
        self._pieces: list[str] = []
        self._prefix = _delta_prefix(
            "response.function_call_arguments.delta", item_id=id, output_index=index
        )

    def add(self, fragment: str) -> list[bytes]:
        self._pieces.append(fragment)
        if self._binding.kind != "function":
            return []
        return [self._prefix + _encode(fragment) + _DELTA_SUFFIX % next(self._numbers)]

    def _end(self) -> list[bytes]:
        text = "".join(self._pieces)
        if self._binding.kind == "function":
            return [self._event("response.function_call_arguments.done", arguments=text)]
        if self._binding.kind != "custom":
            return []
        text = unwrap("custom", text)["input"]
        return [
            self._event("response.custom_tool_call_input.delta", delta=text),
            self._event("response.custom_tool_call_input.done", input=text),
        ]

    def _value(self, status: ItemStatus) -> Object:
        kind, name, namespace = self._binding.kind, self._binding.name, self._binding.namespace
        value: Object = {
            "type": ITEMS[kind][0],
            "id": self.id,
            "call_id": self._call_id,
            "status": status,
        }
        if kind in ("function", "custom"):
            value["name"] = name
        if namespace is not None:
            value["namespace"] = namespace
        return value | unwrap(kind, "".join(self._pieces))
