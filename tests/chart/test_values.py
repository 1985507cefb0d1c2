"""The effect of each value of the chart on the rendered objects."""

from typing import Any

import pytest
import yaml

from gateway.core.spec import parse_document
from tests.chart.helm import (
    CHART,
    TRIAL,
    Body,
    Values,
    container_of,
    environment_of,
    notes,
    pod_of,
    render,
    render_text,
)
from tests.chart.schemas import NEWEST, schemas_of

DIGEST = f"sha256:{'0' * 64}"
EXISTING: Values = {"database": {"existingSecret": {"name": "money", "key": "uri"}}}


def given(**values: Any) -> Values:
    """Values on top of a trial's database."""
    return {**TRIAL, **values}


def operator(values: Values) -> Body:
    return render(values).one("Deployment", "faregate-operator")


def fleet_spec(values: Values) -> Body:
    spec: Body = render(values).one("GatewayFleet")["spec"]
    return spec


#: as names are resolved
NAMES = [53, 53, 5353, 5353]


def ports_of(rules: list[Body]) -> list[list[int]]:
    return [[port["port"] for port in rule["ports"]] for rule in rules]


def test_as_shipped_there_is_a_fleet_in_front_of_the_simulated_upstream() -> None:
    fleet = render().one("GatewayFleet", "faregate")
    assert fleet["metadata"]["namespace"] == "gate"
    assert fleet["spec"]["upstreams"] == [{"name": "main", "url": "simulated:", "dialect": "chat"}]
    assert [model["id"] for model in fleet["spec"]["models"]] == ["kimi-k2.5"]
    assert fleet["spec"]["replicas"] == 2
    assert fleet["spec"]["pricing"]["chatCreditsPerMessage"] == 1
    parse_document(fleet)


def test_the_specification_of_the_fleet_goes_through_as_it_is() -> None:
    spec = {
        "limits": {"bodyBytes": 67108864, "firstByteSeconds": 20},
        "pricing": {"chatCreditsPerMessage": 1000000000000},
        "podTemplate": {"spec": {"nodeSelector": {"pool": "llm"}}},
        "drain": {"seconds": 60, "preStopSeconds": 5, "graceSeconds": 90},
    }
    rendered = fleet_spec(given(fleet={"spec": spec}))
    assert {name: rendered[name] for name in spec} == {
        **spec,
        "pricing": {
            "chatCreditsPerMessage": 1000000000000,
            "chatCreditsReasoningSurcharge": 2,
        },
    }


def test_a_fleet_that_scales_has_no_fixed_replicas() -> None:
    spec = fleet_spec(given(fleet={"spec": {"autoscaling": {"maxReplicas": 4}}}))
    assert "replicas" not in spec
    assert spec["autoscaling"] == {"maxReplicas": 4}


def test_the_fleet_has_a_name_and_annotations_of_its_own() -> None:
    fleet = render(given(fleet={"name": "edge", "annotations": {"owner": "ai"}}))
    assert fleet.one("GatewayFleet")["metadata"]["name"] == "edge"
    assert fleet.one("GatewayFleet")["metadata"]["annotations"] == {"owner": "ai"}
    policy = fleet.one("NetworkPolicy", "faregate-gateways")
    assert policy["spec"]["podSelector"] == {"matchLabels": {"faregate.dev/fleet": "edge"}}


def test_without_a_fleet_there_is_nothing_of_it() -> None:
    rendered = render(given(fleet={"create": False}))
    assert rendered.every("GatewayFleet") == []
    assert rendered.every("Pod") == []
    assert rendered.every("NetworkPolicy", "faregate-gateways") == []


def test_the_ingress_is_the_fleets() -> None:
    ingress = {"enabled": True, "className": "nginx", "host": "llm.example.com"}
    rendered = fleet_spec(given(ingress=ingress))["ingress"]
    assert rendered.pop("annotations") == {
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-body-size": "32m",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
    }
    assert rendered == {"className": "nginx", "host": "llm.example.com"}
    ingress["tlsSecretName"] = "llm-tls"
    assert fleet_spec(given(ingress=ingress))["ingress"]["tlsSecretName"] == "llm-tls"
    assert "ingress" not in fleet_spec(given())


