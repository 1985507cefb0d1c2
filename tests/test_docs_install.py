"""The commands of the pages about clusters, as they stand, against a real API server.

What needs a node (waiting for pods, talking to them, Helm's hooks) is passed over here; the tests
of the cluster run the page about installing on one.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.pages import ROOT, blocks, columns, page, section, tables
from tests.harness.shell import Shell, find_program

TUTORIAL = page("tutorial/first-key-on-kubernetes.md")
INSTALL = page("how-to/install-on-kubernetes.md")
OPERATIONS = page("how-to/operate.md")
GRANTS = page("how-to/grant-credits.md")
ROTATION = page("how-to/rotate-a-key.md")
BACKUP = page("how-to/back-up-and-restore.md")
PRODUCTION = page("how-to/prepare-for-production.md")
BUILDING = page("how-to/build-your-image.md")

#: commands that only a node can answer
WITHOUT_NODES = """
kubectl() {
  case " $* " in
    *" wait "* | *" port-forward "* | *" exec "*) return 0 ;;
    *" logs "*) echo '{"message": "the books are wrong: …"}'; return 0 ;;
  esac
  command kubectl "$@"
}
helm() {
  case $1 in test) return 0 ;; uninstall) set -- "$@" --no-hooks ;; esac
  command helm "$@"
}
curl() { :; }
docker() { :; }
kill() { :; }
"""
#: what the operator would have made
BY_THE_OPERATOR = """
kubectl --namespace faregate create secret generic faregate-installation --from-literal=secret=x
kubectl --namespace faregate create deployment faregate --image=registry.example.com/faregate
"""


class Typist:
    """Types the commands of a page, in a folder like the clone's."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        for name in ("charts", "crds", "examples"):
            (folder / name).symlink_to(ROOT / name)
        (production,) = blocks(INSTALL, "yaml values production.yaml")
        (folder / "production.yaml").write_text(production, encoding="utf-8")
        for name in ("database-url", "moonshot-key"):
            (folder / name).write_text("secret", encoding="utf-8")
        self._shell = Shell(server, folder)

    def type(self, *commands: str) -> str:
        return self._shell.run("\n".join([WITHOUT_NODES, *commands]))

    def get(self, kinds: str) -> list[dict[str, Any]]:
        """All objects of some kinds, as kubectl lists them."""
        listed = self.type(f"kubectl get {kinds} --all-namespaces -o json 2>/dev/null")
        items: list[dict[str, Any]] = json.loads(listed)["items"]
        return items


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    programs = find_kubernetes()
    if programs is None or find_program("kubectl") is None or find_program("helm") is None:
        pytest.skip(MISSING)
    server = ApiServer(programs).start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def typist(server: ApiServer, tmp_path: Path) -> Typist:
    """Somebody with a fresh cluster."""
    typist = Typist(server, tmp_path)
    if any(each["metadata"]["name"] == "faregate" for each in typist.get("namespaces")):
        server.wipe()
    return typist


def test_a_trial_from_the_installation_to_its_end(typist: Typist) -> None:
    story = blocks(TUTORIAL, "bash cluster") + blocks(INSTALL, "bash cluster")
    (build,) = blocks(TUTORIAL, "bash")
    typist.type(build, *story)
    assert [each["kind"] for each in typist.get("apikeys,creditgrants")] == [
        "ApiKey",
        "CreditGrant",
    ]
    assert typist.get("gatewayfleets,deployments") == []


def test_an_installation_for_good_and_its_operation(typist: Typist) -> None:
    objects = next(block for block in blocks(TUTORIAL, "bash cluster") if "kind: ApiKey" in block)
    *install, unlock = (block for block in blocks(INSTALL, "bash") if "docker" not in block)
    typist.type(*install, BY_THE_OPERATOR, objects)
    (pod,) = blocks(TUTORIAL, "yaml pod")
    typist.type(f"kubectl apply --dry-run=server -f - <<'END'\n{pod}END")
    pages = (OPERATIONS, ROTATION, GRANTS, PRODUCTION)
    typist.type(*(block for each in pages for block in blocks(each, "bash")), unlock)
    (key,) = typist.get("apikeys")
    assert key["spec"]["rotation"] == {"generation": 1, "overlap": "24h"}
    roles = typist.get("clusterroles --selector app.kubernetes.io/component=access")
    documented = columns(tables(section("how-to/operate.md", "Rights"))[0], 1)
    assert documented.keys() == {role["metadata"]["name"] for role in roles}
    prints_money = "kubectl auth can-i create creditgrants --as=paula --as-group=finance"
    typist.type(f"{prints_money} --namespace team-a", f"! {prints_money} --namespace faregate")
    typist.type("helm upgrade faregate charts/faregate -n faregate --reset-then-reuse-values")
    typist.type("helm rollback faregate --namespace faregate")


