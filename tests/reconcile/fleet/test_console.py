"""The console's Deployment and all that leads to it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.process.standalone.documents import read_documents
from gateway_operator.plan.fleet import ApplyChild, DeleteChild, plan_fleet
from tests.reconcile.fleet.support import (
    CONSOLE,
    NAME,
    SECRETS,
    UID,
    Json,
    child,
    rendered,
    with_credential,
)

OIDC = {
    "issuer": "https://login.example",
    "clientID": "faregate",
    "secretRef": {"name": "console-client", "key": "secret"},
}
GIVEN: Json = {
    "upstreams": [with_credential()],
    "clientURL": "https://llm.example",
    "console": {"url": "https://llm.example", "oidc": OIDC},
}
PATHS = [("/console", CONSOLE), ("/api/v1", CONSOLE), ("/", NAME)]


def given(**console: Any) -> Json:
    """A fleet with a console that has these fields, too."""
    return {**GIVEN, "console": {**GIVEN["console"], **console}}


def pod(**more: Any) -> Json:
    found: Json = child("Deployment", CONSOLE, **more)["spec"]["template"]
    return found


def container(**more: Any) -> Json:
    (found,) = pod(**more)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def digests(secrets: dict[str, dict[str, str]] | None = None, **more: Any) -> tuple[str, str]:
    """Of the gateways' pods, and of the console's."""
    made = rendered(secrets, **more)
    annotations = [
        one["spec"]["template"]["metadata"]["annotations"]["faregate.dev/config-digest"]
        for one in made.children
        if one["kind"] == "Deployment"
    ]
    assert annotations[0] == made.digest
    return annotations[0], annotations[1]


def test_a_console_with_an_address_has_a_deployment_of_its_own() -> None:
    made = [(one["kind"], one["metadata"]["name"]) for one in rendered(**GIVEN).children]
    assert [each for each in made if each[1].startswith(CONSOLE)] == [
        ("ConfigMap", f"{CONSOLE}-config"),
        ("Service", CONSOLE),
        ("Deployment", CONSOLE),
        ("PodDisruptionBudget", CONSOLE),
    ]
    without: list[Json] = [{}, {"console": {}}, {"console": {"namespace": "humans"}}]
    for spec in without:
        assert not any(CONSOLE in str(one) for one in rendered(**spec).children)


def test_no_selector_takes_one_s_pods_for_the_other_s() -> None:
    deployment = child("Deployment", CONSOLE, **GIVEN)
    own = {"faregate.dev/console": NAME}
    assert deployment["spec"]["selector"]["matchLabels"] == own
    assert child("Service", CONSOLE, **GIVEN)["spec"]["selector"] == own
    budget = child("PodDisruptionBudget", CONSOLE, **GIVEN)
    assert budget["spec"]["selector"]["matchLabels"] == own
    labels = pod(**GIVEN)["metadata"]["labels"]
    assert labels.items() >= own.items()
    assert "faregate.dev/fleet" not in labels
    of_gateways = child("Deployment", **GIVEN)["spec"]["template"]["metadata"]["labels"]
    assert "faregate.dev/console" not in of_gateways


def test_the_console_reads_its_part_and_no_credential_of_an_upstream(tmp_path: Path) -> None:
    hook = {"url": "https://hooks.example.com/", "secretRef": {"name": "hook", "key": "secret"}}
    given = {**GIVEN, "webhook": hook}
    config = child("ConfigMap", f"{CONSOLE}-config", **given)["data"]["fleet.yaml"]
    path = tmp_path / "fleet.yaml"
    path.write_text(config)
    spec = read_documents(path).fleet.spec
    assert spec.console is not None
    assert (spec.console.url, spec.client_url) == ("https://llm.example", "https://llm.example")
    assert "moonshot" not in str([config, pod(**given)])
    assert "hook" not in str([config, pod(**given)])
    mounts = {one["mountPath"] for one in container(**GIVEN)["volumeMounts"]}
    assert "/var/lib/faregate/secrets/system/console-client" in mounts
    assert container(**GIVEN)["command"] == ["python", "-m", "gateway", "console", "serve"]
    (of_gateways,) = yaml.safe_load_all(child("ConfigMap", **GIVEN)["data"]["fleet.yaml"])
    assert "console" not in of_gateways["spec"]
    assert "console-client" not in str(child("Deployment", **GIVEN))


def test_the_ways_in_lead_to_it() -> None:
    rules = child("Ingress", **GIVEN, ingress={"host": "llm.example"})["spec"]["rules"]
    found = [
        (one["path"], one["backend"]["service"]["name"])
        for rule in rules
        for one in rule["http"]["paths"]
    ]
    assert found == PATHS
    rules = child("HTTPRoute", **GIVEN, httpRoute={"parentRefs": [{"name": "a"}]})["spec"]["rules"]
    assert [
        (match["path"]["value"], rule["backendRefs"][0]["name"])
        for rule in rules
        for match in rule["matches"]
    ] == PATHS


@pytest.mark.parametrize(
    "console",
    [
        {"trustedProxies": ["10.0.0.0/8"]},
        {"resources": {"limits": {"cpu": "1"}}},
        {"welcomeCredits": 5},
    ],
)
def test_a_change_of_the_console_rolls_only_it_out(console: Json) -> None:
    before, after = digests(**GIVEN), digests(**given(**console))
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_gateways_keep_the_rules_for_management_keys_and_whom_to_ask() -> None:
    rules = given(grants=True, contact="Ada")
    (document,) = yaml.safe_load_all(child("ConfigMap", **rules)["data"]["fleet.yaml"])
    kept = document["spec"]["console"]
    assert (kept["grants"], kept["contact"]) == (True, "Ada")
    assert not {"url", "oidc", "proxy"} & kept.keys()


def test_another_secret_of_its_client_rolls_only_it_out() -> None:
    changed = digests({**SECRETS, CONSOLE: {"console-client": "c2"}}, **GIVEN)
    assert changed[0] == digests(**GIVEN)[0]
    assert changed[1] != digests(**GIVEN)[1]


def test_its_pods_and_their_number_are_the_administrator_s() -> None:
    laid = {"spec": {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "console"}]}}
    asked = given(replicas=1, podTemplate=laid)
    assert child("Deployment", CONSOLE, **asked)["spec"]["replicas"] == 1
    assert pod(**asked)["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
    assert len(pod(**asked)["spec"]["containers"]) == 1
    assert child("Deployment", CONSOLE, **GIVEN)["spec"]["replicas"] == 2


def test_a_console_that_is_not_wanted_any_more_goes() -> None:
    planned = plan_fleet(rendered(**GIVEN).children, [], UID, ())
    live = [one.body for one in planned if isinstance(one, ApplyChild)]
    gone = plan_fleet(rendered(upstreams=GIVEN["upstreams"]).children, live, UID, ())
    deleted = [(one.kind, one.name) for one in gone if isinstance(one, DeleteChild)]
    assert deleted == [
        ("ConfigMap", f"{CONSOLE}-config"),
        ("Service", CONSOLE),
        ("Deployment", CONSOLE),
        ("PodDisruptionBudget", CONSOLE),
    ]
