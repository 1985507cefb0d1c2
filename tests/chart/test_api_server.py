"""The chart against a real API server: what it admits, and what upgrades and uninstalls leave.

No kubelet runs here, so no pod does either; the cluster's tests have those.
"""

import base64
import subprocess

import pytest

from tests.chart.helm import RESOURCES_CHART, TRIAL, Body, Values, render
from tests.chart.installed import Installed
from tests.chart.test_schemas import SETS
from tests.harness.gateway import wait_until
from tests.harness.modules import monitoring_definitions

OURS = "/apis/faregate.dev/v1alpha1/namespaces/gate"
KEY = {"metadata": {"name": "alice"}, "spec": {"account": "alice", "secretName": "alice-key"}}
GRANT = {"metadata": {"name": "welcome"}, "spec": {"account": "alice", "credits": 10}}


@pytest.fixture(scope="module")
def release(installed: Installed) -> Installed:
    """The resources and the roles, whichever test is the first, and a Prometheus operator's."""
    done = installed.apply(list(monitoring_definitions()))
    assert done.returncode == 0, done.stderr
    for kind in ("podmonitors", "prometheusrules"):
        path = f"/apis/monitoring.coreos.com/v1/{kind}"
        wait_until(lambda path=path: installed.client.get(path).is_success, f"{kind} to be served")  # type: ignore[misc]  # bound in the loop
    installed.install({**TRIAL, "fleet": {"create": False}})
    return installed


def ours(kind: str, body: Body) -> Body:
    return {"apiVersion": "faregate.dev/v1alpha1", "kind": kind, **body}


def password(installed: Installed) -> str:
    data = installed.get("/api/v1/namespaces/gate/secrets/faregate-postgres")["data"]
    return base64.b64decode(data["password"]).decode()


def test_the_life_of_a_release(installed: Installed) -> None:
    output = installed.install(TRIAL)
    assert "PodSecurity" not in output
    assert "arning" not in output.partition("NOTES:")[0]
    first = password(installed)
    fleet = installed.get(f"{OURS}/gatewayfleets/faregate")
    assert fleet["spec"]["replicas"] == 2

    installed.install({**TRIAL, "fleet": {"spec": {"replicas": 3}}})
    assert password(installed) == first, "an upgrade must not lock everybody out"
    assert installed.get(f"{OURS}/gatewayfleets/faregate")["spec"]["replicas"] == 3

    resources = ("upgrade", "--install", "faregate-crds", str(RESOURCES_CHART))
    installed.helm(*resources, "--take-ownership")
    assert installed.post(f"{OURS}/apikeys", ours("ApiKey", KEY)).status_code == 201
    assert installed.post(f"{OURS}/creditgrants", ours("CreditGrant", GRANT)).status_code == 201

    installed.helm("uninstall", "faregate", "--no-hooks")
    installed.helm("uninstall", "faregate-crds")
    assert installed.names(f"{OURS}/apikeys") == ["alice"]
    assert installed.names(f"{OURS}/creditgrants") == ["welcome"]
    assert installed.names(f"{OURS}/gatewayfleets") == []
    assert installed.names("/apis/apps/v1/namespaces/gate/deployments") == []
    assert password(installed) == first, "the volume knows no other"

    installed.install(TRIAL)
    assert password(installed) == first
    installed.helm("uninstall", "faregate", "--no-hooks")


def tried(installed: Installed, values: Values) -> subprocess.CompletedProcess[str]:
    """Everything that is rendered, as the API server takes it, without keeping any of it."""
    for namespace in ("team-a", "team-b"):
        installed.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    return installed.apply(render(values).objects, "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("name", SETS)
def test_every_object_is_admitted(release: Installed, name: str) -> None:
    done = tried(release, SETS[name])
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fleet_that_breaks_a_rule_is_not_admitted(release: Installed) -> None:
    drain = {"seconds": 300, "graceSeconds": 60}
    done = tried(release, {**TRIAL, "fleet": {"spec": {"drain": drain}}})
    assert "drain.graceSeconds must be at least" in done.stderr


def test_a_restricted_namespace_admits_every_pod(installed: Installed) -> None:
    for owner, made in render(TRIAL).pods().items():
        spec = {key: value for key, value in made["spec"].items() if key != "volumes"}
        spec["volumes"] = [
            {"name": each["name"], "emptyDir": {}}
            for container in spec["containers"]
            for each in container["volumeMounts"]
        ]
        body = {"metadata": {"name": "probe", "labels": made["metadata"]["labels"]}, "spec": spec}
        answer = installed.post("/api/v1/namespaces/gate/pods?dryRun=All", body)
        assert answer.status_code == 201, f"{owner}: {answer.text}"
        assert "warning" not in answer.headers, owner
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    answer = installed.post("/api/v1/namespaces/gate/pods?dryRun=All", body)
    assert answer.status_code == 403, "the namespace admits anything"


@pytest.mark.parametrize(
    ("role", "kind", "allowed"),
    [
        ("viewer", "apikeys", False),
        ("viewer", "creditgrants", False),
        ("apikey-editor", "apikeys", True),
        ("apikey-editor", "creditgrants", False),
        ("treasurer", "apikeys", False),
        ("treasurer", "creditgrants", True),
        ("treasurer", "gatewayfleets", False),
    ],
)
def test_who_may_make_keys_and_who_may_make_money(
    release: Installed, role: str, kind: str, allowed: bool
) -> None:
    bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/gate/rolebindings"
    user = {"kind": "User", "name": role, "apiGroup": "rbac.authorization.k8s.io"}
    reference = {
        "kind": "ClusterRole", "name": f"faregate-{role}", "apiGroup": user["apiGroup"],
    }  # fmt: skip
    body = {"metadata": {"name": role}, "roleRef": reference, "subjects": [user]}
    assert release.post(bindings, body).status_code in (201, 409)
    release.server.write_kubeconfig(role)
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "namespace": "gate", "verb": "create", "group": "faregate.dev", "resource": kind,
            },
        },
    }  # fmt: skip
    with release.server.client(role) as client:
        answer = client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
    assert answer.json()["status"]["allowed"] is allowed


def test_a_prometheus_operator_is_found_by_what_the_cluster_has(release: Installed) -> None:
    place = "/apis/monitoring.coreos.com/v1/namespaces/gate"
    monitors = [f"faregate-{name}" for name in ("console", "gateways", "operator")]
    assert release.names(f"{place}/podmonitors") == monitors
    assert release.names(f"{place}/prometheusrules") == ["faregate-rules"]
