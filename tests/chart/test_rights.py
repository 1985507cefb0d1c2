"""The operator, its job and the self-test do their work with just the rights that the chart gives.

They run as processes here, each as its ServiceAccount.
"""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_operator.resources.names import CONFIRM_ORPHANS_ANNOTATION
from tests.chart.helm import ROOT, Body, Values, container_of, environment_of, render
from tests.chart.installed import Installed
from tests.harness.gateway import DATABASES, PLAINTEXTS, Process, wait_until
from tests.harness.modules import gateway_api_definition
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer
from tests.reconcile.world import Operator

INGRESS = {"enabled": True, "host": "llm.example.com"}
SCALED_AND_ROUTED = {
    "resources": {"requests": {"cpu": "500m"}},
    "autoscaling": {"maxReplicas": 3},
    "httpRoute": {"parentRefs": [{"name": "public"}]},
    "console": {"url": "https://llm.example.com"},
}
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/gate/httproutes"
KEYS = "/apis/faregate.dev/v1alpha1/namespaces/team/apikeys"
GRANTS = "/apis/faregate.dev/v1alpha1/namespaces/team/creditgrants"
ACCOUNTS = "/apis/faregate.dev/v1alpha1/namespaces/team/accounts"
ALLOWANCES = "/apis/faregate.dev/v1alpha1/namespaces/team/creditallowances"
#: what the operator makes of a fleet; nobody collects it here when the fleet is gone
CHILDREN = (
    "/apis/apps/v1/namespaces/gate/deployments/faregate",
    "/api/v1/namespaces/gate/services/faregate",
    "/api/v1/namespaces/gate/configmaps/faregate-config",
    "/apis/policy/v1/namespaces/gate/poddisruptionbudgets/faregate",
    "/apis/networking.k8s.io/v1/namespaces/gate/ingresses/faregate",
    "/apis/autoscaling/v2/namespaces/gate/horizontalpodautoscalers/faregate",
    f"{ROUTES}/faregate",
    "/apis/apps/v1/namespaces/gate/deployments/faregate-console",
    "/api/v1/namespaces/gate/services/faregate-console",
    "/api/v1/namespaces/gate/configmaps/faregate-console-config",
    "/apis/policy/v1/namespaces/gate/poddisruptionbudgets/faregate-console",
)


#: what no request shows: an admission plugin that not every cluster has looks for it
NOT_ASKED = {"update gatewayfleets/finalizers"}


def _is_by(request: Body, place: str | None, resource: str, verb: str, rule: Body) -> bool:
    """True if a request needed a verb of a rule."""
    about = request.get("objectRef", {})
    asked = f"{about.get('resource')}/{about.get('subresource', '')}".rstrip("/")
    if asked != resource or about.get("apiGroup", "") not in rule["apiGroups"]:
        return False
    if place is not None and about.get("namespace") not in (place, None):
        return False
    if "resourceNames" in rule and about.get("name") not in rule["resourceNames"]:
        return False
    # A server-side apply of what is not there needs both verbs, and is reported as a patch.
    made = verb == "create" and request["responseStatus"]["code"] == 201
    return request["verb"] == verb or (made and request["verb"] == "patch")


