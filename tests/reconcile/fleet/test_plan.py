"""From what should be and what is there to what is done; each row a situation."""

import copy
from typing import Any

import pytest

from gateway_operator.conditions import ConditionState
from gateway_operator.plan.actions import Report
from gateway_operator.plan.fleet import (
    ApplyChild,
    DeleteChild,
    FleetAction,
    holds,
    plan_fleet,
)
from gateway_operator.plan.rollout import judge
from tests.reconcile.fleet.support import NAME, NAMESPACE, UID, Json, rendered

AUTOSCALING = {"autoscaling": {"minReplicas": 3, "maxReplicas": 9}}
INGRESS = {"ingress": {"host": "llm.example"}}
ROUTE = {"httpRoute": {"parentRefs": [{"name": "public"}]}}


def steps(actions: list[FleetAction]) -> list[str]:
    """The plan in words."""
    words = []
    for action in actions:
        match action:
            case ApplyChild(body=body):
                words.append(f"apply {body['kind']}")
            case DeleteChild(kind=kind):
                words.append(f"delete {kind}")
            case Report(condition=condition):
                words.append("report" if condition is None else f"report {condition.reason}")
    return words


def plan(live: list[Json], **given: Any) -> list[FleetAction]:
    scaled = set() if "replicas" in given else {NAME}
    return plan_fleet(rendered(**given).children, live, UID, scaled)


def made(**given: Any) -> list[Json]:
    """The objects after everything was applied, with the API server's own members."""
    live = [copy.deepcopy(one.body) for one in plan([], **given) if isinstance(one, ApplyChild)]
    for one in live:
        one["metadata"]["resourceVersion"] = "7"
        one["status"] = {}
        if one["kind"] == "Deployment":
            one["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
            one["metadata"]["managedFields"] = [
                {
                    "manager": "faregate-operator",
                    "operation": "Apply",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}},
                }
            ]
    return live


def one_of(kind: str, live: list[Json]) -> Json:
    return next(one for one in live if one["kind"] == kind)


ALL = ["apply ConfigMap", "apply Service", "apply Deployment", "apply PodDisruptionBudget"]


def test_everything_is_made_in_its_order() -> None:
    assert steps(plan([])) == [*ALL, "report"]
    with_more = [*ALL, "apply HorizontalPodAutoscaler", "apply Ingress", "report"]
    assert steps(plan([], **AUTOSCALING, **INGRESS)) == with_more
    assert steps(plan([], **ROUTE)) == [*ALL, "apply HTTPRoute", "report"]


@pytest.mark.parametrize("given", [{}, INGRESS, AUTOSCALING, ROUTE])
def test_what_is_as_applied_is_left_alone(given: dict[str, Any]) -> None:
    assert steps(plan(made(**given), **given)) == ["report"]


def test_a_missing_child_is_made_again() -> None:
    live = [one for one in made() if one["kind"] != "Service"]
    assert steps(plan(live)) == ["apply Service", "report"]


def test_drift_is_repaired_and_others_fields_are_theirs() -> None:
    live = made()
    one_of("Service", live)["spec"]["sessionAffinity"] = "ClientIP"
    container = one_of("Deployment", live)["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "MORE", "value": "1"})
    assert steps(plan(live)) == ["report"]
    container["image"] = "by-hand:1"
    one_of("Service", live)["spec"]["ports"][0]["port"] = 81
    del one_of("PodDisruptionBudget", live)["metadata"]["labels"]["faregate.dev/fleet"]
    assert steps(plan(live)) == [
        "apply Service", "apply Deployment", "apply PodDisruptionBudget", "report",
    ]  # fmt: skip


def test_a_field_that_is_not_rendered_any_more_is_noticed() -> None:
    given = {"podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}}}}
    assert steps(plan(made(**given))) == ["apply Deployment", "report"]


def test_what_is_not_wanted_any_more_is_deleted_first() -> None:
    live = made(**AUTOSCALING, **INGRESS)
    expected = ["delete HorizontalPodAutoscaler", "delete Ingress"]
    assert steps(plan(live)) == [*expected, "report"]
    assert steps(plan(live, replicas=2)) == [*expected, "apply Deployment", "report"]
    deletion = plan(live)[0]
    assert deletion == DeleteChild("HorizontalPodAutoscaler", NAMESPACE, NAME)


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "Deployment", "PodDisruptionBudget"])
def test_an_object_of_another_owner_stalls_the_fleet(kind: str) -> None:
    for owners in ([], [{"uid": "another", "controller": True}], [{"uid": UID}]):
        live = made()
        one_of(kind, live)["metadata"]["ownerReferences"] = owners
        (only,) = plan(live, replicas=5)
        assert isinstance(only, Report)
        assert only.condition is not None
        assert (only.condition.state, only.condition.reason) == ("stalled", "NotOurs")
        assert f"{kind} {NAME}" in only.condition.message


def test_an_object_of_another_owner_that_is_not_wanted_is_let_be() -> None:
    live = made(**INGRESS)
    one_of("Ingress", live)["metadata"]["ownerReferences"] = []
    assert steps(plan(live)) == ["report"]


def replicas_applied(live: list[Json], **given: Any) -> list[object]:
    bodies = [one.body for one in plan(live, **given) if isinstance(one, ApplyChild)]
    return [one["spec"].get("replicas") for one in bodies if one["kind"] == "Deployment"]


