"""Two listeners and the way down: clients on one port, operations on another.

    signal ─▶ not ready, no new connections ─▶ open streams run on ─▶ time over: they are cut

The operations listener answers until the very end, so that monitoring sees the drain.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, get_args

import uvicorn
from msgspec.structs import replace

from gateway.http.connection_admission import (
    OPERATIONS,
    ConnectionAdmission,
    ConnectionLimits,
    Reason,
    within_files,
)
from gateway.http.protocol import ClientProtocol
from gateway.pipeline.key_cache import KeyCache
from gateway.process.settings import CommandLine, Settings
from gateway.store.database import Database
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)

_BACKLOG = 2048
_EVERYWHERE = "::"
#: ingresses and load balancers keep an idle connection for 60
IDLE_SECONDS = 75
#: after which the system gives up what is unread, so that the protocol comes first and counts it
_UNREAD_SECONDS_MORE = 60
#: the system's buffer for answers that are not read; it doubles the figure
SEND_BUFFER_BYTES = 64 * 1024
#: from cutting the streams to giving up on connections that do not close
_CLOSING_SECONDS = 10
_TICK_SECONDS = 0.05
_DATE_SECONDS = 1.0


@contextmanager
def held_ports(line: CommandLine) -> Iterator[CommandLine]:
    """The command line with real ports in place of 0; nobody else is given them.

    They are known before anybody listens, for what is written before that. Raises `OSError`.
    """
    with ExitStack() as stack:

        def held(port: int) -> int:
            if port:
                return port
            # Bound with the option that also the listener sets, which may so bind it, too.
            host, family = _place(line.host)
            holder = stack.enter_context(socket.socket(family))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((host, 0))
            bound: int = holder.getsockname()[1]
            return bound

        yield replace(line, port=held(line.port), ops_port=held(line.ops_port))


def _place(host: str) -> tuple[str, socket.AddressFamily]:
    """The address to bind, and its family. `::` is every address of a machine, of both families.

    A machine may have been started without IPv6; there it is every address that there is.
    """
    if host == _EVERYWHERE and not socket.has_dualstack_ipv6():
        return "0.0.0.0", socket.AF_INET  # noqa: S104  # that is what was asked for
    return host, socket.AF_INET6 if ":" in host else socket.AF_INET


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one way down.

    It wakes once a second, for the date of its answers, where uvicorn's own looks ten times
    whether it is to end.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end = asyncio.Event()

    def stop(self) -> None:
        """Take no more connections, and end once those that are open have closed."""
        self.should_exit = True
        self._end.set()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def main_loop(self) -> None:
        end = asyncio.ensure_future(self._end.wait())
        while not await self.on_tick(counter=0):
            await asyncio.wait([end], timeout=_DATE_SECONDS)


class Listeners:
    """The servers of one process."""

    def __init__(self, cut_all: Callable[[], None], drain_seconds: float) -> None:
        """`cut_all` ends the streams that are still open when the time is over."""
        self._cut_all = cut_all
        self._drain_seconds = drain_seconds
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[_Server] = []
        self.is_draining = False
        #: the port clients connect to, also where 0 was asked for
        self.port = 0
        self.ops_port = 0

    async def serve(
        self,
        line: CommandLine,
        settings: Settings,
        metrics: Metrics,
        clients: Callable[..., Any],
        operations: Callable[..., Any],
    ) -> None:
        """Listen on both ports, each with its application. Raises `OSError` where one is taken."""
        limits = ConnectionLimits(
            connections=settings.connections,
            per_peer=settings.connections_per_peer,
            head_seconds=settings.head_seconds,
            unread_seconds=settings.unread_seconds,
        )
        admission = ConnectionAdmission(within_files(limits), metrics.cut)
        metrics.client_connections = lambda: admission.open
        metrics.may_cut(get_args(Reason))
        self.port = self._listen(line.host, clients, line.port, admission)
        of_operations = ConnectionAdmission(OPERATIONS, metrics.cut)
        self.ops_port = self._listen(line.host, operations, line.ops_port, of_operations)
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
        clients.stop()
        _log.info("draining: open requests may run on for %g s", self._drain_seconds)
        self._stop.clear()
        cut = asyncio.get_running_loop().call_later(self._drain_seconds, self._cut_all)
        again = asyncio.create_task(self._stop.wait())
        await asyncio.wait({again, self._tasks[0]}, return_when=asyncio.FIRST_COMPLETED)
        if not self._tasks[0].done():
            self._cut_all()
        await self._tasks[0]
        cut.cancel()
        again.cancel()
        operations.stop()
        await self._tasks[1]

    def _listen(
        self, host: str, app: Callable[..., Any], port: int, admission: ConnectionAdmission
    ) -> int:
        address, family = _place(host)
        is_dual = family == socket.AF_INET6 and host == _EVERYWHERE
        listener = socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=is_dual
        )
        # Accepted connections inherit it all; the loop sets the first only where it binds itself.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # for what is still unread once it is closed
            seconds = admission.limits.unread_seconds + _UNREAD_SECONDS_MORE
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * seconds))
        config = uvicorn.Config(
            app,
            loop="none",
            http=partial(ClientProtocol, admission=admission),  # type: ignore[arg-type]  # it is called only
            proxy_headers=False,
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=int(self._drain_seconds) + _CLOSING_SECONDS,
        )
        server = _Server(config)
        self._servers.append(server)
        self._tasks.append(asyncio.create_task(server.serve(sockets=[listener])))
        bound: int = listener.getsockname()[1]
        return bound

    def _asked_to_stop(self) -> None:
        self._stop.set()


def why_not_ready(listeners: Listeners, database: Database, key_cache: KeyCache) -> str | None:
    """Why a process should get no requests now, or None."""
    if listeners.is_draining:
        return "draining"
    if database.outage.is_on:
        return "the database does not answer"
    return None if key_cache.is_loaded else "the keys are not loaded"
