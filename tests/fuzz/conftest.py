"""One gateway for each file, with small limits so that reaching them costs little."""

from collections.abc import Iterator

import pytest

from tests.fuzz.support import Prober
from tests.harness.books import check_books
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """One of its own: what it remembers of these requests is no reading for other tests."""
    process = Simulated(tmp_path_factory.mktemp("simulated")).start()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def database_of_module() -> str | None:
    """SQLite in the gateway's own folder; a file that needs another overrides it."""
    return None


@pytest.fixture(scope="module")
def gateway(
    database_of_module: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url, limits={"bodyBytes": 300_000}),
        api_key("rich"),
        credit_grant("rich", credits=1_000_000),
    ]
    process = GatewayProcess(
        tmp_path_factory.mktemp("fuzz"), documents, database_url=database_of_module
    ).start()
    yield process
    assert process.is_running
    assert "met a bug" not in process.log_text()
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


@pytest.fixture(scope="module")
def prober(gateway: GatewayProcess, simulated: Simulated) -> Iterator[Prober]:
    prober = Prober(gateway, simulated)
    yield prober
    prober.close()
