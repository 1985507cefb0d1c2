"""The simulated upstream's requests, as the cases look at them, over one connection."""

from typing import Any

import httpx

from tests.harness.gateway import Simulated


class Upstream:
    """The upstream's own account of what reached it."""

    def __init__(self, simulated: Simulated) -> None:
        self._http = httpx.Client(base_url=simulated.url.removesuffix("/v1"), trust_env=False)

    def close(self) -> None:
        self._http.close()

    def body(self) -> dict[str, Any]:
        """The last request's body."""
        found: dict[str, Any] = self._http.get("/stats/requests").json()[-1]["body"]
        return found

    def messages(self) -> list[dict[str, Any]]:
        """The messages of the last request."""
        found: list[dict[str, Any]] = self.body()["messages"]
        return found

    def received(self) -> int:
        """The number of requests."""
        return int(self._http.get("/stats").json()["received"])
