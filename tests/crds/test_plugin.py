"""`kubectl faregate` on a real API server; no pod runs here, so commands in one are noted down."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crds.support import ROOT, Api, Kubectl
from tests.crds.test_kubectl import condition
from tests.harness.apiserver import ApiServer
from tests.harness.pages import page
from tests.harness.shell import Shell, find_program

TEAM = "plugin"
PLUGIN = ROOT / "plugin/kubectl-faregate"
VERSION = "faregate.dev/v1alpha1"
#: the real kubectl; a command in a pod is only written out
WITHOUT_PODS = """#!/bin/sh
case " $* " in
  *" exec "*) echo "in the pod: $*" ;;
  *) exec {kubectl} "$@" ;;
esac
"""
Run = Callable[..., str]


@pytest.fixture(scope="module")
def team(kubectl: Kubectl, api: Api) -> Kubectl:
    """A namespace with two keys of one account, as the operator leaves them."""
    kubectl.run("create", "namespace", TEAM)
    for name, balance in (("alice", 990), ("notebook", 990), ("bob", None)):
        account = "bob" if name == "bob" else "alice"
        spec = {"account": account, "secretName": f"{name}-key"}
        body = {"apiVersion": VERSION, "kind": "ApiKey", "metadata": {"name": name}, "spec": spec}
        kubectl.run("create", "-n", TEAM, "-f", "-", given=json.dumps(body))
        if balance is not None:
            message = "the key is in its Secret"
            status = {
                "observedGeneration": 1, "secretName": f"{name}-key", "prefix": "sk-abcd",
                "balance": balance, "conditions": [condition(True, "Issued", message)],
            }  # fmt: skip
            patch = json.dumps({"status": status})
            kubectl.run("patch", "apikey", name, "-n", TEAM, "--subresource=status",
                        "--type=merge", "-p", patch)  # fmt: skip
    secret = ("create", "secret", "generic", "alice-key", "-n", TEAM)
    kubectl.run(*secret, "--from-literal=OPENAI_API_KEY=sk-never-shown")
    return kubectl


@pytest.fixture
def run(team: Kubectl, api_server: ApiServer, tmp_path: Path) -> Run:
    """`kubectl faregate …` in the namespace; both outputs of a command that ends well."""
    real = find_program("kubectl")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text(WITHOUT_PODS.format(kubectl=real), encoding="utf-8")
    (folder / "kubectl").chmod(0o755)
    shell = Shell(api_server, tmp_path)
    path = f"export PATH={folder}:{PLUGIN.parent}:$PATH"
    return lambda command, **environment: shell.run(
        f"{path}; kubectl faregate {command}", **environment
    )


def stored(team: Kubectl, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(team.run("get", kind, "-n", TEAM, "-o", "json"))[
        "items"
    ]
    return found


def test_help_is_the_same_in_the_docs_and_needs_no_cluster() -> None:
    done = subprocess.run(
        [str(PLUGIN)], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in page("how-to/use-the-plugin.md")


def test_another_command_is_refused_with_the_help(run: Run) -> None:
    assert run("steal || [ $? = 2 ]").startswith("kubectl faregate COMMAND")


def test_keys(run: Run) -> None:
    lines = [line.split() for line in run(f"keys -n {TEAM}").splitlines()]
    assert [line[0] for line in lines] == ["NAME", "alice", "bob", "notebook"]
    assert lines[1][:6] == ["alice", "alice", "True", "Issued", "sk-abcd", "alice-key"]


def test_balance(run: Run) -> None:
    assert [line.split() for line in run(f"balance --namespace={TEAM}").splitlines()] == [
        ["ACCOUNT", "BALANCE"],
        ["alice", "990"],
    ]
    refused = run(f"balance bob -n {TEAM} || true")
    assert refused == "kubectl faregate: no key of bob in plugin has a balance in its status\n"


@pytest.mark.parametrize("command", ["usage", "statement"])
def test_reports_are_asked_in_the_gateway(run: Run, command: str) -> None:
    expected = (
        "in the pod: --namespace money exec deployment/main -- python -m gateway"
        f" {command} --account {TEAM}/alice --from 2026-10-01\n"
    )
    where = {"FAREGATE_NAMESPACE": "money", "FAREGATE_FLEET": "main"}
    assert run(f"{command} alice -n {TEAM} --from 2026-10-01", **where) == expected


def test_a_grant_is_created_with_its_reference_and_waited_for(run: Run, team: Kubectl) -> None:
    output = run(
        f"""grant alice 250 -n {TEAM} --reference 8841 --reason 'a "new" month' || true""",
        FAREGATE_WAIT="1s",
    )
    (made,) = stored(team, "creditgrants")
    assert made["spec"] == {
        "account": "alice", "credits": 250, "reference": "8841", "reason": 'a "new" month',
        "void": False,
    }  # fmt: skip
    name = f"creditgrant.faregate.dev/{made['metadata']['name']}"
    assert f"{name} created" in output
    assert "none: the operator has not seen it" in output
    assert f"{name} is not in the books yet" in output
    for credits in ("0", "-5", "1.5", "ten", "''"):
        assert "credits are a whole number above 0" in run(
            f"grant alice {credits} -n {TEAM} || true"
        )
    assert len(stored(team, "creditgrants")) == 1


def test_a_key_is_rotated_each_time_by_one(run: Run, team: Kubectl) -> None:
    def rotation() -> object:
        (key,) = (each for each in stored(team, "apikeys") if each["metadata"]["name"] == "bob")
        return key["spec"]["rotation"]

    run(f"rotate bob -n {TEAM}")
    assert rotation() == {"generation": 1, "overlap": "24h"}
    run(f"rotate bob 0s -n {TEAM}")
    assert rotation() == {"generation": 2, "overlap": "0s"}


def test_why_shows_the_whole_story_and_no_secret(run: Run, team: Kubectl) -> None:
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "alice.1", "namespace": TEAM},
        "involvedObject": {"kind": "ApiKey", "name": "alice", "namespace": TEAM},
        "reason": "Reissued", "message": "a new object", "type": "Warning",
        "lastTimestamp": "2027-03-01T00:00:00Z",
    }  # fmt: skip
    team.run("create", "-n", TEAM, "-f", "-", given=json.dumps(event))
    story = run(f"why alice -n {TEAM}")
    assert re.findall(r"^(?:--|==) (.*)$", story, re.M) == [
        f"apikey.faregate.dev/alice in {TEAM}", "conditions", "secret alice-key", "events",
        f"books of {TEAM}/alice",
    ]  # fmt: skip
    for part in ("the key is in its Secret", "Reissued", "OPENAI_API_KEY", "gateway events"):
        assert part in story
    assert "never-shown" not in story
    assert run(f"why nobody -n {TEAM} || true").endswith("is named nobody\n")


def test_why_finds_an_account(run: Run, team: Kubectl) -> None:
    body = {
        "apiVersion": VERSION, "kind": "Account", "metadata": {"name": "family"},
        "spec": {"account": "parents"},
    }  # fmt: skip
    team.run("create", "-n", TEAM, "-f", "-", given=json.dumps(body))
    story = run(f"why family -n {TEAM}")
    assert f"== account.faregate.dev/family in {TEAM}" in story
    assert f"python -m gateway events --account {TEAM}/parents" in story
