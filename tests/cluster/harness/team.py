"""A team: a namespace with keys and grants, as its members handle them."""

from typing import Any

from tests.cluster.harness import objects
from tests.cluster.harness.installation import Installation, Key
from tests.cluster.harness.kube import Document, condition


class Team:
    """One namespace. What it applies it may wait for."""

    def __init__(self, faregate: Installation, name: str) -> None:
        self.faregate = faregate
        self.kube = faregate.kube
        self.name = name
        self.kube.apply(objects.namespace(name))

    def apply(self, *documents: Document, seconds: float = 60) -> None:
        self.kube.apply(*documents, namespace=self.name, seconds=seconds)

    def wait(self, kind: str, *names: str, seconds: float = 60) -> None:
        self.kube.wait_ready(kind, self.name, *names, seconds=seconds)

    def with_key(self, name: str = "alice", credits: int = 1000, **spec: Any) -> str:
        """An account with a key and credits; the plaintext, once both are Ready."""
        self.apply(
            objects.api_key(name, name, **spec),
            objects.credit_grant(name, name, credits=credits),
        )
        self.wait("apikey", name)
        self.wait("creditgrant", name)
        return self.key(name)

    def key(self, name: str = "alice") -> str:
        return self.faregate.key(self.name, name)

    def keys(self) -> dict[str, Key]:
        """The plaintexts of all keys, by name."""
        return self.faregate.keys(self.name)

    def change(self, name: str, **spec: Any) -> None:
        """Change an ApiKey's spec."""
        self.kube.patch("apikey", name, self.name, {"spec": spec})

    def delete_key(self, name: str) -> None:
        """Delete an ApiKey; returns when it is gone."""
        self.kube.delete("apikey", name, self.name)

    def get(self, kind: str, name: str) -> Document:
        found = self.kube.get(kind, name, self.name)
        assert found is not None, f"{kind} {self.name}/{name} is gone"
        return found

    def ready(self, kind: str) -> int:
        """The number of objects of a kind that are Ready as they are now."""
        found = self.kube.all(kind, self.name)
        return sum(condition(one, "Ready").get("status") == "True" for one in found)

    def leave(self) -> None:
        """Delete the namespace with all that is in it, without waiting."""
        self.kube.delete("namespace", self.name, None, "--wait=false")
