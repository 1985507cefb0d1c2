"""One gateway with a console for the whole folder, and browsers without a screen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium

from tests.console.browser import Browser
from tests.console.chromium import launched
from tests.console.steps import link
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
