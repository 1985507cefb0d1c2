"""One console for the whole folder, with a real identity provider."""

from collections.abc import Iterator

import pytest

from tests.console.identity_provider import CLIENT_ID, IdentityProvider
from tests.console.routes.world import URL, World
from tests.harness.postgres import PostgresServer


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    made = IdentityProvider(tmp_path_factory.mktemp("routes"))
    made.start(URL)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def world(postgres_server: PostgresServer, issuer: IdentityProvider) -> Iterator[World]:
    made = World(
        postgres_server.create_migrated(),
        oidc={
            "issuer": issuer.url,
            "clientID": CLIENT_ID,
            "secretRef": {"name": "console", "key": "console-secret"},
        },
    )
    yield made
    made.close()
