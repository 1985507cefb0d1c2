"""Keys whose object is gone: suspended, reversibly, unless there are too many of them."""

import logging
from collections.abc import Collection, Iterable

from gateway.store.key_rows import KeyState
from gateway.store.keys import suspend_key
from gateway_operator.apply import executor
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.plan.actions import SuspendKey
from gateway_operator.plan.orphans import find_orphans
from gateway_operator.resources.actors import OPERATOR
from gateway_operator.resources.names import CONFIRM_ORPHANS_ANNOTATION, Name

_logger = logging.getLogger(__name__)
REASON = "OrphanedKeys"


class OrphanWatch:
    """Remembers from one complete list to the next what was missing."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        self._missing: frozenset[Name] = frozenset()
        self._announced = 0

    async def check(
        self, rows: Iterable[KeyState], listed: Collection[Name], namespaces: Collection[str]
    ) -> None:
        """Compare rows with a complete list of objects that was read after them, of `namespaces`.

        An object that comes back takes the suspension off when it is reconciled.
        """
        orphans = find_orphans(rows, listed, self._missing, namespaces)
        self._missing = orphans.missing
        if not orphans.gone:
            self._announced = 0
            return
        confirmed = None if orphans.few == orphans.gone else await self._confirmed()
        chosen = orphans.to_suspend(confirmed)
        if chosen:
            _logger.warning("suspending %d keys whose objects are gone", len(chosen))
            await executor.execute([SuspendKey(row.id) for row in chosen], self._suspend)
        if len(chosen) < len(orphans.gone):
            await self._announce(len(orphans.gone) - len(chosen))
        elif confirmed is not None:
            await self._annotate(None)

    async def _suspend(self, action: SuspendKey) -> None:
        database = self._context.database
        await self._context.run(suspend_key, database, action.row_id, actor=OPERATOR)

    async def _confirmed(self) -> int | None:
        """The number of orphans that an administrator has confirmed."""
        settings = self._context.settings
        secret = await self._context.cluster.get(
            "Secret", settings.namespace, settings.installation_secret_name
        )
        annotations = ((secret or {}).get("metadata") or {}).get("annotations") or {}
        confirmed: str = annotations.get(CONFIRM_ORPHANS_ANNOTATION, "")
        return int(confirmed) if confirmed.isdecimal() else None

    async def _annotate(self, value: str | None) -> None:
        settings = self._context.settings
        await self._context.cluster.patch(
            "Secret",
            settings.namespace,
            settings.installation_secret_name,
            {"metadata": {"annotations": {CONFIRM_ORPHANS_ANNOTATION: value}}},
        )

    async def _announce(self, count: int) -> None:
        """Report it when the number changes, as an Event of the installation Secret."""
        if count == self._announced:
            return
        settings = self._context.settings
        name = settings.installation_secret_name
        message = (
            f"{count} live keys have lost their objects, too many to be suspended unasked: restore"
            f' the objects, or annotate this Secret with {CONFIRM_ORPHANS_ANNOTATION}="{count}"'
        )
        _logger.warning("Secret %s/%s: %s", settings.namespace, name, message)
        secret = await self._context.cluster.get("Secret", settings.namespace, name)
        if secret is not None:
            await self._context.cluster.event("Secret", secret, REASON, message, warning=True)
        self._announced = count
