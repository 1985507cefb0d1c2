"""The parts of a pod that a fleet may ask for, one row a wish; and that a refusal is a sentence."""

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.spec_fields import SpecError
from gateway.process.settings import Settings as GatewaySettings
from gateway_operator.render.pod_policy import check_pod_policy, repository
from gateway_operator.resources.names import KEY_LABEL
from tests.reconcile.fleet.conftest import FleetWorld, condition
from tests.reconcile.fleet.support import Json, fleet, settings, with_credential

SECRET = {"secretKeyRef": {"name": "database", "key": "url"}}
TOKEN = {"sources": [{"serviceAccountToken": {"path": "token"}}]}
PROBE = {"exec": {"command": ["sh", "-c", "env"]}}


def pod(**spec: Any) -> Json:
    return {"podTemplate": {"spec": spec}}


def service(**spec: Any) -> Json:
    return {"serviceTemplate": {"spec": spec}}


def gateway(**container: Any) -> Json:
    return pod(containers=[{"name": "gateway", **container}])


ALLOWED: dict[str, Json] = {
    "nothing": {},
    "where it runs": pod(
        nodeSelector={"disk": "ssd"},
        tolerations=[{"key": "llm", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        topologySpreadConstraints=[],
        priorityClassName="high",
        runtimeClassName="gvisor",
    ),
    "an id of OpenShift's": pod(
        securityContext={"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    ),
    "another user": pod(securityContext={"runAsUser": 5000, "runAsNonRoot": True}),
    "what holds it, stated again": gateway(
        securityContext={
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        }
    ),
    "dns options": pod(dnsConfig={"options": [{"name": "ndots", "value": "1"}]}),
    "variables": gateway(
        env=[
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"},
            {"name": "FAREGATE_ACCESS_LOG", "value": "1"},
            {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
            {"name": "http_proxy", "value": "http://proxy:3128"},
            {"name": "no_proxy", "value": ".svc,10.0.0.0/8"},
            {"name": "TZ", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
        ]
    ),
    "a folder of its own": {
        "podTemplate": {
            "spec": {
                "volumes": [{"name": "words", "configMap": {"name": "words"}}],
                "containers": [
                    {
                        "name": "gateway",
                        "volumeMounts": [{"name": "words", "mountPath": "/mnt/words"}],
                    }
                ],
            }
        }
    },
    "a larger folder of ours": pod(volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]),
    "times of a probe": gateway(startupProbe={"failureThreshold": 200}),
    "resources": gateway(resources={"limits": {"memory": "1Gi"}}),
    "another tag": {"image": "registry.example/faregate:2"},
    "a digest": {"image": "registry.example/faregate@sha256:" + "0" * 64},
    "a balancer of the cloud": service(
        type="LoadBalancer",
        loadBalancerClass="cloud/inner",
        loadBalancerSourceRanges=["10.0.0.0/8"],
        externalTrafficPolicy="Local",
        ipFamilyPolicy="PreferDualStack",
        ports=[{"name": "http", "nodePort": 30080}],
    ),
    "annotations of an Ingress": {
        "ingress": {"host": "a", "annotations": {"cert-manager.io/cluster-issuer": "x"}}
    },
}

REFUSED: dict[str, Json] = {
    "hostNetwork": pod(hostNetwork=True),
    "hostPID": pod(hostPID=True),
    "hostIPC": pod(hostIPC=True),
    "serviceAccountName": pod(serviceAccountName="faregate-operator"),
    "serviceAccount": pod(serviceAccount="faregate-operator"),
    "automountServiceAccountToken": pod(automountServiceAccountToken=True),
    "initContainers": pod(initContainers=[{"name": "a", "image": "b"}]),
    "ephemeralContainers": pod(ephemeralContainers=[{"name": "a", "image": "b"}]),
    "containers beside": pod(containers=[{"name": "beside", "image": "b"}]),
    "containers None": pod(containers=[{"image": "b"}]),
    "hostAliases": pod(hostAliases=[{"ip": "10.0.0.9", "hostnames": ["database"]}]),
    "dnsConfig.nameservers": pod(dnsConfig={"nameservers": ["10.0.0.9"]}),
    "dnsPolicy": pod(dnsPolicy="None"),
    "nodeName": pod(nodeName="control-plane-1"),
    "shareProcessNamespace": pod(shareProcessNamespace=True),
    "anything": pod(anything={"at": ["all"]}),
    "volumes host.hostPath": pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
    "volumes a.secret": pod(volumes=[{"name": "a", "secret": {"secretName": "database"}}]),
    "volumes a.projected": pod(volumes=[{"name": "a", "projected": TOKEN}]),
    "volumes a.csi": pod(volumes=[{"name": "a", "csi": {"driver": "d"}}]),
    "volumes a.persistentVolumeClaim": pod(
        volumes=[{"name": "a", "persistentVolumeClaim": {"claimName": "data-faregate-postgres-0"}}]
    ),
    "volumes credential-0": pod(volumes=[{"name": "credential-0", "emptyDir": {}}]),
    "volumes config": pod(volumes=[{"name": "config", "configMap": {"name": "mine"}}]),
    "securityContext.runAsUser 0": pod(securityContext={"runAsUser": 0}),
    "securityContext.runAsNonRoot": pod(securityContext={"runAsNonRoot": False}),
    "securityContext.seccompProfile": pod(
        securityContext={"seccompProfile": {"type": "Unconfined"}}
    ),
    "securityContext.sysctls": pod(securityContext={"sysctls": [{"name": "a", "value": "b"}]}),
    "seLinuxOptions.type": pod(securityContext={"seLinuxOptions": {"type": "spc_t"}}),
    "podTemplate.spec.securityContext None": pod(securityContext=None),
    "gateway:.securityContext None": gateway(securityContext=None),
    "privileged": gateway(securityContext={"privileged": True}),
    "gateway:.securityContext.runAsUser 0": gateway(securityContext={"runAsUser": 0}),
    "allowPrivilegeEscalation": gateway(securityContext={"allowPrivilegeEscalation": True}),
    "readOnlyRootFilesystem": gateway(securityContext={"readOnlyRootFilesystem": False}),
    "capabilities": gateway(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
    "gateway:.image": gateway(image="other:1"),
    "gateway:.command": gateway(command=["sh"]),
    "gateway:.args": gateway(args=["-c", "env"]),
    "gateway:.envFrom": gateway(envFrom=[{"secretRef": {"name": "database"}}]),
    "gateway:.lifecycle": gateway(lifecycle={"postStart": PROBE}),
    "gateway:.ports": gateway(ports=[{"containerPort": 1, "hostPort": 1}]),
    "startupProbe.exec": gateway(startupProbe=PROBE),
    "livenessProbe.exec": gateway(livenessProbe=PROBE),
    "env OTEL_X.valueFrom.secretKeyRef": gateway(env=[{"name": "OTEL_X", "valueFrom": SECRET}]),
    "env FAREGATE_DATABASE_URL": gateway(env=[{"name": "FAREGATE_DATABASE_URL", "value": "x"}]),
    "env FAREGATE_INSTALLATION_SECRET": gateway(
        env=[{"name": "FAREGATE_INSTALLATION_SECRET", "value": "x"}]
    ),
    "env UPSTREAM_BASE_URL": gateway(env=[{"name": "UPSTREAM_BASE_URL", "value": "x"}]),
    "env PGHOSTADDR": gateway(env=[{"name": "PGHOSTADDR", "value": "10.0.0.9"}]),
    "env PYTHONPATH": gateway(env=[{"name": "PYTHONPATH", "value": "/mnt"}]),
    "env LD_PRELOAD": gateway(env=[{"name": "LD_PRELOAD", "value": "/mnt/x.so"}]),
    "env PATH": gateway(env=[{"name": "PATH", "value": "/mnt"}]),
    "volumeMounts /opt/faregate": gateway(
        volumeMounts=[{"name": "tmp", "mountPath": "/opt/faregate"}]
    ),
    "volumeMounts /mnt/../opt": gateway(volumeMounts=[{"name": "tmp", "mountPath": "/mnt/../opt"}]),
    "subPathExpr": gateway(
        volumeMounts=[{"name": "tmp", "mountPath": "/mnt/a", "subPathExpr": "$(A)"}]
    ),
    "image other/faregate:1": {"image": "other/faregate:1"},
    "image registry.example/faregate-not:1": {"image": "registry.example/faregate-not:1"},
    "annotations container.apparmor": {
        "podTemplate": {
            "metadata": {
                "annotations": {
                    "container.apparmor.security.beta.kubernetes.io/gateway": "unconfined"
                }
            }
        }
    },
    "serviceTemplate.spec.selector": service(selector={"app": "other"}),
    "serviceTemplate.spec.externalIPs": service(externalIPs=["10.0.0.9"]),
    "serviceTemplate.spec.externalName": service(externalName="elsewhere.example"),
    "serviceTemplate.spec.type ExternalName": service(type="ExternalName"),
    "serviceTemplate.spec.publishNotReadyAddresses": service(publishNotReadyAddresses=True),
    "serviceTemplate.spec.ports metrics": service(ports=[{"name": "metrics", "port": 9090}]),
    "serviceTemplate.spec.ports http.targetPort": service(
        ports=[{"name": "http", "targetPort": 9090}]
    ),
    "configuration-snippet": {
        "ingress": {
            "host": "a",
            "annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "x"},
        }
    },
}


@pytest.mark.parametrize("given", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_a_gateway_may_need_is_allowed(given: Json) -> None:
    check_pod_policy(fleet(**given), settings())


@pytest.mark.parametrize(("what", "given"), REFUSED.items())
def test_every_way_to_more_is_refused_by_its_name(what: str, given: Json) -> None:
    with pytest.raises(SpecError, match="FAREGATE_POD_TEMPLATES=any") as caught:
        check_pod_policy(fleet(**given), settings())
    assert what in str(caught.value)
    check_pod_policy(fleet(**given), replace(settings(), pod_templates="any"))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("faregate", "faregate"),
        ("faregate:1", "faregate"),
        ("localhost:5000/faregate", "localhost:5000/faregate"),
        ("localhost:5000/faregate:1@sha256:0", "localhost:5000/faregate"),
    ],
)
def test_the_repository_of_an_image(image: str, expected: str) -> None:
    assert repository(image) == expected


def test_a_refusal_stands_in_the_condition_and_what_runs_goes_on(world: FleetWorld) -> None:
    world.reconcile()
    before = world.children()
    status = world.reconcile(**pod(serviceAccountName="faregate-operator"))
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert "podTemplate.spec.serviceAccountName is more than" in status["conditions"][0]["message"]
    assert world.children() == before


def test_no_secret_of_the_installation_is_posted_to_an_upstream(world: FleetWorld) -> None:
    world.put_secret("moonshot", **{"api-key": "k"})
    for name in ("database", "faregate-installation"):
        upstreams = [with_credential("moonshot"), {**with_credential(name, "url"), "name": "b"}]
        status = world.reconcile(upstreams=upstreams)
        assert condition(status, "Stalled") == ("True", "InvalidSpec"), name
        assert f"the Secret {name} is the installation's" in status["conditions"][0]["message"]
    assert world.children() == {}


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"app.kubernetes.io/managed-by": "faregate-operator"}, "Opaque"),
        ({KEY_LABEL: "true"}, "Opaque"),
        ({}, "helm.sh/release.v1"),
        ({}, "bootstrap.kubernetes.io/token"),
    ],
    ids=["made by the operator", "somebody's key", "Helm's release", "a token"],
)
def test_nor_is_one_that_is_no_credential(
    world: FleetWorld, labels: dict[str, str], kind: str
) -> None:
    metadata = {"namespace": world.namespace, "name": "other", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}
    world.run(world.cluster.create({**secret, "stringData": {"api-key": "k"}}))
    status = world.reconcile(upstreams=[with_credential("other")])
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert "the Secret other is" in status["conditions"][0]["message"]
    assert world.children() == {}


def test_of_the_gateways_settings_all_but_the_installations_may_be_given() -> None:
    own = {"database_url", "installation", "installation_secret"}
    for name in GatewaySettings.__struct_fields__:
        variable = {"name": f"FAREGATE_{name.upper()}", "value": "1"}
        asked = fleet(**gateway(env=[variable]))
        if name in own:
            with pytest.raises(SpecError):
                check_pod_policy(asked, settings())
        else:
            check_pod_policy(asked, settings())
