"""CreditAllowance: the closed set of its reasons, and the status that is reported of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.core.allowances import next_post
from gateway.core.spec import CreditAllowance
from gateway_operator.conditions import ConditionState, build_status, timestamp

KIND = "CreditAllowance"


class CreditAllowanceReason(StrEnum):
    """Why a CreditAllowance is Ready, or is not."""

    POSTED = "Posted"
    SCHEDULED = "Scheduled"
    ENDED = "Ended"
    SUSPENDED = "Suspended"
    POSTING = "Posting"
    BALANCE_TOO_LARGE = "BalanceTooLarge"
    INVALID_SPEC = "InvalidSpec"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


def condition_of(allowance: CreditAllowance, now: datetime, *, is_done: bool) -> ConditionState:
    """The condition of an allowance of which nothing is wrong; `is_done`: all due is posted."""
    spec, reason = allowance.spec, CreditAllowanceReason
    if not is_done:
        message = "some accounts have not got the credits of this period yet"
        return ConditionState("waiting", reason.POSTING.value, message)
    if spec.suspended:
        message = "spec.suspended is true: nothing is posted"
        return ConditionState("ready", reason.SUSPENDED.value, message)
    if spec.starts_at is not None and spec.starts_at > now:
        message = "nothing is posted before spec.startsAt"
        return ConditionState("ready", reason.SCHEDULED.value, message)
    if spec.ends_at is not None and spec.ends_at <= now:
        message = "spec.endsAt has passed: nothing more is posted"
        return ConditionState("ready", reason.ENDED.value, message)
    message = f"{spec.credits} credits are posted every {spec.every}"
    return ConditionState("ready", reason.POSTED.value, message)


def status_of_allowance(
    body: dict[str, Any],
    allowance: CreditAllowance | None,
    posted_at: datetime | None,
    now: datetime | None,
    condition: ConditionState,
) -> dict[str, Any]:
    """The status of a CreditAllowance."""
    following = None if allowance is None or now is None else next_post(allowance.spec, now)
    return build_status(
        body,
        condition,
        lastPostedTime=posted_at and timestamp(posted_at),
        nextPostTime=following and timestamp(following),
    )
