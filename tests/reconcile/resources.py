"""The custom resources, and the rights of an operator, put into an API server."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.harness.apiserver import ApiServer
from tests.harness.gateway import wait_until

_ROOT = Path(__file__).parents[2]
#: what the chart gives an operator, but that one `patch` of Secrets is in its own namespace there
_RIGHTS: dict[str, list[tuple[str, str]]] = {
    "get list watch patch": [
        ("faregate.dev", "accounts"),
        ("faregate.dev", "apikeys"),
        ("faregate.dev", "creditallowances"),
        ("faregate.dev", "creditgrants"),
        ("faregate.dev", "gatewayfleets"),
    ],
    "patch": [
        ("faregate.dev", "accounts/status"),
        ("faregate.dev", "apikeys/status"),
        ("faregate.dev", "creditallowances/status"),
        ("faregate.dev", "creditgrants/status"),
        ("faregate.dev", "gatewayfleets/status"),
    ],
    "get list watch create update patch": [("", "secrets")],
    "create": [("", "events")],
    "get": [("", "namespaces"), ("apiextensions.k8s.io", "customresourcedefinitions")],
    "get create patch": [
        ("", "configmaps"),
        ("", "services"),
        ("apps", "deployments"),
        ("policy", "poddisruptionbudgets"),
    ],
    "get create patch delete": [
        ("autoscaling", "horizontalpodautoscalers"),
        ("networking.k8s.io", "ingresses"),
        ("gateway.networking.k8s.io", "httproutes"),
    ],
}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_BLIND = ("secrets", "watch")
_PLURALS = ("accounts", "apikeys", "creditallowances", "creditgrants", "gatewayfleets")


def install_resources(server: ApiServer) -> None:
    """Apply `crds/` and wait until the API serves it."""
    with server.client() as client:
        for plural in _PLURALS:
            body = yaml.safe_load((_ROOT / f"crds/{plural}.yaml").read_text(encoding="utf-8"))
            client.patch(
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
                + body["metadata"]["name"],
                params={"fieldManager": "tests", "force": "true"},
                headers={"content-type": "application/apply-patch+yaml"},
                json=body,
            ).raise_for_status()
        for plural in _PLURALS:
            path = f"/apis/faregate.dev/v1alpha1/{plural}"
            wait_until(
                lambda path=path: client.get(path).status_code == httpx.codes.OK,  # type: ignore[misc]  # bound in the loop
                f"{plural} to be served",
            )


def remove_definition(server: ApiServer, plural: str) -> None:
    """Delete a definition, and wait until the API does not serve it any more."""
    definition = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.faregate.dev"
    served = f"/apis/faregate.dev/v1alpha1/{plural}"
    with server.client() as client:
        client.delete(definition).raise_for_status()
        wait_until(
            lambda: client.get(served).status_code == httpx.codes.NOT_FOUND, f"{plural} to go"
        )


def refuse_statuses(found: dict[str, Any], server: ApiServer, status: dict[str, int]) -> None:
    """Let the API refuse any status of an object that has these fields, and wait until it does."""
    name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
    plural = f"{found['kind'].lower()}s"
    has_none = " && ".join(f"!has(self.status.{field})" for field in status)
    rule = f"self.metadata.name != '{name}' || !has(self.status) || ({has_none})"
    schema = "/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"
    path = f"/apis/faregate.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}/status"
    with server.client() as client:
        client.patch(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.faregate.dev",
            headers={"content-type": "application/json-patch+json"},
            json=[{"op": "add", "path": schema, "value": [{"rule": rule}]}],
        ).raise_for_status()

        def is_refused() -> bool:
            tried = client.patch(
                path,
                params={"dryRun": "All"},
                headers={"content-type": "application/merge-patch+json"},
                json={"status": status},
            )
            return tried.status_code == httpx.codes.UNPROCESSABLE_ENTITY

        wait_until(is_refused, f"the status of {name} to be refused")


def allow_in(
    server: ApiServer,
    user: str,
    namespaces: Iterable[str],
    *,
    but: tuple[str, str] | None = None,
) -> Path:
    """A kubeconfig of a user with an operator's rights in these namespaces, by a Role in each.

    `but` is a resource and a verb that are left out.
    """
    for namespace in namespaces:
        _bind(server, user, _rules("", but), namespace)
    return server.write_kubeconfig(user)


def refuse_in(server: ApiServer, user: str, namespace: str) -> None:
    """Take such rights away again."""
    with server.client() as client:
        client.delete(
            f"{_RBAC}/namespaces/{namespace}/rolebindings/tests:{user}"
        ).raise_for_status()


def allow(server: ApiServer, user: str, *, blind: bool = False, without: str = "") -> Path:
    """A kubeconfig of a user with an operator's rights, except those on one resource.

    One that is blind cannot watch Secrets.
    """
    _bind(server, user, _rules(without, _BLIND if blind else None))
    return server.write_kubeconfig(user)


def _rules(without: str, but: tuple[str, str] | None) -> list[dict[str, Any]]:
    return [
        {
            "apiGroups": [group],
            "resources": [resource],
            "verbs": [each for each in verbs.split() if (resource, each) != but],
        }
        for verbs, resources in _RIGHTS.items()
        for group, resource in resources
        if resource != without
    ]


def _bind(
    server: ApiServer, user: str, rules: list[dict[str, Any]], namespace: str | None = None
) -> None:
    """Give a user these rights in a namespace, or everywhere."""
    scope, place = ("Cluster", "") if namespace is None else ("", f"/namespaces/{namespace}")
    group = "rbac.authorization.k8s.io"
    metadata = {"name": f"tests:{user}"}
    role: dict[str, Any] = {"kind": f"{scope}Role", "metadata": metadata, "rules": rules}
    binding: dict[str, Any] = {
        "kind": f"{scope}RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": f"{scope}Role", "name": metadata["name"]},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    with server.client() as client:
        for body in (role, binding):
            client.patch(
                f"{_RBAC}{place}/{body['kind'].lower()}s/{metadata['name']}",
                params={"fieldManager": "tests", "force": "true"},
                headers={"content-type": "application/apply-patch+yaml"},
                json={"apiVersion": f"{group}/v1", **body},
            ).raise_for_status()
