"""Two listeners and the way down: clients on one port, operations on another.

    signal ─▶ not ready, no new connections ─▶ open streams run on ─▶ time over: they are cut

The operations listener answers until the very end, so that whoever watches sees the drain.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.connection import SOCKET
from gateway.flow import Flow

_log = logging.getLogger(__name__)

_BACKLOG = 2048
#: from cutting the streams to giving up on connections that do not close
_CLOSING_SECONDS = 10
_TICK_SECONDS = 0.05
#: of a request's line and headers; the parser itself would listen for ever
_HEAD_BYTES_MAX = 64 * 1024
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Head Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _JoiningTransport:
    """A transport that sends a response's head together with what is written right after it.

    uvicorn writes the two apart, and for a short answer the second system call costs more than
    anything else that happens to it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1."):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            data, self._head = self._head, b""
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _ClientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which tells a request when its connection is lost.

    ASGI's own way, a task that waits for `http.disconnect`, costs a task a request.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.is_lost = False
        self.on_lost: Callable[[], None] | None = None
        self._in_head = True
        self._head_bytes = 0
        self.app_state = {**self.app_state, SOCKET: self}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # the loop makes no other
        super().connection_made(transport)
        joining = _JoiningTransport(transport, self.loop)
        self.transport = cast(asyncio.Transport, joining)

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
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one way down."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


class Listeners:
    """The servers of one process."""

    def __init__(self, flow: Flow, drain_seconds: float) -> None:
        self._flow = flow
        self._drain_seconds = drain_seconds
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[uvicorn.Server] = []
        self.is_draining = False
        #: the port clients connect to, also where 0 was asked for
        self.port = 0
        self.ops_port = 0

    async def open(
        self, app: Callable[..., Any], host: str, port: int, operations: Any, ops_port: int
    ) -> None:
        """Listen on both ports. Raises `OSError` where one is taken."""
        self.port = self._listen(app, host, port)
        self.ops_port = self._listen(operations, host, ops_port)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._asked_to_stop)
        while not all(server.started for server in self._servers):
            await asyncio.sleep(_TICK_SECONDS)
            for task in self._tasks:
                if task.done():
                    task.result()

    async def run(self) -> None:
        """Serve until a signal, then drain. A second signal cuts the drain short."""
        await self._stop.wait()
        self.is_draining = True
        clients, operations = self._servers
        clients.should_exit = True
        _log.info("draining: open requests may run on for %g s", self._drain_seconds)
        self._stop.clear()
        cut = asyncio.get_running_loop().call_later(self._drain_seconds, self._flow.cut_all)
        again = asyncio.create_task(self._stop.wait())
        await asyncio.wait({again, self._tasks[0]}, return_when=asyncio.FIRST_COMPLETED)
        if not self._tasks[0].done():
            self._flow.cut_all()
        await self._tasks[0]
        cut.cancel()
        again.cancel()
        operations.should_exit = True
        await self._tasks[1]

    def _listen(self, app: Callable[..., Any], host: str, port: int) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # Accepted connections inherit it; the loop sets it only on sockets that it bound itself.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            loop="none",
            http=_ClientProtocol,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(self._drain_seconds) + _CLOSING_SECONDS,
        )
        server = _Server(config)
        self._servers.append(server)
        self._tasks.append(asyncio.create_task(server.serve(sockets=[listener])))
        bound: int = listener.getsockname()[1]
        return bound

    def _asked_to_stop(self) -> None:
        self._stop.set()
