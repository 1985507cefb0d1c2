"""Usage, counted behind the charge: the operator's rounds."""

from gateway.store.usage_rounds import count_usage
from gateway_operator.apply.operator_context import OperatorContext


async def count_news(context: OperatorContext) -> None:
    """One round. Raises `DatabaseUnavailable`."""
    settings = context.settings
    found = await context.run(
        count_usage,
        context.database,
        settings.installation,
        request_days=settings.request_days,
    )
    if found.is_complete:
        context.metrics.usage_counted()
