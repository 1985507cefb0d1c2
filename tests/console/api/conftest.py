"""One gateway for the JSON API, whose keys manage two namespaces that must not meet."""

from collections.abc import Iterator

import pytest

from tests.console.api.manager import FOREIGN, Manager
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)


@pytest.fixture(scope="session")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    foreign = [
        api_key("foreign", "alice"),
        api_key("foreign-manages", "automation", scope="manage"),
        credit_grant("foreign", credits=10_000),
    ]
    for document in foreign:
        document["metadata"]["namespace"] = FOREIGN
    keys = [f"{NAMESPACE}/manages", f"{FOREIGN}/foreign-manages"]
    granting = {"grants": True, "grantingKeys": keys}
    documents = [
        fleet(simulated.url, console=granting),
        api_key("infers"),
        api_key("manages", "automation", scope="manage"),
        api_key("grants-nothing", "automation", scope="manage"),
        credit_grant("alice", credits=10_000),
        credit_grant("automation", "automation", credits=10_000),
        *foreign,
    ]
    with running_gateway(tmp_path_factory.mktemp("api"), documents) as process:
        yield process


@pytest.fixture
def manager(gateway: GatewayProcess) -> Manager:
    return Manager(gateway)