def test_one_image_for_the_operator_its_jobs_and_the_gateways() -> None:
    image = {"repository": "registry.example.com/faregate", "tag": "1.2.3"}
    rendered = render(given(image=image))
    expected = "registry.example.com/faregate:1.2.3"
    for name, pod in rendered.pods().items():
        if name != "StatefulSet/faregate-postgres":
            assert [each["image"] for each in pod["spec"]["containers"]] == [expected], name
    environment = environment_of(rendered.one("Deployment"))
    assert environment["FAREGATE_IMAGE"] == expected


def test_a_digest_beats_a_tag_and_the_tag_is_the_charts_version_by_default() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
    assert container_of(operator(given()))["image"] == f"faregate:{version}"
    image = {"tag": "1.2.3", "digest": DIGEST}
    assert container_of(operator(given(image=image)))["image"] == f"faregate@{DIGEST}"
    postgres = render(given(postgres={"image": {"digest": DIGEST}})).one("StatefulSet")
    assert container_of(postgres)["image"] == f"postgres@{DIGEST}"


def test_how_images_are_pulled_is_set_for_every_pod() -> None:
    secrets = [{"name": "registry"}]
    image = {"pullPolicy": "Always", "pullSecrets": secrets}
    rendered = render(given(image=image))
    assert all(pod["spec"]["imagePullSecrets"] == secrets for pod in rendered.pods().values())
    spec = rendered.one("GatewayFleet")["spec"]
    assert (spec["imagePullPolicy"], spec["imagePullSecrets"]) == ("Always", secrets)
    own = {"spec": {"imagePullPolicy": "Never", "imagePullSecrets": [{"name": "other"}]}}
    spec = fleet_spec(given(image=image, fleet=own))
    assert (spec["imagePullPolicy"], spec["imagePullSecrets"]) == ("Never", [{"name": "other"}])


@pytest.mark.parametrize(
    ("values", "secret", "key"),
    [
        (TRIAL, "faregate-postgres", "url"),
        (given(postgres={"existingSecret": "mine"}), "mine", "url"),
        ({"database": {"url": "postgresql://a:b@db/t"}}, "faregate-database", "url"),
        (EXISTING, "money", "uri"),
    ],
)
def test_the_database_comes_from_a_secret(values: Values, secret: str, key: str) -> None:
    environment = environment_of(operator(values))
    reference = {"secretKeyRef": {"name": secret, "key": key}}
    assert environment["FAREGATE_DATABASE_URL"] == reference
    assert environment["FAREGATE_DATABASE_SECRET_NAME"] == secret
    assert environment["FAREGATE_DATABASE_SECRET_KEY"] == key


def test_a_url_in_the_values_becomes_a_secret_and_starts_the_operator_anew() -> None:
    first, second = ({"database": {"url": f"postgresql://a:b@{h}/t"}} for h in ("one", "two"))
    secret = render(first).one("Secret", "faregate-database")
    assert secret["stringData"] == {"url": "postgresql://a:b@one/t"}
    sums = [
        pod_of(operator(each))["metadata"]["annotations"]["checksum/database"]
        for each in (first, second)
    ]
    assert sums[0] != sums[1]


def test_with_a_database_of_ones_own_no_secret_and_no_postgres_is_made() -> None:
    rendered = render(EXISTING)
    assert rendered.every("Secret") == []
    assert rendered.every("StatefulSet") == []


def test_the_installation_secret_is_never_made_by_the_chart() -> None:
    environment = environment_of(operator(given(installation="east")))
    assert environment["FAREGATE_INSTALLATION"] == "east"
    assert environment["FAREGATE_INSTALLATION_SECRET_NAME"] == "faregate-installation"
    assert render().every("Secret", "faregate-installation") == []
    mine = {"existingSecret": "pepper", "key": "value"}
    environment = environment_of(operator(given(installationSecret=mine)))
    assert environment["FAREGATE_INSTALLATION_SECRET_NAME"] == "pepper"
    assert environment["FAREGATE_INSTALLATION_SECRET_KEY"] == "value"


def test_the_operators_pod_takes_what_pods_take() -> None:
    settings: Values = {
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    }
    pod = pod_of(operator(given(operator=settings)))
    assert pod["metadata"]["annotations"]["a"] == "b"
    assert pod["metadata"]["labels"]["c"] == "d"
    for name in ("tolerations", "affinity", "priorityClassName"):
        assert pod["spec"][name] == settings[name]
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "system"}


