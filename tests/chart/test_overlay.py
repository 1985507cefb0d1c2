"""Overlays of an administrator over the chart's pods, and the decisions left to a platform."""

import json
from typing import Any

import pytest

from gateway_operator.render.overlay import overlay, without_nothing
from tests.chart.helm import (
    CHART,
    TRIAL,
    Body,
    Values,
    environment_of,
    pod_of,
    render,
    run_helm,
)

#: the value, and the kind and name of what it is laid over
PLACES = {
    "operator.deployment": ("Deployment", "faregate-operator"),
    "releaseFinalizers.job": ("Job", "faregate-release-finalizers"),
    "selftest.pod": ("Pod", "faregate-selftest"),
    "postgres.statefulSet": ("StatefulSet", "faregate-postgres"),
}


def laid_over(place: str, theirs: Body) -> Body:
    """The object of the trial with this laid over it."""
    kind, name = PLACES[place]
    part, _, value = place.partition(".")
    return render({**TRIAL, part: {value: theirs}}).one(kind, name)


def in_pod(place: str, theirs: Body) -> Body:
    """The same for its pod."""
    pod = theirs if place == "selftest.pod" else {"spec": {"template": theirs}}
    return laid_over(place, pod)


@pytest.mark.parametrize("place", PLACES)
def test_every_pod_takes_variables_files_neighbours_and_labels(place: str) -> None:
    kind, name = PLACES[place]
    before = render(TRIAL).one(kind, name)
    container = pod_of(before)["spec"]["containers"][0]
    mount = {"name": "authority", "mountPath": "/authority"}
    theirs = {
        "metadata": {"labels": {"sidecar.istio.io/inject": "false"}},
        "spec": {
            "dnsPolicy": "None",
            "securityContext": {"runAsUser": None, "runAsGroup": 7},
            "containers": [
                {"name": container["name"], "env": [{"name": "A", "value": "1"}]},
                {"name": "proxy", "image": "proxy:1"},
            ],
            "volumes": [{"name": "authority", "configMap": {"name": "authority"}}],
        },
    }
    theirs["spec"]["containers"][0]["volumeMounts"] = [mount]  # type: ignore[index]
    after = in_pod(place, theirs)
    pod = pod_of(after)
    assert pod["metadata"]["labels"].pop("sidecar.istio.io/inject") == "false"
    assert pod["metadata"]["labels"] == pod_of(before)["metadata"]["labels"]
    first, second = pod["spec"].pop("containers")
    assert second == {"name": "proxy", "image": "proxy:1"}
    assert first.pop("env") == [*container.get("env", []), {"name": "A", "value": "1"}]
    assert first.pop("volumeMounts") == [*container["volumeMounts"], mount]
    assert first == {k: v for k, v in container.items() if k not in ("env", "volumeMounts")}
    assert pod["spec"].pop("dnsPolicy") == "None"
    assert pod["spec"]["volumes"].pop()["name"] == "authority"
    security = pod["spec"]["securityContext"]
    assert security["runAsGroup"] == 7
    assert "runAsUser" not in security


def test_a_variable_that_is_there_gets_the_value_that_is_given() -> None:
    given = {"name": "FAREGATE_LOG_LEVEL", "value": "DEBUG"}
    theirs = {"spec": {"containers": [{"name": "operator", "env": [given]}]}}
    after = in_pod("operator.deployment", theirs)
    assert environment_of(after)["FAREGATE_LOG_LEVEL"] == "DEBUG"
    assert "FAREGATE_DATABASE_URL" in environment_of(after)


def test_the_deployment_itself_can_be_changed() -> None:
    theirs = {"metadata": {"annotations": {"a": "b"}}, "spec": {"revisionHistoryLimit": 1}}
    after = laid_over("operator.deployment", theirs)
    assert after["metadata"]["annotations"] == {"a": "b"}
    assert after["spec"]["revisionHistoryLimit"] == 1
    assert after["spec"]["replicas"] == 1


@pytest.mark.parametrize("place", PLACES)
def test_it_is_laid_over_as_over_a_gateways_pod(place: str) -> None:
    """One rule for all pods of an installation: that of the operator."""
    kind, name = PLACES[place]
    before = render(TRIAL).one(kind, name)
    container = pod_of(before)["spec"]["containers"][0]["name"]
    theirs: dict[str, Any] = {
        "spec": {
            "tolerations": [{"key": "a"}],
            "dnsConfig": {"searches": None, "options": [{"name": "ndots", "value": None}]},
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "new"}],
            "containers": [{"name": container, "args": ["x"], "resources": {"limits": {"cpu": 1}}}],
        }
    }
    expected = without_nothing(overlay(pod_of(before), theirs))
    assert json.dumps(pod_of(in_pod(place, theirs)), sort_keys=True) == json.dumps(
        expected, sort_keys=True
    )


IDS = {"runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy"}


@pytest.mark.parametrize(
    ("value", "options", "is_openshift"),
    [
        ("auto", (), False),
        ("auto", ("--api-versions=security.openshift.io/v1",), True),
        (True, (), True),
        (False, ("--api-versions=security.openshift.io/v1",), False),
    ],
)
def test_a_platform_that_gives_users_and_groups_is_left_to_do_so(
    value: object, options: tuple[str, ...], *, is_openshift: bool
) -> None:
    values: Values = {**TRIAL, "openshift": value}
    rendered = render(values, *options)
    assert len(rendered.pods()) == len(PLACES)
    for name, pod in rendered.pods().items():
        found = IDS & pod["spec"]["securityContext"].keys()
        assert found == (set() if is_openshift else IDS), name
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    operator = rendered.one("Deployment", "faregate-operator")
    given = environment_of(operator).get("FAREGATE_PLATFORM_IDS")
    assert given == ("true" if is_openshift else None)


def test_two_renderings_are_the_same_bytes() -> None:
    """Else a tool that compares them rolls out for ever. The trial's password is one of yours."""
    sets: list[Values] = [
        {"database": {"url": "postgresql://a:b@c/d"}},
        {**TRIAL, "postgres": {"existingSecret": "mine"}},
    ]
    for values in sets:
        texts = {
            run_helm("template", "faregate", CHART, json.dumps(values)).stdout for _ in range(2)
        }
        assert len(texts) == 1
