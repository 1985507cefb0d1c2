"""One request and its answer on the wire: reads, sends, waits, and notices when the client is gone.

Owns the ASGI messages of one request. A client that goes away is seen at once, also in a silence:
every pause waits for the disconnect and the clock together. A pause is what costs, so an answer
without one makes no extra task.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.stats import Headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: the key in `scope["state"]` under which the server leaves a function that closes the connection
HANG_UP = "simulated.hang_up"
#: seconds of a pause that lasts until the gate opens
HELD = math.inf

_BODY_BYTES_MAX = 64 * 1024 * 1024
_HANG_UP_SECONDS_MAX = 5.0


class ClientDisconnected(Exception):
    """The client closed the connection before the answer was complete."""


class Gate:
    """Answers wait here until somebody lets them go on."""

    def __init__(self) -> None:
        #: by what waits here: a function that wakes it
        self.held: dict[HttpExchange, Callable[[], None]] = {}

    def open(self) -> None:
        """Let go on what waits now; what comes later waits again."""
        for wake in self.held.values():
            wake()


class HttpExchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, gate: Gate) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers: Headers = scope["headers"]
        self._close: Callable[[], None] | None = scope.get("state", {}).get(HANG_UP)
        self._receive = receive
        self._send = send
        self._gate = gate
        self._watch: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_gone = False

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)

    async def read_body(self) -> bytes:
        """The whole body. Raises `ClientDisconnected`, and `Refused` beyond 64 MiB."""
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > _BODY_BYTES_MAX:
                raise Refused(f"total message size {size} exceeds limit {_BODY_BYTES_MAX}")
            more = message.get("more_body", False)
        return b"".join(parts)

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a part of the body, as one write to the connection."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body. Raises `ClientDisconnected` when nobody is there."""
        if self._is_gone:
            raise ClientDisconnected
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def respond(self, status: int, body: bytes, headers: Headers) -> None:
        """Send a whole answer."""
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [*headers, length])
        await self.finish(body)

    async def pause(self, seconds: float) -> None:
        """Wait for so long, or for the gate where it is `HELD`.

        Raises `ClientDisconnected` as soon as the client is gone.
        """
        if seconds == HELD:
            await self._hold()
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._wake)
        try:
            await self._wait()
        finally:
            timer.cancel()

    async def hang_up(self) -> None:
        """Close the connection in the middle of the answer, after what was written has left.

        Under another server than ours nothing is closed here: an answer that just stops is
        incomplete to any server, which then closes the connection itself, and logs it.
        """
        if self._close is None:
            return
        self._close()
        try:
            await self.pause(_HANG_UP_SECONDS_MAX)
        except ClientDisconnected:
            return

    def end(self) -> None:
        """Stop looking for a disconnect; must be called once the answer has ended, however."""
        if self._watch is not None:
            self._watch.cancel()

    async def _hold(self) -> None:
        self._gate.held[self] = self._wake
        try:
            await self._wait()
        finally:
            del self._gate.held[self]

    async def _wait(self) -> None:
        """Wait for `_wake`. By hand: asyncio.wait would cost more than all the rest of a chunk."""
        loop = asyncio.get_running_loop()
        if self._watch is None:
            self._watch = loop.create_task(self._wait_for_disconnect())
        if not self._is_gone:
            self._waiter = loop.create_future()
            await self._waiter
        if self._is_gone:
            raise ClientDisconnected

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
