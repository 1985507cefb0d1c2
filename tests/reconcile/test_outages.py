"""Databases that come and go.

Operators in pairs, an API server that is away and a fresh cluster are stories of `tests/cluster`.
"""

import httpx

from tests.harness.apiserver import ApiServer
from tests.harness.gateway import DATABASES, wait_until
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import api_key, condition, credit_grant
from tests.reconcile.world import MakeWorld, World


def test_a_deleted_key_waits_for_a_database_that_is_away(
    api_server: ApiServer, own_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(api_server, own_server)
    operator = world.operator(sweep_seconds="2")
    world.team.apply(api_key("alice"))
    world.team.apply(api_key("bob"))
    world.check()
    plaintext = world.plaintext("alice-key")
    own_server.kill()
    world.team.apply(credit_grant("welcome"))
    world.team.delete("ApiKey", "alice")
    world.team.eventually(
        lambda: (
            condition(world.team.get("CreditGrant", "welcome"), "Ready").get("reason")
            == "DatabaseUnavailable"
        ),
        "the grant to say why",
    )
    world.team.eventually(
        lambda: (
            "Connection refused"
            in condition(world.team.get("CreditGrant", "welcome"), "Ready")["message"]
        ),
        "the grant to say it in the driver's words",
    )
    assert operator.log_text().count('"message":"the database does not answer: ') == 1
    assert world.team.get("ApiKey", "alice") is not None, "it must not go before it is revoked"
    assert operator.probe("healthz") == httpx.codes.OK, "a restart would not mend a database"
    own_server.start()
    world.team.wait_gone("ApiKey", "alice", 60)
    assert not world.is_usable("alice", plaintext)
    world.team.wait("CreditGrant", "welcome", "Posted", 60)
    assert operator.is_running
    world.check()
    DATABASES.discard(world.url)


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
    world.change_url(world.url)
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
