"""The plan for one Account, from its object and the account's row. Pure."""

from typing import Any

from gateway.core.spec import AccountObject
from gateway.store.group_rows import AccountState, decided
from gateway_operator.plan.actions import AccountAction, ApplyAccount, Report

#: a balance that differs by less of what was granted is not worth a write
_SHARE = 100


def plan_account(account: AccountObject, state: AccountState | None) -> list[AccountAction]:
    """Bring the row to what the object states, unless it is so already or may not be."""
    if decided(account, state) is not None:
        return [Report()]
    return [ApplyAccount(), Report()]


def shown_balance(body: dict[str, Any], state: AccountState | None) -> int | None:
    """The balance for the status: the one that is there, unless it is too far from the real one."""
    shown: int | None = (body.get("status") or {}).get("balance")
    if state is None or shown is None:
        return None if state is None else state.balance
    difference = abs(state.balance - shown)
    is_near = difference == 0 or difference < state.granted // _SHARE
    return shown if is_near else state.balance
