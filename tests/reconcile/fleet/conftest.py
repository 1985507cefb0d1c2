"""A namespace with what a fleet refers to, and the work on fleets without the rest."""

import asyncio
import base64
import itertools
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import yaml

from gateway.core.keys import InstallationSecret
from gateway.store.database import Database
from gateway_operator.apply.fleet import reconcile_fleet
from gateway_operator.apply.object_locks import ObjectLocks
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reach import Reach
from gateway_operator.cluster import Cluster
from gateway_operator.metrics import OperatorMetrics
from tests.harness.apiserver import ApiServer
from tests.harness.gateway import wait_until
from tests.harness.modules import gateway_api_definition
from tests.reconcile.fleet.support import NAME, Json, settings, spec

T = TypeVar("T")
_NUMBERS = itertools.count(1)
CHILDREN = (
    "ConfigMap",
    "Service",
    "Deployment",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
    "HTTPRoute",
)


_MIRROR = """\
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: mirror-NAMESPACE}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    resourceRules:
      - apiGroups: [apps]
        apiVersions: [v1]
        resources: [deployments]
        operations: [CREATE, UPDATE]
  reinvocationPolicy: Never
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: >-
          Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
          containers: [Object.spec.template.spec.containers{
          name: "gateway", image: "mirror.example/gateway:1"}]}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: mirror-NAMESPACE}
spec: {policyName: mirror-NAMESPACE}
"""


class FleetWorld:
    """One namespace of a real API server. Nothing runs in it but what a story starts."""

    def __init__(self, server: ApiServer) -> None:
        self._runner = asyncio.Runner()
        self.namespace = f"fleets-{next(_NUMBERS)}"
        self._http = server.client()
        self.cluster = self.run(Cluster.connect({"KUBECONFIG": str(server.kubeconfig)}))
        metrics, given = OperatorMetrics(), settings(self.namespace)
        self.context = OperatorContext(
            cluster=self.cluster,
            database=Database("sqlite://"),  # no fleet is read from it
            settings=given,
            reach=Reach(self.cluster, given, metrics),
            secret=InstallationSecret("a secret that only the tests know, long enough"),
            metrics=metrics,
            locks=ObjectLocks(metrics),
        )
        metadata = {"name": self.namespace}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        self.run(self.cluster.create(namespace))
        self.put_secret("database", url="postgresql://nowhere/none")
        self.put_secret("faregate-installation", secret="x" * 40)

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(story)

    def put_secret(self, name: str, **values: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"namespace": self.namespace, "name": name}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        self.run(self.cluster.apply(body))

    def put_fleet(self, **more: Any) -> Json:
        """Make the fleet's spec this one, as it is written here and nothing else."""
        body = {
            "apiVersion": "faregate.dev/v1alpha1",
            "kind": "GatewayFleet",
            "metadata": {"namespace": self.namespace, "name": NAME},
            "spec": spec(**more),
        }
        return self.run(self.cluster.apply(body))

    def reconcile(self, **more: Any) -> Json:
        """Apply the fleet, let the operator work on it, and give its status."""
        self.put_fleet(**more)
        self.run(reconcile_fleet(self.context, self.namespace, NAME))
        return self.status()

    def status(self) -> Json:
        return dict((self.get("GatewayFleet") or {}).get("status") or {})

    def get(self, kind: str) -> Json | None:
        name = f"{NAME}-config" if kind == "ConfigMap" else NAME
        return self.run(self.cluster.get(kind, self.namespace, name))

    def live(self, kind: str) -> Json:
        found = self.get(kind)
        assert found is not None, f"there is no {kind}"
        return found

    def children(self) -> dict[str, str]:
        """Kind to resourceVersion: two that are equal were not written between."""
        found = {kind: self.get(kind) for kind in CHILDREN}
        return {
            kind: child["metadata"]["resourceVersion"] for kind, child in found.items() if child
        }

    def edit(self, kind: str, change: Json) -> None:
        """As somebody does by hand."""
        name = f"{NAME}-config" if kind == "ConfigMap" else NAME
        self.run(self.cluster.patch(kind, self.namespace, name, change))

    def patch_workload(self, subresource: str, change: Json) -> None:
        """Write to `scale` or `status` of the Deployment, as controllers do."""
        base = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}"
        self._http.patch(
            f"{base}/{subresource}",
            params={"fieldManager": "controllers"},
            headers={"content-type": "application/merge-patch+json"},
            json=change,
        ).raise_for_status()

    def scale(self, replicas: int) -> Json:
        """Write to `scale` of the GatewayFleet; its answer."""
        base = f"/apis/faregate.dev/v1alpha1/namespaces/{self.namespace}/gatewayfleets/{NAME}"
        answer = self._http.patch(
            f"{base}/scale",
            headers={"content-type": "application/merge-patch+json"},
            json={"spec": {"replicas": replicas}},
        )
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    @contextmanager
    def gateway_api(self) -> Iterator[None]:
        """The API server knows HTTPRoutes meanwhile."""
        definition = gateway_api_definition("httproutes")
        name = definition["metadata"]["name"]
        self.run(self.cluster.create(definition))
        path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{self.namespace}/httproutes"
        try:
            wait_until(lambda: self._http.get(path).status_code == 200, "the kind to be served")
            yield
        finally:
            self.run(self.cluster.delete("CustomResourceDefinition", "", name))
            wait_until(lambda: self._http.get(path).status_code == 404, "the kind to be gone")

    @contextmanager
    def mirrored_images(self) -> Iterator[None]:
        """Admission meanwhile has every Deployment's gateway pull from a mirror."""
        base = "/apis/admissionregistration.k8s.io/v1"
        policy, binding = yaml.safe_load_all(_MIRROR.replace("NAMESPACE", self.namespace))
        made = {"mutatingadmissionpolicies": policy, "mutatingadmissionpolicybindings": binding}
        for kind, body in made.items():
            self._http.post(f"{base}/{kind}", json=body).raise_for_status()
        yield
        for kind, body in made.items():
            path = f"{base}/{kind}/{body['metadata']['name']}"
            self._http.delete(path).raise_for_status()

    def events(self) -> list[str]:
        """The reasons of those on the fleet: the API server reports some on a Service itself."""
        listed = self.run(self.cluster.list("Event", self.namespace))
        return [e["reason"] for e in listed if e["involvedObject"]["kind"] == "GatewayFleet"]

    def close(self) -> None:
        self._http.close()
        self.run(self.cluster.close())
        self._runner.close()
        self.context.database.close()


@pytest.fixture
def world(api_server: ApiServer) -> Iterator[FleetWorld]:  # another world than that of keys
    world = FleetWorld(api_server)
    yield world
    world.close()


def condition(status: Json, kind: str = "Ready") -> tuple[str, str]:
    """Status and reason of a condition."""
    (found,) = [one for one in status["conditions"] if one["type"] == kind]
    return found["status"], found["reason"]
