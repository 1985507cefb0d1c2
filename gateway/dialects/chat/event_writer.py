"""Writes a chat answer from events, for an upstream that speaks another dialect.

    first event ─▶ role      Text ─▶ content      Reasoning ─▶ reasoning_content
    calls, one after the other ─▶ tool_calls      Finished ─▶ what waits, finish_reason
    MessageStarted behind content ─▶ a blank line, since chat has one message
    Citation ─▶ annotations, its place that in the one message

Keeps the same promises as `answer_writer`, which splices the bytes of a chat upstream. Signatures
are for clients that can send them back, and chat has no member for them. Source: OpenAI API
reference, "The chat completion chunk object".
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.core.events import (
    CallArguments,
    CallStarted,
    Citation,
    Event,
    Finished,
    MessageStarted,
    Reasoning,
    Refusal,
    Text,
    Usage,
)
from gateway.dialects.base import Exchange
from gateway.dialects.chat.calls import CallSequence, Piece
from gateway.dialects.chat.repair import is_cut, repair_finish, repair_message, write_pieces
from gateway.dialects.chat.tables import write_usage
from gateway.dialects.citations import write_chat_citation
from gateway.dialects.sse import data_frame

Object = dict[str, Any]

_encode = msgspec.json.Encoder().encode
#: between two messages
_BLANK_LINE = "\n\n"
_MEMBERS: dict[type, str] = {Text: "content", Reasoning: "reasoning_content", Refusal: "refusal"}


class EventWriter:
    """Writes one answer, streamed (`write`) or whole (`write_whole`)."""

    def __init__(self, exchange: Exchange, *, legacy: bool) -> None:
        self._exchange = exchange
        self._legacy = legacy
        self._calls = CallSequence()
        self._begun = False
        #: characters of the content so far, and of that before the message under way
        self._length = self._offset = 0
        head = _encode(self.identity | {"model": exchange.model})[:-1]
        self._head = b"data: " + head + b',"choices":[{"index":0,"delta":'
        self._text_head = self._head + b'{"content":'

    @property
    def identity(self) -> Object:
        """`id`, `object` and `created` of every chunk."""
        return {
            "id": f"chatcmpl-{self._exchange.request_id}",
            "object": "chat.completion.chunk",
            "created": self._exchange.created,
        }

    def write(self, events: Iterable[Event]) -> list[bytes]:
        """The frames of the next events."""
        frames: list[bytes] = []
        for event in events:
            if not self._begun:
                self._begun = True
                frames.append(self._frame({"role": "assistant", "content": ""}))
            if type(event) is Text:
                self._length += len(event.text)
                text = _encode(event.text)
                frames.append(self._text_head + text + b'},"finish_reason":null}]}\n\n')
            elif isinstance(event, Reasoning | Refusal):
                frames.append(self._frame({_MEMBERS[type(event)]: event.text}))
            elif isinstance(event, CallStarted | CallArguments):
                self._write_pieces(self._take(event), frames)
            elif isinstance(event, MessageStarted) and self._length:
                self._length += len(_BLANK_LINE)
                self._offset = self._length
                frames.append(self._frame({"content": _BLANK_LINE}))
            elif isinstance(event, Citation):
                frames.append(self._frame({"annotations": [self._annotation(event)]}))
            elif isinstance(event, Finished):
                pieces = self._calls.finish(is_cut=is_cut(event.reason))
                self._write_pieces(pieces, frames)
                frames.append(self._last(event))
        return frames

    def write_whole(self, events: Iterable[Event], usage: Usage | None) -> bytes:
        """The completion that the events make."""
        texts: dict[str, list[str]] = {member: [] for member in _MEMBERS.values()}
        calls: dict[int, Object] = {}
        annotations: list[Object] = []
        finished = Finished("stop")
        for event in events:
            match event:
                case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
                    texts[_MEMBERS[type(event)]].append(text)
                case MessageStarted() if texts["content"]:
                    texts["content"].append(_BLANK_LINE)
                    self._offset = sum(map(len, texts["content"]))
                case Citation():
                    annotations.append(self._annotation(event))
                case CallStarted(index=index, id=call_id, name=name):
                    calls[index] = {"id": call_id, "function": {"name": name, "arguments": ""}}
                case CallArguments(index=index, fragment=fragment):
                    calls[index]["function"]["arguments"] += fragment
                case Finished():
                    finished = event
        message: Object = {"role": "assistant", "content": None}
        message |= {member: "".join(pieces) for member, pieces in texts.items() if pieces}
        message |= {"annotations": annotations} if annotations else {}
        message |= {"tool_calls": list(calls.values())} if calls else {}
        repair_message(message, self._legacy, finished.reason)
        reason = repair_finish(finished.reason, bool(calls), self._legacy)
        choice = {"index": 0, "message": message, "finish_reason": reason, **_matched(finished)}
        completion = {
            **self.identity,
            "object": "chat.completion",
            "model": self._exchange.model,
            "choices": [choice],
        }
        if usage is not None:
            completion["usage"] = write_usage(usage)
        return _encode(completion)

    def _annotation(self, citation: Citation) -> Object:
        return write_chat_citation(citation, self._offset)

    def _take(self, event: CallStarted | CallArguments) -> list[Piece]:
        if isinstance(event, CallStarted):
            return self._calls.take(event.index, event.id, event.name, None)
        return self._calls.take(event.index, None, None, event.fragment)

    def _write_pieces(self, pieces: list[Piece], frames: list[bytes]) -> None:
        delta: Object = {}
        write_pieces(delta, pieces, legacy=self._legacy)
        if delta:
            frames.append(self._frame(delta))

    def _frame(self, delta: Object) -> bytes:
        return self._head + _encode(delta) + b',"finish_reason":null}]}\n\n'

    def _last(self, finished: Finished) -> bytes:
        reason = repair_finish(finished.reason, self._calls.any_started, self._legacy)
        choice = {"index": 0, "delta": {}, "finish_reason": reason, **_matched(finished)}
        event = {**self.identity, "model": self._exchange.model, "choices": [choice]}
        return data_frame(_encode(event))


def _matched(finished: Finished) -> Object:
    """The stop sequence that matched, where engines of chat name it (vLLM, `stop_reason`)."""
    return {} if finished.stop_sequence is None else {"stop_reason": finished.stop_sequence}
