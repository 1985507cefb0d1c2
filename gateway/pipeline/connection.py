"""One client's connection during one charged request.

It reads the body within limits, notices when the client leaves, and sends: one frame is one chunk.
It knows nothing of credits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from functools import partial
from math import ceil
from typing import Any, NoReturn, Protocol

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.contact import REPLICA
from gateway.core.content_coding import PIECE_BYTES, ContentCodingError, decompress, read_coding
from gateway.core.errors import InvalidRequest, Overloaded, RateLimited, RequestTooLarge
from gateway.core.shares import Holder, Shares
from gateway.core.spec import FleetLimits

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


#: the names of the `ClientCycle` in a request's scope, and of the first value of each header
CYCLE = "faregate.cycle"
NAMED = "faregate.named"
#: bytes a second of a body that is not whole yet, in each `limits.bodySilenceSeconds`
BODY_RATE_MIN = 1024


class ClientSocket(Protocol):
    """The connection that a request came by."""

    @property
    def is_slow(self) -> bool:
        """True if data that was sent waits for the client to read."""


class ClientCycle(Protocol):
    """One request and its answer, as the listener's protocol has it."""

    task: asyncio.Task[None]
    #: set while more of the body will arrive
    more_body: bool
    #: set if the client has gone before its answer was complete, and the function that is called
    #: then
    disconnected: bool
    on_lost: Callable[[], None] | None

    @property
    def line(self) -> ClientSocket: ...

    def whole_body(self) -> bytes | None:
        """The body if all of it is here, else None: it must be received."""

    async def receive(self) -> Message:
        """The next part of the body, or `http.disconnect`."""

    async def drain(self) -> None:
        """Wait while the client reads slowly."""

    def start(self, status: int, lines: bytes, length: int | None) -> None:
        """Begin the answer, with lines of headers."""

    def write(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the answer, the last one unless `more` follow. Waits for nothing."""

    def write_each(self, pieces: Sequence[bytes], *, waits: bool = False) -> None:
        """Send pieces of an answer without a length, more of which follow, each as a chunk.

        With `waits`, which only what follows at once or the head may, they go with the next ones.
        """


class ClientGone(Exception):
    """The client closed its connection."""


class _Arrival:
    """Until when more of one body must be here: often enough, fast enough, and soon enough."""

    __slots__ = ("_bytes", "_deadline", "_limits", "_since")

    def __init__(self, now: float, limits: FleetLimits) -> None:
        self._limits = limits
        self._deadline = now + limits.body_seconds
        self._since = now
        #: since then
        self._bytes = 0

    @property
    def due(self) -> float:
        return min(self._deadline, self._since + self._limits.body_silence_seconds)

    def note(self, size: int, now: float) -> None:
        """So much arrived."""
        self._bytes += size
        if self._bytes >= self._least:
            self._since, self._bytes = now, 0

    def too_late(self, now: float) -> InvalidRequest:
        """Why nobody waits any longer."""
        limits = self._limits
        if now >= self._deadline:
            return InvalidRequest(f"the body did not arrive within {limits.body_seconds:g} s")
        seconds = limits.body_silence_seconds
        return InvalidRequest(
            f"less than {self._least} bytes of the body arrived within {seconds:g} s"
        )

    @property
    def _least(self) -> int:
        return ceil(BODY_RATE_MIN * self._limits.body_silence_seconds)


class Connection:
    """The client's side of one request."""

    __slots__ = ("_cycle", "_holder", "_loop", "_memory", "busy_since", "gone", "headers", "held",
                 "kept", "named", "sent_at", "socket", "started", "task")  # fmt: skip

    def __init__(self, scope: Scope, memory: Shares) -> None:
        """`memory` is what all buffered bodies of this replica may hold together, in bytes."""
        self._cycle: ClientCycle = scope[CYCLE]
        self.socket = self._cycle.line
        self.task = self._cycle.task
        self._loop = self.task.get_loop()  # to ask for the running one is a system call
        self.headers: Headers = scope["headers"]
        #: the first value of each name: most that is looked for is not there
        self.named: dict[bytes, bytes] = scope[NAMED]
        self._memory = memory
        #: bytes that are held; of these, those for the answer, until `close`
        self.held = self.kept = 0
        self.started = False
        self.gone = False
        self.sent_at = 0.0
        self.busy_since: float | None = None

    async def read_body(
        self, holder: Holder, limits: FleetLimits, worker_thread: WorkerThread
    ) -> bytes:
        """The whole body, not compressed, held for its account until `release_body`.

        Raises `RequestTooLarge`, `ClientGone`, `RateLimited` where the account's bodies are at
        their bound, `Overloaded` where all bodies are, and `InvalidRequest` for a body that stops
        or comes too slowly: half a body takes its place all the while.
        """
        self._holder = holder
        coding = self._coding() if b"content-encoding" in self.named else None
        body = self._cycle.whole_body()
        if body is None:
            body = await self._receive_body(limits)
        else:
            self._take(len(body), limits.body_bytes)
        if coding is None:
            return body
        try:
            return await self._open(decompress(body, coding), limits.body_bytes, worker_thread)
        except ContentCodingError as error:
            raise InvalidRequest(str(error)) from None

    def _coding(self) -> str | None:
        try:
            return read_coding(self.headers)
        except ContentCodingError as error:
            raise InvalidRequest(str(error)) from None

    async def _open(
        self, pieces: Iterator[bytes], size_max: int, worker_thread: WorkerThread
    ) -> bytes:
        """A compressed body's content, held beside the body while that is read."""
        compressed, size, opened = self.held, 0, list[bytes]()
        work, weight = partial(next, pieces, None), compressed
        while (piece := await worker_thread.run(self._holder, weight, work)) is not None:
            opened.append(piece)
            size += len(piece)
            if size > size_max:
                raise _too_large(size_max)
            self.hold(compressed + size)
            weight = PIECE_BYTES
        self.hold(size)
        return b"".join(opened)

    async def _receive_body(self, limits: FleetLimits) -> bytes:
        length = self.named.get(b"content-length", b"")
        if length.isdigit() and int(length) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        arrival = _Arrival(self._loop.time(), limits)
        parts = []
        while True:
            message = await self._receive_within(arrival)
            part: bytes = message.get("body", b"")
            parts.append(part)
            self._take(len(part), limits.body_bytes)
            if not message.get("more_body"):
                return b"".join(parts)
            arrival.note(len(part), self._loop.time())

    async def _receive_within(self, arrival: _Arrival) -> Message:
        if not self._cycle.more_body:  # nothing to wait for, and a timer is expensive
            message = await self._cycle.receive()
        else:
            try:
                async with asyncio.timeout_at(arrival.due):
                    message = await self._cycle.receive()
            except TimeoutError:
                raise arrival.too_late(self._loop.time()) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    def _take(self, size: int, size_max: int) -> None:
        if self.held + size > size_max:
            raise _too_large(size_max)
        if size and not self._memory.take(self._holder, size, had=self.held):
            self._refuse_body()
        self.held += size

    def _refuse_body(self) -> NoReturn:
        if self._memory.held(self._holder[1]):
            raise RateLimited(
                "the bodies of this account's requests are as many bytes as a replica holds for"
                " one account; try again when some are answered",
                retry_after_seconds=1.0,
                details={"limit": "buffered_bytes", "level": REPLICA},
            )
        raise Overloaded(
            "this replica holds as many request bodies as it may; try again",
            retry_after_seconds=1.0,
        )

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on for the body and what it has become.

        Raises `RateLimited` and `Overloaded` as `read_body` does, and `RequestTooLarge` for what
        there will never be room for.
        """
        size += self.kept
        more = size - self.held
        if size > self._memory.capacity:
            raise RequestTooLarge(
                f"reading the body takes {size} bytes of memory, and this replica has"
                f" {self._memory.capacity} for all bodies together"
            )
        if more > 0 and not self._memory.take(self._holder, more, had=self.held):
            self._refuse_body()
        if more < 0:
            self._memory.give_back(self._holder, -more)
        self.held = size

    def hold_more(self, size: int) -> None:
        """Hold so many bytes more for what the body has become. Raises as `hold`."""
        self.hold(self.held - self.kept + size)

    def hold_answer(self, size: int) -> None:
        """Hold so many bytes more, until `close`, for what outlives the body: a large answer, or
        what an answer repeats of its request.

        It is an estimate, and a third of an account's share at most. Raises as `hold`.
        """
        self.kept = min(size, self._memory.most // 3)
        self.hold(self.held)

    def release_body(self) -> None:
        """Give back the memory of the body."""
        body = self.held - self.kept
        if body:
            self._memory.give_back(self._holder, body)
            self.held = self.kept

    def watch(self, on_gone: Callable[[], None]) -> None:
        """From now on call `on_gone` once when the client leaves, until `close`."""

        def lost() -> None:
            self.gone = True
            on_gone()

        self._cycle.on_lost = lost
        if self._cycle.disconnected:
            lost()

    def close(self) -> None:
        """The request is over: the client is not watched any more, its body no longer held."""
        self._cycle.on_lost = None
        if self.held:
            self.kept = 0
            self.release_body()

    async def start(self, status: int, lines: bytes, frames: Sequence[bytes]) -> None:
        """Begin an answer whose length is not known, with its first frames; once."""
        assert not self.started, "a status is sent once"
        self.started = True
        if self.socket.is_slow:
            await self._wait_to_start()
        self._cycle.start(status, lines, None)
        self._cycle.write_each(frames, waits=True)
        self.sent_at = self._loop.time()

    async def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send a whole answer; once."""
        assert not self.started, "a status is sent once"
        self.started = True
        if self.socket.is_slow:
            await self._wait_to_start()
        self._cycle.start(status, lines, len(body))
        self._cycle.write(body)

    async def wait_until_read(self) -> None:
        """Wait until the client has read nearly all, or has left."""
        await self._cycle.drain()

    async def _wait_to_start(self) -> None:
        try:
            await self._cycle.drain()
        except BaseException:
            self.started = False  # nothing was written: an error can still be a status
            raise

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send frames, waiting while the client reads slowly."""
        if self.socket.is_slow:
            await self._drain()
        self.send_now(frames)

    async def _drain(self) -> None:
        """Wait while the client reads slowly."""
        self.busy_since = self._loop.time()
        await self._cycle.drain()
        self.busy_since = None

    def send_now(self, frames: Sequence[bytes]) -> None:
        """Send frames to a client that is not slow: nothing is waited for."""
        self._cycle.write_each(frames)
        self.sent_at = self._loop.time()

    async def finish(self, frames: Sequence[bytes]) -> None:
        """End the response with its last frames."""
        if self.socket.is_slow:
            await self._drain()
        self._cycle.write_each(frames, waits=True)
        self._cycle.write(b"")


def _too_large(size_max: int) -> RequestTooLarge:
    return RequestTooLarge(f"the body is larger than {size_max} bytes")
