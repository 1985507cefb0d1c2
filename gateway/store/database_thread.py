"""Threads for one kind of work on a database, so that nothing else delays it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from gateway.store.database import Database

#: questions here are small and asked again soon: no answer is better than a late one
_ANSWER_SECONDS = 3.0

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads:
    """Runs functions of the store beside the loop; in one thread, in order."""

    def __init__(self, database: Database, name: str, threads: int = 1) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(
        self,
        function: Callable[Concatenate[Database, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return the result of a function of a database; raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: function(self._database, *arguments, **named)
        )

    def close(self, *, wait: bool = False) -> None:
        """Close the database and let the threads end; with `wait`, after the work under way."""
        self._threads.shutdown(wait=wait, cancel_futures=True)
        self._database.close()


class DatabaseThread(DatabaseThreads):
    """One thread with a way of its own to a database; nobody waits for a server that is silent."""

    def __init__(self, database: Database, name: str) -> None:
        super().__init__(database.beside(answer_seconds=_ANSWER_SECONDS), name)
