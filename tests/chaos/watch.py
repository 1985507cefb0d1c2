"""The watch: looks at the leases as a reaper does, so that the judge knows which were really over.

A lease is over where the replica's row was seen unchanged for as long as it lasts. Where no look
was answered for half a lease, nobody knows what happened meanwhile, and all begins again.
"""

import asyncio
import math
import time
from collections.abc import Iterable
from contextlib import suppress

import psycopg
from msgspec import Struct

from tests.chaos.database import Pair

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 3.0
#: a replica that has holds and no row does not live either
_LEASES = """
SELECT id, CAST(seen_at AS text) FROM replica UNION
SELECT replica_id, 'no row' FROM hold WHERE replica_id NOT IN (SELECT id FROM replica)
"""
_HOLDS = "SELECT request_id, replica_id FROM hold"


class _Seen(Struct):
    """A row's content, and since when it has it."""

    seen_at: object
    since: float


class Leases:
    """The looks at all replicas; pure."""

    def __init__(self, lease_seconds: float) -> None:
        # A reaper looks at other moments than we do.
        self._over_seconds = lease_seconds - 2 * _LOOK_SECONDS
        self._gap_seconds = lease_seconds / 2
        self._looked_at = -math.inf
        self._seen: dict[str, _Seen] = {}
        #: replicas whose lease was over once
        self.over: set[str] = set()

    def look(self, rows: Iterable[tuple[str, object]], now: float) -> None:
        before, self._seen = self._seen, {}
        if now - self._looked_at > self._gap_seconds:
            before = {}
        self._looked_at = now
        for replica, seen_at in rows:
            seen = before.get(replica)
            if seen is None or seen.seen_at != seen_at:
                seen = _Seen(seen_at, now)
            self._seen[replica] = seen
            if now - seen.since >= self._over_seconds:
                self.over.add(replica)


class Watch:
    """Looks at the primary itself, by no link."""

    def __init__(self, pair: Pair, lease_seconds: float) -> None:
        self._pair = pair
        self._leases = Leases(lease_seconds)
        #: by request the replica that held it
        self.held_by: dict[str, str] = {}

    async def play(self, over: asyncio.Event) -> None:
        while not over.is_set():
            began = time.monotonic()
            with suppress(psycopg.Error, OSError, TimeoutError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._look()
            await asyncio.sleep(max(0.0, began + _LOOK_SECONDS - time.monotonic()))

    async def _look(self) -> None:
        url = self._pair.primary.url(Pair.DATABASE)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            rows = await (await connection.execute(_LEASES)).fetchall()
            holds = await (await connection.execute(_HOLDS)).fetchall()
        self._leases.look(rows, time.monotonic())
        self.held_by.update(holds)

    def was_over(self, request_id: str) -> bool:
        """True if the lease of the request's replica was once seen to be over."""
        return self.held_by.get(request_id) in self._leases.over
