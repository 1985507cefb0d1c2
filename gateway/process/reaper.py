"""One replica's work on leases: its own, those of the dead, and what it has forgotten.

Renews this replica's lease, and gives back what replicas hold that it has itself watched die. It
asks in a database thread, so that no reader keeps it from renewing; the refunds are the ledger's.
"""

import logging
import time
from collections.abc import Callable

from gateway.core.lease_watch import Lease, LeaseWatch, UnknownHolds
from gateway.store.database_thread import DatabaseThread
from gateway.store.leases import (
    REFUND_BATCH,
    Owner,
    forget_replica,
    holds_of,
    own_holds,
    owners_of,
    read_leases,
    renew_lease,
)
from gateway.store.ledger import Ledger, Refund, refund_together

_log = logging.getLogger(__name__)
#: looks in the shortest lease that there is
_LOOKS_A_LEASE = 8


class Reaper:
    """One replica's. `known_requests` are the ids that may have holds of this replica's.

    `refunded` is called for each request that was given back, with its id where it was our own.
    """

    def __init__(
        self,
        database_thread: DatabaseThread,
        ledger: Ledger,
        replica_id: str,
        known_requests: Callable[[], set[str]],
        *,
        lease_seconds: float,
        unconfirmed_seconds: float,
        refunded: Callable[[Owner, str | None], None] = lambda _, __: None,
    ) -> None:
        self._database_thread = database_thread
        self._ledger = ledger
        self._replica_id = replica_id
        self._known_requests = known_requests
        self._lease_seconds = lease_seconds
        self._refunded = refunded
        self._watch = LeaseWatch()
        self._unknown = UnknownHolds(unconfirmed_seconds)
        #: until the next look: leases of other fleets may be shorter than ours
        self.pause_seconds = lease_seconds / _LOOKS_A_LEASE

    async def renew_lease(self) -> None:
        """Renew the lease. Raises `DatabaseUnavailable`."""
        await self._database_thread.run(renew_lease, self._replica_id, self._lease_seconds)

    async def reap(self) -> None:
        """Look at all leases once, and refund what the dead hold. Raises `DatabaseUnavailable`."""
        try:
            dead = await self._find_dead()
        except BaseException:
            self._watch.forget()
            raise
        refunded = 0
        for lease in dead:
            refunded += await self._reap(lease)
        refunded += await self._reap_unknown()
        if refunded:
            _log.warning("%d requests of dead replicas or lost commits were refunded", refunded)

    async def _find_dead(self) -> list[Lease]:
        began = time.monotonic()
        leases = await self._database_thread.run(read_leases, self._replica_id, self._lease_seconds)
        shortest = min([self._lease_seconds, *(lease.seconds for lease in leases)])
        self.pause_seconds = shortest / _LOOKS_A_LEASE
        return self._watch.find_dead(leases, began, time.monotonic())

    async def _reap(self, lease: Lease) -> int:
        refunded = 0
        batch = await self._database_thread.run(holds_of, lease)
        while batch:
            refunded += await self._refund(batch)
            batch = await self._database_thread.run(holds_of, lease, batch[-1])
        await self._database_thread.run(forget_replica, lease)
        return refunded

    async def _reap_unknown(self) -> int:
        """Give back holds under our own id that we do not know, such as of unconfirmed charges."""
        holds = await self._database_thread.run(own_holds, self._replica_id)
        # Asked after the holds were read: what has ended since then is known as ended, or gone.
        known = self._known_requests()
        unknown = {hold.request_id: hold for hold in holds if hold.request_id not in known}
        old = self._unknown.find_old(unknown, time.monotonic())
        return await self._give_back([unknown[request_id] for request_id in old])

    async def _give_back(self, holds: list[Refund]) -> int:
        refunded = 0
        for start in range(0, len(holds), REFUND_BATCH):
            batch = holds[start : start + REFUND_BATCH]
            refunded += await self._refund(batch, are_own=True)
        return refunded

    async def _refund(self, batch: list[Refund], *, are_own: bool = False) -> int:
        owners = await self._database_thread.run(owners_of, batch)
        given = await refund_together(self._ledger, batch)
        for refund in given:
            if refund.request_id in owners:
                own_request = refund.request_id if are_own else None
                self._refunded(owners[refund.request_id], own_request)
        return len(given)
