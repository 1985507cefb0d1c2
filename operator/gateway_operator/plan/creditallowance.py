"""The plan for one CreditAllowance, from its object and what of it is in the books. Pure."""

from datetime import datetime

from gateway.core.allowances import period_at
from gateway.core.spec import CreditAllowance
from gateway.store.allowance_rows import AllowanceState
from gateway_operator.plan.actions import AllowanceAction, KeepSince, PostCredits, Report


def plan_allowance(
    allowance: CreditAllowance, state: AllowanceState, now: datetime
) -> list[AllowanceAction]:
    """Note a new one, post what is due, and look at no period again that is done with."""
    begin = period_at(allowance.spec.every, now).begin
    actions: list[AllowanceAction] = []
    if state.since is None:
        actions.append(KeepSince(begin))
    actions += [PostCredits(each) for each in state.due]
    if state.since not in (None, begin) and state.has_all_due:
        actions.append(KeepSince(begin))
    return [*actions, Report()]
