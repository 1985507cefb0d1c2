"""The addresses that keys' Secrets get: those of the fleets in the operator's namespace."""

import asyncio
import time
from typing import Any

from gateway.core.spec import ApiKey
from gateway_operator.cluster import Cluster
from gateway_operator.conditions import ConditionState
from gateway_operator.resources.apikey import ApiKeyReason, missing, stalled
from gateway_operator.resources.fleet import client_url

#: a burst of keys asks for the same few fleets
_FRESH_SECONDS = 1.0


class Addresses:
    """The fleets of one namespace, as they were at most a second ago."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._fleets: list[dict[str, Any]] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def read(self) -> list[dict[str, Any]]:
        """The fleets. Raises `ClusterUnavailable`."""
        async with self._reading:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._fleets = await self._cluster.list("GatewayFleet", self._namespace)
                self._read_at = time.monotonic()
            return self._fleets


def choose_address(key: ApiKey, fleets: list[dict[str, Any]]) -> str | ConditionState:
    """The URL for a key: its fleet's, or the only one's."""
    living = [fleet for fleet in fleets if not fleet["metadata"].get("deletionTimestamp")]
    wanted = key.spec.fleet
    if wanted is not None:
        living = [fleet for fleet in living if fleet["metadata"]["name"] == wanted]
    if len(living) == 1:
        return client_url(living[0])
    if wanted is not None:
        return missing(ApiKeyReason.FLEET_NOT_FOUND, f"there is no GatewayFleet {wanted}")
    if living:
        names = ", ".join(sorted(fleet["metadata"]["name"] for fleet in living))
        return stalled(ApiKeyReason.FLEET_AMBIGUOUS, f"spec.fleet must name one of {names[:256]}")
    return missing(ApiKeyReason.FLEET_NOT_FOUND, "there is no GatewayFleet yet")


def refuse_namespace(namespace: str, fleets: list[dict[str, Any]]) -> ConditionState | None:
    """Why no ApiKey of a namespace may count: the accounts there are people's own.

    Else anybody who may write ApiKeys there would spend their credits.
    """
    for fleet in fleets:
        console = fleet["spec"].get("console") or {}
        is_personal = console.get("accounts", "personal") == "personal"
        if "url" in console and is_personal and console.get("namespace", "people") == namespace:
            return stalled(
                ApiKeyReason.PEOPLES_NAMESPACE,
                f"the accounts of {namespace} are people's own, by console.namespace of the"
                f" GatewayFleet {fleet['metadata']['name']}: they make their keys in the console;"
                " declare this one in another namespace",
            )
    return None
