"""An upstream's answer being read: chunks of a stream, or one whole completion.

    reading ── chunks ──▶ reading
       ├── [DONE] or end of stream, every choice finished ──▶ complete
       ├── [DONE] or end of stream, a finish reason missing ──▶ UpstreamBroken
       ├── an error object, a cut connection, something too large ──▶ UpstreamBroken
       └── silence ──▶ UpstreamTimeout

A missing `[DONE]` is forgiven; a missing finish reason never is, since the SDKs take such an end
for a good one. Chunks that came before a failure are given out before it is raised.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from gateway.core.events import Event, Usage
from gateway.errors import TollgateError, UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.upstream.base import PassOn
from gateway.upstream.chat.cutter import EventCutter
from gateway.upstream.chat.errors import classify, read_failure, read_object
from gateway.upstream.chat.tally import Tally
from gateway.upstream.http import Response, Silent
from gateway.wire.base import Answer, Chunk
from gateway.wire.chat.likeness import Likeness
from tests.upstream.oracle.decode import EventDecoder

EVENT_BYTES_MAX = 16 * 1024 * 1024
ANSWER_BYTES_MAX = 64 * 1024 * 1024

_DONE = b"[DONE]"


class Translator(Protocol):
    """From another dialect to this one, for one answer."""

    def translate(self, data: bytes) -> list[bytes]:
        """One event's data as the data of chat events, `[DONE]` at a complete end.

        What is no event of the dialect becomes something that is no chunk.
        """

    def translate_whole(self, document: dict[str, Any]) -> dict[str, Any]:
        """A whole answer as a completion, an error as `{"error": …}`.

        Raises `UpstreamBroken` for what is no answer of the dialect.
        """


class ChatChunk(Struct):
    """One event; see `gateway.wire.base.Chunk`."""

    data: bytes
    plain: bool
    reader: "StreamReader"

    def events(self) -> Sequence[Event]:
        return self.reader.decoder.decode(self.data)


class ChatAnswer(Struct, frozen=True):
    """A whole completion; see `gateway.wire.base.Answer`."""

    document: dict[str, Any]
    usage: Usage | None
    data: bytes

    def events(self) -> Sequence[Event]:
        return EventDecoder().decode(self.data)


class StreamReader:
    """The part of reading a stream that needs no connection; bytes in, chunks out."""

    def __init__(
        self, choices: int, credential: str | None, translator: Translator | None = None
    ) -> None:
        self._cutter = EventCutter(EVENT_BYTES_MAX)
        self._translator = translator
        self._likeness = Likeness()
        self._credential = credential
        self._begun = False
        self.tally = Tally(choices)
        self.ended = False
        self.failure: TollgateError | None = None

    @cached_property
    def decoder(self) -> EventDecoder:
        """The decoder of the whole stream, for who asks for events."""
        return EventDecoder()

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that `data` completes; afterwards `ended` or `failure` may be set."""
        try:
            return self._take(self._cutter.feed(data))
        except UpstreamBroken as error:
            self.failure = error
            return []

    def hand_over(self, pass_on: PassOn, data: bytes) -> bool:
        """Offer `pass_on` the chunks of `data`, if they are whole and all like earlier ones."""
        events = data.split(b"\n\n")
        if events.pop() or self._cutter.rest or b"\r" in data or self._translator is not None:
            return False
        match = self._likeness.match
        chunks: list[Chunk] = []
        for event in events:
            text = event[6:]
            if event[:6] != b"data: " or b"\n" in text or match(text) is None:
                return False
            chunks.append(ChatChunk(text, True, self))
        return bool(chunks) and pass_on(chunks)

    def finish(self) -> list[Chunk]:
        """The end of the stream: what was left, if it is whole."""
        self.ended = True
        return self._take([data for data in self._cutter.finish() if _is_whole(data)])

    def _take(self, events: list[bytes]) -> list[Chunk]:
        chunks: list[Chunk] = []
        if self._translator is not None:
            events = list(chain.from_iterable(map(self._translator.translate, events)))
        tally, likeness = self.tally, self._likeness
        for data in events:
            if likeness.match(data) is not None:
                chunks.append(ChatChunk(data, True, self))
                continue
            if data[:1] != b"{":
                if data.startswith(_DONE):
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


class ChatReply:
    """Reads one response; see `gateway.upstream.base.Reply`."""

    def __init__(
        self,
        response: Response,
        choices: int,
        credential: str | None,
        translator: Translator | None = None,
    ) -> None:
        self._response = response
        self._credential = credential
        self._translator = translator
        self._reader = StreamReader(choices, credential, translator)

    @property
    def usage(self) -> Usage | None:
        return self._reader.tally.usage

    async def read(self, pass_on: PassOn | None = None) -> list[Chunk]:
        reader = self._reader
        divert = None if pass_on is None else partial(reader.hand_over, pass_on)
        while reader.failure is None and not reader.ended:
            data = await self._receive(divert)
            chunks = reader.feed(data) if data else reader.finish()
            if chunks:
                return chunks
        if reader.failure is not None:
            raise reader.failure
        if not reader.tally.complete:
            raise UpstreamBroken("The upstream ended its answer without finishing it.")
        return []

    async def answer(self) -> Answer:
        body = await self.read_body(ANSWER_BYTES_MAX)
        tally = self._reader.tally
        document = _decode(body)
        if self._translator is not None:
            document = self._translator.translate_whole(document)
            body = msgspec.json.encode(document)
        tally.add_whole(document)
        if tally.error:
            raise broken_by(tally.error, self._credential, begun=False)
        if not tally.complete:
            raise UpstreamBroken("The upstream's answer has no finish reason for every choice.")
        self._reader.ended = True
        return ChatAnswer(document, tally.usage, body)

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
            raise UpstreamBroken("The connection to the upstream broke.") from None

    def close(self) -> None:
        """Give the connection back, or cut it where the answer was not read to its end.

        After `[DONE]` the end of the body is usually still under way: the connection returns to
        the pool by itself when it comes, and is cut if it does not come soon.
        """
        self._response.close(linger=self._reader.ended and self._reader.tally.complete)


def broken_by(error: object, credential: str | None, begun: bool) -> TollgateError:
    """The failure for an error object inside an answer whose status was good.

    Before anything of the answer was seen it is what it would have been as a status.
    """
    message = read_failure(error, credential)
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    known = classify(status, read_object({"error": error})[0], message)
    if begun or type(known) is UpstreamError:
        return UpstreamBroken(f"The upstream broke off its answer: {message or 'no reason given'}")
    return known


def _decode(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UpstreamBroken("The upstream sent something that is not a JSON object.")
    return document


def _is_whole(data: bytes) -> bool:
    if data.startswith(_DONE):
        return True
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True
