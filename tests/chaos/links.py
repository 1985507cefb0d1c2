"""Links: TCP from a gateway to a server, with everything a network does to it.

A link is a port that forwards. It may refuse, hold bytes back as a partition does, forget the
connections that there are (they stay silent for good), lose answers, cut everything, and lead
elsewhere. What is sent through it can be looked at.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from tests.chaos.observer import UpstreamObserver

_READ_BYTES = 64 * 1024
_CONNECT_SECONDS = 5.0


class _Pair:
    """One connection of a client, and the one to the server that goes with it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._writers = (client, server)
        #: nothing passes any more, and neither side is informed
        self.is_forgotten = False
        self.ended = asyncio.Event()

    def abort(self) -> None:
        self.ended.set()
        for writer in self._writers:
            writer.transport.abort()


class Link:
    """One way to a server; open it before anybody connects."""

    def __init__(self, target_port: int, observer: UpstreamObserver | None = None) -> None:
        self._target_port = target_port
        self._observer = observer
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._loses_answers = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Listen; again at the same port after `refuse`."""
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Nobody listens, and all connections are reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections that there are."""
        for pair in list(self._pairs):
            pair.abort()

    def hold(self, holding: bool) -> None:
        """While on, nothing passes; what was sent meanwhile passes afterwards."""
        (self._passing.clear if holding else self._passing.set)()

    def forget(self) -> None:
        """The connections that there are go silent for good; new ones work."""
        for pair in self._pairs:
            pair.is_forgotten = True

    def lose_answers(self, losing: bool) -> None:
        """While on, the server gets everything, and the client a reset instead of an answer."""
        self._loses_answers = losing

    def lead_to(self, target_port: int, *, cut: bool) -> None:
        """New connections go to another server; the old ones are cut, or stay where they are."""
        self._target_port = target_port
        if cut:
            self.cut()

    async def close(self) -> None:
        await self.refuse()
        self.hold(False)
        await asyncio.gather(*self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        pair = _Pair(writer, there[1])
        if self._server is None:  # refused meanwhile
            pair.abort()
            return
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, reader, there[1], self._sent),
                self._pump(pair, there[0], writer, self._received),
            )
        finally:
            self._pairs.discard(pair)
            pair.abort()
            if self._observer is not None:
                self._observer.ended(pair)

    async def _pump(
        self,
        pair: _Pair,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[_Pair, bytes], None],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                await self._passing.wait()
                if pair.is_forgotten:
                    await pair.ended.wait()
                    return
                look(pair, data)
                if pair.ended.is_set():
                    return
                writer.write(data)
                await writer.drain()
        if pair.is_forgotten:  # its end is not reported either
            await pair.ended.wait()
            return
        await self._passing.wait()
        with suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()

    def _sent(self, pair: _Pair, data: bytes) -> None:
        if self._observer is not None:
            self._observer.sent(pair, data)

    def _received(self, pair: _Pair, data: bytes) -> None:
        if self._loses_answers:
            pair.abort()
        elif self._observer is not None:
            self._observer.received(pair, data)
