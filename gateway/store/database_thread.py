"""A thread and a connection for one kind of work, so that nothing else delays it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from gateway.store.database import Database

#: questions here are small and asked again soon: no answer is better than a late one
_ANSWER_SECONDS = 3.0

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThread:
    """Runs functions of the store in order, on a way of its own to a database."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database.beside(answer_seconds=_ANSWER_SECONDS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(
        self,
        function: Callable[Concatenate[Database, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return the result of a function of a database; raise what it raises."""

        def run() -> T:
            return function(self._database, *arguments, **named)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def close(self) -> None:
        """Let the thread end when it may; nobody waits for a server that sends nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._database.close()
