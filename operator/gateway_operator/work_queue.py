"""The objects that wait for work: the turn goes round the namespaces, one object of each.

So a namespace with ten thousand new keys keeps no other waiting, and a key that is being deleted
waits behind no new one. Only names are held, and each once.
"""

import asyncio
from typing import NamedTuple

from gateway_operator.metrics import OperatorMetrics


class Job(NamedTuple):
    """The work on one object."""

    kind: str
    namespace: str
    name: str


class WorkQueue:
    """A queue for each namespace, and another for its objects that are being deleted."""

    def __init__(self, metrics: OperatorMetrics) -> None:
        self._metrics = metrics
        self._queues: dict[tuple[str, bool], dict[Job, None]] = {}
        self._arrived = asyncio.Event()
        self._later: dict[Job, asyncio.TimerHandle] = {}

    def add(self, job: Job, *, is_ending: bool = False) -> None:
        """Have an object worked on in its turn."""
        pending = self._later.pop(job, None)
        if pending is not None:
            pending.cancel()
        queue = self._queues.setdefault((job.namespace, is_ending), {})
        if job not in queue:
            queue[job] = None
            self._metrics.queued(job.kind, 1)
            self._arrived.set()

    def add_later(self, job: Job, seconds: float) -> None:
        """Have it worked on again after some time, unless it is its turn before."""
        if job not in self._later:
            loop = asyncio.get_running_loop()
            self._later[job] = loop.call_later(seconds, self.add, job)

    def __contains__(self, job: Job) -> bool:
        return any(job in self._queues.get((job.namespace, ends), ()) for ends in (False, True))

    async def take(self) -> Job:
        """The next job, as soon as there is one."""
        while not self._queues:
            self._arrived.clear()
            await self._arrived.wait()
        place = next(iter(self._queues))
        jobs = self._queues.pop(place)
        job = next(iter(jobs))
        del jobs[job]
        self._metrics.queued(job.kind, -1)
        if jobs:
            self._queues[place] = jobs  # behind all others
        return job
