"""The chart refuses to render these, each time in a sentence that names the values."""

from typing import Any

import pytest

from gateway.console.services import CONNECTIONS
from gateway.store.database import ADMIN_CONNECTIONS, SHARED_CONNECTIONS
from tests.chart.helm import TRIAL, Values, refusal, render

#: beside what is off the request path: two of the ledger, one of stored responses
GATEWAY_CONNECTIONS = SHARED_CONNECTIONS + 4
#: one for its keys
CONSOLE_CONNECTIONS = SHARED_CONNECTIONS + CONNECTIONS + 1
#: the operator's own, and what PostgreSQL keeps for its superuser
OTHER_CONNECTIONS = ADMIN_CONNECTIONS + 3


def trial(**values: Any) -> Values:
    return {**TRIAL, **values}


def fleet(**spec: Any) -> Values:
    return trial(fleet={"spec": spec})


def test_no_database() -> None:
    verdict = refusal({})
    assert "There is no database" in verdict
    for value in ("database.existingSecret.name", "database.url", "database.trial=true"):
        assert value in verdict


@pytest.mark.parametrize(
    "database",
    [
        {"trial": True, "url": "postgresql://a:b@c/d"},
        {"trial": True, "existingSecret": {"name": "mine"}},
        {"url": "postgresql://a:b@c/d", "existingSecret": {"name": "mine"}},
    ],
)
def test_two_databases(database: Values) -> None:
    assert "these name several" in refusal({"database": database})


@pytest.mark.parametrize("url", ["mysql://a:sesame@b/c", " postgresql://a:sesame@b/c"])
def test_a_database_of_another_kind_is_refused_without_its_password(url: str) -> None:
    verdict = refusal({"database": {"url": url}})
    assert "database.url must begin with postgresql://" in verdict
    assert "sesame" not in verdict


@pytest.mark.parametrize(
    "values",
    [
        {"commonLabels": {"app.kubernetes.io/name": "gateway"}},
        {"operator": {"podLabels": {"app.kubernetes.io/instance": "a"}}},
    ],
)
def test_labels_by_which_pods_are_found(values: Values) -> None:
    assert "finds its pods by that label" in refusal(trial(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"commonLabels": {"faregate.dev/fleet": "a"}},
        {"operator": {"podLabels": {"faregate.dev/console": "a"}}},
    ],
)
def test_labels_of_the_operator(values: Values) -> None:
    assert "labels that begin with faregate.dev/ are the operator's" in refusal(trial(**values))


def test_names_that_no_fleet_can_have() -> None:
    assert "here it would be 1gate: give fleet.name" in refusal(trial(fullnameOverride="1gate"))
    console = {"console": {"url": "https://a.example.com"}}
    long = trial(fleet={"name": "a" * 56, "spec": console})
    assert "55 characters at most" in refusal(long)


@pytest.mark.parametrize(
    ("registry", "is_one"),
    [
        ("mirror.example.com", True),
        ("10.0.0.1:5000/hub/all_images/", True),
        ("", True),
        (None, True),
        ("https://mirror.example.com", False),
        ("mirror.example.com:latest", False),
        ("mirror.example.com/hub@sha256", False),
    ],
)
def test_a_registry_that_would_make_no_image_s_address(registry: str | None, is_one: bool) -> None:
    values = trial(**{"global": {"imageRegistry": registry}})
    if is_one:
        assert render(values).one("GatewayFleet")
    else:
        assert "imageRegistry" in refusal(values)


def test_two_places_of_certificate_authorities() -> None:
    database = {"trial": True, "ca": {"configMap": "a", "secret": "b"}}
    assert "give database.ca.configMap or database.ca.secret" in refusal({"database": database})


def test_policies_that_would_cut_the_way_in() -> None:
    policies: Values = {"gateway": {"clients": [{"podSelector": {}}]}}
    values = trial(networkPolicy=policies, ingress={"enabled": True, "host": "a.example.com"})
    assert "networkPolicy.gateway.ingressControllers" in refusal(values)
    policies["gateway"]["ingressControllers"] = [{"podSelector": {}}]
    assert render(values).one("NetworkPolicy", "faregate-gateways")


