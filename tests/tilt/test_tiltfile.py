"""The Tiltfile's calls of Tilt: resources, their order, images, copied and read files."""

import json
import re
from collections import Counter
from typing import Any

from gateway_operator.render.pod import pod_template
from gateway_operator.render.workload import gateways
from gateway_operator.resources.fleet import read_fleet
from gateway_operator.settings import OperatorSettings
from tests.harness.pages import ROOT, columns, section, tables
from tests.tilt.evaluated import START, Evaluated, live_files

#: kinds that Tilt makes a resource of by itself: they have pods, or an image that Tilt knows of
WORKLOADS = {"Deployment", "StatefulSet", "Job", "DaemonSet", "Pod", "GatewayFleet"}


def resources(evaluated: Evaluated) -> dict[str, dict[str, Any]]:
    """Everything that stands in Tilt's list, by its name there."""
    calls = evaluated.all("local_resource") + evaluated.all("k8s_resource")
    return {
        str(call.get("new_name") or call.get("workload") or call.get("name")): call
        for call in calls
    }


def named(evaluated: Evaluated, kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        each
        for each in evaluated.objects()
        if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


def labels_of_pods(workload: dict[str, Any]) -> dict[str, str]:
    """Those of the template; none for a workload that Tilt knows by its image only."""
    template = workload["spec"].get("template") or {}
    return dict(template.get("metadata", {}).get("labels", {}))


def is_selected(service: dict[str, Any], labels: dict[str, str]) -> bool:
    """True if a Service leads to pods with these labels."""
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def images(evaluated: Evaluated) -> dict[str, str]:
    """Workload → image, where Tilt looks for it."""
    found = {}
    for each in evaluated.objects():
        if each["kind"] == "GatewayFleet":
            found["gateway"] = each["spec"]["image"]
        elif each["kind"] in WORKLOADS:
            (container,) = each["spec"]["template"]["spec"]["containers"]
            found[each["metadata"]["name"]] = container["image"]
    return found


def test_the_resources_come_up_in_the_right_order(evaluated: Evaluated) -> None:
    waits_for = {name: call.get("resource_deps", []) for name, call in resources(evaluated).items()}
    assert waits_for == {
        "crds": [],
        "access": ["crds"],
        "postgres": ["access"],
        "operator": ["postgres"],
        "upstream": ["crds"],
        "gateway": ["operator", "upstream"],
    }


def test_the_docs_name_every_resource_and_port(evaluated: Evaluated) -> None:
    documented = columns(tables(section("how-to/develop.md", "Tilt"))[0], 2)
    ports = {
        name: {forward.arguments["local_port"] for forward in call.get("port_forwards", [])}
        for name, call in resources(evaluated).items()
    }
    assert {
        name: set(map(int, re.findall(r"\d+", cell))) for name, cell in documented.items()
    } == ports


def test_every_object_belongs_to_one_resource_and_no_hook_of_helm_is_among_them(
    evaluated: Evaluated,
) -> None:
    objects = evaluated.objects()
    assert [each for each in objects if "helm.sh/hook" in str(each["metadata"])] == []
    selectors = Counter(
        selector.lower()
        for call in evaluated.all("k8s_resource")
        for selector in call.get("objects", [])
    )
    workloads = {call["workload"] for call in evaluated.all("k8s_resource") if "workload" in call}
    expected: Counter[str] = Counter()
    labels = [labels_of_pods(each) for each in objects if each["kind"] in WORKLOADS]
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] == "Service" and any(is_selected(each, found) for found in labels):
            continue  # Tilt gives it to that workload, and refuses a selector for it
        if each["kind"] in WORKLOADS:
            assert name in workloads, f"{each['kind']} {name} has no resource"
        else:
            expected[f"{name}:{each['kind']}".lower()] += 1
    assert selectors == expected
    assert set(expected.values()) == {1}, "a selector must find one object"


def test_no_value_of_a_secret_is_a_word_of_the_logs(evaluated: Evaluated) -> None:
    """Tilt blots out each value of a Secret that it deploys, wherever it stands in a log line."""
    known = " ".join(each["metadata"]["name"] for each in evaluated.objects()) + " faregate gateway"
    for each in evaluated.objects():
        if each["kind"] == "Secret":
            for value in each.get("stringData", {}).values():
                assert value not in known


