"""A small HTTP/1.1 client for POST requests on the request path, over asyncio and llhttp.

    post ──▶ idle or new connection ──▶ one write ──▶ status ──▶ read, read, … ──▶ back to the pool

It sends nothing twice, follows nowhere, keeps no cookies and asks no environment. One exchange at
a time runs on a connection. A reader that is slow stops the connection from being read, so memory
is bounded; what is neither status nor body (headers, preliminary answers, extensions of chunks,
trailers) is bounded in bytes and ends no silence. Silence is watched by one sweep for all
exchanges, not by a timer each.
Source: RFC 9112.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import httptools

from gateway.upstream.tunnel import ProxyRefused, Tunnel

_BUFFER_BYTES_MAX = 256 * 1024
_IDLE_SECONDS = 15.0
_SWEEP_SECONDS_MAX = 1.0
_PORTS = {"http": 80, "https": 443}
_LARGE_BYTES = 64 * 1024
#: a server that was kept waiting for longer may have given up for that
_HELD_SECONDS = 1.0
#: of an answer's head with all that precedes it, and of what stands between two pieces of its body
ASIDE_BYTES_MAX = 256 * 1024
#: bytes beside the body that each of its bytes pays for: a chunk of one byte has five
_ASIDE_BYTES_PER_BYTE = 8


class Unreachable(OSError):
    """No connection could be made."""


class Crowded(OSError):
    """There are as many connections as there may be."""


class Disconnected(OSError):
    """The connection broke, or what came over it was not HTTP."""


class Silent(OSError):
    """Nothing came for longer than allowed."""


class HttpResponse:
    """One answer, while it arrives. `headers` are by lower-case name, the last of a name."""

    __slots__ = ("_buffer", "_buffered", "_connection", "_divert", "_held_seconds", "_loop",
                 "_waiter", "done", "failure", "has_news", "headers", "held_since", "last_at",
                 "status", "unwanted_since")  # fmt: skip

    def __init__(self, connection: "_Connection", loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        #: whether the last byte has arrived
        self.done = False
        #: why nothing more arrives, if it broke
        self.failure: Exception | None = None
        #: whether its reader has yet to be woken for what arrived
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
    def was_held_up(self) -> bool:
        """True if its server had to wait for a reader that was slow."""
        return self._held_seconds > _HELD_SECONDS

    async def read(self, divert: Callable[[bytes], bool] | None = None) -> bytes:
        """Return what has arrived since the last read, at least a byte; empty at the end.

        While nothing has, what arrives is offered to `divert` first, which says whether it took it:
        that spares a reader being woken. Raises `Disconnected`, `Silent`, and what `divert` raised.
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
        buffer = self._buffer
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        if self.held_since is not None:
            self._go_on()
        self._buffered = 0
        return data

    def rest(self) -> bytes | None:
        """All that was not read, if the end is here too; else None."""
        if not self.done:
            return None
        buffer, self._buffer = self._buffer, []
        return buffer[0] if len(buffer) == 1 else b"".join(buffer)

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
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self, data: bytes) -> None:
        """More of the body arrived."""
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
        self._buffered += len(data)
        if self._buffered > _BUFFER_BYTES_MAX:
            self._hold()
        self.has_news = True

    def fail(self, error: Exception) -> None:
        if not self.done and self.failure is None:
            self.failure = error
            self.wake()


