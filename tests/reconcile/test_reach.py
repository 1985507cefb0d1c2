"""An operator with a Role in each of its namespaces, of which some come, go, or refuse it."""

import itertools

import httpx
import pytest

from tests.harness.apiserver import ApiServer
from tests.harness.gateway import wait_until
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import Objects, api_key, credit_grant
from tests.reconcile.resources import allow_in, refuse_in
from tests.reconcile.spending import read_metrics
from tests.reconcile.world import MakeWorld, Operator, World

_NUMBERS = itertools.count(1)


@pytest.fixture
def guest(api_server: ApiServer) -> Objects:
    """A namespace that does not exist yet."""
    return Objects(api_server, f"guest-{next(_NUMBERS)}")


def start(world: World, user: str, guest: Objects) -> Operator:
    """An operator that is to serve the team and a guest, and has no rights at the guest's."""
    kubeconfig = allow_in(world.server, user, [world.team.namespace, world.system.namespace])
    named = f"{world.team.namespace},{guest.namespace}"
    return world.operator(kubeconfig=kubeconfig, watch_namespaces=named, sweep_seconds="1")


def refused(operator: Operator) -> float:
    return read_metrics(operator)["faregate_refused_namespaces",]


def swept_at(operator: Operator) -> float:
    return read_metrics(operator)["faregate_sweep_timestamp_seconds",]


def wait_for_a_sweep(operator: Operator) -> None:
    """A whole one, that began after now."""
    for _ in range(2):
        before = swept_at(operator)
        wait_until(lambda before=before: swept_at(operator) > before, "a sweep")  # type: ignore[misc]  # bound in the loop


def test_a_namespace_that_is_not_there_yet_keeps_no_other_waiting(
    world: World, guest: Objects
) -> None:
    operator = start(world, "early", guest)
    assert refused(operator) == 1
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")

    guest.create_namespace()
    guest.apply(api_key("gina"))
    allow_in(world.server, "early", [guest.namespace])
    guest.wait("ApiKey", "gina", "Issued", 60)
    assert refused(operator) == 0
    guest.apply(api_key("george"))
    guest.wait("ApiKey", "george", "Issued")
    guest.close()


def test_a_namespace_that_lets_nobody_watch_is_not_served(world: World, guest: Objects) -> None:
    """After ten minutes of refusals the watch would end the operator, for all namespaces."""
    guest.create_namespace()
    allow_in(world.server, "blind", [guest.namespace], but=("apikeys", "watch"))
    operator = start(world, "blind", guest)
    assert refused(operator) == 1
    allow_in(world.server, "blind", [guest.namespace])
    wait_until(lambda: refused(operator) == 0, "the right to be noticed", 60)
    guest.apply(api_key("gina"))
    guest.wait("ApiKey", "gina", "Issued")
    guest.close()


def test_a_namespace_that_refuses_takes_nothing_from_the_others(
    world: World, guest: Objects
) -> None:
    guest.create_namespace()
    allow_in(world.server, "refused", [guest.namespace])
    operator = start(world, "refused", guest)
    assert refused(operator) == 0
    guest.apply(api_key("gina"))
    guest.wait("ApiKey", "gina", "Issued")
    plaintext = guest.values("gina-key")["OPENAI_API_KEY"]

    refuse_in(world.server, "refused", guest.namespace)
    wait_until(lambda: refused(operator) == 1, "the refusal to be noticed", 60)
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome"))
    world.check()
    wait_for_a_sweep(operator)
    world.team.patch("Secret", "alice-key", {"data": {"OPENAI_BASE_URL": None}})
    world.team.eventually(
        lambda: "OPENAI_BASE_URL" in world.team.values("alice-key"), "drift to be mended"
    )
    assert operator.probe("healthz") == httpx.codes.OK
    assert operator.log_text().count("is gone or refuses the operator") == 1

    guest_world = world.with_team()
    guest_world.team.close()
    guest_world.team = guest
    assert guest_world.is_usable("gina", plaintext), "nobody has deleted this key"

    allow_in(world.server, "refused", [guest.namespace])
    wait_until(lambda: refused(operator) == 0, "the return to be noticed", 60)
    guest.apply(api_key("george"))
    guest.wait("ApiKey", "george", "Issued")
    guest_world.leave()


def test_an_uninstall_releases_what_it_may(world: World, guest: Objects) -> None:
    guest.create_namespace()
    allow_in(world.server, "leaving", [guest.namespace])
    operator = start(world, "leaving", guest)
    for objects, name in ((world.team, "alice"), (guest, "gina")):
        objects.apply(api_key(name))
        objects.wait("ApiKey", name, "Issued")
    operator.kill()
    allow_in(world.server, "leaving", [guest.namespace], but=("apikeys", "patch"))
    world.release_finalizers(
        KUBECONFIG=str(world.server.write_kubeconfig("leaving")),
        FAREGATE_WATCH_NAMESPACES=f"missing,{guest.namespace},{world.team.namespace}",
    )
    found = world.team.get("ApiKey", "alice")
    assert found is not None
    assert "finalizers" not in found["metadata"]
    guest.close()


def test_a_namespace_that_is_deleted_ends_alone(
    governed_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    """Its Role goes with it, perhaps before its keys."""
    world = make_world(governed_api_server, postgres_server)
    guest = Objects(governed_api_server, "guest")
    guest.create_namespace()
    allow_in(world.server, "lasting", [guest.namespace])
    operator = start(world, "lasting", guest)
    guest.delete_namespace()
    wait_until(lambda: not guest.has_namespace(), "the guest's namespace to go", 90)
    wait_until(lambda: refused(operator) == 1, "it to be noticed", 60)
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")
    wait_for_a_sweep(operator)
    operator.kill()
    operator = start(world, "lasting", guest)
    world.team.apply(api_key("bob"))
    world.team.wait("ApiKey", "bob", "Issued")
    guest.close()


def test_the_password_of_the_database_rotates_and_nobody_restarts_the_operator(
    api_server: ApiServer, own_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(api_server, own_server)
    for statement in ("CREATE ROLE old LOGIN SUPERUSER", "CREATE ROLE new LOGIN SUPERUSER"):
        world.execute(statement)
    right = world.url
    old = right.replace("postgres@", "old:first-password@")
    world.change_url(old)
    operator = world.operator(database_url=old)
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")

    world.change_url(right.replace("postgres@", "new:second-password@") + "\n")
    world.execute("ALTER ROLE old NOLOGIN")
    world.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'old'")
    world.team.apply(api_key("bob"))
    world.team.wait("ApiKey", "bob", "Issued", 60)
    assert operator.is_running
    for password in ("first-password", "second-password"):
        assert password not in operator.log_text()
