"""Account: the closed set of its reasons, and the status that is reported of it."""

from enum import StrEnum
from typing import Any

from gateway.store.group_rows import AccountResult
from gateway_operator.conditions import ConditionState, build_status

KIND = "Account"


class AccountObjectReason(StrEnum):
    """Why an Account is Ready, or is not."""

    APPLIED = "Applied"
    ACCOUNT_TAKEN = "AccountTaken"
    INVALID_PARENT = "InvalidParent"
    INVALID_SPEC = "InvalidSpec"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


def condition_of_account(result: AccountResult) -> ConditionState:
    """The result for an account, as a condition."""
    reason = AccountObjectReason(result.reason).value
    return ConditionState("stalled" if result.is_stalled else "ready", reason, result.message)


def status_of_account(
    body: dict[str, Any], balance: int | None, condition: ConditionState
) -> dict[str, Any]:
    """The status of an Account; without a balance where none was read."""
    return build_status(body, condition, balance=balance)
