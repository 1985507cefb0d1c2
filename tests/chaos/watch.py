"""The watch: looks at the leases as a reaper does, so that the judge knows which were really over.

A lease is over where the replica's row was seen unchanged for as long as it lasts, with every look
in between answered. A look that was not answered in time says nothing, and all begins anew.
"""

import asyncio
import time

import psycopg
from msgspec import Struct

from tests.chaos.database import Pair

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 1.5
_LOOKS = "SELECT id, seen_at FROM replica"
_HOLDS = "SELECT request_id, replica_id FROM hold"


class _Seen(Struct):
    """A replica's row as it was seen, and since when it is the same."""

    seen_at: object
    since: float
    upto: float


class Watch:
    """Looks at the primary itself, by no link."""

    def __init__(self, pair: Pair, lease_seconds: float) -> None:
        self._pair = pair
        #: a reaper looks at other moments than we do
        self._over_seconds = lease_seconds - 2 * _LOOK_SECONDS
        self._replicas: dict[str, _Seen] = {}
        #: by replica, since when its lease is over by what was seen
        self._over: dict[str, float] = {}
        #: by request the replica that held it
        self.held_by: dict[str, str] = {}

    async def play(self, over: asyncio.Event) -> None:
        while not over.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._look()
            except (psycopg.Error, OSError, TimeoutError):
                self._replicas.clear()
            await asyncio.sleep(max(0.0, began + _LOOK_SECONDS - time.monotonic()))
            if time.monotonic() - began > _LOOK_SECONDS + _ANSWER_SECONDS:
                self._replicas.clear()

    async def _look(self) -> None:
        url = self._pair.primary.url(Pair.DATABASE)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            rows = await (await connection.execute(_LOOKS)).fetchall()
            holds = await (await connection.execute(_HOLDS)).fetchall()
        now = time.time()
        self.held_by.update(holds)
        for replica, seen_at in rows:
            seen = self._replicas.get(replica)
            if seen is None or seen.seen_at != seen_at:
                self._replicas[replica] = _Seen(seen_at, now, now)
                continue
            seen.upto = now
            if now - seen.since >= self._over_seconds:
                self._over.setdefault(replica, seen.since)

    def was_over(self, request_id: str) -> bool:
        """Whether the lease of the request's replica was once seen to be over.

        A replica whose row is gone, or was never there, has none either.
        """
        replica = self.held_by.get(request_id)
        return replica is not None and replica in self._over
