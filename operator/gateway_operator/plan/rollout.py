"""The state of a fleet's roll-out, read from its Deployment. Pure."""

from typing import Any

from gateway_operator.conditions import ConditionState
from gateway_operator.resources.fleet import SCHEMA, FleetReason


def judge(deployment: dict[str, Any] | None, schema: int | None) -> ConditionState:
    """The condition of a fleet: it is ready if it answers with the configuration that was applied.

    `deployment` as it is after everything was applied; `schema` is the number of the schema that
    the API server has, None where it could not be asked for.
    """
    if deployment is None:
        return ConditionState("waiting", FleetReason.PROGRESSING, "the Deployment is being made")
    spec, status = deployment["spec"], deployment.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    progress, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    # A quota or a policy refuses pods: nothing but this condition has the reason.
    refusal = f"; {failure.get('message', '')}" if failure.get("status") == "True" else ""
    if seen and progress.get("reason") == "ProgressDeadlineExceeded":
        message = f"{progress.get('message', '')}{refusal}"
        return ConditionState("stalled", FleetReason.ROLLOUT_STALLED, message)
    wanted, available = spec.get("replicas", 1), status.get("availableReplicas", 0)
    updated = status.get("updatedReplicas", 0)
    if not seen or updated < wanted or available < wanted or status.get("replicas", 0) > updated:
        message = f"{updated} of {wanted} replicas are up to date, {available} are available"
        return ConditionState("waiting", FleetReason.PROGRESSING, f"{message}{refusal}")
    if schema is not None and schema < SCHEMA:
        return ConditionState(
            "stalled",
            FleetReason.CRD_OUTDATED,
            f"the API server has schema {schema} of our resources and this operator needs {SCHEMA},"
            " so it may drop fields: apply the definitions of this release",
        )
    return ConditionState("ready", FleetReason.AVAILABLE, f"{available} replicas are available")


def judge_both(gateways: ConditionState, console: dict[str, Any] | None) -> ConditionState:
    """The condition of a fleet with a console, by the gateways' and the console's Deployment."""
    if gateways.state != "ready":
        return gateways
    found = judge(console, None)
    if found.state == "ready":
        return gateways
    return ConditionState(found.state, found.reason, f"the console: {found.message}")
