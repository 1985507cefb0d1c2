"""A fault of one object must not keep the others from their turn."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from gateway.core.errors import DatabaseUnavailable
from gateway.store.counts import count_keys
from gateway.store.database import Database
from gateway_operator.apply.balances import Balances
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.periodic import repeat
from gateway_operator.cluster import Rejected
from gateway_operator.plan.balances import ShownFigures
from tests.harness.apiserver import ApiServer
from tests.harness.books import somebody_else
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import Json, api_key, condition, credit_grant, fleet
from tests.reconcile.parts import open_context, open_sweep
from tests.reconcile.resources import allow, allow_in, refuse_statuses
from tests.reconcile.spending import read_metrics, spend
from tests.reconcile.world import MakeWorld, World


@contextmanager
def locked(world: World, table: str) -> Iterator[None]:
    """Nobody else gets at a table meanwhile."""
    with somebody_else(world.database) as connection:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def shows(world: World, name: str, balance: int) -> None:
    def holds() -> bool:
        status = (world.team.get("ApiKey", name) or {}).get("status") or {}
        return bool(status.get("balance") == balance)

    world.team.eventually(holds, f"{name} to show a balance of {balance}")


def is_reported(world: World, reason: str, name: str = "alice") -> None:
    world.team.eventually(
        lambda: reason in world.team.reasons_of_events(name), f"the Event {reason}"
    )


def is_up(context: OperatorContext) -> bool:
    return b"\nfaregate_database_up 1.0\n" in context.metrics.exposition()


def test_a_count_that_does_not_end_holds_back_no_balance_and_no_event(world: World) -> None:
    world.operator(balance_seconds="1")
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome", credits=1000))
    world.check()
    shows(world, "alice", 1000)
    with locked(world, "credit_grant"):
        spend(world, "alice", 800)
        shows(world, "alice", 200)
        is_reported(world, "CreditsLow")


def test_no_mark_is_forgotten_before_the_watch_has_brought_the_keys(world: World) -> None:
    world.operator().kill()
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome", credits=1000))
    first = world.operator()
    world.check()
    first.kill()
    spend(world, "alice", 800)
    account = ("faregate_account_balance_credits", f"account={world.team.namespace}/alice")
    late = allow(world.server, "late-operator", without="apikeys")
    with ThreadPoolExecutor() as threads:
        started = threads.submit(world.operator, kubeconfig=late, balance_seconds="1")
        for balance in (200, 199):  # who sees the second one has ended a look by the first one
            world.team.eventually(
                lambda wanted=balance: read_metrics(world.operators[-1]).get(account) == wanted,  # type: ignore[misc]  # bound in the loop
                f"a balance of {balance} to be read",
            )
            spend(world, "alice", 1)
        allow(world.server, "late-operator")
        started.result()
    is_reported(world, "CreditsLow")


def test_a_look_that_fails_forgets_no_mark_and_calls_no_database_away(world: World) -> None:
    world.operator().kill()
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome", credits=1000))
    world.operator()
    world.check()
    world.operators[-1].kill()
    spend(world, "alice", 800)
    found = world.team.get("ApiKey", "alice")
    assert found is not None
    shown = {(world.team.namespace, "alice"): ShownFigures(found["metadata"]["uid"])}

    async def act() -> None:
        async with open_context(world) as context:
            balances = Balances(context, lambda: shown)
            with locked(world, "api_key_use"), pytest.raises(DatabaseUnavailable):
                await balances.check()
            assert is_up(context)
            await balances.check()
            nobody = Database(f"postgresql://faregate@127.0.0.1:{free_port()}/faregate")
            with pytest.raises(DatabaseUnavailable):
                await context.run(count_keys, nobody, "default")
            assert not is_up(context)

    asyncio.run(act())
    is_reported(world, "CreditsLow")


def test_what_the_cluster_refuses_of_one_object_keeps_none_behind_it(
    own_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(own_api_server, postgres_server)
    refuse_statuses(world.team.apply(api_key("broken")), own_api_server, {"balance": 1})
    operator = world.operator(balance_seconds="1")
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome", credits=1000))
    world.check()
    shows(world, "alice", 1000)
    operator.kill()
    refuse_statuses(world.system.apply(fleet("broken")), own_api_server, {"replicas": 1})
    world.system.apply(fleet("later"))

    async def look() -> None:
        async with open_context(world) as context:
            sweep = open_sweep(context)
            with pytest.raises(Rejected):
                await sweep.check_fleets()
            await sweep.once()  # which is not over for it

    asyncio.run(look())
    found: Json | None = world.system.get("GatewayFleet", "later")
    assert condition(found, "Ready")["reason"]


def test_no_key_is_made_of_an_object_that_cannot_be_held(world: World) -> None:
    places = [world.system.namespace, world.team.namespace]
    kubeconfig = allow_in(world.server, "unheld", places, but=("apikeys", "patch"))
    world.operator(kubeconfig=kubeconfig, watch_namespaces=world.team.namespace, sweep_seconds="1")
    world.team.apply(api_key("alice"))
    found = world.team.wait("ApiKey", "alice", "FinalizerRefused")
    assert "the finalizer of this object cannot be written" in condition(found, "Ready")["message"]
    assert world.team.get("Secret", "alice-key") is None
    assert world.row("alice") is None
    allow_in(world.server, "unheld", places)
    world.team.wait("ApiKey", "alice", "Issued")


def test_a_round_that_cannot_succeed_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    faults = [KeyError("a"), KeyError("a"), ValueError("b"), asyncio.CancelledError()]

    async def act() -> None:
        raise faults.pop(0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(repeat("a round", 0.0, act))
    assert [record.message for record in caplog.records] == ["a round failed"] * 2
