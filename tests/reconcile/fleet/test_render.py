"""The content of a fleet's children, as far as it matters to somebody."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from gateway.core.spec_fields import SpecError
from gateway.process.standalone.documents import read_documents
from gateway_operator.render.pod import pod_template
from gateway_operator.render.workload import gateways
from gateway_operator.resources.fleet import ENDPOINTS_SECONDS, client_url, read_fleet
from tests.reconcile.fleet.support import (
    NAME,
    NAMESPACE,
    UID,
    Json,
    body,
    child,
    container,
    fleet,
    kinds,
    pod,
    rendered,
    settings,
    with_credential,
)

ALWAYS = ["ConfigMap", "Service", "Deployment", "PodDisruptionBudget"]
AUTOSCALING = {"minReplicas": 3, "maxReplicas": 9}
INGRESS = {"host": "llm.example", "className": "nginx", "tlsSecretName": "llm-tls"}

ROUTE = {
    "parentRefs": [{"name": "public", "namespace": "ways", "sectionName": "https"}],
    "hostnames": ["llm.example"],
    "labels": {"team": "a"},
    "annotations": {"a": "b"},
}


def test_a_fleet_has_the_children_that_it_asks_for() -> None:
    assert kinds() == ALWAYS
    assert kinds(autoscaling=AUTOSCALING) == [*ALWAYS, "HorizontalPodAutoscaler"]
    assert kinds(ingress=INGRESS) == [*ALWAYS, "Ingress"]
    assert kinds(httpRoute=ROUTE) == [*ALWAYS, "HTTPRoute"]


def test_every_child_is_found_by_its_fleet_and_goes_with_it() -> None:
    for one in rendered(autoscaling=AUTOSCALING, ingress=INGRESS, httpRoute=ROUTE).children:
        metadata = one["metadata"]
        assert metadata["namespace"] == NAMESPACE
        assert metadata["name"] == (f"{NAME}-config" if one["kind"] == "ConfigMap" else NAME)
        assert metadata["labels"]["faregate.dev/fleet"] == NAME
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "faregate-operator"
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("GatewayFleet", UID, True)


def test_the_gateway_reads_what_is_rendered_for_it(tmp_path: Path) -> None:
    given: Json = {
        "upstreams": [with_credential()],
        "limits": {"bodyBytes": 1000, "bufferedBytes": 5000},
        "drain": {"seconds": 60, "preStopSeconds": 5, "graceSeconds": 90},
        "clientURL": "https://llm.example",
        "replicas": 7,
        "ingress": INGRESS,
    }
    text = child("ConfigMap", **given)["data"]["fleet.yaml"]
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    documents = read_documents(path)
    assert (documents.keys, documents.grants) == ((), ())
    expected = fleet(**{**given, "clientURL": None}).gateway
    assert documents.fleet.spec == expected
    assert documents.fleet.metadata.namespace == NAMESPACE
    (document,) = yaml.safe_load_all(text)
    assert document["spec"].keys() == {"pricing", "models", "upstreams", "limits", "drain"}
    assert document["spec"]["drain"] == {"seconds": 60.0}


def test_equal_specs_give_equal_bytes_whatever_their_order() -> None:
    turned = body()
    turned["spec"] = dict(reversed(turned["spec"].items()))
    assert read_fleet(turned) == fleet()
    assert rendered() == rendered()


def test_a_platform_that_gives_users_and_groups_is_left_to_do_so() -> None:
    given = settings(platform_ids=True)
    assert pod_template(gateways(fleet()), given)["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_pods_are_restricted() -> None:
    """The restricted profile of the pod security standards, and what goes beyond it."""
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {m["mountPath"] for m in container()["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/faregate", "/tmp"}


def test_the_command_serves_what_is_mounted_on_all_addresses() -> None:
    line = " ".join([*container()["command"], *container()["args"]])
    assert line == (
        "python -m gateway serve --config /etc/faregate/fleet.yaml --data /var/lib/faregate"
        " --host :: --port 8080 --ops-port 9090"
    )
    ports = {one["name"]: one["containerPort"] for one in container()["ports"]}
    assert ports == {"http": 8080, "metrics": 9090}


def test_probes_ask_the_operations_port() -> None:
    for probe, path in (
        ("startupProbe", "/readyz"),
        ("readinessProbe", "/readyz"),
        ("livenessProbe", "/healthz"),
    ):
        assert container()[probe]["httpGet"] == {"path": path, "port": "metrics"}


def test_the_service_leads_clients_to_the_pods_and_nobody_to_what_has_no_credential() -> None:
    spec = child("Service")["spec"]
    assert spec["selector"] == {"faregate.dev/fleet": NAME}
    assert spec["selector"].items() <= pod()["metadata"]["labels"].items()
    ports = {one["name"]: (one["port"], one["targetPort"]) for one in spec["ports"]}
    assert ports == {"http": (80, "http")}
    annotations = pod()["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == "9090"
    assert annotations["prometheus.io/path"] == "/metrics"


def test_what_is_laid_over_the_service_leaves_its_selector_and_port() -> None:
    template: Json = {
        "metadata": {"labels": {"team": "a"}, "annotations": {"cloud/backend": "x"}},
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "PreferDualStack",
            "ipFamilies": ["IPv6", "IPv4"],
            "trafficDistribution": "PreferSameZone",
            "ports": [{"name": "http", "nodePort": 30080, "appProtocol": "http"}],
        },
    }
    found, usual = child("Service", serviceTemplate=template), child("Service")
    assert found["metadata"]["annotations"] == {"cloud/backend": "x"}
    assert found["metadata"]["labels"] == {"team": "a", **usual["metadata"]["labels"]}
    (port,) = usual["spec"]["ports"]
    assert found["spec"] == {
        **usual["spec"],
        **template["spec"],
        "ports": [{**port, "nodePort": 30080, "appProtocol": "http"}],
    }


def test_a_replica_has_time_to_drain() -> None:
    drain = {"seconds": 60, "preStopSeconds": 5, "graceSeconds": 90}
    assert pod(drain=drain)["spec"]["terminationGracePeriodSeconds"] == 90
    assert container(drain=drain)["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert pod()["spec"]["terminationGracePeriodSeconds"] == 10 + 300 + ENDPOINTS_SECONDS


def test_a_new_replica_is_ready_before_an_old_one_ends() -> None:
    spec = child("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "25%"}
    assert spec["minReadySeconds"] > 0
    assert child("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_each_credential_is_a_file_where_the_gateway_looks_for_it() -> None:
    upstreams = [
        with_credential("a.b", "key"),
        {**with_credential("a.b", "other"), "name": "second"},
        {**with_credential("c"), "name": "third"},
    ]
    hook = {"url": "https://hooks.example.com/", "secretRef": {"name": "hook", "key": "secret"}}
    mounted = container(upstreams=upstreams, webhook=hook)["volumeMounts"]
    mounts = [m for m in mounted if "secrets" in m["mountPath"]]
    assert [m["mountPath"] for m in mounts] == [
        f"/var/lib/faregate/secrets/{NAMESPACE}/a.b",
        f"/var/lib/faregate/secrets/{NAMESPACE}/c",
        f"/var/lib/faregate/secrets/{NAMESPACE}/hook",
    ]
    assert all(m["readOnly"] for m in mounts)
    spec = pod(upstreams=upstreams, webhook=hook)["spec"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    files = [volumes[m["name"]]["secret"] for m in mounts]
    assert [(one["secretName"], [item["path"] for item in one["items"]]) for one in files] == [
        ("a.b", ["key", "other"]),
        ("c", ["api-key"]),
        ("hook", ["secret"]),
    ]
    assert {one["defaultMode"] for one in files} == {0o440}


def test_database_and_installation_secret_come_by_reference() -> None:
    given = {one["name"]: one for one in container()["env"]}
    assert given["FAREGATE_INSTALLATION"]["value"] == "default"
    assert given["FAREGATE_DATABASE_URL"]["valueFrom"] == {
        "secretKeyRef": {"name": "database", "key": "url"}
    }
    assert given["FAREGATE_INSTALLATION_SECRET"]["valueFrom"] == {
        "secretKeyRef": {"name": "faregate-installation", "key": "secret"}
    }


def test_upstreams_and_the_database_are_verified_by_the_authorities_that_are_given() -> None:
    own = replace(settings(), database_ca_secret="pg-ca", database_ca_key="root.pem")
    given = {"upstreamCA": {"configMapKeyRef": {"name": "company", "key": "all.pem"}}}
    spec = pod_template(gateways(fleet(**given)), own)["spec"]
    (gateway,) = spec["containers"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    mounts = {one["name"]: one for one in gateway["volumeMounts"]}
    variables = {one["name"]: one.get("value") for one in gateway["env"]}
    for name, variable, source in (
        ("ca-database", "PGSSLROOTCERT", {"secretName": "pg-ca"}),
        ("ca-upstreams", "SSL_CERT_FILE", {"name": "company"}),
    ):
        assert mounts[name]["readOnly"] is True
        assert variables[variable] == f"{mounts[name]['mountPath']}/ca.crt"
        (held,) = (value for kind, value in volumes[name].items() if kind != "name")
        key = "root.pem" if "secretName" in source else "all.pem"
        assert held == {**source, "items": [{"key": key, "path": "ca.crt"}]}
    assert not {"PGSSLROOTCERT", "SSL_CERT_FILE"} & {one["name"] for one in container()["env"]}


@pytest.mark.parametrize(
    ("given", "replicas"),
    [({}, 2), ({"replicas": 0}, 0), ({"replicas": 5}, 5), ({"autoscaling": AUTOSCALING}, 3)],
)
def test_replicas_are_fixed_or_begin_with_the_least(given: Json, replicas: int) -> None:
    assert child("Deployment", **given)["spec"]["replicas"] == replicas


def test_an_autoscaler_takes_one_replica_away_at_a_time() -> None:
    spec = child("HorizontalPodAutoscaler", autoscaling=AUTOSCALING)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    assert spec["behavior"]["scaleDown"]["policies"][0]["value"] == 1
    assert "cpu" in container(autoscaling=AUTOSCALING)["resources"]["requests"]


def test_an_autoscaler_takes_any_metric_and_behaviour() -> None:
    target = {"type": "AverageValue", "averageValue": "50"}
    streams = {
        "type": "Pods",
        "pods": {"metric": {"name": "faregate_in_flight_requests"}, "target": target},
    }
    quick = {"scaleUp": {"stabilizationWindowSeconds": 5}}
    given = {**AUTOSCALING, "metrics": [streams], "behavior": quick}
    spec = child("HorizontalPodAutoscaler", autoscaling=given)["spec"]
    usual = child("HorizontalPodAutoscaler", autoscaling=AUTOSCALING)["spec"]
    assert spec["metrics"] == [streams]
    assert spec["behavior"] == {**usual["behavior"], **quick}
    gone = {"scaleDown": {"selectPolicy": "Disabled"}}
    given = {**AUTOSCALING, "behavior": gone}
    assert child("HorizontalPodAutoscaler", autoscaling=given)["spec"]["behavior"] == gone


def test_memory_is_enough_for_the_bodies_that_the_limits_let_in() -> None:
    assert container()["resources"]["limits"] == {"memory": "512Mi"}
    limits = {"bodyBytes": 1, "bufferedBytes": 10 * 2**20 + 1}
    assert container(limits=limits)["resources"]["limits"] == {"memory": "267Mi"}
    given = {"requests": {"cpu": 1}}
    assert container(resources=given)["resources"] == given


def test_image_and_how_it_is_pulled() -> None:
    assert container()["image"] == "registry.example/faregate:1"
    assert "imagePullPolicy" not in container()
    given = {
        "image": "other:2",
        "imagePullPolicy": "Never",
        "imagePullSecrets": [{"name": "registry"}],
    }
    assert container(**given)["image"] == "other:2"
    assert container(**given)["imagePullPolicy"] == "Never"
    assert pod(**given)["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_an_ingress_leaves_streams_whole() -> None:
    found = child("Ingress", ingress={**INGRESS, "annotations": {"a": "b"}})
    annotations = found["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io"
    assert annotations[f"{prefix}/proxy-buffering"] == "off"
    assert annotations[f"{prefix}/proxy-read-timeout"] == "3600"
    assert annotations[f"{prefix}/proxy-send-timeout"] == "3600"
    assert annotations[f"{prefix}/proxy-body-size"] == str(32 * 2**20)
    assert annotations["a"] == "b"
    (rule,) = found["spec"]["rules"]
    assert rule["host"] == "llm.example"
    assert rule["http"]["paths"][0]["backend"]["service"] == {
        "name": NAME,
        "port": {"name": "http"},
    }
    assert found["spec"]["tls"] == [{"hosts": ["llm.example"], "secretName": "llm-tls"}]
    assert found["spec"]["ingressClassName"] == "nginx"


def test_an_ingress_leads_all_its_hosts_to_the_gateways() -> None:
    given = {**INGRESS, "additionalHosts": ["llm.example.org"], "labels": {"team": "a"}}
    found = child("Ingress", ingress=given)
    rules = {rule["host"]: rule["http"] for rule in found["spec"]["rules"]}
    assert rules.keys() == {"llm.example", "llm.example.org"}
    assert rules["llm.example"] == rules["llm.example.org"]
    (tls,) = found["spec"]["tls"]
    assert tls == {"hosts": ["llm.example", "llm.example.org"], "secretName": "llm-tls"}
    assert found["metadata"]["labels"]["team"] == "a"


def test_a_route_leads_to_the_service_and_cuts_no_stream() -> None:
    found = child("HTTPRoute", httpRoute=ROUTE)
    spec = found["spec"]
    assert spec["parentRefs"] == ROUTE["parentRefs"]
    assert spec["hostnames"] == ["llm.example"]
    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [{"name": NAME, "port": 80}]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert (found["metadata"]["labels"]["team"], found["metadata"]["annotations"]["a"]) == (
        "a",
        "b",
    )
    assert "hostnames" not in child("HTTPRoute", httpRoute={"parentRefs": [{"name": "a"}]})["spec"]


def test_another_class_of_ingress_needs_nothing_of_it() -> None:
    found = child("Ingress", ingress={"host": "llm.example", "className": "traefik"})
    assert "annotations" not in found["metadata"]
    assert "tls" not in found["spec"]
    assert "ingressClassName" not in child("Ingress", ingress={"host": "a"})["spec"]


def test_what_the_administrator_lays_over_the_pods() -> None:
    template = {
        "metadata": {
            "labels": {
                "team": "a",
                "faregate.dev/fleet": "x",
                "app.kubernetes.io/component": "operator",
            },
            "annotations": {"n": "1"},
        },
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "llm", "operator": "Exists"}],
            "securityContext": {"fsGroup": 5},
            "topologySpreadConstraints": [],
            "containers": [
                {"name": "gateway", "env": [{"name": "HTTP", "value": "1"}], "tty": True},
                {"name": "beside", "image": "beside:1"},
            ],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
        },
    }
    found = pod(podTemplate=template)
    assert found["metadata"]["labels"]["team"] == "a"
    assert found["metadata"]["labels"]["faregate.dev/fleet"] == NAME
    assert found["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
    assert found["metadata"]["annotations"]["n"] == "1"
    assert found["metadata"]["annotations"]["prometheus.io/port"] == "9090"
    spec = found["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
    assert spec["topologySpreadConstraints"] == []
    assert spec["securityContext"] == {**pod()["spec"]["securityContext"], "fsGroup": 5}
    gateway, beside = spec["containers"]
    assert gateway["env"] == [*container()["env"], {"name": "HTTP", "value": "1"}]
    assert gateway["args"] == container()["args"]
    assert beside == {"name": "beside", "image": "beside:1"}
    tmp = {one["name"]: one for one in spec["volumes"]}["tmp"]
    assert tmp["emptyDir"] == {"sizeLimit": "64Mi", "medium": "Memory"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"replicas": 1, "autoscaling": AUTOSCALING}, "at most one of replicas and autoscaling"),
        ({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "minReplicas"),
        ({"drain": {"seconds": 300, "graceSeconds": 329}}, "graceSeconds must be at least"),
        ({"models": [{"id": "a", "upstream": "other"}]}, "no upstream 'other'"),
        ({"pricing": {}}, "has no price"),
        ({"replicas": -1}, "replicas"),
        ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy"),
        ({"upstreams": []}, "upstreams"),
    ],
)
def test_what_no_gateway_could_run_is_refused_with_its_reason(
    given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        fleet(**given)


def test_clients_reach_the_service_or_what_is_given() -> None:
    assert client_url(body()) == f"http://{NAME}.{NAMESPACE}.svc.cluster.local"
    assert client_url(body(clientURL="https://llm.example/")) == "https://llm.example"
