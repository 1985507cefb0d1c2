"""The audit beside everything else: one round of the ledger, reported where something is wrong."""

import logging
from time import monotonic

from gateway.store.audit_rounds import AuditRound, audit_round
from gateway_operator.apply.operator_context import OperatorContext

_logger = logging.getLogger(__name__)
REASON = "LedgerDrift"
#: findings that are reported of one round
_REPORTED_MAX = 20


class Auditor:
    """Remembers what it has reported, so that a round that finds the same reports nothing."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        #: accounts, and the credits by which they are wrong
        self._announced: frozenset[tuple[int, int]] = frozenset()

    async def check(self) -> None:
        """One round. Raises `DatabaseUnavailable`."""
        context, settings = self._context, self._context.settings
        began = monotonic()
        found = await context.ask(
            audit_round,
            round_seconds=settings.audit_seconds,
            recount_seconds=settings.recount_seconds,
        )
        context.metrics.audited(found, monotonic() - began)
        # The sentences change with every charge of an account that is wrong; by how much does not.
        what = {(one.account_id, one.credits): one.sentence for one in found.findings}
        news = [sentence for key, sentence in what.items() if key not in self._announced]
        if news:
            await self._announce(found, news)
        elif self._announced and not what:
            _logger.warning("the books are right again")
        self._announced = frozenset(what)

    async def _announce(self, found: AuditRound, news: list[str]) -> None:
        """In the log, and as an Event of the installation Secret."""
        for sentence in news[:_REPORTED_MAX]:
            _logger.error("the books are wrong: %s", sentence)
        cluster, settings = self._context.cluster, self._context.settings
        secret = await cluster.get("Secret", settings.namespace, settings.installation_secret_name)
        if secret is not None:
            message = f"the books are wrong by {found.drift} credits: {'; '.join(news)}"
            await cluster.event("Secret", secret, REASON, message, warning=True)
