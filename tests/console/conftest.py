"""One gateway with a console for the whole folder, and browsers without a screen."""

from collections.abc import Iterator

import pytest

from gateway.core.principal import Role
from gateway.store.database import Database
from gateway.store.people import NamespaceRole
from gateway.store.sign_ins import make_link
from tests.console.browser import Browser
from tests.harness.gateway import (
    PLAINTEXTS,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
)


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


def link(gateway: GatewayProcess, role: Role = "treasurer", namespace: str = "*") -> str:
    """The path of a new link that signs in, as the command makes it."""
    database = Database(gateway.database_url)
    code = make_link(database, "default", [NamespaceRole(namespace, role)])
    database.close()
    PLAINTEXTS.add(code)
    return f"/console/start/{code}"


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
