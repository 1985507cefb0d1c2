"""One client's connection: HTTP/1.1 on uvicorn's protocol, with a leaner cycle of our own.

    bytes ──▶ parser ──▶ Cycle ── task ──▶ the ASGI application ──▶ Cycle ──▶ one write

Owns the limits of a request's head, and what ASGI leaves out: a request is told when its connection
is lost. Parsing, pipelining and the way down are uvicorn's; its cycle, a general one, costs more
than all the rest of a charged request's way through the server.

Sources: ASGI, "HTTP & WebSocket ASGI Message Format" 2.3; RFC 9112.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.connection import SOCKET, Message, Scope

_log = logging.getLogger(__name__)

#: of a request's line and headers; the parser itself would listen for ever
_HEAD_BYTES_MAX = 64 * 1024
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Head Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: nothing but a path, as nearly all are; anything else is for a parser
_PLAIN_TARGET = re.compile(rb"(/[\w.-]+)+")
_LAST_CHUNK = b"0\r\n\r\n"
_FAILED = b"Internal Server Error"


class Cycle:
    """One request and its answer; what has no underscore has uvicorn's names.

    A head waits for what follows it, so that for a short answer both are one write: the second
    system call would cost more than anything else that happens to it.
    """

    __slots__ = ("_chunked", "_expects_continue", "_has_body", "_head", "_is_read", "_left",
                 "_protocol", "_scope", "_started", "body", "disconnected", "keep_alive",
                 "message_event", "more_body", "response_complete", "task")  # fmt: skip

    def __init__(self, protocol: "ClientProtocol", scope: Scope, keep_alive: bool) -> None:
        #: what arrived of the request's body and was not received yet, and whether more will
        self.body = b""
        self.more_body = True
        self.message_event = asyncio.Event()
        self.task: asyncio.Task[None]
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self._protocol = protocol
        self._scope = scope
        self._expects_continue = protocol.expect_100_continue
        #: whether the application has received the end of the body
        self._is_read = False
        self._started = False
        self._head = b""
        self._has_body = self._chunked = True
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
            self._protocol.tasks.discard(self.task)

    async def receive(self) -> Message:
        protocol = self._protocol
        if self._expects_continue:
            self._expects_continue = False
            protocol.transport.write(_CONTINUE)
        protocol.flow.resume_reading()
        while not (self.disconnected or self.response_complete):
            if self.body or not (self.more_body or self._is_read):
                body, self.body = self.body, b""
                self._is_read = not self.more_body
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            self.message_event.clear()
            await self.message_event.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        flow = self._protocol.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        else:
            self._go_on(message.get("body", b""), message.get("more_body", False))

    def _give_up(self) -> None:
        if self._started or self.disconnected:
            self._protocol.transport.close()
            return
        length = (b"content-length", b"%d" % len(_FAILED))
        self._start(500, [length, (b"connection", b"close")])
        self._go_on(_FAILED, more=False)

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        assert not self._started, "a status is sent once"
        self._has_body = self._scope["method"] != "HEAD" and status not in (204, 304)
        told = [*self._protocol.server_state.default_headers, *headers]
        parts = [STATUS_LINE[status]]
        for name, value in told:
            parts += (name, b": ", value, b"\r\n")
            if name == b"content-length":
                self._chunked = False
                self._left = int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
        head = b"".join(parts)
        lines = 1 + len(told)
        if head.count(b"\n") != lines or head.count(b"\r") != lines:
            raise ValueError("a header's value may not hold a line break")
        if not self.keep_alive:
            head += b"connection: close\r\n"
        if self._chunked and self._has_body:
            head += b"transfer-encoding: chunked\r\n"
        self._started = True
        self._expects_continue = False
        self._head = head + b"\r\n"
        if self._chunked:  # a stream's first event may be a while
            self._protocol.loop.call_soon(self._flush)

    def _go_on(self, body: bytes, more: bool) -> None:
        assert self._started, "a status comes first"
        assert not self.response_complete, "nothing comes after the end"
        if not self._has_body:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                data += _LAST_CHUNK
        else:
            data = body
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise ValueError("the body is not as long as its head says")
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._protocol.transport.write(data)
        if not more:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self._protocol.transport.close()
        self._protocol.on_response_complete()

    def _flush(self) -> None:
        if self._head and not self.disconnected:
            data, self._head = self._head, b""
            self._protocol.transport.write(data)


class ClientProtocol(HttpToolsProtocol):
    """One connection, and what a request may know of it as a `gateway.connection.ClientSocket`.

    ASGI's own way to know that it is lost, a task that waits for `http.disconnect`, costs a task a
    request.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.is_lost = self.is_slow = False
        self.on_lost: Callable[[], None] | None = None
        self._in_head = True
        self._head_bytes = 0
        self._state = {**self.app_state, SOCKET: self}
        self._idle_since = 0.0

    @property
    def is_received(self) -> bool:
        """Whether all of the request under way is here; of the last one, where more follow."""
        return not self.cycle.more_body

    def pause_writing(self) -> None:
        self.is_slow = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self.is_slow = False
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _HEAD_BYTES_MAX:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self.parser
        version = parser.get_http_version()
        if _PLAIN_TARGET.fullmatch(self.url):
            path, query = self.url, b""
        else:
            url = httptools.parse_url(self.url)
            path, query = url.path, url.query or b""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
            "state": self._state.copy(),
        }
        before = self.cycle
        cycle: Any = Cycle(self, scope, version != "1.0" and parser.should_keep_alive())
        self.cycle = cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """As uvicorn's, but the cycle itself ends it: a callback would be one more turn."""
        cycle.task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(cycle.task)

    def on_response_complete(self) -> None:
        """Begin the next request if it is here already, else watch for how long none comes."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._watch(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self.cycle.response_complete and not self._in_head:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._watch(left)
            else:
                self.transport.close()

    def _watch(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _unset_keepalive_if_required(self) -> None:
        """Nothing: one timer serves a whole connection; to set one for each request is dearer."""
