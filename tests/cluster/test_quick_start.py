"""The tutorial on Kubernetes, as it stands: a trial with the PostgreSQL that the chart brings.

Its commands know nothing of this machine. A helm of ours hands the real one where the images are.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import objects
from tests.cluster.harness.installation import ROOT, Installation
from tests.cluster.harness.kube import Kube, condition, wait_until
from tests.cluster.harness.team import Team
from tests.harness.pages import blocks, page

_TEAM = "team-a"
_STRANGERS = "team-b"
_PAGES = (
    "tutorial/first-key-on-kubernetes.md",
    "how-to/install-on-kubernetes.md",
    "how-to/upgrade.md",
)
_BLOCKS = [block for name in _PAGES for block in blocks(page(name), "bash cluster")]


class Page:
    """Somebody who reads the page and types its commands."""

    def __init__(self, folder: Path, values: dict[str, object], image: str) -> None:
        real = shutil.which("helm")
        given = folder / "values.json"
        given.write_text(json.dumps(values))
        helm = folder / "helm"
        helm.write_text(
            f'#!/bin/sh\ncase "$1" in install | upgrade) set -- "$@" --values {given} ;; esac\n'
            f'exec {real} "$@"\n'
        )
        helm.chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "IMAGE": image,
        }

    def type(self, beginning: str) -> str:
        """Run the one block that has a line which begins so; what it printed."""
        (block,) = (
            one for one in _BLOCKS if any(line.startswith(beginning) for line in one.splitlines())
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def trial(shared: Installation, kube: Kube) -> Iterator[Installation]:
    """The trial, with the other installation out of the way."""
    if shared.release in shared.helm("list", "-q"):
        shared.uninstall()
    kube.wait_keyless()
    trial = Installation(kube, shared.facts, "faregate")
    yield trial
    if trial.release in trial.helm("list", "-q"):
        trial.uninstall()
    for name in (_TEAM, _STRANGERS, trial.namespace):
        kube.delete("namespace", name, None, "--wait=false")


@pytest.fixture(scope="module")
def reader(shared: Installation, tmp_path_factory: pytest.TempPathFactory) -> Page:
    image, _, tag = shared.facts.images["product"].rpartition(":")
    base, _, number = shared.facts.images["postgres"].rpartition(":")
    values: dict[str, object] = {
        "image": {"tag": tag},
        "postgres": {"image": {"repository": base, "tag": number}},
    }
    return Page(tmp_path_factory.mktemp("reader"), values, image)


def test_a_trial_is_installed_and_tests_itself(trial: Installation, reader: Page) -> None:
    assert "Succeeded" in reader.type("helm test faregate")


def test_a_team_gets_a_key_and_chats(trial: Installation, reader: Page) -> None:
    shown = reader.type("kubectl create namespace team-a")
    assert "apikey" in shown
    assert "You said: Hello" in reader.type("curl --silent")
    place = Team(trial, _TEAM)
    with trial.replicas() as replicas:
        assert next(iter(replicas.values())).balance(place.key()) == 999


def test_it_is_upgraded(trial: Installation, reader: Page) -> None:
    reader.type("helm upgrade --install faregate-crds")
    trial.check(_TEAM, trial.namespace)


def test_the_money_of_a_trial_outlives_its_release(trial: Installation, reader: Page) -> None:
    key = Team(trial, _TEAM).key()
    reader.type("helm uninstall")
    assert reader.type("helm install faregate ")
    with trial.replicas() as replicas:
        client = next(iter(replicas.values()))
        wait_until(lambda: client.status(key) == 200, "the key to work again", 60)
        assert client.balance(key) == 999
    trial.check(_TEAM, trial.namespace)


def test_only_the_namespaces_that_are_named_count(trial: Installation, kube: Kube) -> None:
    """With a Role in each of them instead of a ClusterRole; so the self-test passes too."""
    trial.helm(
        "upgrade", trial.release, str(ROOT / "charts/faregate"), "--reset-then-reuse-values",
        "--set", f"operator.watchNamespaces={{{_TEAM}}}", "--wait", "--timeout=120s",
    )  # fmt: skip
    stranger, place = Team(trial, _STRANGERS), Team(trial, _TEAM)
    stranger.apply(objects.api_key("carol", "carol"))
    place.apply(objects.api_key("bob", "bob"), objects.credit_grant("bob", "bob"))
    place.wait("apikey", "bob")
    place.wait("creditgrant", "bob")
    trial.helm("test", trial.release, "--timeout=120s")
    assert condition(stranger.get("apikey", "carol"), "Ready") == {}
    assert kube.secret(_STRANGERS, "carol-key") == {}
