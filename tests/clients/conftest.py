"""One gateway and one upstream for all clients, in a network that has only loopback."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.installed import folder
from tests.clients.namespace import NamespaceRefused, loopback_only
from tests.clients.site import Home, Site
from tests.harness.books import check_books
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder()
    with ExitStack() as stack:
        try:
            stack.enter_context(loopback_only())
        except NamespaceRefused as refusal:
            pytest.skip(f"no network namespace for the agent clients: {refusal}")
        made = tmp_path_factory.mktemp("clients")
        simulated = Simulated(made).start()
        stack.callback(simulated.kill)
        documents = [
            fleet(simulated.url),
            api_key("rich", "rich"),
            api_key("poor", "poor"),
            credit_grant("rich", "rich", credits=1_000_000),
        ]
        gateway = GatewayProcess(made, documents).start()
        stack.callback(gateway.kill)
        yield Site(gateway, simulated)
        assert gateway.stop() == 0, gateway.log_text()
        check_books(gateway.database_url)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)
