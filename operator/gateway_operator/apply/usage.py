"""Usage, counted behind the charge: the operator's rounds."""

from gateway.store.usage_rounds import count_usage
from gateway_operator.apply.operator_context import OperatorContext


async def count_news(context: OperatorContext) -> None:
    """One round. Raises `DatabaseUnavailable`."""
    found = await context.ask(count_usage, request_days=context.settings.request_days)
    if found.is_complete:
        context.metrics.usage_counted()
