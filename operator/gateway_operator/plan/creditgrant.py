"""The plan for one CreditGrant, from its object and its row. Pure."""

from datetime import datetime

from msgspec.structs import replace

from gateway.core.spec import CreditGrant
from gateway.store.grant_result import GrantResult
from gateway.store.grant_rows import GrantState, decided
from gateway_operator.plan.actions import GrantAction, PostGrant, Report, VoidGrant


def plan_grant(grant: CreditGrant, state: GrantState | None, now: datetime) -> list[GrantAction]:
    """Post what is not posted, void what is not void yet; the books decide, not the status."""
    if decided(grant, state, now) is not None:
        return [Report()]
    return [PostGrant() if state is None else VoidGrant(), Report()]


def own_result(result: GrantResult, grant: CreditGrant, state: GrantState | None) -> GrantResult:
    """The result as this object's: what it posted itself is `Posted`, however often it is asked."""
    is_own = state is not None and state.uid == grant.metadata.uid
    if result.reason == "AlreadyPosted" and is_own:
        return replace(result, reason="Posted")
    return result
