"""The schemas, the cases of `accept/` and `reject/`, and an API server that has taken the schemas.

A case is a file: its first document is created, each further one replaces the one before. All but
the last must be accepted. In `reject/`, each line `# expect:` is a part of one complaint about the
last document, and there may be no other; `# only in a cluster` marks what the configuration file
of a standalone gateway does not refuse.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from msgspec import Struct

from tests.cluster.local.places import FOR_GO
from tests.harness.apiserver import ApiServer

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
NAMESPACE = "cases"
VERSION = "faregate.dev/v1alpha1"
PLURALS = {
    "Account": "accounts",
    "ApiKey": "apikeys",
    "CreditAllowance": "creditallowances",
    "CreditGrant": "creditgrants",
    "GatewayFleet": "gatewayfleets",
}
CRDS = {
    kind: yaml.safe_load((ROOT / f"crds/{plural}.yaml").read_text(encoding="utf-8"))
    for kind, plural in PLURALS.items()
}

#: a part of an OpenAPI schema, or an object of the API
Json = dict[str, Any]


class Case(Struct, frozen=True):
    """One file of `accept/` or `reject/`."""

    name: str
    documents: tuple[Json, ...]
    expected: tuple[str, ...]
    is_only_in_a_cluster: bool

    @property
    def kind(self) -> str:
        return str(self.documents[0]["kind"])


def cases(verdict: str) -> list[Case]:
    return [_read(path) for path in sorted((FOLDER / verdict).glob("*/*.yaml"))]


def _read(path: Path) -> Case:
    text = path.read_text(encoding="utf-8")
    head = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    return Case(
        name=f"{path.parent.name}/{path.stem}",
        documents=tuple(yaml.safe_load_all(text)),
        expected=tuple(line[8:] for line in head if line.startswith("expect: ")),
        is_only_in_a_cluster="only in a cluster" in head,
    )


def version(kind: str) -> Json:
    """The one version of a kind."""
    (only,) = CRDS[kind]["spec"]["versions"]
    assert isinstance(only, dict)
    return only


def schema(kind: str) -> Json:
    found = version(kind)["schema"]["openAPIV3Schema"]
    assert isinstance(found, dict)
    return found


def parts(part: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every part of a schema with its path, itself first: `spec.models[].id`."""
    yield path, part
    for name, inner in part.get("properties", {}).items():
        yield from parts(inner, f"{path}.{name}".lstrip("."))
    if "items" in part:
        yield from parts(part["items"], f"{path}[]")
    if "additionalProperties" in part:
        yield from parts(part["additionalProperties"], f"{path}.*")


class Kubectl:
    """`kubectl` as an administrator of one API server."""

    def __init__(self, server: ApiServer, program: Path) -> None:
        self._program = program
        self._environment = {
            "KUBECONFIG": str(server.kubeconfig),
            "HOME": str(server.folder),
            "PATH": os.environ["PATH"],
            **FOR_GO,
        }

    def run(self, *arguments: str, given: str | None = None) -> str:
        """The output of a command; it must succeed."""
        done = self.attempt(*arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def attempt(
        self, *arguments: str, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._program), *arguments],
            input=given, env=self._environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip


class Api:
    """The API over HTTP, as strict about unknown fields as `kubectl` is."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def create(self, document: Json) -> httpx.Response:
        return self._client.post(self._path(document), params=_STRICT, json=document)

    def replace(self, document: Json) -> httpx.Response:
        """As `kubectl apply` does it: what the document leaves out goes."""
        stored = self.read(document)
        version = {"resourceVersion": stored["metadata"]["resourceVersion"]}
        document = {**document, "metadata": {**document["metadata"], **version}}
        return self._client.put(self._path(document, named=True), params=_STRICT, json=document)

    def read(self, document: Json) -> Json:
        answer = self._client.get(self._path(document, named=True)).raise_for_status()
        found: Json = answer.json()
        return found

    def delete(self, document: Json) -> None:
        self._client.delete(self._path(document, named=True)).raise_for_status()

    def put_status(self, document: Json, status: Json) -> Json:
        """Replace the whole object through its status."""
        path = f"{self._path(document, named=True)}/status"
        found: Json = self._client.put(path, json={**document, "status": status}).json()
        return found

    def submit(self, documents: tuple[Json, ...]) -> httpx.Response:
        """Create the first, and replace it by each of the others. What came of the last."""
        answer = self.create(documents[0])
        for document in documents[1:]:
            answer.raise_for_status()
            answer = self.replace(document)
        return answer

    def wait_established(self) -> None:
        """Until the API serves all resources."""
        deadline = time.monotonic() + 30
        while not all(self._serves(plural) for plural in PLURALS.values()):
            assert time.monotonic() < deadline, "the resources are not served"
            time.sleep(0.05)

    def _serves(self, plural: str) -> bool:
        return self._client.get(f"/apis/{VERSION}/{plural}").status_code == httpx.codes.OK

    def _path(self, document: Json, *, named: bool = False) -> str:
        namespace = document["metadata"].get("namespace", NAMESPACE)
        path = f"/apis/{VERSION}/namespaces/{namespace}/{PLURALS[document['kind']]}"
        return f"{path}/{document['metadata']['name']}" if named else path


_STRICT = {"fieldValidation": "Strict"}
#: complaints that only follow from another one
_ECHOES = ("some validation rules were not checked", "Checked value must be of type")


def complaints(answer: httpx.Response) -> list[str]:
    """The API server's complaints about an object, one by one; empty where it took it."""
    if answer.is_success:
        return []
    status = answer.json()
    causes = status.get("details", {}).get("causes", [])
    if not causes:
        return [status["message"]]
    found = [f"{cause['field']}: {cause['message']}" for cause in causes]
    return [one for one in found if not any(echo in one for echo in _ECHOES)]