def test_a_backup_is_restored_into_a_new_cluster(typist: Typist) -> None:
    if find_program("jq") is None:
        pytest.skip("jq is not installed")
    objects = next(block for block in blocks(TUTORIAL, "bash cluster") if "kind: ApiKey" in block)
    install = [block for block in blocks(INSTALL, "bash") if "docker" not in block][:-1]
    typist.type(*install, BY_THE_OPERATOR, objects)
    (key,) = typist.get("apikeys")
    owner = {
        "apiVersion": "faregate.dev/v1alpha1",
        "kind": "ApiKey",
        "name": "alice",
        "uid": key["metadata"]["uid"],
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "alice-key",
            "namespace": "team-a",
            "labels": {"faregate.dev/key": "true"},
            "ownerReferences": [owner],
        },
        "stringData": {"OPENAI_API_KEY": "sk-kept"},
    }
    typist.type(f"kubectl apply -f - <<'END'\n{yaml.safe_dump(secret)}END")
    typist.type(*blocks(BACKUP, "bash backup"))
    typist.server.wipe()
    typist.type("kubectl create namespace team-a", *blocks(BACKUP, "bash restore"))
    (restored,) = (it for it in typist.get("secrets") if it["metadata"]["name"] == "alice-key")
    assert "ownerReferences" not in restored["metadata"]
    kinds = [each["kind"] for each in typist.get("gatewayfleets,apikeys,creditgrants")]
    assert kinds == ["GatewayFleet", "ApiKey", "CreditGrant"]


def test_the_chart_takes_as_many_replicas_as_the_page_states(typist: Typist) -> None:
    (most,) = re.findall(r"The default of 100 allows (\d+) replicas", PRODUCTION)
    command = (
        "helm template faregate charts/faregate --set database.trial=true,fleet.spec.replicas="
    )
    typist.type(f"{command}{most} >/dev/null", f"! {command}{int(most) + 1} >/dev/null")


def test_the_values_for_autoscaling_are_taken(typist: Typist) -> None:
    (values,) = blocks(PRODUCTION, "yaml values autoscaling.yaml")
    (typist.folder / "autoscaling.yaml").write_text(values, encoding="utf-8")
    typist.type(
        "helm install faregate charts/faregate --namespace faregate --create-namespace"
        " --set database.trial=true --values autoscaling.yaml"
    )
    (fleet,) = typist.get("gatewayfleets")
    assert fleet["spec"]["autoscaling"]["maxReplicas"] == 8
    assert "replicas" not in fleet["spec"]


#: notes down the images that are built, loaded and pushed, and renders instead of installing
NOTED = """
docker() { case $1 in build) echo "built $3" ;; esac; }
kind() { echo "loaded $3"; }
sudo() { cat; echo "loaded by $*"; }
helm() { shift; command helm template "$@" | grep -o 'image: .*faregate:.*' | sort -u; }
"""


@pytest.mark.parametrize(
    ("block", "loaded"),
    [
        ("bash kind", "loaded faregate:{version}\n"),
        ("bash k3s", "loaded by k3s ctr images import -\n"),
        ("bash registry", ""),
    ],
)
def test_the_image_that_is_built_is_the_one_that_the_chart_installs(
    tmp_path: Path, block: str, loaded: str
) -> None:
    helm = find_program("helm")
    if helm is None:
        pytest.skip("helm is not installed (make test-cluster builds it)")
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (build,) = blocks(BUILDING, block)
    (install,) = blocks(BUILDING, "bash local")
    script = "\n".join([NOTED, build.replace("buildx build", "build"), install])
    path = f"{Path(helm).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    version = yaml.safe_load((ROOT / "charts/faregate/Chart.yaml").read_text("utf-8"))["version"]
    name = f"{'registry.example.com/' * (block == 'bash registry')}faregate:{version}"
    first, *_ = done.stdout.splitlines()
    assert first == f"built {name}"
    assert loaded.format(version=version) in done.stdout
    assert f"image: {name}\n" in done.stdout.replace('"', "")
