"""The namespaces that are served: of those that are named, all that let the operator look at them.

One that is gone, refuses, or does not exist yet keeps no other waiting. It is served as soon as it
answers. The operator's own namespace is always served: where that refuses too, the reason is not
one namespace's, and nothing is concluded from it.
"""

import asyncio
import logging

from gateway_operator.cluster import Cluster, ClusterUnavailable
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.resources.names import KEY_LABEL
from gateway_operator.settings import OperatorSettings

_logger = logging.getLogger(__name__)
#: what is watched, with the labels by which it is
_WATCHED = (
    ("Account", None),
    ("ApiKey", None),
    ("CreditGrant", None),
    ("CreditAllowance", None),
    ("GatewayFleet", None),
    ("Secret", f"{KEY_LABEL}=true"),
)
_AT_ONCE = 4
#: looks between two at which the right to watch is asked for
_LOOKS = 4


class Reach:
    """The named namespaces, and those that are `served`: empty for all of a cluster."""

    def __init__(
        self, cluster: Cluster, settings: OperatorSettings, metrics: OperatorMetrics
    ) -> None:
        self._cluster = cluster
        self._metrics = metrics
        self._own = settings.namespace
        self._named = settings.namespaces
        self.served = settings.namespaces
        #: those that were served at the last look, and may be watched
        self._watched: frozenset[str] = frozenset()
        self._looks = 0

    async def look(self) -> bool:
        """Ask all of them. Returns whether others are served than before."""
        places = asyncio.Semaphore(_AT_ONCE)
        if self._looks % _LOOKS == 0:
            self._watched = frozenset()
        self._looks += 1

        async def ask(namespace: str) -> bool | None:
            async with places:
                return await self._answers(namespace)

        answers = dict(zip(self._named, await asyncio.gather(*map(ask, self._named)), strict=True))
        if not answers.get(self._own):
            return False
        self._watched = frozenset(name for name, answer in answers.items() if answer)
        before, self.served = (
            self.served,
            tuple(
                name
                for name, answer in answers.items()
                if (name in self.served if answer is None else answer)
            ),
        )
        self._metrics.saw_namespaces(len(self._named) - len(self.served))
        for name in sorted({*before} - {*self.served}):
            _logger.warning("the namespace %s is gone or refuses the operator: not served", name)
        for name in sorted({*self.served} - {*before}):
            _logger.info("the namespace %s is served", name)
        return before != self.served

    async def _answers(self, namespace: str) -> bool | None:
        """Return whether all watched kinds can be looked at there; None if nobody answers."""
        try:
            for kind, labels in _WATCHED:
                if not await self._cluster.can_list(kind, namespace, labels):
                    return False
            if namespace not in self._watched:
                for kind, _ in _WATCHED:
                    if not await self._cluster.may_watch(kind, namespace):
                        return False
        except ClusterUnavailable:
            return None
        return True
