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
from gateway.pipeline.billing import Billing
from gateway.pipeline.connection import ClientGone
from gateway.pipeline.pacer import Pacer
from gateway.pipeline.request_state import RequestState
from gateway.upstream.admission import Permit
from gateway.upstream.base import UpstreamResponse
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

    def __init__(self, billing: Billing, limits: FleetLimits) -> None:
        self._billing = billing
        self._limits = limits

    async def run(self, state: RequestState, headers: dict[str, str]) -> None:
        """Send, and where an upstream fails before there is content, send to the next.

        `headers` are sent to the upstream beside its own. Raises the last upstream's
        `UpstreamError` or `RequestError`.
        """
        failover, connection, renderer = state.failover, state.connection, state.renderer
        assert renderer is not None, "what may be refused has been"
        is_stream = failover.outgoing.stream
        if is_stream:
            state.pacer = self._pace(state, renderer)
        dispatch = partial(state.go, "dispatch")
        while True:
            permit = failover.permit
            assert permit is not None, "a place comes first"
            permit.sent()
            state.asked_upstream = permit.upstream.name
            if state.meter is not None:
                state.meter.asks(state.asked_upstream)
            try:
                reply = await permit.upstream.send(failover.outgoing, headers, dispatch)
                permit.accepted()
                try:
                    if connection.held and not failover.has_fallbacks and state.meter is None:
                        connection.release_body()
                        failover.drop_request()  # an answer may take long
                    if is_stream:
                        await self._stream(state, renderer, permit, reply)
                    else:
                        await self._answer(state, renderer, permit, reply)
                finally:
                    if state.meter is not None and state.usage is None:
                        state.usage = reply.usage  # a client that leaves pays by it
                    reply.close()
            except (UpstreamError, RequestError) as error:
                state.go("wait")  # a client that leaves now has got nothing and pays nothing
                state.usage = None
                if not await failover.next_upstream(error):
                    raise
                state.degraded = failover.degraded
            else:
                return

    async def _stream(
        self, state: RequestState, renderer: Renderer, permit: Permit, reply: UpstreamResponse
    ) -> None:
        connection, meter = state.connection, state.meter
        feed = renderer.feed if meter is None else meter.noting(renderer.feed)
        # Until there is content another upstream may be asked, and the charge stands for a retry.
        waits = state.failover.has_fallbacks or state.attempt is not None
        chunks = await (read_beginning(reply) if waits else reply.read())
        self._begin(state, permit)
        if not connection.started:
            await _open_stream(state, renderer)

        def pass_on(chunks: Sequence[Chunk]) -> bool:
            if connection.socket.is_slow:
                return False
            for chunk in chunks:
                if frames := feed(chunk):
                    connection.send_now(frames)
            return True

        while chunks:
            for count, chunk in enumerate(chunks, 1):
                if frames := feed(chunk):
                    if connection.socket.is_slow:
                        await connection.send(frames)
                    else:
                        connection.send_now(frames)
                if count % _CHUNKS_AT_ONCE == 0:  # an upstream may send thousands in one read
                    await asyncio.sleep(0)
            chunks = await reply.read(pass_on)
        permit.complete()
        state.usage = reply.usage
        state.unknown_reason = reply.reader.unknown_reason
        # All content is with the client: it has paid, also if the rest fails.
        if meter is not None:
            state.finish()  # nor does a drain cut it while its text is counted
            state.usage = await meter.measure(reply.usage, state.credits)
        self._billing.end(state)
        await connection.finish(await renderer.close(state.usage))

    async def _answer(
        self, state: RequestState, renderer: Renderer, permit: Permit, reply: UpstreamResponse
    ) -> None:
        rendering = state.failover.rendering
        answer = await reply.answer(rendering.worker_thread, rendering.holder)
        self._begin(state, permit)
        permit.complete()
        if state.meter is not None:
            answer = await state.meter.measure_whole(answer, state.credits)
        state.usage = answer.usage
        state.unknown_reason = reply.reader.unknown_reason
        body = await renderer.complete(answer)
        self._billing.end(state)
        await state.connection.answer(200, JSON + state.headers(), body)

    def _begin(self, state: RequestState, permit: Permit) -> None:
        """There is content: from here on nobody else is asked."""
        permit.answered()
        state.first_byte_seconds = seconds = state.elapsed()
        state.series.first_byte.add(seconds)
        if state.failover.has_fallbacks:
            state.failover.drop_request()
            state.upstream = permit.upstream.name
            if state.meter is None:  # it may have to count the prompt
                state.connection.release_body()

    def _pace(self, state: RequestState, renderer: Renderer) -> Pacer:
        connection, limits = state.connection, self._limits

        async def fill() -> None:
            if not connection.started:
                await _open_stream(state, renderer)
            await connection.send([renderer.keep_alive()])

        return Pacer(
            connection,
            fill,
            lambda: state.cut(ClientGone()),
            first_seconds=limits.first_byte_seconds,
            then_seconds=limits.keep_alive_seconds,
            patience_seconds=limits.upstream_silence_seconds,
        )


async def _open_stream(state: RequestState, renderer: Renderer) -> None:
    await state.connection.start(200, _EVENT_STREAM + state.headers(), renderer.open())
