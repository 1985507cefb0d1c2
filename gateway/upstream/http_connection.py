"""A connection to an upstream, and the answer that arrives on it.

One exchange at a time runs on a connection. A reader that is slow stops the connection from being
read, so memory is bounded; what is neither status nor body (headers, preliminary answers,
extensions of chunks, trailers) is bounded in bytes and ends no silence.
Source: RFC 9112.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

_BUFFER_BYTES_MAX = 256 * 1024
#: a server that was kept waiting for longer may have given up for that
_HELD_SECONDS = 1.0
#: of an answer's head with all that precedes it, and of what stands between two pieces of its body
ASIDE_BYTES_MAX = 256 * 1024
#: bytes beside the body that each of its bytes pays for: a chunk of one byte has five
_ASIDE_BYTES_PER_BYTE = 8


class Disconnected(OSError):
    """The connection broke, or what came over it was not HTTP."""


class Silent(OSError):
    """Nothing came for longer than allowed."""


class HttpResponse:
    """One answer, while it arrives."""

    __slots__ = ("_buffer", "_buffered", "_connection", "_divert", "_held_seconds", "_loop",
                 "_waiter", "done", "failure", "has_news", "held_since", "last_at", "sent_headers",
                 "status", "unwanted_since")  # fmt: skip

    def __init__(self, connection: "HttpConnection", loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        #: with the names as they were sent
        self.sent_headers: dict[bytes, bytes] = {}
        #: set once the last byte has arrived
        self.done = False
        #: why nothing more arrives, if it broke
        self.failure: Exception | None = None
        #: set while its reader has yet to be woken for what arrived
        self.has_news = False
        #: when it was asked for, or the last of its status or body arrived
        self.last_at = loop.time()
        #: since when nobody reads any more, while its end is awaited
        self.unwanted_since: float | None = None
        #: since when nothing more is read from its connection, because its reader is slow
        self.held_since: float | None = None
        self._held_seconds = 0.0
        self._connection = connection
        self._loop = loop
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._divert: Callable[[bytes], bool] | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers by lower-case name, the last of a name."""
        return {name.lower(): value for name, value in self.sent_headers.items()}

    @property
    def was_held_up(self) -> bool:
        """True if its server had to wait for a reader that was slow."""
        return self._held_seconds > _HELD_SECONDS

    async def read(self, divert: Callable[[bytes], bool] | None = None) -> bytes:
        """Return what has arrived since the last read, at least a byte; empty at the end.

        While nothing has, new bytes are offered to `divert` first, which returns whether it took
        them: that spares a reader being woken. Raises `Disconnected`, `Silent`, and what `divert`
        raised.
        """
        while not self._buffer:
            if self.failure is not None:
                raise self.failure
            if self.done:
                return b""
            self._divert = divert
            try:
                await self.arrival()
            finally:
                self._divert = None
        data = b"".join(self._buffer)
        self._buffer = []
        if self.held_since is not None:
            self._go_on()
        self._buffered = 0
        return data

    def rest(self) -> bytes | None:
        """All that was not read, if the end is here too; else None."""
        if not self.done:
            return None
        buffer, self._buffer = self._buffer, []
        return b"".join(buffer)

    def arrival(self) -> asyncio.Future[None]:
        """A future that is done when more has arrived, or nothing more will."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def close(self, *, linger: bool = False) -> None:
        """Cut the connection unless the answer is whole.

        With `linger`, a connection whose answer is about to end is kept for that end.
        """
        if self.done or self.failure is not None:
            return
        if linger:
            self.unwanted_since = self._loop.time()
            self._buffer.clear()
            self._go_on()
        else:
            self._connection.abort()

    def _hold(self) -> None:
        if self.held_since is None:
            self.held_since = self._loop.time()
            self._connection.pause()

    def _go_on(self) -> None:
        """Read from the connection again; its silence meanwhile was none of its own."""
        if self.held_since is not None:
            self.last_at = self._loop.time()
            self._held_seconds += self.last_at - self.held_since
            self.held_since = None
        self._connection.resume()

    def wake(self) -> None:
        """Wake its reader, once for all that arrived together."""
        self.has_news = False
        if self._waiter is not None:
            try:  # noqa: SIM105  # a context manager costs more than all the rest
                self._waiter.set_result(None)
            except asyncio.InvalidStateError:  # it was woken, or waits no more
                pass

    def take(self, data: bytes, size: int) -> None:
        """More of the body arrived, so many bytes."""
        if self.unwanted_since is not None:
            return
        if self._divert is not None and not self._buffer:
            try:
                if self._divert(data):
                    return
            except Exception as error:  # noqa: BLE001  # the reader's, who must hear of it
                self.fail(error)
                self._connection.abort()
                return
        self._buffer.append(data)
        self._buffered += size
        if self._buffered > _BUFFER_BYTES_MAX:
            self._hold()
        self.has_news = True

    def fail(self, error: Exception) -> None:
        if not self.done and self.failure is None:
            self.failure = error
            self.wake()


class Pool(Protocol):
    """The owner of a connection."""

    def keep(self, connection: "HttpConnection") -> None:
        """An answer is over, and its connection free for the next."""

    def forget(self, connection: "HttpConnection") -> None:
        """A connection is lost."""


class HttpConnection(asyncio.Protocol):
    """One connection, with the `response` that is under way on it, if there is one.

    The callbacks named `on_…` are the parser's.
    """

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self.transport: asyncio.Transport
        #: of the answer's head. The parser itself puts them there: a provider sends twenty, and
        #: most answers are read without a look at one
        self._headers: dict[bytes, bytes] = {}
        self.on_header = self._headers.__setitem__
        #: the pieces of the body in what is being read, which the parser puts there, too
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self.response: HttpResponse | None = None
        #: bytes of the answer that were not its body, less what its body paid for
        self._aside = 0
        #: set once the answer has its end, and if the connection may be used again
        self._is_ended = self._keeps = False
        self.idle_since = 0.0

    def exchange(self, data: bytes, large: bytes) -> HttpResponse:
        """Write one request and expect its answer."""
        self.response = response = HttpResponse(self, self._loop)
        self._headers.clear()
        self._aside = 0
        self._is_ended = False
        if large:
            self.transport.writelines((data, large))
        else:
            self.transport.write(data)
        return response

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one only in shape

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None:
            self.abort()  # an answer that nobody asked for
            return
        is_http = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            is_http = False
        size = 0
        if self._pieces:
            body = b"".join(self._pieces)
            self._pieces.clear()
            size = len(body)
            response.last_at = self._loop.time()
            response.take(body, size)
            if self.response is None:  # its reader cut it
                return
        aside = self._aside + len(data) - (1 + _ASIDE_BYTES_PER_BYTE) * size
        self._aside = aside if aside > 0 else 0
        if self._is_ended:
            self._finish(response, keep=self._keeps and is_http)
        elif not is_http:
            response.fail(Disconnected("what came was not HTTP"))
            self.abort()
        elif self._aside > ASIDE_BYTES_MAX:
            response.fail(Disconnected("what came beside the answer's body was too much"))
            self.abort()
        if response.has_news:
            response.wake()

    def connection_lost(self, error: Exception | None) -> None:
        response = self.response
        if response is not None:
            if error is None and response.status and _ends_with_connection(response):
                self._finish(response, keep=False)
                response.wake()
            else:
                response.fail(Disconnected("the connection broke"))
        self._pool.forget(self)

    def on_headers_complete(self) -> None:
        response = self.response
        assert response is not None, "the parser is fed only during an exchange"
        assert not self._is_ended, "one answer is asked for"
        status = self._parser.get_status_code()
        if status < 200:  # a preliminary answer; the real one follows
            self._headers.clear()
            return
        response.status = status
        response.sent_headers = dict(self._headers)  # trailers, which nobody reads, come there too
        response.last_at = self._loop.time()
        response.has_news = True

    def on_message_complete(self) -> None:
        if self.response is not None and self.response.status:
            # An answer with neither length nor chunks does not come here: it ends with the
            # connection.
            self._is_ended, self._keeps = True, self._parser.should_keep_alive()

    def _finish(self, response: HttpResponse, *, keep: bool) -> None:
        self.response = None
        response.done = response.has_news = True
        self.transport.resume_reading()
        if keep:
            self._pool.keep(self)
        else:
            self.transport.abort()

    def pause(self) -> None:
        self.transport.pause_reading()

    def resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        response, self.response = self.response, None
        if response is not None:
            response.fail(Disconnected("the connection was cut"))
        self.transport.abort()


def _ends_with_connection(response: HttpResponse) -> bool:
    """RFC 9112, section 6.3: neither a length nor chunks, so the end is the connection's."""
    headers = response.headers
    return (
        b"content-length" not in headers
        and b"transfer-encoding" not in headers
        and response.status not in (204, 304)
    )
