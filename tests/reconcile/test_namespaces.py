"""Namespaces that end, and Secrets that go with their keys: by Kubernetes' own controllers."""

from tests.harness.apiserver import ApiServer
from tests.harness.gateway import wait_until
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import api_key, credit_grant
from tests.reconcile.world import MakeWorld, World


def test_whatever_is_deleted_goes_and_no_key_outlives_its_object(
    governed_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(governed_api_server, postgres_server)
    operator = world.operator()
    for name in ("alice", "bob", "carol"):
        world.team.apply(api_key(name))
    world.team.apply(credit_grant("welcome"))
    world.check()
    plaintexts = {name: world.plaintext(f"{name}-key") for name in ("alice", "bob", "carol")}

    world.team.delete("ApiKey", "alice")
    world.team.wait_gone("ApiKey", "alice")
    world.team.wait_gone("Secret", "alice-key", 60)
    world.check()

    world.team.delete_namespace()
    wait_until(lambda: not world.team.has_namespace(), "the team's namespace to go", 90)
    for name, plaintext in plaintexts.items():
        assert not world.is_usable(name, plaintext)
        row = world.row(name)
        assert row is not None
        assert row.revoked
    assert world.balance() == 100, "money stays"
    assert operator.is_running


def test_the_end_of_the_operators_own_namespace_leaves_nothing_that_hangs(
    world: World,
) -> None:
    """A namespace's pods are ended before its other objects, so the operator still may do this."""
    operator = world.operator()
    world.team.apply(api_key("alice"))
    world.system.apply(api_key("carol"))
    world.check()
    plaintext = world.plaintext("alice-key")
    world.system.delete_namespace()
    assert operator.stop() == 0
    for place, name in ((world.team, "alice"), (world.system, "carol")):
        found = place.get("ApiKey", name)
        assert found is not None
        assert "finalizers" not in found["metadata"]
    assert world.is_usable("alice", plaintext), "whoever has the key goes on"
