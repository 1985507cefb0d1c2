"""CreditGrant: the closed set of its reasons, and the status that is reported of it."""

from enum import StrEnum
from typing import Any

from gateway.store.grant_result import GrantResult
from gateway_operator.conditions import ConditionState, build_status, timestamp

KIND = "CreditGrant"


class CreditGrantReason(StrEnum):
    """Why a CreditGrant is Ready, or is not."""

    POSTED = "Posted"
    ALREADY_POSTED = "AlreadyPosted"
    SCHEDULED = "Scheduled"
    VOIDED = "Voided"
    EXPIRED = "Expired"
    IDEMPOTENCY_CONFLICT = "IdempotencyConflict"
    BALANCE_TOO_LARGE = "BalanceTooLarge"
    INVALID_SPEC = "InvalidSpec"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


def condition_of_result(result: GrantResult) -> ConditionState:
    """The result of a grant, as a condition."""
    reason = CreditGrantReason(result.reason).value
    return ConditionState("stalled" if result.is_stalled else "ready", reason, result.message)


def status_of_grant(
    body: dict[str, Any], result: GrantResult | None, condition: ConditionState
) -> dict[str, Any]:
    """The status of a CreditGrant; the entry's fields only where one was posted."""
    posted = result.posted_at if result is not None else None
    return build_status(
        body,
        condition,
        postedTime=posted and timestamp(posted),
        entryId=result and result.entry_id,
    )
