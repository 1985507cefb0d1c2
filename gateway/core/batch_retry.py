"""Which of the charges that a batch refused are worth another try: pure.

A batch decides by order of arrival: what is refused for its account's balance or a limit of its
key may only have stood behind something larger, or beside too much. All of those that still fit
together are tried together; nothing that cannot fit is tried again, so that a key at its limit
costs everybody else nothing.
"""

from collections.abc import Sequence

from msgspec import Struct


class AttemptedCharge(Struct, frozen=True):
    """A charge that was made or refused, and what there is now.

    `balance` is its account's afterwards, `limit_left` what its key has left then of the limit that
    has least, None for a key without limits in credits: all of them count the same charges.
    """

    position: int
    account_id: int
    api_key_id: int
    credits: int
    is_charged: bool
    balance: int
    limit_left: int | None


def worth_another_try(batch: Sequence[AttemptedCharge]) -> list[int]:
    """The positions of those that fit together, the first first."""
    lefts: dict[int, int] = {}
    balances: dict[int, int] = {}
    positions = []
    for charge in batch:
        balance = balances.setdefault(charge.account_id, charge.balance)
        left = balance
        if charge.limit_left is not None:
            left = min(balance, lefts.setdefault(charge.api_key_id, charge.limit_left))
        if charge.is_charged or charge.credits > left:
            continue
        balances[charge.account_id] = balance - charge.credits
        if charge.limit_left is not None:
            lefts[charge.api_key_id] -= charge.credits
        positions.append(charge.position)
    return positions
