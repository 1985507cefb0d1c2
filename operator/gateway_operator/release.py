"""Before the operator goes for good: take its finalizer off every key, so that nothing hangs.

The keys stay valid. Nobody would revoke them any more, so deleting one afterwards takes only the
object and its Secret away.
"""

import asyncio
import logging
import time

from gateway_operator.cluster import (
    Cluster,
    ClusterError,
    Conflict,
    Forbidden,
    ObjectNotFound,
    Page,
    Rejected,
)
from gateway_operator.resources.apikey import finalizers_of, is_held
from gateway_operator.resources.names import FINALIZER

_logger = logging.getLogger(__name__)
_POLL_SECONDS = 1.0
#: an operator that is on its way out may put a finalizer back
_QUIET_SECONDS = 5.0


async def release_finalizers(cluster: Cluster, namespaces: tuple[str, ...]) -> int:
    """Take the finalizer off all keys, of these namespaces or of all; how many had it."""
    released = 0
    for namespace in namespaces or (None,):
        for body in await _keys_of(cluster, namespace):
            metadata = body["metadata"]
            if not is_held(body):
                continue
            try:
                await cluster.patch_finalizers(
                    "ApiKey",
                    metadata["namespace"],
                    metadata["name"],
                    [each for each in finalizers_of(body) if each != FINALIZER],
                    metadata["resourceVersion"],
                )
            except (Conflict, ObjectNotFound):
                continue  # the next round sees what it is now
            except (Forbidden, Rejected) as error:
                name = f"{metadata['namespace']}/{metadata['name']}"
                _logger.warning("the key %s keeps its finalizer: %s", name, error)
                continue
            released += 1
    return released


async def _keys_of(cluster: Cluster, namespace: str | None) -> Page:
    """The keys of a namespace, or of all; none of one that is gone or refuses the operator."""
    try:
        return await cluster.list("ApiKey", namespace)
    except (Forbidden, ObjectNotFound) as error:
        if namespace is None:
            raise
        _logger.warning("the namespace %s is left as it is: %s", namespace, error)
        return []


async def stop_operator(cluster: Cluster, namespace: str, deployment: str) -> None:
    """Scale the operator to nothing; an operator that runs would put its finalizers back."""
    if await cluster.get("Deployment", namespace, deployment) is None:
        return
    await cluster.stop_deployment(namespace, deployment)
    _logger.info("the operator %s/%s stops", namespace, deployment)


async def release_until_quiet(cluster: Cluster, namespaces: tuple[str, ...]) -> None:
    """Release until no key has had the finalizer for a while."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_SECONDS:
        released = await release_finalizers(cluster, namespaces)
        if released:
            _logger.info("released %d keys", released)
            quiet_since = time.monotonic()
        await asyncio.sleep(_POLL_SECONDS)


async def release_if_doomed(cluster: Cluster, namespace: str, namespaces: tuple[str, ...]) -> None:
    """At the operator's end: release where its own namespace is being deleted, and it for good."""
    try:
        found = await cluster.get("Namespace", "", namespace)
        if found is not None and found["metadata"].get("deletionTimestamp"):
            released = await release_finalizers(cluster, namespaces)
            _logger.warning("the namespace %s is going: released %d keys", namespace, released)
    except Forbidden:
        _logger.debug("the namespace %s may not be read", namespace)
    except ClusterError as error:
        _logger.warning("keys may keep their finalizer: %s", error)
