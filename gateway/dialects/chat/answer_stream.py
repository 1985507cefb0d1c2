"""The answer of an upstream that speaks chat: bytes in, chunks out, most of them as they came.

A missing `[DONE]` is forgiven; a missing finish reason never is, since the SDKs take such an end
for a good one.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import Event, Usage
from gateway.dialects.base import Completion
from gateway.dialects.chat.answer_reader import EventDecoder
from gateway.dialects.chat.call_names import CallNames
from gateway.dialects.chat.chunk_scanner import ChunkScanner, has_content
from gateway.dialects.chat.chunk_template import ChunkTemplate
from gateway.dialects.endpoint import PassOn, UpstreamChunk
from gateway.dialects.sse import DONE, EVENT_BYTES_MAX, SSEDecoder, is_whole
from gateway.dialects.upstream_errors import broken_by, read_stray
from gateway.dialects.values import ANSWER_VALUES_MAX


class ChatChunk(Struct):
    """One event; see `gateway.dialects.base.Chunk`."""

    data: bytes
    plain: bool
    reader: "ChatStream"

    def events(self) -> Sequence[Event]:
        reader = self.reader
        if reader.decoder is None:
            reader.decoder = EventDecoder(reader.upstream)
        return reader.decoder.decode(self.data)

    def has_content(self) -> bool:
        return has_content(self.data)


class _Choice(Struct):
    message: Raw = Raw(b"null")


class _Choices(Struct):
    choices: list[_Choice] | None = None


_decode_choices = msgspec.json.Decoder(_Choices).decode


class ChatAnswer(Struct, frozen=True):
    """A whole completion; see `gateway.dialects.base.Completion`."""

    data: bytes
    size: int
    usage: Usage | None
    upstream: str = ""

    def events(self) -> Sequence[Event]:
        return EventDecoder(self.upstream).decode(self.data)

    def choices(self) -> Iterator["ChatAnswer"]:
        """Return each choice as an answer without usage; `events` are those of the first."""
        for choice in _decode_choices(self.data).choices or ():
            alone = b'{"choices":[{"message":%b}]}' % bytes(choice.message)
            yield ChatAnswer(alone, len(alone), None, self.upstream)


class ChatStream(ChunkScanner):
    """The part of reading a stream that needs no connection; bytes in, chunks out.

    `names` are the client's names of tools by those that `upstream` got in their place.
    """

    values_max = ANSWER_VALUES_MAX

    def __init__(
        self,
        choices: int,
        credential: str | None,
        upstream: str = "",
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(choices)
        self.upstream = upstream
        #: the decoder of the whole stream, where somebody has asked for events
        self.decoder: EventDecoder | None = None
        self._restore = CallNames(names).restore if names else None
        self._lines = SSEDecoder(EVENT_BYTES_MAX)
        self._template = ChunkTemplate()
        self._credential = credential
        self._begun = False
        self.ended = False
        self.failure: FaregateError | None = None

    def feed(self, data: bytes) -> list[UpstreamChunk]:
        """The chunks that `data` completes; afterwards `ended` or `failure` may be set."""
        try:
            chunks = self._take(self._lines.feed(data))
        except UpstreamBroken as error:
            self.failure = error
            return []
        if self.ended and self._late:
            chunks.append(ChatChunk(self.repeat_reasons(), False, self))
        return chunks

    def hand_over(self, pass_on: PassOn, data: bytes) -> bool:
        """Offer `pass_on` the chunks of `data`, if they are whole and all like earlier ones."""
        events = data.split(b"\n\n")
        if events.pop() or self._lines.rest or b"\r" in data:
            return False
        match = self._template.match
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
        chunks = self._take([data for data in self._lines.finish() if is_whole(data)])
        if self._late and self.failure is None:
            chunks.append(ChatChunk(self.repeat_reasons(), False, self))
        return chunks

    def answer(self, body: bytes) -> Completion:
        """A whole completion. Raises `UpstreamBroken` and the upstream's own errors."""
        if self._restore is not None:
            body = self._restore(body)
        body = self.add_whole(body)
        if self.error:
            raise broken_by(self.error, self._credential, begun=False)
        return ChatAnswer(body, len(body), self.usage, self.upstream)

    def _take(self, events: list[bytes]) -> list[UpstreamChunk]:
        chunks: list[UpstreamChunk] = []
        template = self._template
        for data in events:
            if template.match(data) is not None:
                chunks.append(ChatChunk(data, True, self))
                continue
            if data[:1] != b"{":
                if data.startswith(DONE):
                    self.ended = True
                    break
                if not data:
                    continue
                if stray := read_stray(data, self._credential, self._begun or bool(chunks)):
                    self.failure = stray
                    break
            if self._restore is not None:
                data = self._restore(data)
            try:
                data, plain = self.add(data)
            except UpstreamBroken as error:
                self.failure = error
                break
            if self.error:
                begun = self._begun or bool(chunks)
                self.failure = broken_by(self.error, self._credential, begun)
                break
            chunks.append(ChatChunk(data, plain, self))
            if plain:
                template.learn(data)
            elif self._finished:
                template.forget()  # what comes behind a reason is looked at
        self._begun = self._begun or bool(chunks)
        return chunks
