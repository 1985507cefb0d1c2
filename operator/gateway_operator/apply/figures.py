"""What the metrics say of accounts, keys and grants: nothing waits for it, nor it for a cluster."""

from gateway.store.balances import read_account_balances
from gateway.store.counts import count_grants, count_keys
from gateway_operator.apply.operator_context import Parts
from gateway_operator.metrics import ACCOUNTS_MAX


async def read_figures(parts: Parts) -> None:
    """Read the books for the metrics, balances first. Raises `DatabaseUnavailable`."""
    database, installation = parts.database, parts.settings.installation
    parts.metrics.read_accounts(
        await parts.ask(read_account_balances, database, installation, ACCOUNTS_MAX)
    )
    parts.metrics.counted(
        await parts.ask(count_keys, database, installation),
        await parts.ask(count_grants, database, installation),
    )
