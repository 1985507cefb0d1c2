"""Detection of dead replicas by one process's own observation: pure, with the time handed in.

Only the watcher's own clock counts: the database's may step, and a computed age cannot distinguish
a dead replica from a database at which nobody could be seen.
"""

from collections.abc import Iterable

from msgspec import Struct

#: looks must follow each other within this part of a lease, so that nothing happens in between
_GAP_SHARE = 0.5


class Lease(Struct, frozen=True):
    """One replica's, as a look finds it; `mark` changes whenever the replica renews it."""

    replica_id: str
    mark: str
    seconds: float


class _Unchanged(Struct):
    mark: str
    since: float
    seen_at: float


class LeaseWatch:
    """Which leases have stood still for their whole length, with every look in between done."""

    def __init__(self) -> None:
        self._unchanged: dict[str, _Unchanged] = {}

    def find_dead(self, leases: Iterable[Lease], began: float, ended: float) -> list[Lease]:
        """The dead of a look that lasted from `began` to `ended`.

        A row was read at some moment between the two. So a lease counts from the end of the look
        that saw the row first, to the beginning of the look that judges it.
        """
        dead = []
        before, self._unchanged = self._unchanged, {}
        for lease in leases:
            known = before.get(lease.replica_id)
            if (
                known is None
                or known.mark != lease.mark
                or ended - known.seen_at > lease.seconds * _GAP_SHARE
            ):
                known = _Unchanged(lease.mark, ended, ended)
            known.seen_at = ended
            self._unchanged[lease.replica_id] = known
            if began - known.since >= lease.seconds:
                dead.append(lease)
        return dead

    def forget(self) -> None:
        """Forget everything after a look that failed: nobody saw what happened since the last
        one."""
        self._unchanged.clear()


class UnknownHolds:
    """Requests that this process holds by the books and does not know, and since when."""

    def __init__(self, age_seconds: float) -> None:
        self._age_seconds = age_seconds
        self._since: dict[str, float] = {}

    def find_old(self, unknown: Iterable[str], now: float) -> set[str]:
        """Those of them that have been unknown for long enough."""
        self._since = {name: self._since.get(name, now) for name in unknown}
        return {name for name, since in self._since.items() if now - since >= self._age_seconds}
