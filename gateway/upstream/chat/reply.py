"""An upstream's answer being read: chunks of a stream, or one whole completion.

    reading ── chunks ──▶ reading
       ├── [DONE] or end of stream, every choice that came finished ──▶ complete
       ├── [DONE] or end of stream, a finish reason missing ──▶ UpstreamBroken
       ├── an error object, a cut connection, something too large ──▶ UpstreamBroken
       └── silence ──▶ UpstreamTimeout

A missing `[DONE]` is forgiven, and so is a broken or silent end behind all choices that were asked
for; a missing finish reason never is, since the SDKs take such an end for a good one. Chunks that
came before a failure are given out before it is raised.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import msgspec
from msgspec import Struct

from gateway.aside import Aside
from gateway.core.events import Event, Usage
from gateway.core.shares import Holder
from gateway.errors import Blame, TollgateError, UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.upstream.base import AnswerStream, PassOn, UpstreamChunk
from gateway.upstream.chat.cutter import DONE, EventCutter, is_whole
from gateway.upstream.chat.decode import EventDecoder
from gateway.upstream.chat.errors import broken_by
from gateway.upstream.chat.tally import Tally, has_content
from gateway.upstream.http import Response, Silent
from gateway.wire.base import Answer
from gateway.wire.chat.likeness import Likeness
from gateway.wire.values import is_bounded

EVENT_BYTES_MAX = 16 * 1024 * 1024
ANSWER_BYTES_MAX = 64 * 1024 * 1024
ANSWER_VALUES_MAX = 1_000_000


class ChatChunk(Struct):
    """One event; see `gateway.wire.base.Chunk`."""

    data: bytes
    plain: bool
    reader: "StreamReader"

    def events(self) -> Sequence[Event]:
        return self.reader.decoder.decode(self.data)

    def has_content(self) -> bool:
        return has_content(self.data)


class ChatAnswer(Struct, frozen=True):
    """A whole completion; see `gateway.wire.base.Answer`."""

    document: dict[str, Any]
    usage: Usage | None
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def events(self) -> Sequence[Event]:
        return EventDecoder().decode(self.data)


class StreamReader:
    """The part of reading a stream that needs no connection; bytes in, chunks out."""

    def __init__(self, choices: int, credential: str | None) -> None:
        self._cutter = EventCutter(EVENT_BYTES_MAX)
        self._likeness = Likeness()
        self._credential = credential
        self._begun = False
        self.tally = Tally(choices)
        self.ended = False
        self.failure: TollgateError | None = None

    @property
    def usage(self) -> Usage | None:
        return self.tally.usage

    @property
    def complete(self) -> bool:
        return self.tally.complete

    @property
    def needs_no_more(self) -> bool:
        return self.tally.needs_no_more

    @cached_property
    def decoder(self) -> EventDecoder:
        """The decoder of the whole stream, for who asks for events."""
        return EventDecoder()

    def feed(self, data: bytes) -> list[UpstreamChunk]:
        """The chunks that `data` completes; afterwards `ended` or `failure` may be set."""
        try:
            return self._take(self._cutter.feed(data))
        except UpstreamBroken as error:
            self.failure = error
            return []

    def hand_over(self, pass_on: PassOn, data: bytes) -> bool:
        """Offer `pass_on` the chunks of `data`, if they are whole and all like earlier ones."""
        events = data.split(b"\n\n")
        if events.pop() or self._cutter.rest or b"\r" in data:
            return False
        match = self._likeness.match
        chunks: list[UpstreamChunk] = []
        for event in events:
            text = event[6:]
            if event[:6] != b"data: " or b"\n" in text or match(text) is None:
                return False
            chunks.append(ChatChunk(text, True, self))
        return bool(chunks) and pass_on(chunks)

    def finish(self) -> list[UpstreamChunk]:
        """The end of the stream: what was left, if it is whole."""
        self.ended = True
        return self._take([data for data in self._cutter.finish() if is_whole(data)])

    def answer(self, body: bytes) -> Answer:
        """A whole completion. Raises `UpstreamBroken` and the upstream's own errors."""
        tally, document = self.tally, decode_object(body)
        tally.add_whole(document)
        if tally.error:
            raise broken_by(tally.error, self._credential, begun=False)
        return ChatAnswer(document, tally.usage, body)

    def _take(self, events: list[bytes]) -> list[UpstreamChunk]:
        chunks: list[UpstreamChunk] = []
        tally, likeness = self.tally, self._likeness
        for data in events:
            if likeness.match(data) is not None:
                chunks.append(ChatChunk(data, True, self))
                continue
            if data[:1] != b"{":
                if data.startswith(DONE):
                    self.ended = True
                    break
                if not data:
                    continue
                self.failure = UpstreamBroken("The upstream sent something that is not a chunk.")
                break
            try:
                plain = tally.add(data)
            except UpstreamBroken as error:
                self.failure = error
                break
            if tally.error:
                begun = self._begun or bool(chunks)
                self.failure = broken_by(tally.error, self._credential, begun)
                break
            chunks.append(ChatChunk(data, plain, self))
            if plain:
                likeness.learn(data)
        self._begun = self._begun or bool(chunks)
        return chunks


