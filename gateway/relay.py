"""One charged request between its client and its upstreams: sent, and the answer passed on.

    send ─▶ chunks ─▶ frames ─▶ end
      ▲       └─ the upstream fails before content: the next one, if there is one

Whoever runs it decides what a failure costs; it ends the charge where the answer is whole.
"""

import asyncio
from collections.abc import Sequence

from gateway.connection import ClientGone, Connection, Headers, Pacer
from gateway.core.spec import FleetLimits
from gateway.errors import RequestError, UpstreamError
from gateway.passage import Passage
from gateway.till import Till
from gateway.upstream.base import Reply
from gateway.upstream.trip import Trip, read_beginning
from gateway.wire.base import Chunk, Renderer

#: chunks that are rendered before others have their turn
_CHUNKS_AT_ONCE = 256
JSON = (b"content-type", b"application/json")
_EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Relay:
    """Passes one request on, and its answer back."""

    __slots__ = ("_connection", "_headers", "_limits", "_passage", "_renderer", "_till", "_trip")

    def __init__(
        self,
        passage: Passage,
        connection: Connection,
        trip: Trip,
        renderer: Renderer,
        *,
        till: Till,
        limits: FleetLimits,
        headers: dict[str, str],
    ) -> None:
        self._passage = passage
        self._connection = connection
        self._trip = trip
        self._renderer = renderer
        self._till = till
        self._limits = limits
        #: sent to the upstream beside its own
        self._headers = headers

    async def run(self) -> None:
        """Send, and where an upstream fails before there is content, send to the next.

        Raises the last upstream's `UpstreamError` or `RequestError`.
        """
        passage, trip = self._passage, self._trip
        if trip.outgoing.stream:
            passage.pacer = self._pace()
        passage.wait()
        while True:
            try:
                await self._attempt()
            except (UpstreamError, RequestError) as error:
                passage.wait()  # whoever leaves now has got nothing and pays nothing
                if not await trip.go_on(error):
                    raise
                passage.degraded = trip.degraded
            else:
                return

    async def _attempt(self) -> None:
        trip, passage = self._trip, self._passage
        trip.sent()
        visit = trip.visit
        passage.asked = visit.upstream.name
        reply = await visit.upstream.send(trip.outgoing, self._headers, passage.dispatch)
        visit.accepted()
        try:
            if not trip.has_fallbacks:
                self._connection.release_body()
            if trip.outgoing.stream:
                await self._stream(reply)
            else:
                await self._answer(reply)
        finally:
            reply.close()

    async def _stream(self, reply: Reply) -> None:
        connection, renderer = self._connection, self._renderer
        chunks = await (read_beginning(reply) if self._trip.has_fallbacks else reply.read())
        self._begin()
        if not connection.started:
            await self._open_stream()

        def pass_on(chunks: Sequence[Chunk]) -> bool:
            if connection.socket.is_slow:
                return False
            for chunk in chunks:
                for frame in renderer.feed(chunk):
                    connection.send_now(frame)
            return True

        while chunks:
            for count, chunk in enumerate(chunks, 1):
                for frame in renderer.feed(chunk):
                    await connection.send(frame)
                if count % _CHUNKS_AT_ONCE == 0:  # an upstream may send thousands in one read
                    await asyncio.sleep(0)
            chunks = await reply.read(pass_on)
        self._trip.visit.complete()
        self._passage.usage = reply.usage
        # All content is with the client: it has paid, whatever becomes of the rest.
        self._till.end(self._passage)
        await connection.send_all(await renderer.close(reply.usage))
        await connection.finish()

    async def _answer(self, reply: Reply) -> None:
        rendering = self._trip.rendering
        answer = await reply.answer(rendering.aside, rendering.holder)
        self._begin()
        self._trip.visit.complete()
        self._passage.usage = answer.usage
        body = await self._renderer.complete(answer)
        self._till.end(self._passage)
        headers = [JSON, (b"content-length", b"%d" % len(body)), *self._passage.headers()]
        await self._connection.start(200, headers)
        await self._connection.finish(body)

    def _begin(self) -> None:
        """There is content: from here on nobody else is asked."""
        passage, trip = self._passage, self._trip
        trip.begin()
        passage.first_byte_seconds = passage.elapsed()
        passage.series.first_byte(passage.first_byte_seconds)
        if trip.has_fallbacks:
            passage.upstream = trip.visit.upstream.name
            self._connection.release_body()

    async def _open_stream(self) -> None:
        await self._connection.start(200, [*_EVENT_STREAM, *self._passage.headers()])
        await self._connection.send_all(self._renderer.open())

    def _pace(self) -> Pacer:
        connection, limits = self._connection, self._limits

        async def fill() -> None:
            if not connection.started:
                await self._open_stream()
            await connection.send(self._renderer.keep_alive())

        return Pacer(
            connection,
            fill,
            lambda: self._passage.cut(ClientGone()),
            first_seconds=limits.first_byte_seconds,
            then_seconds=limits.keep_alive_seconds,
            patience_seconds=limits.upstream_silence_seconds,
        )
