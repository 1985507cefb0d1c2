"""When and how the bytes of an answer leave: pace, silence, cuts, and the size of writes.

Owns everything that can go wrong on the way. A `Wire` makes the bytes.
"""

from collections.abc import Iterable, Iterator
from itertools import cycle, islice

from gateway.upstream.simulated.answer import Answer
from gateway.upstream.simulated.exchange import HttpExchange
from gateway.upstream.simulated.script import Script
from gateway.upstream.simulated.stats import Outcome, Stats
from gateway.upstream.simulated.stream import Envelope
from gateway.upstream.simulated.wires import Wire

#: after so many chunks without a pause, other requests get their turn
_CHUNKS_IN_A_ROW = 32
_SPLIT_BYTES = (1, 13, 3, 127, 7, 61, 2, 251)
_SPLIT_SECONDS = 0.001
_COALESCED_BYTES_MAX = 256 * 1024


async def deliver(
    exchange: HttpExchange, answer: Answer, envelope: Envelope, script: Script, wire: Wire
) -> Outcome:
    """Send the whole answer in one body, after as long as a stream of it would take.

    Raises `ClientDisconnected`.
    """
    chunks = len(answer.reasoning) + len(answer.content) + len(answer.calls)
    if script.delay_seconds:
        await exchange.pause(script.delay_seconds * chunks)
    body = wire.error if script.error_event else wire.render_body(answer, envelope, script)
    await exchange.start(200, _headers(envelope, b"application/json; charset=utf-8", len(body)))
    if script.stall_after is not None:
        await exchange.pause(script.stall_seconds)
    if script.cut is not None:
        await exchange.write(body[: len(body) // 2])
        await exchange.hang_up()
        return "broken"
    if script.split:
        outlet = _Outlet(exchange, script)
        await outlet.write(body)
        await outlet.flush()
        body = b""
    await exchange.finish(body)
    return _outcome(script)


async def deliver_stream(
    exchange: HttpExchange,
    answer: Answer,
    envelope: Envelope,
    script: Script,
    stats: Stats,
    wire: Wire,
) -> Outcome:
    """Send the answer as events. Raises `ClientDisconnected`."""
    await exchange.start(200, _headers(envelope, b"text/event-stream; charset=utf-8", None))
    stats.streams_started += 1
    chunks: Iterable[bytes] = wire.render_chunks(answer, envelope, script)
    if script.error_event:
        chunks = islice(chunks, wire.chunks_before_error)
    outlet = _Outlet(exchange, script)
    is_stall_due = script.stall_after is not None
    for count, chunk in enumerate(chunks):
        if count == script.cut:
            break
        if count == script.stall_after:
            is_stall_due = False
            await outlet.flush()
            await exchange.pause(script.stall_seconds)
        await outlet.write(wire.frame(chunk, script))
        stats.chunks_sent += 1
        if script.delay_seconds or count % _CHUNKS_IN_A_ROW == _CHUNKS_IN_A_ROW - 1:
            await exchange.pause(script.delay_seconds)
    if is_stall_due:
        await outlet.flush()
        await exchange.pause(script.stall_seconds)
    if script.cut is not None:
        await outlet.flush()
        await exchange.hang_up()
        return "broken"
    if script.error_event:
        await outlet.write(wire.frame(wire.error, script))
    elif not (script.end_early or script.no_done):
        await outlet.write(wire.frame(wire.render_end(answer, envelope, script), script))
    await outlet.flush()
    await exchange.finish()
    return _outcome(script)


def _outcome(script: Script) -> Outcome:
    if script.error_event:
        return "failed"
    return "broken" if script.end_early else "completed"


def _headers(
    envelope: Envelope, content_type: bytes, length: int | None
) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", content_type), (b"x-trace-id", envelope.id.encode())]
    if length is None:
        return [*headers, (b"cache-control", b"no-cache")]
    return [*headers, (b"content-length", b"%d" % length)]


class _Outlet:
    """Decides what one write holds: an event, many of them, or any piece of them."""

    def __init__(self, exchange: HttpExchange, script: Script) -> None:
        self._exchange = exchange
        self._split = script.split
        self._coalesce = script.coalesce
        self._held = b""
        self._sizes = cycle(_SPLIT_BYTES)

    async def write(self, data: bytes) -> None:
        if self._split:
            await self._write_pieces(data, is_last=False)
        elif self._coalesce:
            self._held += data
            if len(self._held) > _COALESCED_BYTES_MAX:
                await self.flush()
        else:
            await self._exchange.write(data)

    async def flush(self) -> None:
        """Send what is held back."""
        if self._split:
            await self._write_pieces(b"", is_last=True)
        elif self._held:
            held, self._held = self._held, b""
            await self._exchange.write(held)

    async def _write_pieces(self, data: bytes, *, is_last: bool) -> None:
        self._held += data
        for piece in self._take_pieces(is_last=is_last):
            await self._exchange.write(piece)
            # without a pause the pieces would reach the reader as one
            await self._exchange.pause(_SPLIT_SECONDS)

    def _take_pieces(self, *, is_last: bool) -> Iterator[bytes]:
        """Pieces of odd sizes; one that holds the first byte of a long character ends there."""
        size = next(self._sizes)
        while len(self._held) > size or (self._held and is_last):
            lead = next((at for at, byte in enumerate(self._held[:size]) if byte >= 0xC0), size - 1)
            piece, self._held = self._held[: lead + 1], self._held[lead + 1 :]
            yield piece
            size = next(self._sizes)
