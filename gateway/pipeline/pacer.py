"""Fills the silence of an answer, and finds out that nobody reads it."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.pipeline.connection import Connection


class Pacer:
    """Fills silence: after `first_seconds` without an answer, and then every `then_seconds`.

    `fill` sends what is due; `give_up` is called once the client has not read for
    `patience_seconds`.
    It is a chain of timers, not a task: a stream that flows pays nothing for it.
    """

    __slots__ = ("_connection", "_fill", "_give_up", "_handle", "_loop", "_patience_seconds",
                 "_task", "_then_seconds")  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        fill: Callable[[], Awaitable[None]],
        give_up: Callable[[], None],
        *,
        first_seconds: float,
        then_seconds: float,
        patience_seconds: float,
    ) -> None:
        self._connection = connection
        self._fill = fill
        self._give_up = give_up
        self._then_seconds = then_seconds
        self._patience_seconds = patience_seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._handle = self._loop.call_later(first_seconds, self._tick)

    def stop(self) -> None:
        self._handle.cancel()
        if self._task is not None:
            self._task.cancel()

    def _tick(self) -> None:
        connection = self._connection
        now = self._loop.time()
        wait = self._then_seconds
        if connection.busy_since is not None:
            if now - connection.busy_since > self._patience_seconds:
                self._give_up()
                return
        elif connection.started and now - connection.sent_at < self._then_seconds * 0.99:
            wait = self._then_seconds - (now - connection.sent_at)
        elif self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run())
        self._handle = self._loop.call_later(wait, self._tick)

    async def _run(self) -> None:
        await self._fill()
