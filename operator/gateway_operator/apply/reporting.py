"""Writing what became of an object: its status, and an Event where the reason changed."""

from typing import Any

from gateway_operator.cluster import Cluster
from gateway_operator.conditions import (
    ConditionState,
    build_status,
    has_status,
    is_transition,
    own_fields,
)


async def report(
    cluster: Cluster,
    kind: str,
    body: dict[str, Any],
    status: dict[str, Any],
    condition: ConditionState,
) -> None:
    """Write a status unless the object has it already."""
    if has_status(body, status):
        return
    before = body.get("status")
    metadata = body["metadata"]
    await cluster.apply_status(kind, metadata["namespace"], metadata["name"], status)
    if is_transition(before, status):
        warning = condition.state != "ready"
        await cluster.event(kind, body, condition.reason, condition.message, warning=warning)


async def report_waiting(
    cluster: Cluster, kind: str, body: dict[str, Any], reason: str, message: str
) -> None:
    """Report that another attempt is needed; the rest of the status stays."""
    condition = ConditionState("waiting", reason, message)
    fields = {
        name: value
        for name, value in own_fields(body.get("status") or {}).items()
        if name not in ("conditions", "observedGeneration")
    }
    await report(cluster, kind, body, build_status(body, condition, **fields), condition)
