"""The state machine that turns sorted pieces into Anthropic's server-sent events.

    ┌────────┐ first piece ┌──────┐ a later block waits, or the end ┌────────┐
    │ unsent │────────────▶│ open │────────────────────────────────▶│ closed │
    └────────┘ block_start └──────┘ (signature,) block_stop         └────────┘
                            │   ▲ delta
                            └───┘

One block is open at a time, and blocks go out in their order. A call is only closed when its
arguments are a complete JSON object or the answer has ended; what other blocks get until then waits
in their `pieces`. Owns that discipline; must never send a second start, a delta outside its block,
or a block without a piece. Source: Anthropic API reference, "Streaming Messages".
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gateway.core.events import Event, Finished, Signature, Text
from gateway.dialects.json import GrowingObject
from gateway.dialects.messages.block_assembly import Assembly, Block
from gateway.dialects.messages.call_ids import encode_call_id

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_encode = msgspec.json.Encoder().encode

_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":'
)
_DELTA_END = b"}}\n\n"
#: gives the signature of a thinking block, or the data of a redacted one
Sign = Callable[[bytes, Signature | None], str]

#: delta type and its member, by kind of block; one of another kind stands in its start
_DELTAS = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
}
_SIGNATURE = (b"signature_delta", b"signature")
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'


def frame(event: str, data: dict[str, Any]) -> bytes:
    """One server-sent event; its name is also the `type` of its data."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), _encode({"type": event, **data}))


def block_start(block: Block, sign: Sign) -> dict[str, Any]:
    """A content block as it is announced, still empty."""
    if block.call is not None:
        call_id = encode_call_id(block.call.id)
        return {"type": "tool_use", "id": call_id, "name": block.call.name, "input": {}}
    if block.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block.kind == "redacted_thinking":
        return {"type": "redacted_thinking", "data": sign(b"", block.signed)}
    return {"type": "text", "text": ""}


class Stream:
    """The frames of one answer's content."""

    def __init__(self, assembly: Assembly, sign: Sign, hides_thinking: bool) -> None:
        self._assembly = assembly
        self._sign = sign
        self._hides_thinking = hides_thinking
        #: the block that is open, or will be next; it is also the index on the wire
        self._index = 0
        self._is_open = False
        self._is_open_for_text = False
        self._head = b""
        #: the text that was sent of an open call or thinking block, to be checked or signed
        self._sent = bytearray()
        #: the arguments of the open call, as far as they were looked at
        self._growing: GrowingObject | None = None
        self._looked_at = 0

    def push(self, events: Iterable[Event]) -> list[bytes]:
        """Frames for the next events."""
        frames: list[bytes] = []
        for event in events:
            if self._is_open_for_text and type(event) is Text:
                frames.append(self._head + _encode(event.text) + _DELTA_END)
            else:
                self._assembly.add(event)
                if type(event) is not Finished:
                    self._advance(frames)
        return frames

    def finish(self) -> list[bytes]:
        """Frames for everything that waits, and the end of the last block."""
        frames: list[bytes] = []
        while self._index < len(self._assembly.blocks):
            block = self._assembly.blocks[self._index]
            self._write(block, frames)
            self._close(block, frames)
        return frames

    def _advance(self, frames: list[bytes]) -> None:
        blocks = self._assembly.blocks
        if not blocks:
            return
        while True:
            block = blocks[self._index]
            self._write(block, frames)
            is_newest = self._index + 1 == len(blocks)
            self._is_open_for_text = is_newest and block.kind == "text" and not block.is_whole
            if is_newest or not self._is_done(block):
                return
            self._close(block, frames)

    def _is_done(self, block: Block) -> bool:
        """True if a block that is not the newest can get no more pieces."""
        if block.kind != "tool_use":
            return True
        fresh = self._sent[self._looked_at :].decode()
        self._looked_at = len(self._sent)
        self._growing = self._growing or GrowingObject()
        return bool(fresh) and self._growing.is_whole_with(fresh)

    def _write(self, block: Block, frames: list[bytes]) -> None:
        if not self._is_open:
            self._is_open = True
            self._head = _DELTA % (self._index, *_DELTAS.get(block.kind, _SIGNATURE))
            start = {"index": self._index, "content_block": block_start(block, self._sign)}
            frames.append(frame("content_block_start", start))
        hidden = self._hides_thinking and block.kind == "thinking"
        for piece in block.pieces:
            if not hidden:
                frames.append(self._head + _encode(piece) + _DELTA_END)
            if block.kind != "text":
                self._sent += piece.encode()
        block.pieces.clear()

    def _close(self, block: Block, frames: list[bytes]) -> None:
        if block.kind == "thinking":
            head = _DELTA % (self._index, *_SIGNATURE)
            frames.append(head + _encode(self._sign(bytes(self._sent), block.signed)) + _DELTA_END)
        frames.append(_STOP % self._index)
        self._index += 1
        self._is_open = self._is_open_for_text = False
        self._sent.clear()
        self._growing, self._looked_at = None, 0
