"""Accounts: ask the books, plan, carry out. The same for a new object and for the sweep."""

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from gateway.core.spec import AccountObject
from gateway.store.group_rows import AccountResult, AccountState, decided, find_account_state
from gateway.store.groups import apply_account, release_account
from gateway_operator.apply import executor
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reporting import report
from gateway_operator.conditions import ConditionState, has_status
from gateway_operator.plan.account import plan_account, shown_balance
from gateway_operator.plan.actions import AccountAction, ApplyAccount, Report
from gateway_operator.resources.account import KIND, condition_of_account, status_of_account
from gateway_operator.resources.actors import OPERATOR, actor_of
from gateway_operator.resources.names import Name, name_of
from gateway_operator.resources.parsing import parse_as

_logger = logging.getLogger(__name__)


class AccountReconciler:
    """Brings the rows of accounts and the statuses of Accounts to what the objects state."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        #: namespace, object and account, of objects that the last complete list did not have
        self._missing: frozenset[tuple[str, str | None, str]] = frozenset()

    async def reconcile(self, namespace: str, name: str) -> None:
        """Everything for one object, as it is now.

        Raises `DatabaseUnavailable` and `ClusterUnavailable`; anything else that is wrong stands in
        the status.
        """
        async with self._context.living(KIND, namespace, name) as body:
            if body is not None:
                await self._work(body)

    async def _work(self, body: dict[str, Any]) -> None:
        context = self._context
        account = parse_as(AccountObject, body)
        if isinstance(account, ConditionState):
            status = status_of_account(body, None, account)
            await report(context.cluster, KIND, body, status, account)
            return
        account_executor = _AccountExecutor(context=context, body=body, account=account)
        state = await account_executor.look()
        await executor.execute(plan_account(account, state), account_executor.perform)

    def is_up_to_date(self, body: dict[str, Any], states: Mapping[Name, AccountState]) -> bool:
        """True if there is nothing to do for an object, by rows that were read before."""
        account = parse_as(AccountObject, body)
        if isinstance(account, ConditionState):
            return False
        state = states.get((account.metadata.namespace, account.spec.account))
        result = decided(account, state)
        if result is None:
            return False
        condition = condition_of_account(result)
        return has_status(body, status_of_account(body, shown_balance(body, state), condition))

    async def release_missing(
        self,
        governed: Iterable[AccountState],
        bodies: Iterable[dict[str, Any]],
        namespaces: Collection[str],
    ) -> None:
        """Release the accounts whose objects are gone, of rows that were read before the objects.

        An object that is missing from two complete lists in a row is gone. `namespaces` are those
        that were listed, empty for all; without a UID an account is a file's.
        """
        listed = {_governs(body) for body in bodies}
        lost = {
            governs: state
            for state in governed
            if (governs := (state.namespace, state.object_name, state.name)) not in listed
            and state.object_uid
            and (not namespaces or state.namespace in namespaces)
        }
        for governs in self._missing & lost.keys():
            namespace, _, account = governs
            _logger.warning("the limits of %s/%s go with their Account", namespace, account)
            context = self._context
            await context.run(release_account, context.database, lost[governs], actor=OPERATOR)
        self._missing = frozenset(lost)


class _AccountExecutor(Struct, kw_only=True):
    """One plan being carried out."""

    context: OperatorContext
    body: dict[str, Any]
    account: AccountObject
    state: AccountState | None = None
    result: AccountResult | None = None

    async def look(self) -> AccountState | None:
        """Read the row."""
        self.state = await self.context.ask(find_account_state, self.account)
        self.result = decided(self.account, self.state)
        return self.state

    async def perform(self, action: AccountAction) -> None:
        context = self.context
        match action:
            case ApplyAccount():
                actor = actor_of(self.body)
                result = await context.ask(apply_account, self.account, actor)
                await self.look()
                self.result = result
            case Report():
                assert self.result is not None, "an account is reported when it is decided"
                condition = condition_of_account(self.result)
                balance = shown_balance(self.body, self.state)
                status = status_of_account(self.body, balance, condition)
                await report(context.cluster, KIND, self.body, status, condition)


def _governs(body: dict[str, Any]) -> tuple[str, str | None, str]:
    return *name_of(body), (body.get("spec") or {}).get("account", "")
