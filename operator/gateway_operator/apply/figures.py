"""Figures of the books: those of accounts, keys and grants for the metrics, and the sums of usage.

Nothing waits for them, nor they for a cluster.
"""

from gateway.store.balances import read_account_balances
from gateway.store.counts import count_grants, count_keys
from gateway.store.usage_rounds import count_usage
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.metrics import ACCOUNTS_MAX


async def read_figures(context: OperatorContext) -> None:
    """Read the books for the metrics, balances first. Raises `DatabaseUnavailable`."""
    context.metrics.read_accounts(await context.ask(read_account_balances, ACCOUNTS_MAX))
    context.metrics.counted(await context.ask(count_keys), await context.ask(count_grants))


async def count_news(context: OperatorContext) -> None:
    """Count what was used since the last round. Raises `DatabaseUnavailable`."""
    found = await context.ask(count_usage, request_days=context.settings.request_days)
    if found.is_complete:
        context.metrics.usage_counted()
