"""Renders the charts with the real `helm`, and finds what is in them."""

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cluster.local.places import FOR_GO

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/faregate"
RESOURCES_CHART = ROOT / "charts/faregate-crds"
_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

#: no plugins, no repositories and no cluster of the person who runs the tests
_NOBODYS_HOME = str(Path(tempfile.gettempdir()) / "faregate-helm")

Values = dict[str, Any]
Body = dict[str, Any]

TRIAL: Values = {"database": {"trial": True}}


def find_helm() -> str:
    """The program; skips the test where there is none."""
    folders = os.environ.get("FAREGATE_TEST_KUBERNETES_BIN") or _CACHES / "faregate/cluster/bin"
    found = shutil.which("helm", path=str(folders)) or shutil.which("helm")
    if found is None:
        pytest.skip("helm is not installed (make test-cluster builds it)")
    return found


class Rendered(NamedTuple):
    """The objects of a rendered chart."""

    objects: list[Body]

    def one(self, kind: str, name: str = "") -> Body:
        """The one object of a kind, or of a kind and a name."""
        found = self.every(kind, name)
        assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
        return found[0]

    def every(self, kind: str, name: str = "") -> list[Body]:
        return [
            each
            for each in self.objects
            if each["kind"] == kind and name in ("", each["metadata"]["name"])
        ]

    def pods(self) -> dict[str, Body]:
        """Every pod or pod's template, by the kind and name of what it stands in."""
        return {
            f"{each['kind']}/{each['metadata']['name']}": pod_of(each)
            for each in self.objects
            if each["kind"] in ("Pod", "Deployment", "StatefulSet", "Job")
        }


def pod_of(body: Body) -> Body:
    """The part of an object that is like a Pod, with metadata and spec."""
    pod: Body = body if body["kind"] == "Pod" else body["spec"]["template"]
    return pod


def container_of(body: Body) -> Body:
    """The one container of an object's pod."""
    (container,) = pod_of(body)["spec"]["containers"]
    named: Body = container
    return named


def environment_of(body: Body) -> dict[str, Any]:
    """The variables of an object's container; references as they are."""
    return {
        each["name"]: each.get("value", each.get("valueFrom"))
        for each in container_of(body).get("env", [])
    }


def render(values: Values | None = None, *options: str, chart: Path = CHART) -> Rendered:
    """The objects of a release `faregate` in the namespace `gate`."""
    text = render_text(values, *options, chart=chart)
    return Rendered([each for each in yaml.load_all(text, yaml.CSafeLoader) if each])


def render_text(values: Values | None = None, *options: str, chart: Path = CHART) -> str:
    """The same as Helm writes it."""
    return _rendered(json.dumps(TRIAL if values is None else values), options, chart)


@cache
def _rendered(values: str, options: tuple[str, ...], chart: Path) -> str:
    done = run_helm("template", "faregate", chart, values, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(values: Values) -> str:
    """Helm's complaint about values that it must not render."""
    done = run_helm("template", "faregate", CHART, json.dumps(values))
    assert done.returncode != 0, "helm rendered them"
    return done.stderr


def notes(values: Values) -> str:
    """The notes that an installation would print."""
    done = run_helm("install", "faregate", CHART, json.dumps(values), "--dry-run=client")
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def lint(chart: Path, values: Values) -> subprocess.CompletedProcess[str]:
    return run_helm("lint", "--strict", chart, json.dumps(values))


def run_helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    *command, values = [str(each) for each in arguments if not str(each).startswith("--")]
    options = [str(each) for each in arguments if str(each).startswith("--")]
    return subprocess.run(
        [find_helm(), *command, "--namespace=gate", "--values=-", *options],
        input=values,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": _NOBODYS_HOME, **FOR_GO},
    )
