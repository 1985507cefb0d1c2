"""One gateway for each file of traps, in front of the strict simulated upstream."""

from collections.abc import Iterator

import httpx
import pytest

from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)
from tests.traps.support import Client


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[GatewayProcess]:
    """It fills silence early for a file with `TIMES` only: else statuses may come too late."""
    documents = [
        fleet(simulated.url, limits=getattr(request.module, "TIMES", {})),
        api_key("rich"),
        api_key("poor", "poor"),
        credit_grant("rich", credits=1_000_000),
    ]
    with running_gateway(tmp_path_factory.mktemp("traps"), documents) as process:
        yield process


@pytest.fixture(scope="module")
def counters(simulated: Simulated) -> Iterator[httpx.Client]:
    """The simulated upstream's own view; one connection for all the looks at it."""
    with httpx.Client(base_url=f"http://127.0.0.1:{simulated.port}", trust_env=False) as http:
        yield http


@pytest.fixture
def client(gateway: GatewayProcess, counters: httpx.Client) -> Client:
    return Client(gateway, counters, gateway.key("rich"))


@pytest.fixture
def poor(gateway: GatewayProcess, counters: httpx.Client) -> Client:
    """A client whose account has no credits."""
    return Client(gateway, counters, gateway.key("poor"))
