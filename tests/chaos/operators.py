"""The operator's part, where a Kubernetes API is there: keys and grants as objects, and operators
that are killed, stopped and frozen while they reconcile.
"""

import asyncio

from tests.chaos.records import Incident


class OperatorPart:
    """Filled in below."""

    lock: asyncio.Lock

    async def hit(self, incident: Incident) -> None:
        raise NotImplementedError