def test_as_many_gateways_as_there_are_connections_and_not_one_more() -> None:
    most = 7
    enough = most * GATEWAY_CONNECTIONS + OTHER_CONNECTIONS
    console = {"console": {"url": "https://a.example.com", "replicas": 2}}
    for spec in (
        {"replicas": most},
        {"autoscaling": {"maxReplicas": most}},
        {"replicas": most, **console},
    ):
        enough += 2 * CONSOLE_CONNECTIONS if "console" in spec else 0
        values = fleet(**spec) | {"database": {"trial": True, "maxConnections": enough}}
        assert render(values).one("GatewayFleet")
        values["database"]["maxConnections"] = enough - 1
        verdict = refusal(values)
        assert f"{most} gateways with {GATEWAY_CONNECTIONS} connections each" in verdict
        assert f"are {enough} connections, and database.maxConnections is {enough - 1}" in verdict


def test_of_autoscaling_the_most_counts_and_without_a_fleet_nothing_does() -> None:
    assert "60 gateways" in refusal(fleet(replicas=2, autoscaling={"maxReplicas": 60}))
    assert render(trial(fleet={"create": False, "spec": {"replicas": 60}}))


def test_an_ingress_without_a_host_or_without_a_fleet_or_in_two_places() -> None:
    assert "needs ingress.host" in refusal(trial(ingress={"enabled": True}))
    alone = trial(ingress={"enabled": True, "host": "a.b"}, fleet={"create": False})
    assert "needs fleet.create" in refusal(alone)
    assert "fleet.spec.ingress is made from the value" in refusal(fleet(ingress={"host": "a.b"}))


@pytest.mark.parametrize(
    ("values", "given"),
    [
        ({"databse": {}}, "additional properties 'databse' not allowed"),
        ({"image": {"tg": "1"}}, "at '/image': additional properties 'tg' not allowed"),
        ({"image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'"),
        ({"operator": {"logLevel": "LOUD"}}, "at '/operator/logLevel'"),
        ({"operator": {"watchNamespaces": ["Team A"]}}, "at '/operator/watchNamespaces/0'"),
        ({"operator": {"resources": {"limits": {"memory": "lots"}}}}, "/limits/memory'"),
        ({"database": {"maxConnections": 0}}, "at '/database/maxConnections'"),
        ({"postgres": {"runAsUser": 0}}, "at '/postgres/runAsUser'"),
        ({"fleet": {"name": "Gate"}}, "at '/fleet/name'"),
        ({"fleet": {"spec": {"modles": []}}}, "additional properties 'modles' not allowed"),
        ({"fleet": {"spec": {"models": []}}}, "at '/fleet/spec/models'"),
        ({"fleet": {"spec": {"upstreams": [{"name": "a"}]}}}, "missing property 'url'"),
        ({"fleet": {"spec": {"drain": {"seconds": -1}}}}, "at '/fleet/spec/drain/seconds'"),
        ({"ingress": {"annotations": {"a": True}}}, "at '/ingress/annotations/a'"),
        ({"ingress": {"host": "https://a.example.com"}}, "at '/ingress/host'"),
        (
            {"ingress": {"additionalHosts": ["a.example.com:443"]}},
            "at '/ingress/additionalHosts/0'",
        ),
        ({"image": {"repository": "registry:5000/faregate:1"}}, "at '/image/repository'"),
        ({"image": {"tag": "1.0+build"}}, "at '/image/tag'"),
        ({"commonLabels": {"team": "a b"}}, "at '/commonLabels/team'"),
        ({"operator": None}, "missing property 'operator'"),
        ({"networkPolicy": {"gateway": None}}, "missing property 'gateway'"),
    ],
)
def test_what_the_schema_of_the_values_does_not_know(values: Values, given: str) -> None:
    assert given in refusal({**TRIAL, **values})
