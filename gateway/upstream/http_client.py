"""A small HTTP/1.1 client for POST requests on the request path, over asyncio and llhttp.

    post ──▶ idle or new connection ──▶ one write ──▶ status ──▶ read, read, … ──▶ back to the pool

It sends nothing twice, follows nowhere, keeps no cookies and asks no environment. Silence is
watched by one sweep for all exchanges, not by a timer each.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from gateway.core.tls import client_context
from gateway.upstream.http_connection import HttpConnection, HttpResponse, Silent
from gateway.upstream.tunnel import ProxyRefused, Tunnel

_IDLE_SECONDS = 15.0
_SWEEP_SECONDS_MAX = 1.0
_PORTS = {"http": 80, "https": 443}
_LARGE_BYTES = 64 * 1024


class Unreachable(OSError):
    """No connection could be made."""


class Crowded(OSError):
    """There are as many connections as there may be."""


class HttpClient:
    """POSTs below one URL. Idle connections are kept for a shorter time than servers keep them.

    Made inside the running loop.
    """

    #: the time that the end of an answer may take which nobody reads any more
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
        path: str = "",
    ) -> None:
        """`path` is joined to the URL, unless a request names another one."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("an upstream's URL begins with http:// or https:// and names a host")
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = client_context() if parts.scheme == "https" else None
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._root = f"POST {target or '/'}".encode("ascii")
        self._line = f"POST {target + path or '/'}".encode("ascii")
        host = parts.netloc.rpartition("@")[2].encode("ascii")
        self._head = b" HTTP/1.1\r\nhost: %b\r\n%b" % (host, header_lines(headers))
        self._tunnel = tunnel
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._connections_max = connections_max
        self._loop = asyncio.get_running_loop()
        #: the one that has waited for longest first; all may be lost in the same moment
        self._idle: dict[HttpConnection, None] = {}
        self._open: set[HttpConnection] = set()
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
        root_path: str | None = None,
    ) -> HttpResponse:
        """Send, and wait for the status. Raises `Unreachable`, `Crowded`, `Disconnected`, `Silent`,
        and `ProxyRefused`.

        `lines` are `header_lines` beside the client's own. `on_sent` is called once there is a
        connection, just before the first byte goes. `path` is joined to the client's,
        `root_path` to the URL alone; raises `ValueError` for one that is not ASCII.
        """
        line = self._line if root_path is None else self._root + root_path.encode("ascii")
        if path:
            line += path.encode("ascii")
        size = len(body)
        head = b"%b%b%bcontent-length: %d\r\n\r\n" % (line, self._head, lines, size)
        connection = self._idle_connection() or await self._connect()
        if on_sent is not None:
            on_sent()
        if size < _LARGE_BYTES:
            response = connection.exchange(head + body, b"")
        else:
            response = connection.exchange(head, body)
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

    def keep(self, connection: HttpConnection) -> None:
        """An answer is over, and its connection free for the next."""
        connection.idle_since = self._loop.time()
        self._idle[connection] = None

    def forget(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def _idle_connection(self) -> HttpConnection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> HttpConnection:
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

    async def _open_connection(self) -> HttpConnection:
        make = partial(HttpConnection, self, self._loop)
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
        for connection in list(self._open):
            response = connection.response
            if response is None:
                continue
            lingers = response.unwanted_since
            if lingers is not None and now - lingers > self.LINGER_SECONDS:
                connection.abort()
            elif response.held_since is None and now - response.last_at > self._silence_seconds:
                response.fail(Silent("the upstream fell silent"))
                connection.abort()
        for connection in list(self._idle):
            if now - connection.idle_since <= _IDLE_SECONDS:
                break
            del self._idle[connection]
            connection.abort()
        self._sweeper = None
        if self._open:
            self._arm()


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. Raises `ValueError` for what would be more than its own line."""
    return b"".join([b"%b: %b\r\n" % (k.encode(), _value(v)) for k, v in headers.items()])


def _value(value: str) -> bytes:
    """A header's value; one with a line break would end the header early."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError("a header's value may not hold a line break")
    return value.encode("latin-1")
