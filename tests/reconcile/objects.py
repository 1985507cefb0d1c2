"""The API server as the stories use it: objects made, changed, read and waited for."""

import base64
from collections.abc import Callable
from typing import Any

import httpx

from tests.harness.apiserver import ApiServer
from tests.harness.gateway import wait_until

Json = dict[str, Any]
VERSION = "faregate.dev/v1alpha1"
_PLACES = {
    "Account": (f"apis/{VERSION}", "accounts"),
    "ApiKey": (f"apis/{VERSION}", "apikeys"),
    "CreditAllowance": (f"apis/{VERSION}", "creditallowances"),
    "CreditGrant": (f"apis/{VERSION}", "creditgrants"),
    "GatewayFleet": (f"apis/{VERSION}", "gatewayfleets"),
    "Secret": ("api/v1", "secrets"),
    "Event": ("api/v1", "events"),
}


class Objects:
    """The objects of one namespace."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._http = server.client()
        self.namespace = namespace

    def close(self) -> None:
        self._http.close()

    def create_namespace(self) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self._http.post("/api/v1/namespaces", json=body).raise_for_status()

    def delete_namespace(self) -> None:
        self._http.delete(f"/api/v1/namespaces/{self.namespace}").raise_for_status()

    def has_namespace(self) -> bool:
        return self._http.get(f"/api/v1/namespaces/{self.namespace}").is_success

    def apply(self, body: Json) -> Json:
        """As `kubectl apply --server-side` does it."""
        metadata = body["metadata"]
        body = {**body, "metadata": {"namespace": self.namespace, **metadata}}
        answer = self._http.patch(
            self._path(body["kind"], metadata["name"]),
            params={"fieldManager": "tests", "force": "true"},
            headers={"content-type": "application/apply-patch+yaml"},
            json=body,
        )
        assert answer.is_success, answer.text
        found: Json = answer.json()
        return found

    def patch(self, kind: str, name: str, change: Json) -> None:
        self._http.patch(
            self._path(kind, name),
            headers={"content-type": "application/merge-patch+json"},
            json=change,
        ).raise_for_status()

    def get(self, kind: str, name: str) -> Json | None:
        answer = self._http.get(self._path(kind, name))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        found: Json = answer.raise_for_status().json()
        return found

    def list(self, kind: str) -> list[Json]:
        found: list[Json] = self._http.get(self._path(kind)).raise_for_status().json()["items"]
        return [{**one, "kind": kind} for one in found]

    def delete(self, kind: str, name: str) -> None:
        self._http.delete(self._path(kind, name)).raise_for_status()

    def values(self, secret: str) -> dict[str, str]:
        """The decoded values of a Secret; empty where there is none."""
        data = (self.get("Secret", secret) or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def reasons_of_events(self, name: str) -> set[str]:
        """The reasons of all Events about an object."""
        return {
            one["reason"] for one in self.list("Event") if one["involvedObject"]["name"] == name
        }

    def wait(self, kind: str, name: str, reason: str, seconds: float = 30.0) -> Json:
        """Until the object, as it is now, has this reason."""
        self.eventually(
            lambda: condition(self.get(kind, name), "Ready").get("reason") == reason,
            f"{kind} {name} to say {reason}",
            seconds,
        )
        found = self.get(kind, name)
        assert found is not None
        return found

    def wait_gone(self, kind: str, name: str, seconds: float = 30.0) -> None:
        self.eventually(lambda: self.get(kind, name) is None, f"{kind} {name} to go", seconds)

    def eventually(self, holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        """Wait for it; an API server that does not answer just now is waited for too."""

        def asked() -> bool:
            try:
                return holds()
            except (httpx.TransportError, httpx.HTTPStatusError):
                return False

        wait_until(asked, what, seconds)

    def _path(self, kind: str, name: str | None = None) -> str:
        base, plural = _PLACES[kind]
        return f"/{base}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")


def condition(found: Json | None, kind: str) -> Json:
    """One of an object's conditions, if it is about the object as it is now."""
    for one in ((found or {}).get("status") or {}).get("conditions") or ():
        is_now = found is not None and one["observedGeneration"] == found["metadata"]["generation"]
        if one["type"] == kind and is_now:
            return dict(one)
    return {}


def is_up_to_date(found: Json) -> bool:
    """Ready or Stalled with a reason, or waiting for an object that is not there."""
    verdicts = [condition(found, kind) for kind in ("Ready", "Stalled")]
    if verdicts[0].get("reason") in ("SecretNotFound", "FleetNotFound"):
        return [one.get("status") for one in verdicts] == ["False", "False"]
    return any(one.get("status") == "True" and one.get("reason") for one in verdicts)


def api_key(name: str, account: str = "alice", **spec: Any) -> Json:
    """An ApiKey; unless another one is named, its Secret is named after it."""
    if "valueFrom" not in spec:
        spec = {"secretName": f"{name}-key", **spec}
    return _document("ApiKey", name, {"account": account, **spec})


def credit_grant(name: str, account: str = "alice", credits: int = 100, **spec: Any) -> Json:
    return _document("CreditGrant", name, {"account": account, "credits": credits, **spec})


def account(name: str, **spec: Any) -> Json:
    return _document("Account", name, {"account": name, **spec})


def credit_allowance(name: str, **spec: Any) -> Json:
    return _document("CreditAllowance", name, {"credits": 100, "every": "month", **spec})


def brought_secret(name: str, plaintext: str, *, labelled: bool = True) -> Json:
    """A Secret that somebody brings along, as the documentation shows."""
    labels = {"faregate.dev/key": "true"} if labelled else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels},
        "stringData": {"value": plaintext},
    }


def fleet(name: str, **spec: Any) -> Json:
    """A fleet in front of the simulated upstream."""
    return _document(
        "GatewayFleet",
        name,
        {
            "upstreams": [{"name": "main", "url": "simulated:"}],
            "models": [{"id": "kimi-k2.5", "upstream": "main"}],
            "pricing": {"chatCreditsPerMessage": 1},
            **spec,
        },
    )


def _document(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
