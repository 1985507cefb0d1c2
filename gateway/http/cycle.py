"""One request and its answer, between a client's connection and the ASGI application.

    bytes of the body ─┬▶ Cycle.receive ──▶ application ──▶ Cycle.send ─┬▶ one write
                       └▶ whole_body ─────▶ the flow ─────▶ answer ─────┘

Uvicorn's cycle, a general one, costs more than all the rest of a charged request's way through the
server; this one does what the gateway's applications need. Charged requests take the lower way,
without a message for each step.

Sources: ASGI, "HTTP & WebSocket ASGI Message Format" 2.3; RFC 9112.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from gateway.pipeline.connection import Message, Scope

_log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_FAILED = b"Internal Server Error"


class CycleConnection(Protocol):
    """The connection, as far as a request and its answer need it."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    server_state: ServerState
    tasks: set[asyncio.Task[None]]
    is_slow: bool
    #: the server's own headers, and the same as lines; made once a second
    own_headers: list[tuple[bytes, bytes]]
    own_lines: bytes

    def on_response_complete(self, keep_alive: bool) -> None:
        """The answer is written to its end."""

    def go_on(self) -> None:
        """Both are at their end, the request too."""


class Cycle:
    """One request and its answer; what has no underscore has uvicorn's names.

    A head waits for what follows it, so that for a short answer both are one write: the second
    system call would cost more than anything else that happens to it.
    """

    __slots__ = ("_arrived", "_chunked", "_expects_continue", "_has_body", "_head", "_is_read",
                 "_left", "_method", "_parts", "_size", "_version", "disconnected", "keep_alive",
                 "line", "more_body", "on_lost", "response_complete", "started",
                 "task")  # fmt: skip

    def __init__(
        self,
        line: CycleConnection,
        method: bytes,
        version: str,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        #: set while more of the request's body will arrive
        self.more_body = True
        self.task: asyncio.Task[None]
        self.keep_alive = keep_alive
        #: called once if the connection is lost before the answer is complete
        self.on_lost: Callable[[], None] | None = None
        self.disconnected = False
        #: set once the answer has a status, and once it has its end
        self.started = False
        self.response_complete = False
        self.line = line
        #: the method and the version of HTTP decide how an answer is written
        self._method = method
        self._version = version
        self._expects_continue = expects_continue
        #: the part of the request's body that arrived and was not received yet
        self._parts: list[bytes] = []
        self._size = 0
        #: set when there is more to receive; there is one only where it had to be waited for
        self._arrived: asyncio.Event | None = None
        #: set once the application has received the end of the body
        self._is_read = False
        self._head = b""
        self._has_body = True
        #: set if the answer is sent in chunks
        self._chunked = False
        #: bytes of the answer that its head has promised and that are still to come, if it has
        self._left: int | None = None

    async def run_asgi(self, application: Callable[..., Any], scope: Scope) -> None:
        """Let the application answer, and see that it did."""
        try:
            await application(scope, self.receive, self.send)
        except BaseException:  # noqa: BLE001  # the edge: nobody else would end the request
            _log.exception("a request met a bug")
            self._give_up()
        else:
            if not (self.response_complete or self.disconnected):
                _log.error("a request was not answered to its end")
                self._give_up()
        finally:
            self.line.tasks.discard(self.task)

    def take(self, body: bytes) -> None:
        """A piece of the request's body arrived."""
        if self.response_complete:
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER_LIMIT:
            self.line.flow.pause_reading()
        if self._arrived is not None:
            self._arrived.set()

    def take_end(self) -> None:
        """The request is whole."""
        self.more_body = False
        if self._arrived is not None:
            self._arrived.set()
        if self.line.flow.read_paused:
            self.line.flow.resume_reading()  # to notice when the client leaves
        if self.response_complete:
            self.line.go_on()

    def disconnect(self) -> None:
        """Nothing more will be received or sent."""
        if not self.response_complete:
            self.disconnected = True
            if self.on_lost is not None:
                self.on_lost()
        if self._arrived is not None:
            self._arrived.set()

    def whole_body(self) -> bytes | None:
        """The request's body if all of it is here, else None: it must be received."""
        if self.more_body or self._expects_continue or self.disconnected:
            return None
        parts, self._parts, self._size = self._parts, [], 0
        self._is_read = True
        return b"".join(parts)

    async def receive(self) -> Message:
        if self._expects_continue:
            self._expects_continue = False
            if not self.disconnected:
                self.line.transport.write(_CONTINUE)
        if self.more_body:
            self.line.flow.resume_reading()
        while not (self.disconnected or self.response_complete):
            parts = self._parts
            if parts or not (self.more_body or self._is_read):
                self._is_read = not self.more_body
                self._parts, self._size = [], 0
                return {
                    "type": "http.request",
                    "body": b"".join(parts),
                    "more_body": self.more_body,
                }
            if self._arrived is None:
                self._arrived = asyncio.Event()
            self._arrived.clear()
            await self._arrived.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.line.is_slow:
            await self.drain()
        if message["type"] == "http.response.start":
            self._start_message(message["status"], message.get("headers", ()))
        else:
            self.write(message.get("body", b""), more=message.get("more_body", False))

    async def drain(self) -> None:
        """Wait while the client reads slowly."""
        if not self.disconnected:
            await self.line.flow.drain()

    def _give_up(self) -> None:
        if self.started or self.disconnected:
            self.line.transport.close()
            return
        self.start(500, b"connection: close\r\n", len(_FAILED), closes=True)
        self.write(_FAILED)

    def _start_message(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines = []
        length = None
        closes = False
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
            closes = closes or (name == b"connection" and value == b"close")
        joined = b"".join(lines)
        if joined.count(b"\n") != len(lines) or joined.count(b"\r") != len(lines):
            raise ValueError("a header's value may not hold a line break")
        self.start(status, joined, length, closes=closes)

    def start(self, status: int, lines: bytes, length: int | None, *, closes: bool = False) -> None:
        """Begin the answer: whole `lines` of headers, without its `length`, if that is known.

        With `closes`, one of them announces that the connection ends with the answer.
        """
        assert not self.started, "a status is sent once"
        if self.disconnected:
            return
        line = self.line
        if line.own_headers is not line.server_state.default_headers:
            line.own_headers = line.server_state.default_headers
            line.own_lines = b"".join([b"%b: %b\r\n" % each for each in line.own_headers])
        self._has_body = self._method != b"HEAD" and status not in (204, 304)
        self._left = length
        if length is not None:
            lines = b"%bcontent-length: %d\r\n" % (lines, length)
        elif self._has_body and self._version != "1.0":
            # RFC 9112, section 6.1: a client that speaks 1.0 knows no chunks
            self._chunked = True
            lines += b"transfer-encoding: chunked\r\n"
        if self._expects_continue and self.more_body:
            # RFC 9110, section 10.1.1: whether the body still comes is anybody's guess
            self.keep_alive = False
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        self.started = True
        self._expects_continue = False
        self._head = b"%b%b%b\r\n" % (STATUS_LINE[status], line.own_lines, lines)
        if length is None:  # a stream's first event may be a while
            line.loop.call_soon(self._flush)

    def write(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the answer, the last one unless `more` follow. Waits for nothing."""
        if self.disconnected:
            return
        assert self.started, "a status comes first"
        assert not self.response_complete, "nothing comes after the end"
        data = body if self._has_body else b""
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                data += _LAST_CHUNK
        elif data and self._left is not None:
            self._left -= len(body)
        if self._has_body and self._left and (self._left < 0 or not more):
            raise ValueError("the body is not as long as its head says")
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self.line.transport.write(data)
        if more:
            return
        self.response_complete = True
        if self._arrived is not None:
            self._arrived.set()
        self._parts = []
        self.line.on_response_complete(self.keep_alive)

    def write_each(self, pieces: Sequence[bytes], *, waits: bool = False) -> None:
        """Send pieces of an answer without a length, more of which follow, each as a chunk.

        With `waits`, which only what follows at once or the head may, they go with the next ones.
        """
        if self.disconnected:
            return
        assert self.started, "a status comes first"
        assert not self.response_complete, "nothing comes after the end"
        written = [self._head]
        self._head = b""
        for piece in pieces if self._has_body else ():
            if self._chunked and piece:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            written.append(piece)
        data = b"".join(written)
        if waits:
            self._head = data
        elif data:
            self.line.transport.write(data)

    def _flush(self) -> None:
        if self._head and not self.disconnected:
            data, self._head = self._head, b""
            self.line.transport.write(data)
