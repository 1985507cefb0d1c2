"""A management key at work, and the namespaces of the tests."""

from typing import Any

import httpx

from tests.harness.gateway import NAMESPACE, PLAINTEXTS, GatewayProcess

JSON = dict[str, Any]
#: the namespace that a key of `NAMESPACE` has nothing to do with
FOREIGN = "other"


class Manager:
    """A management key at work."""

    def __init__(
        self, gateway: GatewayProcess, key: str = "manages", namespace: str = NAMESPACE
    ) -> None:
        self._gateway = gateway
        self._key = gateway.key(key, namespace)
        self._asked = 0

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {self._key}", **headers}
        return self._gateway.http.request(method, f"/api/v1{path}", json=body, headers=given)

    def made(self, **wanted: Any) -> tuple[JSON, str]:
        """A new key, and its secret."""
        self._asked += 1
        wanted = {"name": f"key {self._asked}", "account": f"{NAMESPACE}/alice", **wanted}
        # An account gets ten an hour: each story has one of its own.
        answer = self.ask("POST", "/keys", wanted, **{"idempotency-key": str(wanted)})
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "private, no-store"
        return with_secret(answer.json())

    def show(self, key: JSON) -> JSON:
        answer = self.ask("GET", f"/keys/{key['id']}")
        assert answer.status_code == 200, answer.text
        found: JSON = answer.json()
        return found


def with_secret(answer: JSON) -> tuple[JSON, str]:
    secret: str = answer.pop("secret")
    PLAINTEXTS.add(secret)
    return answer, secret
