"""Accounts that a replica has seen to have a parent or limits: they are charged as groups are.

That costs a little more, so nobody else is. Who is not known yet is found out by its row.
"""

from collections.abc import Sequence

from gateway.store.ledger import Charge, MeteredEnd, Refund

#: forgotten all at once; each is found out again
_KNOWN_MAX = 100_000


class GroupedAccounts:
    """Those of one replica."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def is_any_of(self, batch: Sequence[Charge | Refund | MeteredEnd]) -> bool:
        """True if one of a batch's accounts is known."""
        known = self._known
        return bool(known) and not known.isdisjoint([item.account_id for item in batch])

    def note(self, account_id: int) -> None:
        """An account has a parent or limits."""
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known.add(account_id)
