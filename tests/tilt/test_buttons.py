"""The buttons' programs, pressed: an API server, an operator and a gateway, all of them real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.gateway import ROOT, GatewayProcess, Simulated, fleet
from tests.harness.postgres import PostgresServer
from tests.harness.shell import Shell, find_program
from tests.reconcile.resources import install_resources
from tests.reconcile.world import World


@pytest.fixture
def world(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[World]:
    programs = find_kubernetes()
    if programs is None or find_program("kubectl") is None:
        pytest.skip(MISSING)
    server = ApiServer(programs).start()
    try:
        install_resources(server)
        world = World(server, postgres_server, tmp_path)
        yield world
        world.close()
    finally:
        server.remove()


def test_a_key_credits_and_a_chat(world: World, simulated: Simulated, tmp_path: Path) -> None:
    world.operator()
    (secret,) = world.system.values("faregate-installation").values()
    gateway = GatewayProcess(
        tmp_path,
        [fleet(simulated.url)],
        environment={"FAREGATE_DATABASE_URL": world.url, "FAREGATE_INSTALLATION_SECRET": secret},
    ).start(apply=False)
    shell = Shell(world.server, ROOT)
    pressed = {"NAMESPACE": world.team.namespace, "NAME": "bob", "ACCOUNT": "bob"}

    output = shell.run(".dev/tilt/make-key", **pressed)
    assert "apikey.faregate.dev/bob condition met" in output
    key = world.plaintext("bob-key")
    for _ in range(2):
        output = shell.run(".dev/tilt/grant-credits", **pressed, CREDITS="21")
        assert "condition met" in output
    output = shell.run(
        ".dev/tilt/send-chat", **pressed, MESSAGE='"Hi" twice', FAREGATE_URL=gateway.url
    )
    assert "data: [DONE]" in output
    assert "x-credits-charged: 2" in output
    assert key not in output
    assert world.balance("bob") == 40
    assert gateway.stop() == 0
