"""The result of applying a grant, for those who need not load what applies it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

GrantReason = Literal[
    "Posted",
    "AlreadyPosted",
    "Scheduled",
    "Voided",
    "Expired",
    "IdempotencyConflict",
    "BalanceTooLarge",
]


class GrantResult(Struct, frozen=True):
    """The result of reconciling a CreditGrant object; the last two reasons stall it, and so may
    `Expired`."""

    reason: GrantReason
    message: str
    entry_id: int | None = None
    posted_at: datetime | None = None

    @property
    def is_stalled(self) -> bool:
        return self.reason in ("IdempotencyConflict", "BalanceTooLarge") or (
            self.reason == "Expired" and self.entry_id is None
        )
