"""Every pod passes the restricted pod security standard, and what this project asks besides."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.helm import TRIAL, Body, Values, render

SETS: dict[str, Values] = {
    "trial": TRIAL,
    "without volume": {**TRIAL, "postgres": {"persistence": {"enabled": False}}},
    "own database": {"database": {"existingSecret": {"name": "mine"}}},
    "namespaces": {**TRIAL, "operator": {"watchNamespaces": ["team-a"]}},
}
#: the volumes that the standard allows
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip


def violations(spec: Body) -> Iterator[str]:
    """The fields of a pod's specification that the restricted standard forbids."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes", []):
        if not VOLUMES.issuperset(volume.keys() - {"name"}):
            yield f"volume {volume['name']}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls"
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for found in _of_container(container, spec.get("securityContext", {})):
            yield f"{container['name']}: {found}"


def _of_container(container: Body, of_pod: Body) -> Iterator[str]:
    own = container.get("securityContext", {})
    both: dict[str, Any] = {**of_pod, **own}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities"
    if not {"NET_BIND_SERVICE"}.issuperset(capabilities.get("add", [])):
        yield "added capabilities"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if both.get("runAsUser") == 0:
        yield "runAsUser"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"


@pytest.mark.parametrize("name", SETS)
def test_every_pod_is_restricted(name: str) -> None:
    pods = render(SETS[name]).pods()
    assert "Deployment/faregate-operator" in pods
    for owner, pod in pods.items():
        assert list(violations(pod["spec"])) == [], owner


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("hostNetwork", True, "hostNetwork"),
        ("volumes", [{"name": "host", "hostPath": {"path": "/"}}], "volume host"),
        ("securityContext.seccompProfile", {}, "operator: seccompProfile"),
        ("securityContext.sysctls", [{"name": "a"}], "sysctls"),
        ("containers.0.securityContext.capabilities", {}, "operator: capabilities"),
        ("containers.0.securityContext.runAsNonRoot", False, "operator: runAsNonRoot"),
        ("containers.0.securityContext.runAsUser", 0, "operator: runAsUser"),
        ("containers.0.securityContext.privileged", True, "operator: privileged"),
        (
            "containers.0.securityContext.allowPrivilegeEscalation",
            None,
            "operator: allowPrivilegeEscalation",
        ),
        ("containers.0.ports.0.hostPort", 80, "operator: hostPort"),
    ],
)
def test_the_rules_see_what_they_are_there_for(path: str, value: Any, expected: str) -> None:
    spec = copy.deepcopy(render().pods()["Deployment/faregate-operator"]["spec"])
    *way, last = path.split(".")
    place: Any = spec
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    assert list(violations(spec)) == [expected]


@pytest.mark.parametrize("name", SETS)
def test_every_container_has_a_read_only_root_and_bounds(name: str) -> None:
    for owner, pod in render(SETS[name]).pods().items():
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, owner
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), owner
            assert "memory" in container["resources"]["limits"], owner
            assert not container["image"].endswith(":latest"), owner
            written = {each["mountPath"] for each in container["volumeMounts"]}
            assert "/tmp" in written, owner
        for volume in pod["spec"].get("volumes", []):
            if volume["name"] != "data" and "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], f"{owner}: {volume['name']}"


def test_no_pod_gets_variables_from_services() -> None:
    """A Service `faregate` would otherwise set FAREGATE_PORT, which no process of ours knows."""
    for owner, pod in render().pods().items():
        assert pod["spec"]["enableServiceLinks"] is False, owner


def test_only_who_talks_to_the_api_server_has_a_token() -> None:
    tokens = {
        owner: pod["spec"]["automountServiceAccountToken"] for owner, pod in render().pods().items()
    }
    assert tokens == {
        "Deployment/faregate-operator": True,
        "Job/faregate-release-finalizers": True,
        "Pod/faregate-selftest": True,
        "StatefulSet/faregate-postgres": False,
    }


def test_no_secret_stands_in_an_argument_a_variable_or_a_config_map() -> None:
    values: Values = {"database": {"url": "postgresql://a:canary@b/c"}}
    rendered = render(values)
    holding = [each["kind"] for each in rendered.objects if "canary" in str(each)]
    assert holding == ["Secret"]
    made = render()
    password = made.one("Secret", "faregate-postgres")["stringData"]["password"]
    assert [each["kind"] for each in made.objects if password in str(each)] == ["Secret"]
