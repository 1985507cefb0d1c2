"""Figures of accounts, keys and grants for the metrics: nothing waits for them, nor they for a
cluster."""

from gateway.store.balances import read_account_balances
from gateway.store.counts import count_grants, count_keys
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.metrics import ACCOUNTS_MAX


async def read_figures(context: OperatorContext) -> None:
    """Read the books for the metrics, balances first. Raises `DatabaseUnavailable`."""
    context.metrics.read_accounts(await context.ask(read_account_balances, ACCOUNTS_MAX))
    context.metrics.counted(await context.ask(count_keys), await context.ask(count_grants))
