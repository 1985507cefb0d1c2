"""The Kubernetes API: the only module that talks to it. Dicts in, dicts out.

No models and no discovery: a table has the path of each kind. Every call ends within
`REQUEST_TIMEOUT_SECONDS`, and every failure is one of the errors below.
"""

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient, Resource

from gateway_operator.conditions import MESSAGE_CHARACTERS, timestamp
from gateway_operator.resources.names import FIELD_MANAGER, GROUP, VERSION
from gateway_operator.settings import REQUEST_TIMEOUT_SECONDS

Page = list[dict[str, Any]]

_OURS = (GROUP, VERSION)
#: kind → group, version, plural
_KINDS: Mapping[str, tuple[str, str, str]] = {
    "Account": (*_OURS, "accounts"),
    "ApiKey": (*_OURS, "apikeys"),
    "CreditAllowance": (*_OURS, "creditallowances"),
    "CreditGrant": (*_OURS, "creditgrants"),
    "GatewayFleet": (*_OURS, "gatewayfleets"),
    "ConfigMap": ("", "v1", "configmaps"),
    "CustomResourceDefinition": ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    "Deployment": ("apps", "v1", "deployments"),
    "Event": ("", "v1", "events"),
    "HTTPRoute": ("gateway.networking.k8s.io", "v1", "httproutes"),
    "HorizontalPodAutoscaler": ("autoscaling", "v2", "horizontalpodautoscalers"),
    "Ingress": ("networking.k8s.io", "v1", "ingresses"),
    "Namespace": ("", "v1", "namespaces"),
    "NetworkPolicy": ("networking.k8s.io", "v1", "networkpolicies"),
    "Pod": ("", "v1", "pods"),
    "PodDisruptionBudget": ("policy", "v1", "poddisruptionbudgets"),
    "Secret": ("", "v1", "secrets"),
    "SelfSubjectAccessReview": ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    "Service": ("", "v1", "services"),
    "ServiceAccount": ("", "v1", "serviceaccounts"),
}
#: the type that asks for metadata alone (Kubernetes API concepts, "Metadata-only fetches")
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
METADATA_OF_ONE, METADATA_OF_MANY = _METADATA.format(""), _METADATA.format("List")
_CLUSTER_WIDE = frozenset({"Namespace", "CustomResourceDefinition", "SelfSubjectAccessReview"})
_CONNECTIONS = 20
#: an object may have a megabyte, by any author, and a page is held whole
_PAGE = 100
#: the message by which a server-side apply refuses an object that fits no schema, with status 500
_FITS_NO_SCHEMA = "failed to create typed patch object"


class ClusterError(Exception):
    """Base of what the API server can answer instead of what was asked for."""


class ClusterUnavailable(ClusterError):
    """It does not answer, or answers that it cannot now; another attempt may succeed."""


class AlreadyExists(ClusterError):
    """An object of this name is there."""


class Conflict(ClusterError):
    """The object is not any more what it was when it was read."""


class Forbidden(ClusterError):
    """We may not, or the namespace is being deleted."""


class ObjectNotFound(ClusterError):
    """The object or its namespace is gone."""


class Rejected(ClusterError):
    """The object is not valid; the message gives the reason, and no other attempt will help."""