class UpstreamReply:
    """Reads one response; see `gateway.upstream.base.Reply`."""

    def __init__(self, response: Response, reader: AnswerStream) -> None:
        self._response = response
        self._reader = reader

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    async def read(self, pass_on: PassOn | None = None) -> list[UpstreamChunk]:
        reader = self._reader
        divert = None if pass_on is None else partial(reader.hand_over, pass_on)
        while reader.failure is None and not reader.ended:
            data = await self._receive_or_end(divert)
            chunks = reader.feed(data) if data else reader.finish()
            if chunks:
                return chunks
        if reader.failure is not None:
            raise reader.failure
        if not reader.complete:
            raise UpstreamBroken("The upstream ended its answer without finishing it.")
        return []

    async def _receive_or_end(self, divert: Callable[[bytes], bool] | None) -> bytes:
        try:
            return await self._receive(divert)
        except UpstreamError:
            if self._reader.needs_no_more:
                return b""
            raise

    async def answer(self, aside: Aside, holder: Holder) -> Answer:
        body = await self.read_body(ANSWER_BYTES_MAX)
        answer = await aside.run(holder, len(body), partial(self._read_whole, body))
        if not self._reader.complete:
            raise UpstreamBroken("The upstream's answer has no finish reason for every choice.")
        self._reader.ended = True
        return answer

    def _read_whole(self, body: bytes) -> Answer:
        if not is_bounded(body, ANSWER_VALUES_MAX):
            raise UpstreamBroken("The upstream's answer holds too many values.")
        return self._reader.answer(body)

    async def read_body(self, bytes_max: int) -> bytes:
        """The whole body; raises `UpstreamBroken` when it is larger than `bytes_max`."""
        pieces = []
        size = 0
        while data := await self._receive():
            pieces.append(data)
            size += len(data)
            if size > bytes_max:
                raise UpstreamBroken("The upstream's answer is too large.")
        return b"".join(pieces)

    async def _receive(self, divert: Callable[[bytes], bool] | None = None) -> bytes:
        """What has arrived, at least a byte; empty at the end of the body."""
        try:
            return await self._response.read(divert)
        except Silent:
            raise UpstreamTimeout("The upstream fell silent.") from None
        except OSError:
            blame: Blame = "client" if self._response.was_held_up else "either"
            raise UpstreamBroken("The connection to the upstream broke.", blame=blame) from None

    def close(self) -> None:
        """Give the connection back, or cut it where the answer was not read to its end.

        After `[DONE]` the end of the body is usually still under way: the connection returns to
        the pool by itself when it comes, and is cut if it does not come soon.
        """
        self._response.close(linger=self._reader.ended and self._reader.complete)


def decode_object(body: bytes) -> dict[str, Any]:
    """A whole answer, decoded. Raises `UpstreamBroken`."""
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UpstreamBroken("The upstream sent something that is not a JSON object.")
    return document
