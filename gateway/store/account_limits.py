"""The limits that count for an account, as it reads them: its own and of those above it."""

from datetime import date
from typing import Any

from sqlmodel import Session

from gateway.core.groups import LEVELS_MAX
from gateway.store.tables import Account

_LIMITS = ("credits_per_day", "credits_per_month", "credits")


def read_limits(session: Session, account: Account, day: date) -> list[dict[str, Any]]:
    """Each level that has limits, the account first: the limits, and the credits left of them.

    `day` is the day of UTC that it is. A value is None where there is no limit. Where an account
    has no limit of a kind, the one that its parent has for its children counts.
    """
    found: list[dict[str, Any]] = []
    level: Account | None = account
    for _ in range(LEVELS_MAX):
        if level is None:
            break
        parent = None if level.parent_id is None else session.get_one(Account, level.parent_id)
        limits = [_limit(level, parent, name) for name in _LIMITS]
        if any(limit is not None for limit in limits):
            lefts = [
                None if limit is None else max(0, limit - used)
                for limit, used in zip(limits, _used(level, day), strict=True)
            ]
            found.append(
                {
                    "account": f"{level.namespace}/{level.name}",
                    **dict(zip(_LIMITS, limits, strict=True)),
                    "credits_left_today": lefts[0],
                    "credits_left_this_month": lefts[1],
                    "credits_left": lefts[2],
                }
            )
        level = parent
    return found


def _limit(account: Account, parent: Account | None, name: str) -> int | None:
    own: int | None = getattr(account, name)
    if own is not None or parent is None:
        return own
    of_children: int | None = getattr(parent, f"child_{name}")
    return of_children


def _used(account: Account, day: date) -> tuple[int, int, int]:
    """The credits counted for a day, for its month and for good. A count of a later day is this
    one's: a clock may have been set back."""
    on = account.used_on
    in_day = account.used_in_day if on is not None and on >= day else 0
    in_month = account.used_in_month if on is not None and on >= day.replace(day=1) else 0
    return in_day, in_month, account.used_ever
