"""One gateway with a console for the whole folder, and browsers without a screen."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from gateway.store.database import Database
from gateway.store.migrate import migrate
from tests.console.browser import Browser
from tests.console.chromium import launched
from tests.console.steps import link
from tests.console.vouching import Documents
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet


@pytest.fixture(scope="session")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    granting = fleet(simulated.url, console={"grants": True})
    documents = [granting, api_key("alice"), api_key("bob", "bob"), credit_grant("one")]
    process = GatewayProcess(
        tmp_path_factory.mktemp("console"), documents, environment={"FAREGATE_ACCESS_LOG": "1"}
    )
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A real browser that the tests of a file share, each with a profile of its own."""
    with launched() as browser:
        yield browser


@pytest.fixture
def browser(gateway: GatewayProcess) -> Iterator[Browser]:
    """A browser that is not signed in."""
    with Browser(gateway.url) as made:
        yield made


@pytest.fixture
def treasurer(gateway: GatewayProcess) -> Iterator[Browser]:
    """One that a link has signed in."""
    with Browser(gateway.url) as made:
        path = link(gateway)
        made.submit(made.get(path), path)
        yield made


@pytest.fixture
def documents() -> Iterator[Documents]:
    """The documents of an issuer, which a test may change."""
    server = Documents()
    thread = threading.Thread(target=partial(server.serve_forever, 0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url_of_database(tmp_path: Path) -> str:
    """An SQLite file with its tables."""
    url = f"sqlite:///{tmp_path / 'faregate.db'}"
    database = Database(url)
    migrate(database)
    database.close()
    return url
