"""`make kind-up`: its configuration, and what it reports where something is missing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.clusters import KUBECONFIG, choose
from tests.cluster.clusters.kind import NODE_IMAGE
from tests.cluster.kind.places import KIND
from tests.harness.pages import ROOT, page
from tests.tilt.evaluated import CONTEXT, Evaluated


def test_tilt_works_on_the_cluster_that_kind_makes(evaluated: Evaluated) -> None:
    (configuration,) = yaml.safe_load_all((ROOT / ".dev/kind.yaml").read_text(encoding="utf-8"))
    assert configuration == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": "faregate",
        "nodes": [{"role": "control-plane"}],
    }
    assert f"kind-{configuration['name']}" == CONTEXT
    assert evaluated.all("allow_k8s_contexts") == [{"contexts": CONTEXT}]
    for button in evaluated.all("cmd_button"):
        assert f"KUBECTL=kubectl --context {CONTEXT}" in button["argv"]


def run_kind(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `.dev/kind` where nothing is installed but what is in a folder."""
    for name in ("sh", "dirname", "grep"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        [ROOT / ".dev/kind", *arguments],
        env={"PATH": str(folder), "HOME": os.environ.get("HOME", "/"), **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_without_kind_it_states_how_to_get_it(tmp_path: Path) -> None:
    done = run_kind(tmp_path, "up")
    assert done.returncode == 1
    (command,) = re.findall(
        r"^  (go install sigs\.k8s\.io/kind@v\d+\.\d+\.\d+)$", done.stderr, re.M
    )
    assert command in page("how-to/develop.md")
    assert command.endswith(f"@{KIND}"), "the cluster's tests take another kind"


def test_without_docker_it_reports_it(tmp_path: Path) -> None:
    (tmp_path / "kind").symlink_to(str(shutil.which("true")))
    done = run_kind(tmp_path, "up")
    assert done.returncode == 1
    assert done.stderr.startswith("No Docker engine answers")


def test_an_unknown_act_is_refused(tmp_path: Path) -> None:
    assert run_kind(tmp_path).stderr == "usage: .dev/kind up | down\n"


def test_another_node_image_is_given_to_kind(tmp_path: Path) -> None:
    written = tmp_path / "arguments"
    put(tmp_path, "kind", f'[ "$1" = get ] || echo "$@" >> {written}')
    put(tmp_path, "docker", "exit 0")
    done = run_kind(tmp_path, "up", KIND_NODE_IMAGE="registry.example/node:v1")
    assert done.returncode == 0, done.stderr
    assert written.read_text().split()[-2:] == ["--image", "registry.example/node:v1"]


@pytest.mark.parametrize(
    ("docker", "node_image", "name"),
    [
        ("exit 0", "", "kind"),
        ('[ "$1" != manifest ]', "", "kind"),  # it is there already
        ('[ "$1" = info ]', "", "local"),  # no registry answers
        ('[ "$1" = info ]', "registry.example/node:v1", "kind"),
        ("exit 1", "registry.example/node:v1", "local"),
    ],
)
def test_an_engine_that_cannot_pull_leaves_the_tests_their_local_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker: str, node_image: str, name: str
) -> None:
    put(tmp_path, "docker", docker)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(NODE_IMAGE, node_image)
    monkeypatch.delenv(KUBECONFIG, raising=False)
    assert choose().name == name


def put(folder: Path, name: str, body: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
