"""Accounts and keys that a replica has seen to be limited.

A batch with one of them is charged by another statement, which costs more, and no other batch is.
Those that are not known yet are found out by their rows.
"""

from collections.abc import Sequence

from gateway.store.ledger import Charge, MeteredEnd, Refund

#: forgotten all at once; each is found out again
_KNOWN_MAX = 100_000


class _SeenIds:
    def __init__(self) -> None:
        self._known: set[int] = set()

    def note(self, seen_id: int) -> None:
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known.add(seen_id)


class GroupedAccounts(_SeenIds):
    """Accounts that have a parent or limits: they are charged as groups are."""

    def is_any_of(self, batch: Sequence[Charge | Refund | MeteredEnd]) -> bool:
        """True if one of a batch's accounts is known."""
        known = self._known
        return bool(known) and not known.isdisjoint([item.account_id for item in batch])


class LimitedKeys(_SeenIds):
    """Keys that have limits in credits."""

    def is_any_of(self, batch: Sequence[Charge]) -> bool:
        """True if one of a batch's keys is known."""
        known = self._known
        return bool(known) and not known.isdisjoint([charge.api_key_id for charge in batch])
