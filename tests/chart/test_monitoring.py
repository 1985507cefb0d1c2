"""The chart's objects for Prometheus and Grafana."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway_operator.render.digest import render as render_fleet
from gateway_operator.resources.fleet import read_fleet
from tests.chart.expressions import BOARDS, board, rules
from tests.chart.helm import TRIAL, Body, Values, pod_of, render
from tests.chart.prometheus import promtool
from tests.reconcile.fleet.support import settings

HAS_KINDS = "--api-versions=monitoring.coreos.com/v1/PodMonitor"
SCRAPE = "prometheus.io/scrape"


def given(**monitoring: Any) -> Values:
    console = {"console": {"url": "https://llm.example.com"}}
    return {**TRIAL, "fleet": {"spec": console}, "monitoring": monitoring}


def kinds(values: Values, *options: str) -> set[str]:
    rendered = render(values, *options).objects
    return {each["kind"] for each in rendered} & {"PodMonitor", "PrometheusRule"}


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("auto", [], set()),
        ("auto", [HAS_KINDS], {"PodMonitor", "PrometheusRule"}),
        (True, [], {"PodMonitor", "PrometheusRule"}),
        ("true", [], {"PodMonitor", "PrometheusRule"}),
        (False, [HAS_KINDS], set()),
        ("false", [HAS_KINDS], set()),
    ],
)
def test_a_prometheus_operator_is_found_or_configured(
    content: object, options: list[str], expected: set[str]
) -> None:
    assert kinds(given(prometheusOperator=content), *options) == expected


def test_pods_are_scraped_by_a_monitor_or_by_annotations_but_never_by_both() -> None:
    for has_operator in (True, False):
        rendered = render(given(prometheusOperator=has_operator))
        operator = pod_of(rendered.one("Deployment"))
        for pod, port in ((operator, "8081"), *((pod, "9090") for pod in _pods(rendered.objects))):
            annotations = pod["metadata"]["annotations"]
            assert annotations[SCRAPE] == str(not has_operator).lower()
            assert annotations["prometheus.io/port"] == port
            assert annotations["prometheus.io/path"] == "/metrics"


def test_the_administrators_annotations_win() -> None:
    mine = {SCRAPE: "true", "a": "b"}
    template = {"metadata": {"annotations": mine}, "spec": {"hostUsers": False}}
    values: Values = {
        **given(prometheusOperator=True),
        "operator": {"podAnnotations": {SCRAPE: "maybe"}},
        "fleet": {"spec": {"podTemplate": template}},
    }
    rendered = render(values)
    assert pod_of(rendered.one("Deployment"))["metadata"]["annotations"][SCRAPE] == "maybe"
    assert rendered.one("GatewayFleet")["spec"]["podTemplate"] == template


def test_the_monitors_find_the_pods_and_their_ports(tmp_path: Path) -> None:
    rendered = render(given(prometheusOperator=True, labels={"release": "p"}, scrapeInterval="5s"))
    operator = pod_of(rendered.one("Deployment"))
    gateway, console = _pods(rendered.objects)
    for name, pod in (("operator", operator), ("gateways", gateway), ("console", console)):
        monitor = rendered.one("PodMonitor", f"faregate-{name}")
        assert monitor["metadata"]["labels"]["release"] == "p"
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert (endpoint["path"], endpoint["interval"]) == ("/metrics", "5s")
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert endpoint["port"] in ports
        assert _selects(monitor["spec"]["selector"], pod["metadata"]["labels"])
        for other in rendered.pods().values():
            found = _selects(monitor["spec"]["selector"], other["metadata"]["labels"])
            assert found == (other == pod)
    gateways = rendered.one("PodMonitor", "faregate-gateways")
    assert gateways["spec"]["podTargetLabels"] == ["faregate.dev/fleet"]


def _pods(objects: list[Body]) -> list[Body]:
    """The pods that the operator would make of the fleet: a gateway and a console."""
    (made,) = (each for each in objects if each["kind"] == "GatewayFleet")
    fleet = read_fleet({**made, "metadata": {**made["metadata"], "uid": "1", "generation": 1}})
    secrets: dict[str, dict[str, str]] = {"faregate": {}, "faregate-console": {}}
    children = render_fleet(fleet, settings("gate"), secrets).children
    return [pod_of(each) for each in children if each["kind"] == "Deployment"]


def _selects(selector: Body, labels: dict[str, str]) -> bool:
    exist = all(each["key"] in labels for each in selector.get("matchExpressions", []))
    return exist and selector.get("matchLabels", {}).items() <= labels.items()


def test_prometheus_may_come_in_where_policies_are_made() -> None:
    rendered = render(given())
    for name, port in (("faregate-operator", 8081), ("faregate-gateways", 9090)):
        ingress = rendered.one("NetworkPolicy", name)["spec"]["ingress"]
        (rule,) = (each for each in ingress if each["ports"] == [{"protocol": "TCP", "port": port}])
        names = {"kubernetes.io/metadata.name": "monitoring"}
        assert rule["from"] == [{"namespaceSelector": {"matchLabels": names}}]
    nobody = render({**TRIAL, "networkPolicy": {"scrapers": []}})
    for name in ("faregate-operator", "faregate-gateways"):
        ingress = nobody.one("NetworkPolicy", name)["spec"]["ingress"] or []
        assert [each["ports"][0]["port"] for each in ingress if "from" in each] == []
        assert not [each for each in ingress if each["ports"][0]["port"] in (8081, 9090)]


def groups(values: Values) -> Iterator[Body]:
    """The groups of rules in whichever object has them."""
    rendered = render(values)
    found = rendered.every("PrometheusRule") or rendered.every("ConfigMap", "faregate-rules")
    (holder,) = found
    if holder["kind"] == "PrometheusRule":
        yield from holder["spec"]["groups"]
    else:
        for text in holder["data"].values():
            yield from yaml.safe_load(text)["groups"]


@pytest.mark.parametrize("has_operator", [True, False])
def test_the_rules_are_those_of_the_files(has_operator: bool, tmp_path: Path) -> None:
    made = list(groups(given(prometheusOperator=has_operator)))
    assert [rule for group in made for rule in group["rules"]] == [
        *rules("recording"),
        *rules("alerts"),
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": made}))
    assert promtool("check", "rules", path).returncode == 0


def test_alerts_can_be_left_out_and_pages_be_elsewhere() -> None:
    found = {"disabled": ["FaregateBalanceLow"], "runbooks": "https://wiki.example.com/pages/"}
    made = [rule for group in groups(given(rules=found)) for rule in group["rules"]]
    left = [rule for rule in rules("alerts") if rule["alert"] != "FaregateBalanceLow"]
    assert [rule["alert"] for rule in made if "alert" in rule] == [one["alert"] for one in left]
    for rule in made:
        if "alert" in rule:
            url = rule["annotations"]["runbook_url"]
            assert url == f"https://wiki.example.com/pages/{rule['alert']}.md"
    off = render(given(rules={"enabled": False}, prometheusOperator=True))
    assert off.every("PrometheusRule") == off.every("ConfigMap", "faregate-rules") == []


def test_the_dashboards_are_those_of_the_files() -> None:
    rendered = render(given(dashboards={"annotations": {"grafana_folder": "Faregate"}}))
    for name in BOARDS:
        holder = rendered.one("ConfigMap", f"faregate-dashboard-{name}")
        assert holder["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert holder["metadata"]["annotations"] == {"grafana_folder": "Faregate"}
        assert json.loads(holder["data"][f"{name}.json"]) == board(name)
    other = render(given(dashboards={"labels": {"grafana_dashboard": None, "dashboards": "yes"}}))
    labels = other.one("ConfigMap", "faregate-dashboard-usage")["metadata"]["labels"]
    assert labels["dashboards"] == "yes"
    assert "grafana_dashboard" not in labels
    off = render(given(dashboards={"enabled": False}))
    assert [each for each in off.every("ConfigMap") if "dashboard" in str(each["metadata"])] == []