def test_every_image_but_that_of_postgresql_is_built_here(evaluated: Evaluated) -> None:
    built = {call["ref"] for call in evaluated.all("docker_build")}
    assert built == {"faregate-operator", "faregate-gateway"}
    assert {workload: image.split(":")[0] for workload, image in images(evaluated).items()} == {
        "faregate-operator": "faregate-operator",
        "gateway": "faregate-gateway",
        "upstream": "faregate-gateway",
        "faregate-postgres": "postgres",
    }
    (kind,) = evaluated.all("k8s_kind")
    assert kind == {"kind": "GatewayFleet", "image_json_path": "{.spec.image}"}


def test_the_pods_of_the_gateway_are_found_by_the_label_that_the_operator_gives(
    evaluated: Evaluated,
) -> None:
    gateway = resources(evaluated)["gateway"]
    fleet = named(evaluated, "GatewayFleet", gateway["workload"])
    assert gateway["extra_pod_selectors"] == [{"faregate.dev/fleet": fleet["metadata"]["name"]}]


def test_forwarded_ports_are_ports_of_the_containers(evaluated: Evaluated) -> None:
    for name, call in resources(evaluated).items():
        forwarded = {f.arguments["container_port"] for f in call.get("port_forwards", [])}
        if name == "gateway":
            assert forwarded == {8080, 9090}
        elif forwarded:
            pods = [each for each in evaluated.objects() if each["kind"] in WORKLOADS]
            (pod,) = (each for each in pods if each["metadata"]["name"] == call["workload"])
            (container,) = pod["spec"]["template"]["spec"]["containers"]
            assert forwarded <= {port["containerPort"] for port in container["ports"]}
    local = [forward["local_port"] for forward in evaluated.all("port_forward")]
    assert len(set(local)) == len(local)


def test_what_is_copied_into_pods_is_what_runs_there(evaluated: Evaluated) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for call in evaluated.all("docker_build"):
        dockerfile = call["dockerfile_contents"]
        copied = live_files(dockerfile)
        steps = [step.arguments for step in call["live_update"]]
        assert {step["local_path"] for step in steps} == {"gateway", "operator/gateway_operator"}
        for step in steps:
            assert (ROOT / step["local_path"]).is_dir()
            # Copied at the start of the pod from there to where the changes go.
            opt = copied[step["local_path"]]
            assert step["remote_path"] == opt.replace("/opt/live/", "/tmp/live/")
        for source in copied:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored, f"{source} does not reach the build"
        assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.M)[-1]) == START
        (watched,) = re.findall(r'^ENV WATCHED="(.*)"$', dockerfile, re.M)
        expected = {step["remote_path"] for step in steps}
        if call["ref"] == "faregate-gateway":
            expected = {"/tmp/live/gateway"}
        assert set(watched.split()) == expected


def test_the_pods_of_the_gateway_start_like_the_others(evaluated: Evaluated) -> None:
    fleet = read_fleet(named(evaluated, "GatewayFleet", "faregate"))
    settings = OperatorSettings(
        database_url="postgresql://", database_secret_name="d", namespace="faregate", image="i"
    )
    (container,) = pod_template(gateways(fleet), settings)["spec"]["containers"]
    line = [*container["command"], *container["args"]]
    assert line[:5] == [*START, "gateway", "serve", "--config"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["image"] == "faregate-gateway"


def test_every_file_that_is_read_watched_or_run_is_there(evaluated: Evaluated) -> None:
    named = set(evaluated.files)
    for call in evaluated.all("local_resource"):
        named |= {*call["deps"], *re.findall(r"-f (\S+)", call["cmd"])}
    given = evaluated.all("k8s_yaml")[0]["yaml"]
    named |= {path for path in given if path != evaluated.rendered}
    for button in evaluated.all("cmd_button"):
        program = ROOT / button["argv"][-1]
        assert program.stat().st_mode & 0o111, program
        named.add(button["argv"][-1])
        assert button["resource"] in resources(evaluated)
    assert {".dev/tilt/values.yaml", "crds", "Dockerfile"} <= named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_each_button_asks_for_what_its_program_reads(evaluated: Evaluated) -> None:
    buttons = evaluated.all("cmd_button")
    assert [button["text"] for button in buttons] == ["Make a key", "Grant credits", "Send a chat"]
    for button in buttons:
        program = (ROOT / button["argv"][-1]).read_text(encoding="utf-8")
        read = set(re.findall(r"\$\{([A-Z]+):-", program)) - {"KUBECTL", "NAMESPACE"}
        assert {field.arguments["name"] for field in button["inputs"]} == read, button["name"]
