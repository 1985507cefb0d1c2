"""Work that several callers ask for at the same time is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Work under way, by its key. A caller that waits may leave; the work goes on for the
    others."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: K) -> bool:
        return key in self._under_way

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, or of the same that is under way; raise what it raises."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._run(key, work))
            task.add_done_callback(_note_error)
        return await asyncio.shield(task)

    async def _run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            del self._under_way[key]


def _note_error(task: "asyncio.Task[T]") -> None:
    """An error that nobody waits for any more must not make the loop complain."""
    if not task.cancelled():
        task.exception()
