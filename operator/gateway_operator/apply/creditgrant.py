"""CreditGrants: ask the books, plan, carry out. The same for a new object and for the sweep."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.core.spec import CreditGrant
from gateway.store.grant_result import GrantResult
from gateway.store.grant_rows import GrantState, decided, find_grant, grant_identity
from gateway.store.grants import apply_grant
from gateway_operator.apply import executor
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reporting import report
from gateway_operator.conditions import ConditionState
from gateway_operator.plan.actions import GrantAction, PostGrant, Report, VoidGrant
from gateway_operator.plan.creditgrant import own_result, plan_grant
from gateway_operator.resources.actors import actor_of
from gateway_operator.resources.creditgrant import KIND, condition_of_result, status_of_grant
from gateway_operator.resources.parsing import parse_as

Books = tuple[dict[str, GrantState], datetime]


class GrantReconciler:
    """Brings the books and statuses of CreditGrants to what the objects state."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    async def reconcile(self, namespace: str, name: str) -> datetime | None:
        """Everything for one object, as it is now; when its credits are posted, if not at once.

        Raises `DatabaseUnavailable` and `ClusterUnavailable`; anything else that is wrong stands in
        the status.
        """
        async with self._context.living(KIND, namespace, name) as body:
            if body is None:
                return None
            await self._work(body)
            return self.starts_at(body)

    def starts_at(self, body: dict[str, Any]) -> datetime | None:
        """The moment at which an object's credits are posted, if not at once."""
        grant = parse_as(CreditGrant, body)
        return None if isinstance(grant, ConditionState) else grant.spec.starts_at

    async def _work(self, body: dict[str, Any]) -> None:
        context = self._context
        grant = parse_as(CreditGrant, body)
        if isinstance(grant, ConditionState):
            await report(context.cluster, KIND, body, status_of_grant(body, None, grant), grant)
            return
        state, now = await context.ask(find_grant, grant)
        grant_executor = _GrantExecutor(context=context, body=body, grant=grant, state=state)
        grant_executor.result = decided(grant, state, now)
        await executor.execute(plan_grant(grant, state, now), grant_executor.perform)

    def is_up_to_date(self, body: dict[str, Any], books: Books) -> bool:
        """True if there is nothing to do for an object, by books that were read before."""
        grant = parse_as(CreditGrant, body)
        if isinstance(grant, ConditionState):
            return body.get("status") == status_of_grant(body, None, grant)
        states, now = books
        state = states.get(grant_identity(grant))
        result = decided(grant, state, now)
        if result is None:
            return False
        own = own_result(result, grant, state)
        return body.get("status") == status_of_grant(body, own, condition_of_result(own))


class _GrantExecutor(Struct, kw_only=True):
    """One plan being carried out."""

    context: OperatorContext
    body: dict[str, Any]
    grant: CreditGrant
    state: GrantState | None
    result: GrantResult | None = None

    async def perform(self, action: GrantAction) -> None:
        match action:
            case PostGrant() | VoidGrant():
                actor = actor_of(self.body)
                self.result = await self.context.ask(apply_grant, self.grant, actor)
            case Report():
                await self._report()

    async def _report(self) -> None:
        assert self.result is not None, "a grant is reported when it is decided"
        own = own_result(self.result, self.grant, self.state)
        condition = condition_of_result(own)
        status = status_of_grant(self.body, own, condition)
        await report(self.context.cluster, KIND, self.body, status, condition)
