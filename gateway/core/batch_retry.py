"""Which of the charges that a batch refused are worth another try: pure.

A batch decides by order of arrival: what is refused for its account's balance or a limit may only
have stood behind something larger, or beside too much. All of those that still fit together are
tried together; nothing that cannot fit is tried again, so that a key at its limit costs everybody
else nothing.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct


class AttemptedCharge(Struct, frozen=True):
    """A charge that was made or refused, and what there is now.

    `balance` is its account's afterwards, and `lefts` what each of its limits has left then: by the
    key's id, or a name for the account whose limit it is.
    """

    position: int
    account_id: int
    credits: int
    is_charged: bool
    balance: int
    lefts: Mapping[int | str, int]


def worth_another_try(batch: Sequence[AttemptedCharge]) -> list[int]:
    """The positions of those that fit together, the first first."""
    lefts: dict[int | str, int] = {}
    balances: dict[int, int] = {}
    positions = []
    for charge in batch:
        left = balance = balances.setdefault(charge.account_id, charge.balance)
        for limited, limit_left in charge.lefts.items():
            left = min(left, lefts.setdefault(limited, limit_left))
        if charge.is_charged or charge.credits > max(left, 0):
            continue
        balances[charge.account_id] = balance - charge.credits
        for limited in charge.lefts:
            lefts[limited] -= charge.credits
        positions.append(charge.position)
    return positions
