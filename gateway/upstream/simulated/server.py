"""Serves the simulated upstream: for good (`serve`), or for as long as a block lasts (`running`).

Owns the socket and uvicorn's HTTP protocol, but not uvicorn's server, which would take the
process's signals, wait for open streams at the end and change the caller's logging set-up. Must
never log: what the script breaks is meant to break.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.upstream.simulated.app import SimulatedUpstream
from gateway.upstream.simulated.exchange import HANG_UP

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_STOP_SECONDS_MAX = 2.0


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, without its access log, that lets a request close its connection.

    Closing the transport is what a vanished upstream looks like from outside: written bytes still
    leave, then the connection ends within the body. uvicorn takes it for a client that went away
    and reports nothing about it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # the narrower type is uvicorn's: the loop only makes stream transports here
        super().connection_made(transport)
        self.app_state = {**self.app_state, HANG_UP: transport.close}


@asynccontextmanager
async def running(
    host: str = "127.0.0.1", port: int = 0, api_key: str | None = None
) -> AsyncIterator[str]:
    """Serve in this event loop while the block lasts; gives the base URL, which ends in `/v1`.

    `port` 0 picks a free one. At the end open connections are closed at once, streams or not.
    Touches neither signals nor logging. Raises `OSError` when the address cannot be had.
    """
    config = Config(
        SimulatedUpstream(api_key),
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    # the loop binds: on a socket of our own it would not set TCP_NODELAY, which costs 40 ms a write
    server = await asyncio.get_running_loop().create_server(
        lambda: _Protocol(config=config, server_state=state, app_state={}),
        host,
        port,
        backlog=_BACKLOG,
    )
    name = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{name}:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        await _stop(state)
        await server.wait_closed()


async def _stop(state: ServerState) -> None:
    """Close every connection, and give the requests on them a moment to see it."""
    for connection in cast("set[_Protocol]", set(state.connections)):
        connection.transport.abort()
    while state.connections or state.tasks:
        if not state.tasks:
            await asyncio.sleep(0)
            continue
        _, late = await asyncio.wait(set(state.tasks), timeout=_STOP_SECONDS_MAX)
        for task in late:
            task.cancel()


async def serve(
    host: str,
    port: int,
    api_key: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or cancellation; `ready` is called with the base URL.

    For a process of its own: it takes the two signals of the running loop, in the main thread.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    async with running(host, port, api_key) as url:
        for number in signals:
            loop.add_signal_handler(number, stopped.set)
        try:
            if ready is not None:
                ready(url)
            await stopped.wait()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
