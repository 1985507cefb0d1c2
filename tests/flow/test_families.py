"""Clients and probes by IPv4 and by IPv6, at one gateway that listens on every address."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.gateway import NAMESPACE, GatewayProcess, Simulated, api_key, credit_grant, fleet
from tests.harness.plain import get


@pytest.fixture
def gateway(simulated: Simulated, tmp_path: Path) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice")]
    process = GatewayProcess(tmp_path, documents, host="::").start()
    yield process
    assert process.stop() == 0, process.log_text()


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_a_pod_of_either_family_is_reached(gateway: GatewayProcess, address: str) -> None:
    assert get(f"http://{address}:{gateway.ops_port}/readyz").status_code == 200
    url = f"http://{address}:{gateway.port}/api/openai/v1/models"
    headers = {"authorization": f"Bearer {gateway.key('alice')}"}
    assert httpx.get(url, headers=headers, trust_env=False).status_code == 200


def test_standalone_clients_are_given_an_address_that_works(gateway: GatewayProcess) -> None:
    secret = (gateway.data / "secrets" / NAMESPACE / "alice-secret.env").read_text()
    assert f"http://localhost:{gateway.port}" in secret
