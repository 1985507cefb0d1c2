"""CreditGrant: the closed set of its reasons, and the status that is reported of it."""

from enum import StrEnum
from typing import Any

from gateway.store.grant_rows import GrantResult
from gateway_operator.conditions import Verdict, build_status

KIND = "CreditGrant"


class Reason(StrEnum):
    """Why a CreditGrant is Ready, or is not."""

    POSTED = "Posted"
    ALREADY_POSTED = "AlreadyPosted"
    VOIDED = "Voided"
    EXPIRED = "Expired"
    IDEMPOTENCY_CONFLICT = "IdempotencyConflict"
    BALANCE_TOO_LARGE = "BalanceTooLarge"
    INVALID_SPEC = "InvalidSpec"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


def verdict_of_result(result: GrantResult) -> Verdict:
    """What became of a grant, as a condition."""
    reason = Reason(result.reason).value
    return Verdict("stalled" if result.is_stalled else "ready", reason, result.message)


def status_of_grant(
    body: dict[str, Any], result: GrantResult | None, verdict: Verdict
) -> dict[str, Any]:
    """The status of a CreditGrant; the entry's fields only where one was posted."""
    posted = result.posted_at if result is not None else None
    return build_status(
        body,
        verdict,
        postedTime=posted and posted.strftime("%Y-%m-%dT%H:%M:%SZ"),
        entryId=result and result.entry_id,
    )
