"""CreditAllowances: ask the books, plan, carry out. The same for a new object and the sweep."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.core.allowances import next_post
from gateway.core.spec import CreditAllowance
from gateway.store.allowance_rows import AllowanceState, DueCredits, find_allowance
from gateway.store.allowances import keep_since, post_credits
from gateway_operator.apply import executor
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reporting import report
from gateway_operator.conditions import ConditionState
from gateway_operator.plan.actions import AllowanceAction, KeepSince, PostCredits, Report
from gateway_operator.plan.creditallowance import plan_allowance
from gateway_operator.resources.actors import actor_of
from gateway_operator.resources.creditallowance import (
    KIND,
    CreditAllowanceReason,
    condition_of,
    status_of_allowance,
)
from gateway_operator.resources.parsing import parse_as

#: looks at the books, after which others have their turn; the next sweep goes on
_LOOKS_MAX = 10


class AllowanceReconciler:
    """Brings the books and statuses of CreditAllowances to what the objects state."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    async def reconcile(self, namespace: str, name: str) -> datetime | None:
        """Everything for one object, as it is now; when credits are to be posted next.

        Raises `DatabaseUnavailable` and `ClusterUnavailable`; anything else that is wrong stands in
        the status.
        """
        async with self._context.living(KIND, namespace, name) as body:
            return None if body is None else await self._work(body)

    async def _work(self, body: dict[str, Any]) -> datetime | None:
        context = self._context
        allowance = parse_as(CreditAllowance, body)
        if isinstance(allowance, ConditionState):
            status = status_of_allowance(body, None, None, None, allowance)
            await report(context.cluster, KIND, body, status, allowance)
            return None
        for _ in range(_LOOKS_MAX):
            state, now = await context.ask(find_allowance, allowance)
            allowance_executor = _AllowanceExecutor(
                context=context, body=body, allowance=allowance, state=state, now=now
            )
            planned = plan_allowance(allowance, state, now)
            await executor.execute(planned, allowance_executor.perform)
            if state.has_all_due or allowance_executor.refusal is not None:
                break
        return next_post(allowance.spec, now)


class _AllowanceExecutor(Struct, kw_only=True):
    """One plan being carried out."""

    context: OperatorContext
    body: dict[str, Any]
    allowance: CreditAllowance
    state: AllowanceState
    now: datetime
    posted_at: datetime | None = None
    #: why an account could not get its credits
    refusal: str | None = None

    async def perform(self, action: AllowanceAction) -> None:
        match action:
            case PostCredits(due=due):
                await self._post(due)
            case KeepSince(since=since):
                # What could not be posted is due still.
                if self.refusal is None:
                    await self.context.ask(keep_since, self.allowance, since)
            case Report():
                await self._report()

    async def _post(self, due: DueCredits) -> None:
        actor = actor_of(self.body)
        result = await self.context.ask(post_credits, self.allowance, due, actor)
        if result is not None and result.is_stalled:
            self.refusal = self.refusal or result.message
        elif result is not None:
            self.posted_at = result.posted_at

    async def _report(self) -> None:
        condition = condition_of(self.allowance, self.now, is_done=self.state.has_all_due)
        if self.refusal is not None:
            reason = CreditAllowanceReason.BALANCE_TOO_LARGE.value
            condition = ConditionState("stalled", reason, self.refusal)
        posted_at = self.posted_at or self.state.posted_at
        status = status_of_allowance(self.body, self.allowance, posted_at, self.now, condition)
        await report(self.context.cluster, KIND, self.body, status, condition)
