"""Accounts that somebody else has locked: a lock that did not come is not waited for again.

A wait holds up all others of the batch, and those behind it. So the account is passed by from then
on, until its lock is to be had again.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, TypeVar

_LOCKED_MAX = 10_000


class _OfAccount(Protocol):
    @property
    def account_id(self) -> int: ...


T = TypeVar("T", bound=_OfAccount)


class LockedAccounts:
    """Those of one connection."""

    def __init__(self) -> None:
        self._locked: set[int] = set()

    def parts(self, batch: Sequence[T]) -> Iterator[tuple[list[T], bool]]:
        """The items that wait for their locks, and those that pass by locks that others hold.

        A part that would be empty is left out.
        """
        for passes_by in (False, True):
            part = [item for item in batch if (item.account_id in self._locked) == passes_by]
            if part:
                yield part, passes_by

    def note(self, batch: Sequence[T], locked: Collection[int]) -> None:
        """Of a batch's accounts, these were locked, and the others are not any more."""
        if self._locked:
            self._locked -= {item.account_id for item in batch}
        if len(self._locked) < _LOCKED_MAX:
            self._locked |= set(locked)
