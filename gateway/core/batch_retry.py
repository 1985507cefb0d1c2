"""Which of the charges that a batch refused are worth another try: pure.

A batch decides by order of arrival: what is refused for its account's balance or its key's day may
only have stood behind something larger, or beside too much. All of those that still fit together
are tried together; nothing that cannot fit is tried again, so that a key at its cap costs everybody
else nothing.
"""

from collections.abc import Sequence

from msgspec import Struct


class AttemptedCharge(Struct, frozen=True):
    """A charge that was made or refused, and what there is now.

    `balance` is its account's afterwards, `day_left` what its key had left of its day before, None
    for a key without a cap.
    """

    position: int
    account_id: int
    api_key_id: int
    credits: int
    is_charged: bool
    balance: int
    day_left: int | None


def worth_another_try(batch: Sequence[AttemptedCharge]) -> list[int]:
    """The positions of those that fit together, the first first."""
    days: dict[int, int] = {}
    for charge in batch:
        if charge.day_left is not None:
            taken = charge.credits if charge.is_charged else 0
            days[charge.api_key_id] = days.get(charge.api_key_id, charge.day_left) - taken
    balances: dict[int, int] = {}
    positions = []
    for charge in batch:
        balance = balances.setdefault(charge.account_id, charge.balance)
        left = balance if charge.day_left is None else min(balance, days[charge.api_key_id])
        if charge.is_charged or charge.credits > left:
            continue
        balances[charge.account_id] = balance - charge.credits
        if charge.day_left is not None:
            days[charge.api_key_id] -= charge.credits
        positions.append(charge.position)
    return positions
