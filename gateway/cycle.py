"""One request and its answer, between a client's connection and the ASGI application.

    bytes of the body ──▶ Cycle.receive ──▶ application ──▶ Cycle.send ──▶ one write

Uvicorn's cycle, a general one, costs more than all the rest of a charged request's way through the
server; this one does what the gateway's applications need.

Sources: ASGI, "HTTP & WebSocket ASGI Message Format" 2.3; RFC 9112.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from gateway.connection import Message, Scope

_log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_FAILED = b"Internal Server Error"


class Line(Protocol):
    """The connection, as far as a request and its answer need it."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    server_state: ServerState
    tasks: set[asyncio.Task[None]]

    def on_response_complete(self, keep_alive: bool) -> None:
        """The answer is written to its end."""

    def go_on(self) -> None:
        """Both are at their end, the request too."""


class Cycle:
    """One request and its answer; what has no underscore has uvicorn's names.

    A head waits for what follows it, so that for a short answer both are one write: the second
    system call would cost more than anything else that happens to it.
    """

    __slots__ = ("_chunked", "_counted", "_expects_continue", "_has_body", "_head", "_is_read",
                 "_left", "_line", "_parts", "_scope", "_size", "disconnected", "keep_alive",
                 "message_event", "more_body", "response_complete", "started",
                 "task")  # fmt: skip

    def __init__(self, line: Line, scope: Scope, keep_alive: bool, expects_continue: bool) -> None:
        #: whether more of the request's body will arrive
        self.more_body = True
        self.message_event = asyncio.Event()
        self.task: asyncio.Task[None]
        self.keep_alive = keep_alive
        self.disconnected = False
        #: whether the answer has a status, and whether it has its end
        self.started = False
        self.response_complete = False
        self._line = line
        self._scope = scope
        self._expects_continue = expects_continue
        #: what arrived of the request's body and was not received yet
        self._parts: list[bytes] = []
        self._size = 0
        #: whether the application has received the end of the body
        self._is_read = False
        self._head = b""
        self._has_body = True
        #: how the answer's end is known: by its length, its last chunk, or the connection's end
        self._counted = False
        self._chunked = False
        #: bytes of the answer that its head has promised and that are still to come
        self._left = 0

    async def run_asgi(self, application: Callable[..., Any]) -> None:
        """Let the application answer, and see that it did."""
        try:
            await application(self._scope, self.receive, self.send)
        except BaseException:  # noqa: BLE001  # the edge: nobody else would end the request
            _log.exception("a request met a bug")
            self._give_up()
        else:
            if not (self.response_complete or self.disconnected):
                _log.error("a request was not answered to its end")
                self._give_up()
        finally:
            self._line.tasks.discard(self.task)

    def take(self, body: bytes) -> None:
        """A piece of the request's body arrived."""
        if self.response_complete:
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER_LIMIT:
            self._line.flow.pause_reading()
        self.message_event.set()

    def take_end(self) -> None:
        """The request is whole."""
        self.more_body = False
        self.message_event.set()
        self._line.flow.resume_reading()  # to notice when the client leaves
        if self.response_complete:
            self._line.go_on()

    def disconnect(self) -> None:
        """Nothing more will be received or sent."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()

    async def receive(self) -> Message:
        if self._expects_continue:
            self._expects_continue = False
            if not self.disconnected:
                self._line.transport.write(_CONTINUE)
        if self.more_body:
            self._line.flow.resume_reading()
        while not (self.disconnected or self.response_complete):
            parts = self._parts
            if parts or not (self.more_body or self._is_read):
                self._is_read = not self.more_body
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                self._parts, self._size = [], 0
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            self.message_event.clear()
            await self.message_event.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        flow = self._line.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        else:
            self._go_on(message.get("body", b""), message.get("more_body", False))

    def _give_up(self) -> None:
        if self.started or self.disconnected:
            self._line.transport.close()
            return
        length = (b"content-length", b"%d" % len(_FAILED))
        self._start(500, [length, (b"connection", b"close")])
        self._go_on(_FAILED, more=False)

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        assert not self.started, "a status is sent once"
        self._has_body = self._scope["method"] != "HEAD" and status not in (204, 304)
        told = [*self._line.server_state.default_headers, *headers]
        parts = [STATUS_LINE[status]]
        closes = False
        for name, value in told:
            parts += (name, b": ", value, b"\r\n")
            if name == b"content-length":
                self._counted = True
                self._left = int(value)
            elif name == b"connection" and value == b"close":
                closes = True
        head = b"".join(parts)
        lines = 1 + len(told)
        if head.count(b"\n") != lines or head.count(b"\r") != lines:
            raise ValueError("a header's value may not hold a line break")
        if self._has_body and not self._counted:
            # RFC 9112, section 6.1: whoever speaks 1.0 knows no chunks
            self._chunked = self._scope["http_version"] != "1.0"
        if self._expects_continue and self.more_body:
            # RFC 9110, section 10.1.1: whether the body still comes is anybody's guess
            self.keep_alive = self._expects_continue = False
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            head += b"connection: close\r\n"
        if self._chunked:
            head += b"transfer-encoding: chunked\r\n"
        self.started = True
        self._expects_continue = False
        self._head = head + b"\r\n"
        if not self._counted:  # a stream's first event may be a while
            self._line.loop.call_soon(self._flush)

    def _go_on(self, body: bytes, more: bool) -> None:
        assert self.started, "a status comes first"
        assert not self.response_complete, "nothing comes after the end"
        if not self._has_body:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                data += _LAST_CHUNK
        else:
            data = body
            if self._counted:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise ValueError("the body is not as long as its head says")
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._line.transport.write(data)
        if not more:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        self._parts = []
        self._line.on_response_complete(self.keep_alive)

    def _flush(self) -> None:
        if self._head and not self.disconnected:
            data, self._head = self._head, b""
            self._line.transport.write(data)