class _Connection(asyncio.Protocol):
    """One connection; the callbacks named `on_…` are the parser's."""

    def __init__(self, client: "HttpClient", loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._response: HttpResponse | None = None
        #: bytes of the answer that were not its body, less what its body paid for
        self._aside = 0
        #: the pieces of the body in what is being read
        self._pieces: list[bytes] = []
        #: whether the answer has its end, and the connection may be used again
        self._is_ended = self._keeps = False
        self.idle_since = 0.0

    def exchange(self, data: bytes, large: bytes) -> HttpResponse:
        """Write one request and expect its answer."""
        self._response = response = HttpResponse(self, self._loop)
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
        response = self._response
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
            pieces, self._pieces = self._pieces, []
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            size = len(body)
            response.last_at = self._loop.time()
            response.take(body)
            if self._response is None:  # its reader cut it
                return
        self._aside = max(0, self._aside + len(data) - (1 + _ASIDE_BYTES_PER_BYTE) * size)
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
        response = self._response
        if response is not None:
            if error is None and response.status and _ends_with_connection(response):
                self._finish(response, keep=False)
                response.wake()
            else:
                response.fail(Disconnected("the connection broke"))
        self._client.forget(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._response
        assert response is not None, "the parser is fed only during an exchange"
        if not response.status:  # else a trailer, which nobody reads
            response.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        response = self._response
        assert response is not None, "the parser is fed only during an exchange"
        assert not self._is_ended, "one answer is asked for"
        status = self._parser.get_status_code()
        if status < 200:  # a preliminary answer; the real one follows
            response.headers.clear()
            return
        response.status = status
        response.last_at = self._loop.time()
        response.has_news = True

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._response is not None and self._response.status:
            # An answer with neither length nor chunks does not come here: it ends with the
            # connection.
            self._is_ended, self._keeps = True, self._parser.should_keep_alive()

    def _finish(self, response: HttpResponse, *, keep: bool) -> None:
        self._response = None
        response.done = response.has_news = True
        self.transport.resume_reading()
        self._client.ended(response, self if keep else None)
        if not keep:
            self.transport.abort()

    def pause(self) -> None:
        self.transport.pause_reading()

    def resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.fail(Disconnected("the connection was cut"))
            self._client.ended(response, None)
        self.transport.abort()


class HttpClient:
    """POSTs below one URL. Idle connections are kept for a shorter time than servers keep them.

    Made inside the running loop.
    """

    #: how long the end of an answer that nobody reads any more may take
    LINGER_SECONDS = 1.0

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        connect_seconds: float,
        silence_seconds: float,
        connections_max: int,
        tunnel: Tunnel | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("an upstream's URL begins with http:// or https:// and names a host")
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._line = f"POST {target or '/'}".encode("ascii")
        host = parts.netloc.rpartition("@")[2].encode("ascii")
        self._head = b" HTTP/1.1\r\nhost: %b\r\n%b" % (host, header_lines(headers))
        self._tunnel = tunnel
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._connections_max = connections_max
        self._loop = asyncio.get_running_loop()
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._under_way: dict[HttpResponse, _Connection] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def idle_connections(self) -> int:
        """The number of connections that wait for a request."""
        return len(self._idle)

    async def post(
        self,
        lines: bytes,
        body: bytes,
        on_sent: Callable[[], None] | None = None,
        path: str = "",
    ) -> HttpResponse:
        """Send, and wait for the status. Raises `Unreachable`, `Crowded`, `Disconnected`, `Silent`,
        and `ProxyRefused`.

        `lines` are `header_lines` beside the client's own. `on_sent` is called once there is a
        connection, just before the first byte goes. `path` is joined to the URL; raises
        `ValueError` for one that is not ASCII.
        """
        line = self._line + path.encode("ascii") if path else self._line
        head = b"%b%b%bcontent-length: %d\r\n\r\n" % (line, self._head, lines, len(body))
        connection = self._idle_connection() or await self._connect()
        if on_sent is not None:
            on_sent()
        if len(body) < _LARGE_BYTES:
            response = connection.exchange(head + body, b"")
        else:
            response = connection.exchange(head, body)
        self._under_way[response] = connection
        if self._sweeper is None:
            self._arm()
        try:
            while not response.status:
                if response.failure is not None:
                    raise response.failure
                await response.arrival()
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """Cut all connections."""
        for connection in list(self._open):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def ended(self, response: HttpResponse, connection: _Connection | None) -> None:
        """An answer is over, and its connection free for the next, if it is kept."""
        self._under_way.pop(response, None)
        if connection is not None:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        for response, other in list(self._under_way.items()):
            if other is connection:
                self.ended(response, None)

    def _idle_connection(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> _Connection:
        if len(self._open) >= self._connections_max:
            raise Crowded("all connections to the upstream are in use")
        try:
            async with asyncio.timeout(self._connect_seconds):
                connection = await self._open_connection()
        except ProxyRefused:
            raise
        except (OSError, TimeoutError) as error:
            raise Unreachable("no connection to the upstream") from error
        self._open.add(connection)
        return connection

    async def _open_connection(self) -> _Connection:
        make = partial(_Connection, self, self._loop)
        if self._tunnel is not None and self._tls is not None:
            return await self._tunnel.connect(make, self._host, self._port, self._tls)
        _, connection = await self._loop.create_connection(
            make, self._host, self._port, ssl=self._tls
        )
        return connection

    def _arm(self) -> None:
        seconds = min(_SWEEP_SECONDS_MAX, self._silence_seconds / 4)
        self._sweeper = self._loop.call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        for response, connection in list(self._under_way.items()):
            lingers = response.unwanted_since
            if lingers is not None and now - lingers > self.LINGER_SECONDS:
                connection.abort()
            elif response.held_since is None and now - response.last_at > self._silence_seconds:
                response.fail(Silent("the upstream fell silent"))
                connection.abort()
        while self._idle and now - self._idle[0].idle_since > _IDLE_SECONDS:
            self._idle.popleft().abort()
        self._sweeper = None
        if self._under_way or self._idle:
            self._arm()


def _ends_with_connection(response: HttpResponse) -> bool:
    """RFC 9112, section 6.3: neither a length nor chunks, so the end is the connection's."""
    headers = response.headers
    return (
        b"content-length" not in headers
        and b"transfer-encoding" not in headers
        and response.status not in (204, 304)
    )


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. Raises `ValueError` for what would be more than its own line."""
    return b"".join([b"%b: %b\r\n" % (k.encode(), _value(v)) for k, v in headers.items()])


def _value(value: str) -> bytes:
    """A header's value; one with a line break would end the header early."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError("a header's value may not hold a line break")
    return value.encode("latin-1")