class Cluster:
    """One API server through one pool of connections."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._dynamic = DynamicClient(client)

    @classmethod
    async def connect(cls, environment: Mapping[str, str]) -> Self:
        """By the kubeconfig that the environment names, or else by the pod's service account."""
        configuration = Configuration()
        kubeconfig = environment.get("KUBECONFIG")
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in environment:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=kubeconfig, client_configuration=configuration
            )
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.disable_strict_ssl_verification = True  # as `login` does, for its reason
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        await self._client.close()

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None. A cluster-wide kind takes any namespace."""
        try:
            return await self._call("get", _path(kind, namespace, name))
        except ObjectNotFound:
            return None

    async def pages(
        self,
        kind: str,
        namespace: str | None = None,
        labels: str | None = None,
        *,
        only_metadata: bool = False,
    ) -> AsyncIterator[Page]:
        """All objects of a kind, of one namespace or of all, a hundred at a time.

        Complete, or an error is raised in between.
        """
        api_version = _api_version(kind)
        page = None
        while True:
            found = await self._call(
                "get",
                _path(kind, namespace),
                label_selector=labels,
                limit=_PAGE,
                _continue=page,
                header_params={"Accept": METADATA_OF_MANY} if only_metadata else {},
            )
            items: Page = found["items"] or []  # of metadata, a list of nothing has none
            for item in items:  # a list leaves out what its items have in common
                item["apiVersion"] = api_version
                item["kind"] = kind
                item["metadata"].pop("managedFields", None)  # half of it, and of no use
            yield items
            page = found["metadata"].get("continue")
            if not page:
                return

    async def list(
        self, kind: str, namespace: str | None = None, labels: str | None = None
    ) -> Page:
        """All objects of a kind, of one namespace or of all; complete, or an error is raised."""
        items: Page = []
        async for page in self.pages(kind, namespace, labels):
            items += page
        return items

    async def can_list(self, kind: str, namespace: str, labels: str | None = None) -> bool:
        """Return whether a kind may be listed in a namespace. Raises `ClusterUnavailable`."""
        try:
            await self._call(
                "get",
                _path(kind, namespace),
                label_selector=labels,
                limit=1,
                header_params={"Accept": METADATA_OF_MANY},
            )
        except (Forbidden, ObjectNotFound):
            return False
        return True

    async def may_watch(self, kind: str, namespace: str) -> bool:
        """Return whether a kind may be watched in a namespace, also where nobody may ask.

        Raises `ClusterUnavailable`.
        """
        group, _, plural = _KINDS[kind]
        right = {"namespace": namespace, "verb": "watch", "group": group, "resource": plural}
        review = {
            "apiVersion": _api_version("SelfSubjectAccessReview"),
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": right},
        }
        try:
            answer = await self._call("post", _path("SelfSubjectAccessReview"), body=review)
        except (Forbidden, ObjectNotFound):
            return True
        return bool(answer["status"]["allowed"])

    async def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply: our fields become those of `body`, others stay as they are."""
        return await self._apply(_path_of(body), body, FIELD_MANAGER)

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Raises `AlreadyExists` where an object of this name is there."""
        path = _path(body["kind"], body["metadata"].get("namespace"))
        return await self._call("post", path, body=body, field_manager=FIELD_MANAGER)

    async def replace(self, body: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole object as it was read. Raises `Conflict`, `ObjectNotFound`."""
        assert body["metadata"].get("resourceVersion"), "a replacement says what it replaces"
        return await self._call("put", _path_of(body), body=body, field_manager=FIELD_MANAGER)

    async def patch(
        self, kind: str, namespace: str, name: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """A merge patch, for single annotations and the like."""
        return await self._merge(_path(kind, namespace, name), body)

    async def stop_deployment(self, namespace: str, name: str) -> None:
        """Scale a Deployment to 0 replicas; the next apply of it starts it again.

        A 0 that is written through the scale belongs to no field manager, so no apply conflicts.
        """
        path = f"{_path('Deployment', namespace, name)}/scale"
        await self._merge(path, {"spec": {"replicas": 0}})

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Ask for an object's end; what it owns goes in the background. Gone is success."""
        try:
            await self._call(
                "delete", _path(kind, namespace, name), propagation_policy="Background"
            )
        except ObjectNotFound:
            return

    async def apply_status(
        self,
        kind: str,
        namespace: str,
        name: str,
        status: dict[str, Any],
        manager: str = FIELD_MANAGER,
    ) -> None:
        """Make these the manager's fields of the status; those of other managers stay.

        An object or namespace that is going away needs none.
        """
        body = {
            "apiVersion": _api_version(kind),
            "kind": kind,
            "metadata": {"namespace": namespace, "name": name},
            "status": status,
        }
        try:
            await self._apply(f"{_path(kind, namespace, name)}/status", body, manager)
        except (ObjectNotFound, Forbidden):
            return

    async def patch_finalizers(
        self, kind: str, namespace: str, name: str, finalizers: Sequence[str], resource_version: str
    ) -> None:
        """Set the finalizers of an object as it was read. Raises `Conflict`, `ObjectNotFound`."""
        metadata = {"finalizers": [*finalizers], "resourceVersion": resource_version}
        await self.patch(kind, namespace, name, {"metadata": metadata})

    async def event(
        self, kind: str, obj: dict[str, Any], reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Post an Event, for readers of the object. Without a promise: an Event may be lost."""
        metadata = obj["metadata"]
        moment = timestamp(datetime.now(UTC))
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "namespace": metadata["namespace"],
                "name": f"{metadata['name'][:200]}.{secrets.token_hex(8)}",
            },
            "involvedObject": {
                "apiVersion": _api_version(kind),
                "kind": kind,
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
            },
            "reason": reason,
            "message": message[:MESSAGE_CHARACTERS],
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
        }
        try:
            await self.create(body)
        except ClusterError:
            return

    async def _merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._call(
            "patch",
            path,
            body=body,
            content_type="application/merge-patch+json",
            field_manager=FIELD_MANAGER,
        )

    async def _apply(self, path: str, body: dict[str, Any], manager: str) -> dict[str, Any]:
        return await self._call(
            "patch",
            path,
            body=body,
            content_type="application/apply-patch+yaml",
            field_manager=manager,
            force_conflicts=True,
        )

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = await self._dynamic.request(
                method,
                path,
                serialize=False,
                _request_timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
                **options,
            )
            answer: dict[str, Any] = msgspec.json.decode(await response.read())
        except ApiException as error:
            raise _named(error) from None
        except (aiohttp.ClientError, msgspec.DecodeError, TimeoutError, OSError) as error:
            raise ClusterUnavailable(f"the API server does not answer: {error!r}") from None
        return answer


def _named(error: ApiException) -> ClusterError:
    """The error that a `Status` object means (Kubernetes API conventions, "Response Status")."""
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        status = {}
    kind = {400: Rejected, 403: Forbidden, 404: ObjectNotFound, 409: Conflict, 422: Rejected}.get(
        error.status, ClusterUnavailable
    )
    message = status.get("message") or f"{error.status} {error.reason}"
    if kind is Conflict and status.get("reason") == "AlreadyExists":
        kind = AlreadyExists
    if kind is ClusterUnavailable and message.startswith(_FITS_NO_SCHEMA):
        kind = Rejected
    return kind(message)


def _api_version(kind: str) -> str:
    group, version, _ = _KINDS[kind]
    return f"{group}/{version}" if group else version


def _path(kind: str, namespace: str | None = None, name: str | None = None) -> str:
    group, version, plural = _KINDS[kind]
    resource = Resource(
        prefix="apis" if group else "api",
        group=group,
        api_version=version,
        kind=kind,
        name=plural,
        namespaced=kind not in _CLUSTER_WIDE,
    )
    path: str = resource.path(name=name, namespace=namespace)
    return path


def _path_of(body: dict[str, Any]) -> str:
    metadata = body["metadata"]
    return _path(body["kind"], metadata.get("namespace"), metadata["name"])
