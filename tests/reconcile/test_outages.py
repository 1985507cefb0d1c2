"""Operators in pairs, and databases and API servers that come and go."""

import threading

import httpx

from tests.harness.apiserver import ApiServer
from tests.harness.gateway import DATABASES, wait_until
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import api_key, condition, credit_grant
from tests.reconcile.resources import install_resources
from tests.reconcile.world import MakeWorld, World

_OBJECTS = 100
#: longer than a client waits for an answer; the minute is for the cluster tests
_API_SERVER_DOWN_SECONDS = 20.0


def _create_many(world: World, number: int = _OBJECTS) -> None:
    """Half keys, half grants, one account each; whatever is refused is tried again."""

    def create(body: dict[str, object]) -> None:
        def tried() -> bool:
            world.team.apply(body)
            return True

        world.team.eventually(tried, "an object to be taken", 180)

    for each in range(number // 2):
        create(api_key(f"key-{each}", account=f"account-{each}"))
        create(credit_grant(f"grant-{each}", account=f"account-{each}"))


def test_two_operators_at_once_do_no_harm(world: World) -> None:
    world.operator()
    world.operator()
    _create_many(world, 40)
    world.check()
    for each in range(20):
        assert world.balance(f"account-{each}") == 100
    for each in range(0, 20, 2):
        name = f"key-{each}"
        rotated = {"generation": 1, "overlap": "0s"}
        world.team.apply(api_key(name, account=f"account-{each}", rotation=rotated))
        world.team.delete("ApiKey", f"key-{each + 1}")
    for each in range(1, 20, 2):
        world.team.wait_gone("ApiKey", f"key-{each}")
    world.check()


def test_a_deleted_key_waits_for_a_database_that_is_away(
    api_server: ApiServer, own_postgres: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(api_server, own_postgres)
    operator = world.operator(sweep_seconds="2")
    world.team.apply(api_key("alice"))
    world.team.apply(api_key("bob"))
    world.check()
    plaintext = world.plaintext("alice-key")
    own_postgres.kill()
    world.team.apply(credit_grant("welcome"))
    world.team.delete("ApiKey", "alice")
    world.team.eventually(
        lambda: (
            condition(world.team.get("CreditGrant", "welcome"), "Ready").get("reason")
            == "DatabaseUnavailable"
        ),
        "the grant to say why",
    )
    assert world.team.get("ApiKey", "alice") is not None, "it must not go before it is revoked"
    assert operator.probe("healthz") == httpx.codes.OK, "a restart would not mend a database"
    own_postgres.start()
    world.team.wait_gone("ApiKey", "alice", 60)
    assert not world.is_usable("alice", plaintext)
    world.team.wait("CreditGrant", "welcome", "Posted", 60)
    assert operator.is_running
    world.check()
    DATABASES.discard(world.url)


def test_an_api_server_that_is_away_during_a_hundred_creates(
    own_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(own_api_server, postgres_server)
    operator = world.operator()
    creating = threading.Thread(target=_create_many, args=(world,))
    creating.start()
    wait_until(lambda: world.scalar("SELECT count(*) FROM api_key") >= 10, "some of the keys")
    own_api_server.stop()
    threading.Event().wait(_API_SERVER_DOWN_SECONDS)
    assert operator.is_running
    own_api_server.start()
    creating.join(180)
    assert not creating.is_alive()
    # An API server that has just come back may still ask for patience (429).
    world.team.eventually(
        lambda: len(world.team.list("ApiKey")) == _OBJECTS // 2, "every key to be there"
    )
    world.wait_settled(180)
    world.check()
    for each in range(_OBJECTS // 2):
        assert world.balance(f"account-{each}") == 100


def test_the_same_manifests_in_a_fresh_cluster_pay_nothing_twice(
    own_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(own_api_server, postgres_server)
    manifests = [api_key("alice"), api_key("bob", account="bob"), credit_grant("welcome")]
    operator = world.operator()
    for manifest in manifests:
        world.team.apply(manifest)
    world.check()
    first = world.plaintext("alice-key")
    kept = world.system.get("Secret", "tollgate-installation")
    assert kept is not None
    operator.kill()
    own_api_server.wipe()
    install_resources(own_api_server)
    world.furnish()
    data = {name: kept[name] for name in ("apiVersion", "kind", "data")}
    world.system.apply({**data, "metadata": {"name": "tollgate-installation"}})
    for manifest in manifests:
        world.team.apply(manifest)
    world.operator()
    world.team.wait("CreditGrant", "welcome", "AlreadyPosted")
    world.team.wait("ApiKey", "alice", "Issued")
    assert "Reissued" in world.team.reasons_of_events("alice")
    assert world.balance() == 100
    assert not world.is_usable("alice", first), "the Secret is gone with the old cluster"
    world.check()


def test_a_database_restored_to_an_older_point_is_brought_up_to_date(
    world: World, postgres_server: PostgresServer
) -> None:
    operator = world.operator(sweep_seconds="1")
    world.team.apply(api_key("old"))
    world.team.apply(api_key("rotated"))
    world.team.apply(credit_grant("old"))
    world.check()
    operator.kill()
    backup = postgres_server.dump(world.url.rsplit("/", 1)[1])
    operator = world.operator(sweep_seconds="1")
    before = world.plaintext("rotated-key")
    world.team.apply(api_key("rotated", rotation={"generation": 1, "overlap": "0s"}))
    world.team.apply(api_key("new", account="bob"))
    world.team.apply(credit_grant("new", account="bob"))
    world.team.delete("ApiKey", "old")
    world.team.wait_gone("ApiKey", "old")
    world.team.eventually(lambda: world.plaintext("rotated-key") != before, "the rotation")
    world.check()
    operator.kill()
    DATABASES.discard(world.url)
    world.url = postgres_server.create_database()
    DATABASES.add(world.url)
    postgres_server.restore(world.url, backup)
    world.operator(sweep_seconds="1")
    wait_until(lambda: world.row("new") is not None, "the new key's row")
    world.team.wait("CreditGrant", "new", "Posted")
    row = world.row("old")
    assert row is not None

    def suspended() -> bool:
        found = world.row("old")
        return found is not None and (found.suspended or found.revoked)

    wait_until(suspended, "the deleted key, alive again, to be suspended")
    wait_until(
        lambda: world.is_usable("rotated", world.plaintext("rotated-key")), "the Secret's key"
    )
    assert not world.is_usable("rotated", before)
    assert world.balance("alice") == 100
    assert world.balance("bob") == 100
    world.check()
