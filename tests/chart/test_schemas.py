"""Each rendered object is valid in the oldest and in the newest supported Kubernetes."""

import copy
import re
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, RESOURCES_CHART, TRIAL, Values, lint, render
from tests.chart.schemas import NEWEST, OLDEST, schemas_of

DIGEST = f"sha256:{'0' * 64}"
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
RULE = {"ports": [{"protocol": "TCP", "port": 8443}]}
#: as much as can be given at once
EVERYTHING: Values = {
    "commonLabels": {"team": "ai"},
    "image": {
        "repository": "registry.example.com:5000/ai/faregate",
        "digest": DIGEST,
        "pullPolicy": "Always",
        "pullSecrets": [{"name": "registry"}],
    },
    "installation": "east",
    "installationSecret": {"existingSecret": "pepper", "key": "value"},
    "database": {"url": "postgresql://a:b@db.example.com:6432/t", "maxConnections": 500},
    "operator": {
        "watchNamespaces": ["team-a", "team-b"],
        "logLevel": "DEBUG",
        "serviceAccount": {"annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "high",
    },
    "fleet": {
        "name": "edge",
        "annotations": {"a": "b"},
        "spec": {
            "autoscaling": {"minReplicas": 2, "maxReplicas": 20},
            "clientURL": "https://llm.example.com",
            "limits": {"bodyBytes": 1048576, "keepAliveSeconds": 10},
            "drain": {"seconds": 60, "preStopSeconds": 5, "graceSeconds": 90},
            "resources": {"requests": {"cpu": 1, "memory": "512Mi"}},
            "podTemplate": {"metadata": {"labels": {"x": "y"}}, "spec": {"hostUsers": False}},
            "upstreams": [
                {
                    "name": "main",
                    "url": "https://api.example.com/v1",
                    "credential": {"secretRef": {"name": "upstream", "key": "api-key"}},
                }
            ],
        },
    },
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "llm.example.com",
        "tlsSecretName": "llm-tls",
    },
    "monitoring": {
        "prometheusOperator": True,
        "labels": {"release": "prometheus"},
        "rules": {"disabled": ["FaregateBalanceLow"], "runbooks": "https://example.com/runbooks"},
        "dashboards": {"annotations": {"grafana_folder": "Faregate"}},
    },
    "networkPolicy": {
        "scrapers": [PEER],
        "gateway": {
            "clients": [PEER],
            "ingressControllers": [PEER],
            "extraIngress": [RULE],
            "extraEgress": [RULE],
        },
        "operator": {"extraIngress": [RULE], "extraEgress": [RULE]},
    },
}
SETS: dict[str, Values] = {
    "trial": TRIAL,
    "trial without a volume": {
        **TRIAL,
        "postgres": {"persistence": {"enabled": False}, "existingSecret": "mine"},
    },
    "own database": {"database": {"existingSecret": {"name": "mine"}, "ca": {"configMap": "ca"}}},
    "everything": EVERYTHING,
    "least": {
        **TRIAL,
        "fleet": {"create": False},
        "rbac": {"create": False},
        "networkPolicy": {"enabled": False},
        "releaseFinalizers": {"enabled": False},
        "monitoring": {"rules": {"enabled": False}, "dashboards": {"enabled": False}},
        "operator": {"serviceAccount": {"create": False}},
    },
}
VERSIONS = (OLDEST, NEWEST)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_every_object_is_valid(name: str, version: str) -> None:
    rendered = render(SETS[name], f"--kube-version={version}", "--include-crds")
    schemas = schemas_of(version)
    assert [error for each in rendered.objects for error in schemas.errors(each)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_resources_are_valid_and_never_deleted(version: str) -> None:
    rendered = render({}, f"--kube-version={version}", chart=RESOURCES_CHART)
    assert len(rendered.every("CustomResourceDefinition")) == len(rendered.objects) == 5
    schemas = schemas_of(version)
    assert [error for each in rendered.objects for error in schemas.errors(each)] == []
    for each in rendered.objects:
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "replica"), 1),
        ("Deployment", ("spec", "replicas"), "one"),
        ("Deployment", ("apiVersion",), "extensions/v1beta1"),
        ("NetworkPolicy", ("spec", "egress"), {"ports": []}),
        ("GatewayFleet", ("spec", "replicas"), "two"),
        ("GatewayFleet", ("spec", "drain"), {"secs": 1}),
        ("GatewayFleet", ("metadata", "lables"), {}),
        ("PodMonitor", ("spec", "podMetricsEndpoint"), []),
        ("PrometheusRule", ("spec", "groups"), {}),
    ],
)
def test_the_schemas_see_what_they_are_there_for(
    kind: str, path: tuple[str, ...], value: Any
) -> None:
    body = copy.deepcopy(render(EVERYTHING).every(kind)[0])
    assert list(schemas_of(NEWEST).errors(body)) == []
    *way, last = path
    place = body
    for step in way:
        place = place[step]
    place[last] = value
    assert len(list(schemas_of(NEWEST).errors(body))) == 1


def test_the_chart_states_which_kubernetes_is_the_oldest() -> None:
    for chart in (CHART, RESOURCES_CHART):
        described = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))
        (minor,) = re.findall(r"^>=1\.(\d+)\.0-0$", described["kubeVersion"])
        assert OLDEST.split(".")[1] == minor


@pytest.mark.parametrize("name", SETS)
def test_helm_has_no_complaint(name: str) -> None:
    done = lint(CHART, SETS[name])
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def test_helm_has_no_complaint_about_the_resources() -> None:
    assert lint(RESOURCES_CHART, {}).returncode == 0