def test_replicas_pass_to_the_autoscaler_without_a_dip() -> None:
    live = made(replicas=5)
    assert replicas_applied(live, **AUTOSCALING) == []  # they stay five
    # The autoscaler has changed the number: it is its own now, and is not applied any more.
    workload = one_of("Deployment", live)
    workload["spec"]["replicas"] = 8
    workload["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {"f:template": {}}}
    assert replicas_applied(live, **AUTOSCALING) == [None]


def test_fixed_replicas_are_put_back() -> None:
    live = made(replicas=5)
    one_of("Deployment", live)["spec"]["replicas"] = 1
    assert replicas_applied(live, replicas=5) == [5]
    assert replicas_applied(made(**AUTOSCALING), replicas=4) == [4]


@pytest.mark.parametrize(
    ("wanted", "live", "does"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": {"b": 1}}, {"a": None}, False),
        ({"cpu": 1}, {"cpu": "1"}, True),
        ([1, 2], [2, 1], False),
        ([{"name": "a"}], [{"name": "b"}, {"name": "a", "x": 1}], True),
        (
            [{"name": "a", "x": 1}, {"name": "a", "x": 2}],
            [{"name": "a", "x": 1, "y": 0}, {"name": "a", "x": 2, "y": 0}],
            True,
        ),
        ([{"key": "a"}], [{"key": "a"}, {"key": "b"}], False),
        ([], None, True),
        ([], [1], False),
        ({"a": {"b": ""}}, {}, True),
        ({"a": 0}, {"a": 3}, False),
        ({"divisor": "1024Ki"}, {"divisor": "1Mi"}, True),
        ({"nodePort": 0}, {"nodePort": 30080}, True),
        ({"nodePort": 0}, {}, True),
        ({"nodePort": 30080}, {"nodePort": 30081}, False),
        ({"periodSeconds": 0}, {"periodSeconds": 10}, True),
        ({"ipFamilies": []}, {"ipFamilies": ["IPv6"]}, True),
        ({"env": [{"name": "a", "value": ""}]}, {"env": [{"name": "a", "value": "b"}]}, False),
        ({"tolerance": "0.05"}, {"tolerance": "50m"}, True),
        ({"initialDelaySeconds": 0}, {}, True),
        ({"initialDelaySeconds": 0}, {"initialDelaySeconds": 5}, False),
        ({"hostNetwork": False}, {}, True),
        ({"automountServiceAccountToken": False}, {}, False),
    ],
)
def test_what_it_is_to_hold_what_is_wanted(wanted: Any, live: Any, does: bool) -> None:
    assert holds(wanted, live) is does


@pytest.mark.parametrize(
    ("wanted", "live", "does"),
    [
        ("0.5", "500m", True),
        ("1024Mi", "1Gi", True),
        (1, "1", True),
        ("1e3", "1k", True),
        (".5", "500m", True),
        ("0.0005", "1m", True),
        ("+1.", "1", True),
        ("0.1", "100m", True),
        ("500m", "501m", False),
        ("1G", "1Gi", False),
        ("1", None, False),
        ("much", "500m", False),
    ],
)
def test_quantities_are_compared_by_what_they_are(wanted: Any, live: Any, *, does: bool) -> None:
    for member in ("requests", "limits"):
        assert holds({member: {"cpu": wanted}}, {member: {"cpu": live}}) is does
    assert holds({"annotations": {"a": "0.5"}}, {"annotations": {"a": "500m"}}) is False


def test_a_volume_may_be_mounted_at_two_paths() -> None:
    mounts = [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]
    assert holds({"volumeMounts": mounts}, {"volumeMounts": list(reversed(mounts))})
    assert not holds({"volumeMounts": mounts}, {"volumeMounts": mounts[:1]})


def deployment(*conditions: Json, replicas: int = 2, **status: Any) -> Json:
    usual = {
        "observedGeneration": 3,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
    }
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": replicas},
        "status": {**usual, "conditions": list(conditions), **status},
    }


LATE = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}
FORBIDDEN = {"type": "ReplicaFailure", "status": "True", "message": "not allowed"}


@pytest.mark.parametrize(
    ("found", "schema", "condition"),
    [
        (None, 1, ("waiting", "Progressing", "being made")),
        (deployment(), 1, ("ready", "Available", "2 replicas")),
        (deployment(), None, ("ready", "Available", "2 replicas")),
        (deployment(replicas=0), 1, ("ready", "Available", "0 replicas")),
        ({"metadata": {}, "spec": {}}, 1, ("waiting", "Progressing", "0 of 1 replicas")),
        (deployment(availableReplicas=1), 1, ("waiting", "Progressing", "1 are available")),
        (deployment(updatedReplicas=1), 1, ("waiting", "Progressing", "1 of 2")),
        (deployment(replicas=2, observedGeneration=2), 1, ("waiting", "Progressing", "2 of 2")),
        (deployment(LATE, availableReplicas=0), 1, ("stalled", "RolloutStalled", "too late")),
        (deployment(LATE, FORBIDDEN), 1, ("stalled", "RolloutStalled", "too late; not allowed")),
        (deployment(LATE, observedGeneration=2), 1, ("waiting", "Progressing", "")),
        (deployment(FORBIDDEN, updatedReplicas=0), 1, ("waiting", "Progressing", "not allowed")),
        (deployment(), 0, ("stalled", "CRDOutdated", "schema 0")),
        (deployment(availableReplicas=1), 0, ("waiting", "Progressing", "")),
    ],
)  # fmt: skip
def test_a_roll_out_as_a_condition(
    found: Json | None, schema: int | None, condition: tuple[str, str, str]
) -> None:
    verdict: ConditionState = judge(found, schema)
    assert (verdict.state, verdict.reason) == condition[:2]
    assert condition[2] in verdict.message


def test_old_replicas_that_still_run_belong_to_the_roll_out() -> None:
    found = deployment()
    found["status"]["replicas"] = 3
    assert judge(found, 1).reason == "Progressing"
