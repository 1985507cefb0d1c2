"""Locks: one piece of work at a time on one object, for every caller, and measured.

A handler, the sweep and the look at the fleets may all want to work on the same object. Each reads
the object when its turn has come, so none works from a state that another has just changed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from gateway.core.errors import DatabaseUnavailable
from gateway_operator.cluster import ClusterError
from gateway_operator.metrics import BUG, OperatorMetrics


class ObjectLocks:
    """The locks of all objects that somebody works on, or waits for."""

    def __init__(self, metrics: OperatorMetrics) -> None:
        self._metrics = metrics
        # A lock is there for as long as somebody holds it in hand.
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, kind: str, namespace: str, name: str) -> AsyncIterator[None]:
        """One's turn on an object; what fails within is counted and raised."""
        lock = self._locks.setdefault((kind, namespace, name), asyncio.Lock())
        with self._metrics.waiting(kind):
            async with lock:
                with self._metrics.reconciling(kind), self._counted(kind):
                    yield

    @contextmanager
    def _counted(self, kind: str) -> Iterator[None]:
        try:
            yield
        except (DatabaseUnavailable, ClusterError) as error:
            self._metrics.failed(kind, type(error).__name__)
            raise
        except Exception:
            self._metrics.failed(kind, BUG)
            raise
