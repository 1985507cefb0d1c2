"""The work on single objects, as the watches ask for it: which is due, by whom, and once more.

The same work as the sweep's. Work that fails is tried again after some time, for as long as it
fails.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.errors import DatabaseUnavailable
from gateway_operator.apply.reporting import report_waiting
from gateway_operator.cluster import Cluster, ClusterError
from gateway_operator.resources.apikey import KIND as API_KEY
from gateway_operator.resources.apikey import is_held
from gateway_operator.settings import BACKOFF_SECONDS
from gateway_operator.sweep import Sweep
from gateway_operator.work_queue import Job, WorkQueue

_logger = logging.getLogger(__name__)
_DATABASE_UNAVAILABLE = "DatabaseUnavailable"
#: the shortest time until another attempt, and what chance adds to it at most
_RETRY_SECONDS = 8
_JITTER_SECONDS = 8


def is_due(kind: str, body: dict[str, Any]) -> bool:
    """True if nobody has worked on an object as it is now.

    A status is of one generation. A key is also due without our finalizer, and with it at its end.
    """
    metadata = body["metadata"]
    if metadata.get("deletionTimestamp"):
        return kind == API_KEY and is_held(body)
    observed = (body.get("status") or {}).get("observedGeneration")
    return observed != metadata.get("generation") or (kind == API_KEY and not is_held(body))


class Workers:
    """One loop of `run` is one worker. `opened` gives the work, or raises `DatabaseUnavailable`."""

    def __init__(
        self, queue: WorkQueue, cluster: Cluster, opened: Callable[[], Awaitable[Sweep]]
    ) -> None:
        self._queue = queue
        self._cluster = cluster
        self._opened = opened

    async def run(self) -> None:
        """Work on one object after another, until cancelled."""
        while True:
            job = await self._queue.take()
            try:
                await self._work(job)
            except (DatabaseUnavailable, ClusterError) as error:
                _logger.debug("%s %s/%s waits: %s", *job, error)
                jitter = secrets.randbelow(1000 * _JITTER_SECONDS) / 1000
                self._queue.add_later(job, _RETRY_SECONDS + jitter)
            except Exception:
                _logger.exception("the work on %s %s/%s failed", *job)
                self._queue.add_later(job, BACKOFF_SECONDS)

    async def _work(self, job: Job) -> None:
        try:
            sweep = await self._opened()
            await sweep.reconcile(*job)
        except DatabaseUnavailable as error:
            await self._report_waiting(job, str(error))
            raise

    async def _report_waiting(self, job: Job, message: str) -> None:
        body = await self._cluster.get(*job)
        if body is not None:
            await report_waiting(self._cluster, job.kind, body, _DATABASE_UNAVAILABLE, message)
