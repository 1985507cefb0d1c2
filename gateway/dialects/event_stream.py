"""The answer of an upstream whose dialect is read into events: bytes in, chunks of events out.

Chunks that came before a failure are returned before it is raised.
"""

from msgspec import Struct

from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import Event, Usage
from gateway.dialects.answer_reader import AnswerReader
from gateway.dialects.endpoint import PassOn, UpstreamChunk
from gateway.dialects.sse import DONE, EVENT_BYTES_MAX, SSEDecoder, decode_answer, is_whole
from gateway.dialects.values import ANSWER_VALUES_MAX


class EventChunk(Struct):
    """Some events of a stream; see `gateway.dialects.base.Chunk`."""

    read: list[Event]
    data: None = None
    plain: bool = False

    def events(self) -> list[Event]:
        return self.read

    def has_content(self) -> bool:
        return bool(self.read)


class EventAnswer(Struct, frozen=True):
    """A whole answer; see `gateway.dialects.base.Answer`."""

    read: list[Event]
    usage: Usage | None
    size: int
    data: None = None

    def events(self) -> list[Event]:
        return self.read


class EventStream:
    """One answer, read by `reader`."""

    values_max = ANSWER_VALUES_MAX

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader
        self._decoder = SSEDecoder(EVENT_BYTES_MAX)
        self.ended = False
        self.failure: FaregateError | None = None

    @property
    def usage(self) -> Usage | None:
        reader = self._reader
        return reader.usage or reader.early_usage()

    @property
    def unknown_reason(self) -> str | None:
        return self._reader.unknown_reason

    @property
    def complete(self) -> bool:
        """True if the upstream stated the end and its reason."""
        return self._reader.complete

    @property
    def needs_no_more(self) -> bool:
        return self._reader.complete and not self._reader.goes_on

    def feed(self, data: bytes) -> list[UpstreamChunk]:
        """The chunk that `data` completes; afterwards `ended` or `failure` may be set."""
        try:
            return self._take(self._decoder.feed(data))
        except UpstreamBroken as error:
            self.failure = error
            return []

    def hand_over(self, pass_on: PassOn, data: bytes) -> bool:
        """Nothing is offered: an event is read before it is known to be ordinary."""
        return False

    def finish(self) -> list[UpstreamChunk]:
        """The end of the stream: what was left, if it is whole."""
        chunks = self._take([data for data in self._decoder.finish() if is_whole(data)])
        if not self.ended and self.failure is None and (last := self._reader.finish()):
            chunks.append(EventChunk(last))
        self.ended = True
        return chunks

    def answer(self, body: bytes) -> EventAnswer:
        """A whole answer. Raises `UpstreamBroken` and the upstream's own errors."""
        events = self._reader.read_whole(decode_answer(body))
        return EventAnswer(events, self._reader.usage, len(body))

    def _take(self, events: list[bytes]) -> list[UpstreamChunk]:
        reader = self._reader
        read: list[Event] = []
        for data in events:
            if data.startswith(DONE):
                self.ended = True
                read += reader.finish()
                break
            if not data:
                continue
            try:
                read += reader.read(data)
            except FaregateError as error:
                self.failure = error
                break
            if reader.ended:
                self.ended = True
                break
        return [EventChunk(read)] if read else []
