"""The rules of money, pure.

An account's balance is the sum of its entries. Grants are *lots*: each keeps what is left of it,
but a charge does not name the lot that it eats. Only when a grant of the account is posted, expires
or is voided are the lots brought up to date, under the account's lock:

    difference = sum(remaining) + surplus - balance
      > 0   was spent: taken off the lots, earliest expiry first, lots without expiry after them,
            the surplus last
      < 0   came back by late refunds: added to the surplus, which never expires

and then the event posts its entry. So a void or an expiry never takes more than the balance, and
a refund can always be spent.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

#: the most credits that an account may have, with those that open requests may give back: no
#: column holds more, and a refund must never be what does not fit
BALANCE_MAX = 2**63 - 1


class Lot(Struct, frozen=True):
    """The credits that one live grant has left."""

    grant_id: int
    remaining: int
    expires_at: datetime | None = None


class Lots(Struct, frozen=True):
    """The live lots of one account, and its surplus.

    `rest` is what is left of lots that are not among `lots`: they are eaten after those, and
    there is enough before them.
    """

    lots: tuple[Lot, ...]
    surplus: int = 0
    rest: int = 0

    @property
    def total(self) -> int:
        return sum(lot.remaining for lot in self.lots) + self.surplus + self.rest

    def next_expiry(self) -> datetime | None:
        """When the next of these lots with something left expires."""
        moments = [lot.expires_at for lot in self.lots if lot.remaining and lot.expires_at]
        return min(moments, default=None)

    def remaining(self, grant_id: int) -> int:
        return next((lot.remaining for lot in self.lots if lot.grant_id == grant_id), 0)


def reconcile_lots(lots: Lots, balance: int) -> Lots:
    """Bring the lots up to date with the balance; afterwards their total is the balance."""
    difference = lots.total - balance
    if difference < 0:
        return replace(lots, surplus=lots.surplus - difference)
    left: dict[int, int] = {}
    for lot in sorted(lots.lots, key=_eaten_first):
        taken = min(lot.remaining, difference)
        left[lot.grant_id] = lot.remaining - taken
        difference -= taken
    reconciled = tuple(replace(lot, remaining=left[lot.grant_id]) for lot in lots.lots)
    assert difference == 0 or lots.rest == 0, "what was spent is looked for where it was"
    result = replace(lots, lots=reconciled, surplus=lots.surplus - difference)
    assert result.surplus >= 0, "an account cannot have spent more than it had"
    assert result.total == balance, "the lots of an account are its balance"
    return result


def add_lot(lots: Lots, lot: Lot) -> Lots:
    """The lots with a new grant; the entry is the lot's credits."""
    return replace(lots, lots=(*lots.lots, lot))


def take_lot(lots: Lots, *grant_ids: int) -> tuple[Lots, int]:
    """The lots without what is left of a grant or several, and the credits taken.

    For void and expiry.
    """
    wanted = frozenset(grant_ids)
    taken = sum(lot.remaining for lot in lots.lots if lot.grant_id in wanted)
    kept = tuple(lot for lot in lots.lots if lot.grant_id not in wanted)
    return replace(lots, lots=kept), taken


def _eaten_first(lot: Lot) -> tuple[bool, float, int]:
    if lot.expires_at is None:
        return (True, 0.0, lot.grant_id)
    return (False, lot.expires_at.timestamp(), lot.grant_id)
