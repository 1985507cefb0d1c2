"""The charts' copies of other files are equal to those files."""

import json
import re
import subprocess
import sys
import tomllib

import yaml

from tests.chart.helm import CHART, RESOURCES_CHART, ROOT, TRIAL, render

RESOURCES = sorted(path.name for path in (ROOT / "crds").glob("*.yaml"))


def test_everything_that_is_made_is_made_of_what_is_there_now() -> None:
    command = [sys.executable, str(ROOT / ".dev/charts.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_resources_are_copied_byte_for_byte() -> None:
    assert len(RESOURCES) == 5
    assert sorted(path.name for path in (CHART / "crds").iterdir()) == RESOURCES
    assert sorted(path.name for path in (RESOURCES_CHART / "templates").iterdir()) == RESOURCES
    for name in RESOURCES:
        assert (CHART / "crds" / name).read_bytes() == (ROOT / "crds" / name).read_bytes()


def test_the_other_chart_renders_the_same_resources() -> None:
    rendered = render({}, chart=RESOURCES_CHART)
    for name in RESOURCES:
        resource = yaml.safe_load((ROOT / "crds" / name).read_text("utf-8"))
        assert rendered.every("CustomResourceDefinition", resource["metadata"]["name"]) == [
            resource
        ]


def test_the_table_of_values_has_every_value_with_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    text = (CHART / "README.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \| .+ \|$", text, re.M))
    assert len(documented) > 60
    for path, default in documented.items():
        value = values
        for step in path.split("."):
            value = value[step]
        if default != "see values.yaml":
            assert json.loads(default.strip("`")) == value, path


def test_the_schema_takes_nothing_that_is_not_in_the_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert schema["properties"].keys() == values.keys() | {"enabled"}
    for name, part in schema["properties"].items():
        if "properties" in part:
            # What is global is not only ours.
            assert part.get("additionalProperties", True) is (name == "global"), name
            assert part["properties"].keys() == values[name].keys(), name


def test_the_examples_of_the_charts_page_render() -> None:
    text = (CHART / "README.md").read_text("utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    assert examples
    for example in examples:
        assert render(yaml.safe_load(example)).one("GatewayFleet")


def test_one_version_for_package_charts_and_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for chart in (CHART, RESOURCES_CHART):
        described = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))
        assert described["version"] == described["appVersion"] == project["version"], chart.name
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert f"ARG VERSION={project['version']}\n" in dockerfile


def test_the_annotations_for_artifact_hub_state_what_is_in_the_chart() -> None:
    described = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    prefix = "artifacthub.io/"
    annotations = {
        name.removeprefix(prefix): yaml.safe_load(text)
        for name, text in described["annotations"].items()
    }
    resources = [yaml.safe_load((ROOT / "crds" / name).read_text("utf-8")) for name in RESOURCES]
    named = {each["name"]: each["kind"] for each in annotations["crds"]}
    assert named == {each["metadata"]["name"]: each["spec"]["names"]["kind"] for each in resources}
    assert {each["kind"] for each in annotations["crdsExamples"]} == set(named.values())
    (image,) = annotations["images"]
    container = render(TRIAL).pods()["Deployment/faregate-operator"]["spec"]["containers"][0]
    assert image["image"] == container["image"]
    assert annotations["changes"]
    assert annotations["license"] == "Apache-2.0"
