"""An API server and a PostgreSQL for the stories, and a world of its own for each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.postgres import PostgresServer
from tests.reconcile.resources import install_resources
from tests.reconcile.world import MakeWorld, World


def _start_api_server(*, controllers: bool = False) -> ApiServer:
    programs = find_kubernetes()
    if programs is None:
        pytest.skip(MISSING)
    server = ApiServer(programs, controllers=controllers).start()
    install_resources(server)
    return server


@pytest.fixture(scope="package")
def api_server() -> Iterator[ApiServer]:
    """The server that most stories share."""
    server = _start_api_server()
    yield server
    server.remove()


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    """Worlds on servers that a story chooses; none of their operators outlives it."""
    made: list[World] = []

    def make(server: ApiServer, postgres: PostgresServer) -> World:
        made.append(World(server, postgres, tmp_path))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld) -> World:
    """A team and an empty database."""
    return make_world(api_server, postgres_server)


@pytest.fixture(scope="package")
def town(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A cluster with one operator for all of its namespaces."""
    server = _start_api_server()
    world = World(server, postgres_server, tmp_path_factory.mktemp("town"), whole=True)
    world.operator(sweep_seconds="1")
    yield world
    world.close()
    server.remove()


@pytest.fixture
def shared(town: World) -> Iterator[World]:
    """A team of that cluster, for stories that leave its operator and its fleet as they are."""
    world = town.with_team()
    yield world
    world.leave()


@pytest.fixture
def own_api_server() -> Iterator[ApiServer]:
    """A server that a story may stop or wipe."""
    server = _start_api_server()
    yield server
    server.remove()


@pytest.fixture
def governed_api_server() -> Iterator[ApiServer]:
    """A server of its own, with controllers that end namespaces and collect what lost its owner."""
    server = _start_api_server(controllers=True)
    yield server
    server.remove()
