"""The admission policies of the examples: one on a real API server, the other by its schema."""

import json
import subprocess
import time
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.helm import render
from tests.chart.schemas import strict
from tests.crds.support import ROOT, Kubectl
from tests.harness.modules import Unfetchable, image_policy_definition
from tests.harness.pages import blocks, page

FOLDER = ROOT / "examples/admission"
REPOSITORY = "registry.example.com/team/faregate"
DIGEST = f"sha256:{'a' * 64}"


def pod(*images: str, first: str | None = None) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": name} for number, name in enumerate(images)]
    before = [{"name": "first", "image": first}] if first else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {"containers": containers, "initContainers": before},
    }


@pytest.fixture(scope="module")
def guarded(kubectl: Kubectl) -> Kubectl:
    """The cluster with the policy of the page in force."""
    (command,) = blocks(page("how-to/verify-a-release.md"), "bash admission")
    kubectl.run("create", "namespace", "faregate")
    words = command.replace("examples/", f"{ROOT}/examples/").split()
    kubectl.run(*words[1:])
    deadline = time.monotonic() + 30
    while create(kubectl, pod("anything")).returncode == 0:
        assert time.monotonic() < deadline, "the policy is not in force"
        time.sleep(0.1)
    return kubectl


def create(kubectl: Kubectl, body: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = ("create", "--dry-run=server", "--namespace", "faregate", "-f", "-")
    return kubectl.attempt(*command, given=json.dumps(body))


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (pod(f"{REPOSITORY}@{DIGEST}"), None),
        (pod(f"{REPOSITORY}@{DIGEST}", first=f"{REPOSITORY}@{DIGEST}"), None),
        (pod(f"{REPOSITORY}:0.2.0"), f"{REPOSITORY}:0.2.0"),
        (pod(f"{REPOSITORY}:0.2.0@{DIGEST}"), f"{REPOSITORY}:0.2.0@{DIGEST}"),
        (pod(f"{REPOSITORY}-other@{DIGEST}"), f"{REPOSITORY}-other@{DIGEST}"),
        (pod(f"elsewhere.example.com/faregate@{DIGEST}"),
         f"elsewhere.example.com/faregate@{DIGEST}"),
        (pod(f"{REPOSITORY}@{DIGEST}", f"shell@{DIGEST}"), f"shell@{DIGEST}"),
        (pod(f"{REPOSITORY}@{DIGEST}", first="shell:1"), "shell:1"),
    ],
)  # fmt: skip
def test_only_images_of_the_repository_by_digest_are_admitted(
    guarded: Kubectl, body: dict[str, Any], refused: str | None
) -> None:
    done = create(guarded, body)
    if refused is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert f"{refused}: an image must be from a repository" in done.stderr


def test_the_pods_of_the_chart_are_admitted_by_digest_and_refused_by_tag(guarded: Kubectl) -> None:
    database = {"existingSecret": {"name": "database"}}
    for image, code in (
        ({"repository": REPOSITORY, "digest": DIGEST}, 0),
        ({"repository": REPOSITORY}, 1),
    ):
        pods = render({"database": database, "image": image}).pods()
        assert len(pods) > 1
        for name, made in pods.items():
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}}
            done = create(guarded, {**body, "spec": made["spec"]})
            assert done.returncode == code, f"{name}: {done.stderr}"


def test_the_policy_of_signatures_fits_its_schema() -> None:
    try:
        definition = image_policy_definition()
    except Unfetchable as error:
        pytest.skip(str(error))
    policy = yaml.safe_load((FOLDER / "signed-image.yaml").read_text("utf-8"))
    versions = {each["name"]: each["schema"] for each in definition["spec"]["versions"]}
    group, _, version = policy["apiVersion"].partition("/")
    assert (group, policy["kind"]) == (
        definition["spec"]["group"],
        definition["spec"]["names"]["kind"],
    )
    schema = strict("", versions[version]["openAPIV3Schema"]["properties"]["spec"])
    jsonschema.Draft202012Validator(schema).validate(policy["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**policy["spec"], "image": []}, schema)


def test_the_two_policies_are_about_one_image_and_the_workflow_that_signs() -> None:
    texts = [path.read_text("utf-8") for path in sorted(FOLDER.glob("*.yaml"))]
    assert all(REPOSITORY in text for text in texts)
    (policy,) = (yaml.safe_load(text) for text in texts if "ClusterImagePolicy" in text)
    (identity,) = policy["spec"]["authorities"][0]["keyless"]["identities"]
    (workflow,) = (ROOT / ".github/workflows").glob("release.yaml")
    named = str(workflow.relative_to(ROOT)).replace(".", r"\.")
    assert f"/{named}@refs/tags/v" in identity["subjectRegExp"]
