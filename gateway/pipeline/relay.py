"""One charged request between its client and its upstreams: sent, and the answer passed on.

    send ─▶ chunks ─▶ frames ─▶ end
      ▲       └─ the upstream fails before content: the next one, if there is one

The flow decides what a failure costs; this ends the charge where the answer is whole.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from gateway.core.errors import RequestError, UpstreamError
from gateway.core.spec import FleetLimits
from gateway.dialects.base import Chunk, Renderer
from gateway.pipeline.billing import Till
from gateway.pipeline.connection import ClientGone, Pacer
from gateway.pipeline.request_state import Passage
from gateway.upstream.admission import Visit
from gateway.upstream.base import Reply
from gateway.upstream.failover import read_beginning

#: chunks that are rendered before others have their turn
_CHUNKS_AT_ONCE = 256
JSON = b"content-type: application/json\r\n"
_EVENT_STREAM = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\n"
)


class Relay:
    """Passes requests on, and their answers back; made once."""

    def __init__(self, till: Till, limits: FleetLimits) -> None:
        self._till = till
        self._limits = limits

    async def run(self, passage: Passage, headers: dict[str, str]) -> None:
        """Send, and where an upstream fails before there is content, send to the next.

        `headers` are sent to the upstream beside its own. Raises the last upstream's
        `UpstreamError` or `RequestError`.
        """
        trip, connection, renderer = passage.trip, passage.connection, passage.renderer
        assert renderer is not None, "what may be refused has been"
        if trip.outgoing.stream:
            passage.pacer = self._pace(passage, renderer)
        dispatch = partial(passage.go, "dispatch")
        while True:
            visit = trip.visit
            assert visit is not None, "a place comes first"
            visit.sent()
            passage.asked = visit.upstream.name
            try:
                reply = await visit.upstream.send(trip.outgoing, headers, dispatch)
                visit.accepted()
                try:
                    if connection.held and not trip.has_fallbacks:
                        connection.release_body()
                    if trip.outgoing.stream:
                        await self._stream(passage, renderer, visit, reply)
                    else:
                        await self._answer(passage, renderer, visit, reply)
                finally:
                    reply.close()
            except (UpstreamError, RequestError) as error:
                passage.go("wait")  # a client that leaves now has got nothing and pays nothing
                if not await trip.go_on(error):
                    raise
                passage.degraded = trip.degraded
            else:
                return

    async def _stream(
        self, passage: Passage, renderer: Renderer, visit: Visit, reply: Reply
    ) -> None:
        connection = passage.connection
        chunks = await (read_beginning(reply) if passage.trip.has_fallbacks else reply.read())
        self._begin(passage, visit)
        if not connection.started:
            await _open_stream(passage, renderer)

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
                    if connection.socket.is_slow:
                        await connection.send(frame)
                    else:
                        connection.send_now(frame)
                if count % _CHUNKS_AT_ONCE == 0:  # an upstream may send thousands in one read
                    await asyncio.sleep(0)
            chunks = await reply.read(pass_on)
        visit.complete()
        passage.usage = reply.usage
        # All content is with the client: it has paid, whatever becomes of the rest.
        self._till.end(passage)
        await connection.send_all(await renderer.close(reply.usage))
        await connection.finish()

    async def _answer(
        self, passage: Passage, renderer: Renderer, visit: Visit, reply: Reply
    ) -> None:
        rendering = passage.trip.rendering
        answer = await reply.answer(rendering.aside, rendering.holder)
        self._begin(passage, visit)
        visit.complete()
        passage.usage = answer.usage
        body = await renderer.complete(answer)
        self._till.end(passage)
        await passage.connection.answer(200, JSON + passage.headers(), body)

    def _begin(self, passage: Passage, visit: Visit) -> None:
        """There is content: from here on nobody else is asked."""
        visit.answered()
        passage.first_byte_seconds = seconds = passage.elapsed()
        passage.series.first_byte.add(seconds)
        if passage.trip.has_fallbacks:
            passage.trip.begin()
            passage.upstream = visit.upstream.name
            passage.connection.release_body()

    def _pace(self, passage: Passage, renderer: Renderer) -> Pacer:
        connection, limits = passage.connection, self._limits

        async def fill() -> None:
            if not connection.started:
                await _open_stream(passage, renderer)
            await connection.send(renderer.keep_alive())

        return Pacer(
            connection,
            fill,
            lambda: passage.cut(ClientGone()),
            first_seconds=limits.first_byte_seconds,
            then_seconds=limits.keep_alive_seconds,
            patience_seconds=limits.upstream_silence_seconds,
        )


async def _open_stream(passage: Passage, renderer: Renderer) -> None:
    await passage.connection.start(200, _EVENT_STREAM + passage.headers())
    await passage.connection.send_all(renderer.open())
