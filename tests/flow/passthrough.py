"""Shared by the tests of pass-through: a gateway before upstreams of a dialect, and its client."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)

GRANT = 1_000_000
PLAIN, REASONING = 2, 5
LOOP = "!reason Where is it?\n!tool look {}\n!then\n!reason I see.\n!answer It is here."


@contextmanager
def gateway_before(
    url: str, folder: Path, upstreams: list[dict[str, Any]], models: list[dict[str, Any]]
) -> Iterator[GatewayProcess]:
    """A gateway with `upstreams` beside the usual one, all at `url`, for the accounts of two."""
    ups = [{"name": "main"}, *upstreams]
    document = fleet(url, upstreams=[{"url": url, **upstream} for upstream in ups])
    document["spec"]["models"] += models
    documents = [
        document,
        api_key("rich"),
        api_key("bob", "bob"),
        credit_grant("rich", credits=GRANT),
        credit_grant("bob", "bob", credits=GRANT),
    ]
    with running_gateway(folder, documents) as process:
        yield process


class PassthroughClient:
    """One client, and the last request that its upstream received."""

    def __init__(self, gateway: GatewayProcess, simulated: Simulated, name: str = "rich") -> None:
        self._simulated = simulated
        headers = {"authorization": f"Bearer {gateway.key(name)}"}
        self.http = httpx.Client(base_url=gateway.url, headers=headers, timeout=20, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def sent(self) -> dict[str, Any]:
        """The body that the upstream received."""
        body: dict[str, Any] = self._simulated.requests()[-1]["body"]
        return body
