"""CreditGrants: ask the books, plan, carry out. The same for a new object and for the sweep."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.core.spec import CreditGrant, SpecError, parse_document
from gateway.store.grant_rows import GrantResult, GrantState, decided, find_grant, grant_identity
from gateway.store.grants import apply_grant
from gateway_operator.apply import executor
from gateway_operator.apply.operator_context import Parts
from gateway_operator.apply.reporting import report
from gateway_operator.conditions import Verdict
from gateway_operator.plan.actions import GrantAction, PostGrant, Report, VoidGrant
from gateway_operator.plan.creditgrant import own_result, plan_grant
from gateway_operator.resources.creditgrant import (
    KIND,
    Reason,
    status_of_grant,
    verdict_of_result,
)

Books = tuple[dict[str, GrantState], datetime]


class GrantReconciler:
    """Brings the books and statuses of CreditGrants to what the objects say."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def reconcile(self, namespace: str, name: str) -> None:
        """Everything for one object, as it is now.

        Raises `DatabaseUnavailable` and `ClusterUnavailable`; whatever else is wrong stands in
        the status.
        """
        async with self._parts.turns.take(KIND, namespace, name):
            body = await self._parts.cluster.get(KIND, namespace, name)
            if body is not None and not body["metadata"].get("deletionTimestamp"):
                await self._work(body)

    async def _work(self, body: dict[str, Any]) -> None:
        parts = self._parts
        grant = _parse(body)
        if isinstance(grant, Verdict):
            await report(parts.cluster, KIND, body, status_of_grant(body, None, grant), grant)
            return
        state, now = await parts.ask(find_grant, parts.database, parts.settings.installation, grant)
        deed = _Deed(parts=parts, body=body, grant=grant, state=state)
        deed.result = decided(grant, state, now)
        await executor.carry_out(plan_grant(grant, state, now), deed.perform)

    def is_settled(self, body: dict[str, Any], books: Books) -> bool:
        """Whether there is nothing to do for an object, by books that were read before."""
        grant = _parse(body)
        if isinstance(grant, Verdict):
            return body.get("status") == status_of_grant(body, None, grant)
        states, now = books
        state = states.get(grant_identity(grant))
        result = decided(grant, state, now)
        if result is None:
            return False
        own = own_result(result, grant, state)
        return body.get("status") == status_of_grant(body, own, verdict_of_result(own))


class _Deed(Struct, kw_only=True):
    """One plan being carried out."""

    parts: Parts
    body: dict[str, Any]
    grant: CreditGrant
    state: GrantState | None
    result: GrantResult | None = None

    async def perform(self, action: GrantAction) -> None:
        match action:
            case PostGrant() | VoidGrant():
                parts = self.parts
                self.result = await parts.ask(
                    apply_grant, parts.database, parts.settings.installation, self.grant
                )
            case Report():
                await self._report()

    async def _report(self) -> None:
        assert self.result is not None, "a grant is reported when it is decided"
        own = own_result(self.result, self.grant, self.state)
        verdict = verdict_of_result(own)
        status = status_of_grant(self.body, own, verdict)
        await report(self.parts.cluster, KIND, self.body, status, verdict)


def _parse(body: dict[str, Any]) -> CreditGrant | Verdict:
    try:
        grant = parse_document(body)
    except SpecError as error:
        return Verdict("stalled", Reason.INVALID_SPEC.value, str(error))
    assert isinstance(grant, CreditGrant), "objects are of the kind that was asked for"
    return grant