class Release:
    """A release with its operator as a process."""

    def __init__(self, installed: Installed, folder: Path, values: Values) -> None:
        self.cluster = installed
        self.folder = folder
        self.values = values
        for name in ("team", "other"):
            installed.post("/api/v1/namespaces", {"metadata": {"name": name}})
        installed.install(values)
        self.operator = Operator(
            folder / "operator.log",
            self.environment(render(values).one("Deployment"), "faregate-operator")
            | {"FAREGATE_SWEEP_SECONDS": "5"},
        )

    def environment(self, body: Body, account: str) -> dict[str, str]:
        """The environment of a container's process, and a kubeconfig of its ServiceAccount."""
        user = f"system:serviceaccount:gate:{account}"
        kubeconfig = self.folder / f"{account}.kubeconfig"  # colons would be several files
        kubeconfig.write_bytes(self.cluster.server.write_kubeconfig(user).read_bytes())
        given = {"KUBECONFIG": str(kubeconfig)}
        for name, value in environment_of(body).items():
            if "fieldRef" in value:
                value = "gate"
            elif "secretKeyRef" in value:
                reference = value["secretKeyRef"]
                value = self.secret("gate", reference["name"])[reference["key"]]
            given[name] = value
        return given

    def begin(self, body: Body, account: str, *more: str) -> subprocess.Popen[str]:
        """Begin a container's process."""
        return subprocess.Popen(
            [sys.executable, "-m", *container_of(body)["args"], *more],
            cwd=ROOT,
            env={**self.environment(body, account), "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        data = self.cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def make(self, namespace: str, kind: str, name: str, **spec: Any) -> str:
        """Create one of our objects; its path."""
        path = f"/apis/faregate.dev/v1alpha1/namespaces/{namespace}/{kind.lower()}s"
        body = {"apiVersion": "faregate.dev/v1alpha1", "kind": kind}
        answer = self.cluster.post(path, {**body, "metadata": {"name": name}, "spec": spec})
        assert answer.status_code == 201, answer.text
        return f"{path}/{name}"

    def patch(self, path: str, change: Body) -> None:
        headers = {"content-type": "application/merge-patch+json"}
        answer = self.cluster.client.patch(path, json=change, headers=headers)
        assert answer.status_code == 200, answer.text

    def lose_keys(self, *names: str) -> None:
        """Keys whose objects go without the operator, and the administrator who lets them go."""
        paths = [
            self.make("team", "ApiKey", name, account="alice", secretName=f"{name}-key")
            for name in names
        ]
        for path, name in zip(paths, names, strict=True):
            self.wait_ready(path)
            PLAINTEXTS.add(self.secret("team", f"{name}-key")["OPENAI_API_KEY"])
        assert self.operator.stop() == 0
        for path in paths:
            self.patch(path, {"metadata": {"finalizers": None}})
            self.cluster.client.delete(path)
        secret = "/api/v1/namespaces/gate/secrets/faregate-installation"
        self.patch(secret, {"metadata": {"annotations": {CONFIRM_ORPHANS_ANNOTATION: "2"}}})
        self.operator.start()

        def is_done() -> bool:
            annotations = self.cluster.get(secret)["metadata"].get("annotations") or {}
            return CONFIRM_ORPHANS_ANNOTATION not in annotations

        wait_until(is_done, "the orphans to be let go", 60)

    def unused(self, user: str) -> list[str]:
        """The rights that a ServiceAccount has by its roles, and never used."""
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        asked = self.cluster.server.requests_of(user)
        unused: list[str] = []
        for plural in ("clusterroles", *(f"namespaces/{name}/roles" for name in ("gate", "team"))):
            for role in self.cluster.get(f"{rbac}/{plural}")["items"]:
                if not role["metadata"]["name"].startswith("faregate-operator"):
                    continue
                # Keys and grants may be in any namespace that is watched, gateways in one.
                is_own = role["metadata"]["name"] == "faregate-operator-gateways"
                place = role["metadata"]["namespace"] if is_own else None
                unused += [
                    f"{role['metadata']['name']}: {verb} {resource}"
                    for rule in role["rules"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                    if not any(_is_by(each, place, resource, verb, rule) for each in asked)
                ]
        return [each for each in unused if each.partition(": ")[2] not in NOT_ASKED]

    def is_ready(self, path: str) -> bool:
        conditions = self.cluster.get(path).get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def wait_ready(self, path: str) -> None:
        wait_until(lambda: self.is_ready(path), f"{path} to be ready")

    def wait(self, path: str, *, exists: bool) -> None:
        wait_until(
            lambda: self.exists(path) is exists, f"{path} to {'' if exists else 'dis'}appear"
        )

    def exists(self, path: str) -> bool:
        return self.cluster.client.get(path).status_code == httpx.codes.OK

    def close(self) -> None:
        self.operator.kill()
        for path in (GRANTS, ACCOUNTS, ALLOWANCES, *CHILDREN):
            self.cluster.client.delete(path)
        self.cluster.helm("uninstall", "faregate", "--no-hooks")


@pytest.fixture(params=["all namespaces", "some namespaces"])
def release(
    request: pytest.FixtureRequest,
    installed: Installed,
    postgres_server: PostgresServer,
    tmp_path: Path,
) -> Iterator[Release]:
    url = postgres_server.create_database()
    DATABASES.add(url)
    installed.client.delete("/api/v1/namespaces/gate/secrets/faregate-installation")
    done = installed.apply([gateway_api_definition("httproutes")])
    assert done.returncode == 0, done.stderr
    wait_until(lambda: installed.client.get(ROUTES).status_code == 200, "routes to be served")
    values: Values = {
        "database": {"url": url},
        "fleet": {"spec": SCALED_AND_ROUTED},
        "ingress": INGRESS,
        "selftest": {"timeoutSeconds": 60},
    }
    if request.param == "some namespaces":
        values["operator"] = {"watchNamespaces": ["team"]}
    release = Release(installed, tmp_path, values)
    try:
        release.operator.start()
        yield release
    finally:
        release.close()


def test_everything_that_an_operator_does_is_allowed(release: Release) -> None:
    key = release.make("team", "ApiKey", "alice", account="alice", secretName="alice-key")
    grant = release.make("team", "CreditGrant", "welcome", account="alice", credits=10)
    spec = {"account": "alice", "credits": 10, "every": "month"}
    allowance = release.make("team", "CreditAllowance", "monthly", **spec)
    account = release.make("team", "Account", "alice", account="alice", parent="lab")
    for path in (key, grant, allowance, account):
        release.wait_ready(path)
    PLAINTEXTS.add(release.secret("team", "alice-key")["OPENAI_API_KEY"])
    for path in CHILDREN:
        release.wait(path, exists=True)

    release.lose_keys("carol", "dave")
    generation = {"spec": {"rotation": {"generation": 1, "overlap": "0s"}}}
    release.patch(key, generation)
    wait_until(
        lambda: release.secret("team", "alice-key")["OPENAI_API_KEY"] not in PLAINTEXTS, "a new key"
    )
    PLAINTEXTS.add(release.secret("team", "alice-key")["OPENAI_API_KEY"])

    release.cluster.install({**release.values, "ingress": {}, "fleet": {}})
    for path in CHILDREN[-7:]:
        release.wait(path, exists=False)
    release.make("team", "ApiKey", "bob", account="bob", secretName="bob-key")
    release.cluster.client.delete(key)
    release.wait(key, exists=False)

    job = release.begin(render(release.values).one("Job"), "faregate-operator")
    deployment = "/apis/apps/v1/namespaces/gate/deployments/faregate-operator"
    wait_until(
        lambda: release.cluster.get(deployment)["spec"]["replicas"] == 0, "the operator's end", 60
    )
    assert release.operator.stop() == 0, "as the kubelet would, now"
    output = job.communicate(timeout=60)
    assert job.returncode == 0, output
    keys = release.cluster.get(KEYS)["items"]
    assert [each["metadata"].get("finalizers") for each in keys] == [None]
    release.cluster.client.delete(f"{KEYS}/bob")
    assert "forbidden" not in release.operator.log_text().lower()
    assert release.unused("system:serviceaccount:gate:faregate-operator") == []
    release.cluster.install(release.values)
    assert release.cluster.get(deployment)["spec"]["replicas"] == 1, "an uninstall can be given up"


class Gateway(Process):
    """A gateway with what the operator gives to its pods."""

    def __init__(self, release: Release, folder: Path) -> None:
        super().__init__(folder / "gateway.log")
        self.port = free_port()
        made = release.cluster.get("/api/v1/namespaces/gate/configmaps/faregate-config")
        (config,) = made["data"].values()
        (folder / "fleet.yaml").write_text(config)
        environment = {
            "FAREGATE_DATABASE_URL": release.values["database"]["url"],
            "FAREGATE_INSTALLATION_SECRET": release.secret("gate", "faregate-installation")[
                "secret"
            ],
        }
        self.spawn(
            [
                "serve", f"--config={folder / 'fleet.yaml'}", f"--data={folder / 'data'}",
                f"--port={self.port}", f"--ops-port={free_port()}",
            ],
            environment,
        )  # fmt: skip


@pytest.mark.parametrize("release", ["all namespaces"], indirect=True)
def test_the_selftest_finds_an_installation_that_works_and_leaves_nothing(
    release: Release, tmp_path: Path
) -> None:
    release.wait_ready(release.make("team", "ApiKey", "first", account="a", secretName="first"))
    gateway = Gateway(release, tmp_path)
    rendered = render(release.values)
    for kind in ("Role", "RoleBinding"):
        done = release.cluster.apply(rendered.every(kind, "faregate-selftest"))
        assert done.returncode == 0, done.stderr
    pod = rendered.one("Pod")
    url = f"--url=http://127.0.0.1:{gateway.port}"
    try:
        for _ in range(2):
            test = release.begin(pod, "faregate-selftest", url)
            given, complaint = test.communicate(timeout=120)
            assert test.returncode == 0, given + complaint
            assert "kimi-k2.5 answered for 1 credits; the balance is 2" in given
        test = release.begin(pod, "faregate-selftest", url, "--model=nothing")
        assert "faregate-operator: the fleet has no model nothing\n" in test.communicate()
        assert test.returncode == 1
    finally:
        gateway.kill()
    for kind in ("apikeys", "creditgrants"):
        path = f"/apis/faregate.dev/v1alpha1/namespaces/gate/{kind}/faregate-selftest"
        assert not release.exists(path)
    release.cluster.client.delete(f"{KEYS}/first")
    release.wait(f"{KEYS}/first", exists=False)