def test_no_pod_is_put_on_a_node_of_windows() -> None:
    for owner, pod in render().pods().items():
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}, owner


def test_the_operator_is_one_and_is_probed_at_its_two_ports() -> None:
    deployment = operator(given())
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    container = container_of(deployment)
    assert container["args"] == ["gateway_operator", "run"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    alive, ready = (container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness"))
    assert (alive["path"], ports[alive["port"]]) == ("/healthz", 8080)
    assert (ready["path"], ports[ready["port"]]) == ("/readyz", 8081)
    assert container["resources"]["requests"]["memory"] == "128Mi"
    assert container["resources"]["limits"]["memory"] == "256Mi"


def test_the_service_account_may_be_somebody_elses() -> None:
    rendered = render(given(operator={"serviceAccount": {"create": False, "name": "mine"}}))
    assert "faregate-operator" not in {
        each["metadata"]["name"] for each in rendered.every("ServiceAccount")
    }
    assert pod_of(rendered.one("Deployment"))["spec"]["serviceAccountName"] == "mine"
    subjects = rendered.one("ClusterRoleBinding")["subjects"]
    assert subjects == [{"kind": "ServiceAccount", "name": "mine", "namespace": "gate"}]


def test_names_follow_the_release_and_may_be_given() -> None:
    rendered = render(given(fullnameOverride="gw", commonLabels={"team": "ai"}))
    assert rendered.one("Deployment")["metadata"]["name"] == "gw-operator"
    assert rendered.one("GatewayFleet")["metadata"]["name"] == "gw"
    for each in rendered.objects:
        assert each["metadata"]["labels"]["team"] == "ai", each["kind"]
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "faregate"
    named = render(given(nameOverride="llm")).one("Deployment")["metadata"]
    assert named["name"] == "faregate-llm-operator"
    assert named["labels"]["app.kubernetes.io/name"] == "llm"


@pytest.mark.parametrize("beginning", ["a" * 30, f"{'a' * 30}-"])
def test_a_long_name_is_cut_to_what_every_object_can_have(beginning: str) -> None:
    first, second = (f"{beginning}{'b' * 20}{end}" for end in "12")
    names = [
        {each["metadata"]["name"] for each in render(given(fullnameOverride=name)).objects}
        for name in (first, second)
    ]
    assert names[0].isdisjoint(names[1])
    assert any(name.startswith("a" * 30) for name in names[0])
    long = render(given(fullnameOverride=first))
    for kind in ("Job", "Service", "GatewayFleet", "StatefulSet"):
        for each in long.every(kind):
            assert len(each["metadata"]["name"]) <= (52 if kind == "StatefulSet" else 63)
            assert "--" not in each["metadata"]["name"]


def test_a_label_has_one_value_and_the_nearest_wins() -> None:
    everywhere = {"team": "ai", "app.kubernetes.io/version": "9", "helm.sh/chart": "ours"}
    values = given(
        commonLabels=everywhere,
        operator={"podLabels": {"team": "ops"}},
        monitoring={"dashboards": {"labels": {"team": "sre"}}},
    )
    text = render_text(values)
    assert text.count("app.kubernetes.io/version:") == text.count('app.kubernetes.io/version: "9"')
    assert text.count("helm.sh/chart:") == text.count("helm.sh/chart: ours")
    assert pod_of(operator(values))["metadata"]["labels"]["team"] == "ops"
    dashboard = render(values).one("ConfigMap", "faregate-dashboard-usage")
    assert dashboard["metadata"]["labels"]["team"] == "sre"


def test_names_that_look_like_something_else_are_texts() -> None:
    """YAML takes 1e3 for a number, and `true` for no name at all."""
    values: Values = {
        "nameOverride": "123",
        "database": {
            "existingSecret": {"name": "1", "key": "1.5"},
            "ca": {"configMap": "1e3", "key": "0123"},
        },
        "installationSecret": {"existingSecret": "true", "key": "null"},
        "fleet": {"name": "true"},
        "operator": {
            "watchNamespaces": ["123"],
            "serviceAccount": {"name": "123"},
            "priorityClassName": "1",
        },
    }
    schemas = schemas_of(NEWEST)
    for namespace in ("123", "gate"):
        rendered = render(values, f"--namespace={namespace}")
        assert [error for each in rendered.objects for error in schemas.errors(each)] == []


def test_null_takes_away_what_another_file_of_values_has() -> None:
    nothing = dict.fromkeys(("webhook", "console", "httpRoute", "resources", "autoscaling"))
    spec = {
        **nothing,
        "limits": {"bodyBytes": None, "firstByteSeconds": 20},
        "podTemplate": {"metadata": None, "spec": {"securityContext": {"runAsUser": None}}},
        "pricing": {"perImage": None, "chatCreditsPerMessage": 1000000000000},
    }
    monitored = render(
        given(fleet={"spec": spec}), "--api-versions=monitoring.coreos.com/v1/PodMonitor"
    )
    made = monitored.one("GatewayFleet")["spec"]
    assert made.keys().isdisjoint(nothing)
    assert made["limits"] == {"firstByteSeconds": 20}
    assert made["pricing"]["chatCreditsPerMessage"] == 1000000000000
    assert made["podTemplate"]["spec"] == {"securityContext": {"runAsUser": None}}
    bare = render(
        given(
            fleet={"spec": {"podTemplate": None}},
            commonLabels=None,
            fullnameOverride=None,
            operator={"nodeSelector": None},
        )
    )
    assert "podTemplate" not in bare.one("GatewayFleet", "faregate")["spec"]
    pod = pod_of(bare.one("Deployment", "faregate-operator"))
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_the_trials_postgres_has_a_volume_that_outlives_the_release_or_none() -> None:
    storage = {"size": "5Gi", "storageClassName": "fast"}
    rendered = render(given(postgres={"persistence": storage}))
    (claim,) = rendered.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"] == {"requests": {"storage": "5Gi"}}
    assert claim["spec"]["storageClassName"] == "fast"
    kept = rendered.one("Secret", "faregate-postgres")["metadata"]["annotations"]
    assert kept == {"helm.sh/resource-policy": "keep"}

    rendered = render(given(postgres={"persistence": {"enabled": False}}))
    stateful = rendered.one("StatefulSet")
    assert "volumeClaimTemplates" not in stateful["spec"]
    assert {"name": "data", "emptyDir": {}} in pod_of(stateful)["spec"]["volumes"]
    assert "annotations" not in rendered.one("Secret", "faregate-postgres")["metadata"]


def test_the_trials_url_leads_to_its_service_and_holds_its_password() -> None:
    rendered = render(given(database={"trial": True, "maxConnections": 250}))
    made = rendered.one("Secret", "faregate-postgres")["stringData"]
    assert len(made["password"]) == 32
    host = "faregate-postgres.gate.svc:5432"
    assert made["url"] == f"postgresql://faregate:{made['password']}@{host}/faregate"
    service = rendered.one("Service", "faregate-postgres")["spec"]
    stateful = rendered.one("StatefulSet")
    assert service["selector"].items() <= pod_of(stateful)["metadata"]["labels"].items()
    assert environment_of(stateful)["MAX_CONNECTIONS"] == "250"
    assert pod_of(stateful)["spec"]["securityContext"]["runAsUser"] == 999


def test_network_policies_take_their_ports_from_the_urls() -> None:
    models = [{"id": "m", "upstream": "b"}]
    upstreams = [
        {"name": "a", "url": "https://api.example.com/v1"},
        {"name": "b", "url": "http://model.models.svc:8000/v1"},
        {"name": "c", "url": "http://plain.example.com/v1"},
        {"name": "d", "url": "simulated:"},
    ]
    secret = {"name": "hook", "key": "secret"}
    hook = {"url": "https://hooks.example.com:8443/faregate", "secretRef": secret}
    values: Values = {
        # a percent sign that encodes nothing is for the operator to refuse
        "database": {"url": "postgresql://a:b%c@db.example.com:6432/t"},
        "fleet": {"spec": {"models": models, "upstreams": upstreams, "webhook": hook}},
    }
    rendered = render(values)
    gateways = rendered.one("NetworkPolicy", "faregate-gateways")["spec"]
    assert ports_of(gateways["egress"][:3]) == [NAMES, [6432], [443, 80, 8000, 8443]]
    assert namespaces_of(gateways["egress"][3:]) == ["models"]
    assert ports_of(gateways["ingress"]) == [[8080], [9090]]
    assert "from" not in gateways["ingress"][0]
    of_operator = rendered.one("NetworkPolicy", "faregate-operator")["spec"]
    assert ports_of(of_operator["egress"]) == [NAMES, [443, 6443, 8443, 16443], [6432]]
    assert ports_of(of_operator["ingress"]) == [[8081]]
    assert rendered.every("NetworkPolicy", "faregate-postgres") == []
    port = {"existingSecret": {"name": "money"}, "port": 7432}
    rendered = render({"database": port})
    of_operator = rendered.one("NetworkPolicy", "faregate-operator")["spec"]
    assert ports_of(of_operator["egress"])[-1] == [7432]


@pytest.mark.parametrize(
    ("url", "ports", "namespaces"),
    [
        ("postgresql://u:p@[fd00::1]:6432/t?sslmode=verify-full", [6432], []),
        ("postgresql://u:p@[fd00::1]/t", [5432], []),
        ("postgresql://u:p@a.example.com,b.pg.svc:6433/t", [5432, 6433], ["pg"]),
        ("postgresql:///t?host=Main.Pg.svc&port=6432", [6432], ["pg"]),
        ("postgresql://u:p@one.pg,two.pg2/t?port=6432,6433", [6432, 6433], ["pg", "pg2"]),
        ("postgresql://u:p@one.pg,two.pg2/t?port=,6433", [5432, 6433], ["pg", "pg2"]),
        ("postgresql://u:p@a:6432/t?host=one.pg", [6432], ["pg"]),
    ],
)
def test_network_policies_read_a_database_s_url_as_libpq_does(
    url: str, ports: list[int], namespaces: list[str]
) -> None:
    rendered = render({"database": {"url": url}})
    egress = rendered.one("NetworkPolicy", "faregate-operator")["spec"]["egress"]
    assert ports_of(egress[2:3]) == [ports]
    assert namespaces_of(egress[3:]) == namespaces


def test_the_console_reaches_its_identity_provider_and_nothing_of_the_gateways() -> None:
    oidc = {"issuer": "https://login.example.com:8443/realm", "clientID": "faregate"}
    url = "https://llm.example.com"
    values: Values = {
        "database": {"url": "postgresql://a:b@db.example.com:6432/t"},
        "fleet": {"spec": {"console": {"url": url, "oidc": oidc}}},
    }
    console = render(values).one("NetworkPolicy", "faregate-console")["spec"]
    assert console["podSelector"] == {"matchLabels": {"faregate.dev/console": "faregate"}}
    assert ports_of(console["egress"]) == [NAMES, [6432], [8443]]
    assert ports_of(console["ingress"]) == [[8080], [9090]]
    inside = {"issuer": "http://dex.auth.svc:5556/dex", "clientID": "faregate"}
    values["fleet"]["spec"]["console"] = {"url": url, "oidc": inside}
    console = render(values).one("NetworkPolicy", "faregate-console")["spec"]
    assert namespaces_of(console["egress"][3:]) == ["auth"]
    assert render(given()).every("NetworkPolicy", "faregate-console") == []


def namespaces_of(rules: list[Body]) -> list[str]:
    """The namespaces that rules open, no matter which ports of the pods there."""
    assert all(rule.keys() == {"to"} for rule in rules)
    selectors = [each["namespaceSelector"] for rule in rules for each in rule["to"]]
    return [each["matchLabels"]["kubernetes.io/metadata.name"] for each in selectors]


def test_network_policies_open_whatever_is_configured_inside_the_cluster() -> None:
    """A Service's port need not be its pods', which is what policies go by."""
    variables = [
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.traces:4318"},
        {"name": "TZ", "value": "UTC"},
        {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
        {"name": "http_proxy", "value": "http://proxy.example.com:3129"},
    ]
    containers = [{"name": "gateway", "env": variables}]
    upstreams = [
        {"name": "a", "url": "http://near/v1"},
        {"name": "b", "url": "http://vllm.models.svc/v1"},
        {"name": "c", "url": "http://other.models.svc.cluster.local:8080/v1"},
        {"name": "d", "url": "http://10.1.2.3:8000/v1"},
        {"name": "e", "url": "https://api.example.com/v1"},
    ]
    spec = {
        "models": [{"id": "m", "upstream": "a"}],
        "upstreams": upstreams,
        "podTemplate": {"spec": {"containers": containers}},
    }
    values: Values = {
        "database": {"url": "postgresql://a:b@pooler.money.svc:6432/t"},
        "fleet": {"spec": spec},
        "networkPolicy": {"dnsPorts": [53]},
    }
    rendered = render(values)
    gateways = rendered.one("NetworkPolicy", "faregate-gateways")["spec"]["egress"]
    assert ports_of(gateways[:3]) == [[53, 53], [6432], [3128, 3129, 4318, 443, 80, 8000, 8080]]
    assert namespaces_of(gateways[3:]) == ["gate", "models", "money", "traces"]
    of_operator = rendered.one("NetworkPolicy", "faregate-operator")["spec"]["egress"]
    assert namespaces_of(of_operator[3:]) == ["money"]


def test_where_nothing_else_is_open_the_jobs_reach_what_they_ask() -> None:
    rule = {"ports": [{"port": 15008}]}
    rendered = render(given(networkPolicy={"operator": {"extraEgress": [rule]}}))
    policy = rendered.one("NetworkPolicy", "faregate-jobs")["spec"]
    (expression,) = policy["podSelector"]["matchExpressions"]
    for kind, name in (("Job", "faregate-release-finalizers"), ("Pod", "faregate-selftest")):
        labels = pod_of(rendered.one(kind, name))["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        assert labels[expression["key"]] in expression["values"]
    names, server, gateways, extra = policy["egress"]
    assert ports_of([names, server]) == [NAMES, [443, 6443, 8443, 16443]]
    assert gateways["to"] == [{"podSelector": {"matchLabels": {"faregate.dev/fleet": "faregate"}}}]
    assert extra == rule
    none = given(releaseFinalizers={"enabled": False}, selftest={"enabled": False})
    assert render(none).every("NetworkPolicy", "faregate-jobs") == []


def test_clients_that_are_named_do_not_lock_the_selftest_and_the_ingress_out() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "edge"}}}
    controller = {"namespaceSelector": {"matchLabels": {"name": "ingress-nginx"}}}
    gateway = {"clients": [peer], "ingressControllers": [controller]}
    rendered = render(given(networkPolicy={"gateway": gateway}))
    rule = rendered.one("NetworkPolicy", "faregate-gateways")["spec"]["ingress"][0]
    *given_ones, selftest = rule["from"]
    assert given_ones == [peer, controller]
    labels = rendered.one("Pod", "faregate-selftest")["metadata"]["labels"]
    assert selftest["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_operator_verifies_the_database_by_authorities_that_are_given() -> None:
    for ca, source in (
        ({"configMap": "ca"}, {"configMap": {"name": "ca"}}),
        ({"secret": "ca", "key": "root.pem"}, {"secret": {"secretName": "ca"}}),
    ):
        made = operator(given(database={**TRIAL["database"], "ca": ca}))
        volumes = {each.pop("name"): each for each in pod_of(made)["spec"]["volumes"]}
        ((kind, expected),) = source.items()
        items = [{"key": ca.get("key", "ca.crt"), "path": "ca.crt"}]
        assert volumes["ca-database"] == {kind: {**expected, "items": items}}
        mounts = {each["name"]: each for each in container_of(made)["volumeMounts"]}
        assert mounts["ca-database"]["readOnly"] is True
        file = f"{mounts['ca-database']['mountPath']}/ca.crt"
        assert environment_of(made)["PGSSLROOTCERT"] == file
    plain = operator(given())
    assert "PGSSLROOTCERT" not in environment_of(plain)
    assert [each["name"] for each in pod_of(plain)["spec"]["volumes"]] == ["tmp"]


def test_only_what_runs_on_the_trials_postgres_reaches_it() -> None:
    rendered = render()
    policy = rendered.one("NetworkPolicy", "faregate-postgres")["spec"]
    labels = pod_of(rendered.one("Deployment"))["metadata"]["labels"]
    (rule,) = policy["ingress"]
    by_operator, *by_others = (each["podSelector"] for each in rule["from"])
    assert by_operator["matchLabels"].items() <= labels.items()
    assert by_others == [
        {"matchExpressions": [{"key": f"faregate.dev/{label}", "operator": "Exists"}]}
        for label in ("fleet", "console")
    ]
    assert ports_of(policy["ingress"]) == [[5432]]
    assert policy["egress"] == []


def test_network_policies_can_be_widened_narrowed_and_left_out() -> None:
    rule = {"ports": [{"port": 1234}]}
    peer = {"namespaceSelector": {"matchLabels": {"name": "edge"}}}
    extra = {"extraIngress": [rule], "extraEgress": [rule]}
    policies: Values = {
        "gateway": {"clients": [peer], **extra},
        "operator": extra,
        "postgres": extra,
        "scrapers": [peer],
        "apiServerPorts": [8443],
    }
    rendered = render(given(networkPolicy=policies))
    for name in ("faregate-gateways", "faregate-operator", "faregate-postgres"):
        spec = rendered.one("NetworkPolicy", name)["spec"]
        assert spec["ingress"][-1] == spec["egress"][-1] == rule, name
    gateways = rendered.one("NetworkPolicy", "faregate-gateways")["spec"]
    assert [each.get("from", [None])[0] for each in gateways["ingress"]] == [peer, peer, None]
    of_operator = rendered.one("NetworkPolicy", "faregate-operator")["spec"]
    assert [8443] in ports_of(of_operator["egress"])
    assert render(given(networkPolicy={"enabled": False})).every("NetworkPolicy") == []


def test_the_job_before_an_uninstall_needs_no_database() -> None:
    job = render(EXISTING).one("Job", "faregate-release-finalizers")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert container_of(job)["args"] == ["gateway_operator", "release-finalizers"]
    environment = environment_of(job)
    assert environment["FAREGATE_OPERATOR_DEPLOYMENT"] == "faregate-operator"
    assert not [value for value in environment.values() if "secretKeyRef" in value]
    off = given(releaseFinalizers={"enabled": False})
    assert render(off).every("Job") == []
    slow = render(given(releaseFinalizers={"timeoutSeconds": 600})).one("Job")
    assert slow["spec"]["activeDeadlineSeconds"] == 600


def test_the_selftest_asks_the_service_and_a_model_that_costs_nothing() -> None:
    upstreams = [
        {"name": "real", "url": "https://api.example.com/v1"},
        {"name": "play", "url": "simulated:"},
    ]
    models = [{"id": "k2", "upstream": "real"}, {"id": "toy", "upstream": "play"}]
    spec = {"upstreams": upstreams, "models": models}
    pod = render(given(fleet={"spec": spec, "name": "edge"})).one("Pod", "faregate-selftest")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container_of(pod)["args"] == [
        "gateway_operator",
        "selftest",
        "--namespace=gate",
        "--name=faregate-selftest",
        "--fleet=edge",
        "--url=http://edge.gate.svc",
        "--model=toy",
        "--timeout=120",
    ]
    spec["models"] = models[:1]
    pod = render(given(fleet={"spec": spec})).one("Pod")
    assert "--model=k2" in container_of(pod)["args"]
    chosen = {"model": "k2", "timeoutSeconds": 300}
    spec["models"] = models
    pod = render(given(fleet={"spec": spec}, selftest=chosen)).one("Pod")
    assert {"--model=k2", "--timeout=300"} <= set(container_of(pod)["args"])
    assert pod["spec"]["activeDeadlineSeconds"] > 300
    assert render(given(selftest={"enabled": False})).every("Pod") == []


def test_extra_objects_are_installed_along() -> None:
    plain = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"}}
    template = "{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-mine'}}"
    rendered = render(given(extraObjects=[plain | {"data": {"a": "{{ b }}"}}, template]))
    assert rendered.one("ConfigMap", "plain")["data"] == {"a": "{{ b }}"}
    assert rendered.one("ConfigMap", "faregate-mine")


@pytest.mark.parametrize("host", ["", "llm.example.com", "*.example.com"])
def test_the_notes_end_in_the_next_three_commands(host: str) -> None:
    output = notes(given(ingress={"enabled": bool(host), "host": host}))
    commands = output.partition("Next, these three commands")[2]
    starts = [line for line in commands.splitlines() if line.startswith(("kubectl", "curl"))]
    assert "wait --for=condition=Ready" in starts[0]
    assert starts[0].endswith("gatewayfleet/faregate")
    assert starts[1].startswith("kubectl -n gate apply -f -")
    assert starts[-1].startswith("curl ")
    named = host.replace("*", "llm") or "127.0.0.1:8080"
    assert f"http://{named}/api/openai/v1/chat/completions" in starts[-1]
    documents = commands.partition("<<'END'\n")[2].partition("\nEND\n")[0]
    for document in yaml.safe_load_all(documents):
        parse_document(document)
    assert "faregate-installation" in output
