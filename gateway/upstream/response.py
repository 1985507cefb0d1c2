"""An upstream's answer being read from its connection: chunks of a stream, or a whole one.

    reading ── chunks ──▶ reading
       ├── the end, and the reader has all of it ──▶ complete
       ├── the end, and something is missing ──▶ UpstreamBroken
       ├── an error object, a cut connection, something too large ──▶ UpstreamBroken
       └── silence ──▶ UpstreamTimeout

A broken or silent end is forgiven where nothing is missing any more. Chunks that came before a
failure are returned before it is raised.
"""

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.core.content_coding import PIECE_BYTES
from gateway.core.errors import Blame, UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.core.events import Usage
from gateway.core.shares import Holder
from gateway.dialects.base import Completion
from gateway.dialects.endpoint import AnswerStream, PassOn, UpstreamChunk
from gateway.dialects.values import is_bounded
from gateway.upstream.content import is_compressed, read_content
from gateway.upstream.http_connection import HttpResponse, Silent

ANSWER_BYTES_MAX = 64 * 1024 * 1024


class HttpUpstreamResponse(Struct, frozen=True, eq=False):
    """Reads one response; see `gateway.upstream.base.UpstreamResponse`."""

    _response: HttpResponse
    reader: AnswerStream

    @property
    def usage(self) -> Usage | None:
        return self.reader.usage

    async def read(self, pass_on: PassOn | None = None) -> list[UpstreamChunk]:
        reader = self.reader
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
            if self.reader.needs_no_more:
                return b""
            raise

    async def answer(self, worker_thread: WorkerThread, holder: Holder) -> Completion:
        body = self._response.rest()
        if body is None:
            body = await self.read_body(ANSWER_BYTES_MAX)
        # A look at the headers costs more: an answer that begins as JSON is not compressed.
        if body[:1] != b"{" and is_compressed(self._response.headers):
            body = await self._decompress(body, worker_thread, holder)
        size = len(body)
        if size < LARGE_BYTES:
            answer = self.reader.answer(body)
        else:
            answer = await worker_thread.run(holder, size, partial(self._read_large, body))
        if not self.reader.complete:
            raise UpstreamBroken("The upstream's answer has no finish reason for every choice.")
        self.reader.ended = True
        return answer

    async def _decompress(self, body: bytes, worker_thread: WorkerThread, holder: Holder) -> bytes:
        pieces = read_content(body, self._response.headers, ANSWER_BYTES_MAX)
        content, work = [], partial(next, pieces, None)
        while (piece := await worker_thread.run(holder, PIECE_BYTES, work)) is not None:
            content.append(piece)
        return b"".join(content)

    def _read_large(self, body: bytes) -> Completion:
        if not is_bounded(body, self.reader.values_max):
            raise UpstreamBroken("The upstream's answer holds too many values.")
        return self.reader.answer(body)

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
        """Return what has arrived, at least a byte; empty at the end of the body."""
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
        if not self._response.done:
            self._response.close(linger=self.reader.ended and self.reader.complete)
