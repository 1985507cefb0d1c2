"""One thread that writes to a SQLite file, fed by a queue.

A thread of its own costs a fraction of an executor's hand-over, which the request path would pay
for every batch.
"""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop]


class WriterThread:
    """Runs functions in order, one at a time; results come back as futures of the calling loop."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        #: jobs whose result the loop does not have yet
        self._number = 0
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_at_work(self) -> bool:
        """True until the loop has the results of all that was submitted."""
        return self._number > 0

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """The future of a function's result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._number += 1
        self._jobs.put((function, future, loop))
        return future

    def stop(self) -> None:
        """Let the thread end after what is queued."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future, loop = job
            try:
                result, error = function(), None
            except Exception as failure:  # noqa: BLE001  # the waiting caller must hear of it
                result, error = None, failure
            loop.call_soon_threadsafe(self._resolve, future, result, error)

    def _resolve(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        self._number -= 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
