"""Each role has exactly the verbs that are written here.

That the operator uses every one of them, and no other, is in `test_rights`.
"""

import pytest

from tests.chart.helm import TRIAL, Body, Values, render

Rights = dict[str, set[str]]

READ = {"get", "list", "watch"}
KEEP = {"get", "create", "patch", "delete"}
WRITE = READ | {"create", "update", "patch", "delete", "deletecollection"}

WATCHED: Rights = {
    "faregate.dev/accounts": READ,
    "faregate.dev/apikeys": READ | {"patch"},
    "faregate.dev/creditallowances": READ,
    "faregate.dev/creditgrants": READ,
    "faregate.dev/gatewayfleets": READ,
    "faregate.dev/accounts/status": {"patch"},
    "faregate.dev/apikeys/status": {"patch"},
    "faregate.dev/creditallowances/status": {"patch"},
    "faregate.dev/creditgrants/status": {"patch"},
    "faregate.dev/gatewayfleets/status": {"patch"},
    "/secrets": READ | {"create", "update"},
    "/events": {"create"},
}
OWN: Rights = {
    "/configmaps": KEEP,
    "/services": KEEP,
    "apps/deployments": KEEP,
    "apps/deployments/scale ['faregate-operator']": {"patch"},
    "policy/poddisruptionbudgets": KEEP,
    "autoscaling/horizontalpodautoscalers": KEEP,
    "networking.k8s.io/ingresses": KEEP,
    "gateway.networking.k8s.io/httproutes": KEEP,
    "faregate.dev/gatewayfleets/finalizers": {"update"},
    "/secrets ['faregate-operator-heartbeat', 'faregate-revoked-keys', 'faregate-installation']": {
        "patch"
    },
    "/namespaces ['gate']": {"get"},
}
RESOURCES = [
    "accounts.faregate.dev",
    "apikeys.faregate.dev",
    "creditallowances.faregate.dev",
    "creditgrants.faregate.dev",
    "gatewayfleets.faregate.dev",
]
TREASURE = ("accounts", "creditallowances", "creditgrants")
NAMESPACED: Values = {**TRIAL, "operator": {"watchNamespaces": ["team-b", "team-a", "gate"]}}


def rights(role: Body) -> Rights:
    """The verbs of a role, by `group/resource`, with the names where a rule has some."""
    found: Rights = {}
    for rule in role["rules"]:
        names = f" {rule['resourceNames']}" if "resourceNames" in rule else ""
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}{names}", set()).update(rule["verbs"])
    return found


def test_the_operator_of_all_namespaces() -> None:
    rendered = render()
    everywhere = rendered.one("ClusterRole", "faregate-operator")
    schemas = f"apiextensions.k8s.io/customresourcedefinitions {RESOURCES}"
    assert rights(everywhere) == WATCHED | {schemas: {"get"}}
    assert rights(rendered.one("Role", "faregate-operator-gateways")) == OWN
    binding = rendered.one("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == "faregate-operator"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "faregate-operator", "namespace": "gate"}
    ]


def test_the_operator_of_some_namespaces_has_nothing_cluster_wide() -> None:
    rendered = render(NAMESPACED)
    assert rendered.every("ClusterRoleBinding") == []
    assert rendered.every("ClusterRole", "faregate-operator") == []
    roles = rendered.every("Role", "faregate-operator")
    places = [role["metadata"]["namespace"] for role in roles]
    assert sorted(places) == ["gate", "team-a", "team-b"]
    assert all(rights(role) == WATCHED for role in roles)
    (own,) = rendered.every("Role", "faregate-operator-gateways")
    assert (own["metadata"]["namespace"], rights(own)) == ("gate", OWN)
    for binding in rendered.every("RoleBinding", "faregate-operator"):
        assert binding["metadata"]["namespace"] in places
        assert binding["roleRef"]["kind"] == "Role"
        assert [each["namespace"] for each in binding["subjects"]] == ["gate"]


@pytest.mark.parametrize(
    ("name", "expected", "share"),
    [
        (
            "viewer",
            {f"faregate.dev/{each.split('.')[0]}": READ for each in RESOURCES}
            | {f"faregate.dev/{each.split('.')[0]}/status": {"get"} for each in RESOURCES},
            "view",
        ),
        (
            "apikey-editor",
            {"faregate.dev/apikeys": WRITE, "faregate.dev/apikeys/status": {"get"}},
            "edit",
        ),
        (
            "treasurer",
            {f"faregate.dev/{each}": WRITE for each in TREASURE}
            | {f"faregate.dev/{each}/status": {"get"} for each in TREASURE},
            None,
        ),
    ],
)
def test_the_roles_of_people(name: str, expected: Rights, share: str | None) -> None:
    role = render().one("ClusterRole", f"faregate-{name}")
    assert rights(role) == expected
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    shares = {label for label in role["metadata"]["labels"] if label.startswith(prefix)}
    assert shares == ({f"{prefix}{share}"} if share else set())


def test_roles_of_people_may_have_no_share_in_others_or_not_be_made() -> None:
    for role in render({**TRIAL, "rbac": {"aggregate": False}}).every("ClusterRole"):
        assert "aggregate" not in str(role["metadata"]["labels"])
    without = render({**TRIAL, "rbac": {"userRoles": False}}).every("ClusterRole")
    assert [role["metadata"]["name"] for role in without] == ["faregate-operator"]


def test_without_roles_only_the_selftest_has_its_own() -> None:
    rendered = render({**TRIAL, "rbac": {"create": False}})
    kinds = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    names = {each["metadata"]["name"] for kind in kinds for each in rendered.every(kind)}
    assert names == {"faregate-selftest"}


def test_the_selftest_touches_its_own_objects_only_and_only_while_it_runs() -> None:
    rendered = render()
    role = rendered.one("Role", "faregate-selftest")
    mine = "['faregate-selftest']"
    assert rights(role) == {
        "faregate.dev/apikeys": {"create"},
        "faregate.dev/creditgrants": {"create"},
        f"faregate.dev/apikeys {mine}": {"get", "delete"},
        f"faregate.dev/creditgrants {mine}": {"get", "patch", "delete"},
        f"/secrets {mine}": {"get"},
    }
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        annotations = rendered.one(kind, "faregate-selftest")["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test"
        assert "hook-succeeded" in annotations["helm.sh/hook-delete-policy"]


def test_nobody_may_do_everything() -> None:
    for values in (TRIAL, NAMESPACED):
        rendered = render(values)
        for role in [*rendered.every("Role"), *rendered.every("ClusterRole")]:
            assert "*" not in str(role["rules"]), role["metadata"]["name"]
