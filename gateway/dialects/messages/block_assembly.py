"""Sorts an upstream's events into the content blocks of one answer.

    Reasoning ─▶ thinking      Text, Refusal ─▶ text      CallStarted, CallArguments ─▶ tool_use
    MessageStarted ─▶ the end of a text
    Signature ─▶ the end of thinking, or redacted_thinking

Owns the block that each piece belongs to, and why the answer stopped; `stream_writer` and
`answer_writer` own the bytes. A piece that does not fit the newest block starts another one; only
arguments find their way back to an earlier block, by the index of their call. Must never let an
answer end with the signature of its text: Claude Code shows the last block as the answer. In a
whole answer the signature stands before the text; a stream, which has sent the text already, leaves
it out.
"""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    MessageStarted,
    Reasoning,
    Refusal,
    Signature,
    Text,
)
from gateway.dialects.messages.tables import STOP_REASONS

Kind = Literal["thinking", "redacted_thinking", "text", "tool_use"]


class Block(Struct, eq=False):
    """One content block; `pieces` are its deltas in order, `call` that of a tool_use block.

    `signed` is how its upstream signed its thinking. `is_whole`: its text gets nothing more.
    """

    kind: Kind
    pieces: list[str]
    call: CallStarted | None = None
    signed: Signature | None = None
    is_whole: bool = False


class Assembly:
    """The blocks of one answer, in the order of their first piece."""

    def __init__(self, wants_one_call: bool) -> None:
        self.blocks: list[Block] = []
        self._wants_one_call = wants_one_call
        self._calls: dict[int, Block] = {}
        #: signatures of the newest text, until it is known that the answer goes on
        self._held: list[Block] = []
        self._refused = False
        self._finished = Finished("stop")

    def add(self, event: Event) -> None:
        """Sort one event in; calls that are not wanted vanish here."""
        match event:
            case Reasoning(text=text):
                self._newest("thinking").pieces.append(text)
            case Text(text=text):
                self._newest("text").pieces.append(text)
            case Refusal(text=text):
                self._refused = True
                self._newest("text").pieces.append(text)
            case CallStarted():
                self._start(event)
            case CallArguments(index=index, fragment=fragment):
                if index in self._calls:
                    self._calls[index].pieces.append(fragment)
            case Finished():
                self._finished = event
            case Signature(is_redacted=True):
                signature = Block("redacted_thinking", [], signed=event)
                if self.blocks and self.blocks[-1].kind == "text":
                    self._held.append(signature)
                else:
                    self.blocks.append(signature)
            case Signature():
                self._newest("thinking").signed = event
            case MessageStarted():
                self._end_text()

    def _newest(self, kind: Kind) -> Block:
        """The block under way, if it is of this kind; what is signed or whole gets nothing more."""
        newest = self.blocks[-1] if self.blocks else None
        if newest is None or newest.kind != kind or newest.signed or newest.is_whole:
            newest = self._begin(Block(kind, []))
        return newest

    def _end_text(self) -> None:
        """The newest block, if it is text, gets nothing more."""
        if self.blocks and self.blocks[-1].kind == "text":
            self.blocks[-1].is_whole = True

    def _begin(self, block: Block) -> Block:
        if self._held:
            self.blocks += self._held
            self._held = []
        self.blocks.append(block)
        return block

    def _start(self, call: CallStarted) -> None:
        if call.index in self._calls or (self._calls and self._wants_one_call):
            return
        self._calls[call.index] = self._begin(Block("tool_use", [], call))

    def whole(self) -> list[Block]:
        """All blocks of an answer that has ended."""
        return [*self.blocks[:-1], *self._held, *self.blocks[-1:]]

    def stop(self) -> tuple[str, str | None]:
        """Why the answer stopped, and by which sequence of the client's.

        Truncation and refusal beat a call, for it must not be carried out then; a call beats the
        rest, for any reason of the upstream's.
        """
        reason, sequence = self._finished.reason, self._finished.stop_sequence
        if reason not in ("length", "content_filter"):
            reason = "tool_calls" if self._calls else "stop"
            reason = "content_filter" if self._refused else reason
        if reason == "stop" and sequence is not None:
            return "stop_sequence", sequence
        return STOP_REASONS[reason], None


def read_input(arguments: bytes) -> Raw | None:
    """A call's whole arguments, as they were written; None unless they are a JSON object."""
    try:
        msgspec.json.decode(arguments, type=dict)
    except (ValueError, RecursionError):
        return None
    return Raw(arguments)
