"""The cost of objects: writes to the API server, statements to the database, none of it timed."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from gateway.store.database import Database
from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import api_key, credit_grant
from tests.reconcile.parts import open_context, open_sweep
from tests.reconcile.resources import install_resources
from tests.reconcile.world import MakeWorld, World

_WRITES = ("create", "update", "patch", "delete")
_KEYS = 10
#: for a new key: one transaction that looks and one that writes
_STATEMENTS_MAX = 16
_LONG = "3600"


@pytest.fixture(scope="module")
def recording_server() -> Iterator[ApiServer]:
    programs = find_kubernetes()
    if programs is None:
        pytest.skip(MISSING)
    server = ApiServer(programs, records=True).start()
    install_resources(server)
    yield server
    server.remove()


@pytest.fixture
def world(
    recording_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> World:
    return make_world(recording_server, postgres_server)


def test_a_key_and_a_grant_are_written_as_often_as_they_must(world: World) -> None:
    """A finalizer, a Secret, a status and an Event; a grant has the last two alone."""
    world.operator(sweep_seconds=_LONG, balance_seconds=_LONG)
    names = [f"key-{number}" for number in range(_KEYS)]
    for name in names:
        world.team.apply(api_key(name, name))
        world.team.apply(credit_grant(name, name))
    world.wait_up_to_date()
    world.team.eventually(
        lambda: len(world.team.list("Event")) == 2 * _KEYS, "the Events of all of them"
    )
    assert writes_in(world) == {
        "patch apikeys": _KEYS,
        "patch apikeys/status": _KEYS,
        "create secrets": _KEYS,
        "patch creditgrants/status": _KEYS,
        "create events": 2 * _KEYS,
    }


def test_a_new_key_takes_few_statements_and_another_none_later(world: World) -> None:
    async def look() -> None:
        async with open_context(world) as context:
            sweep = open_sweep(context)
            await sweep.once()
            with counted_statements(world.database) as of_none:
                await sweep.once()
            world.team.apply(api_key("first", "first"))
            with counted_statements(world.database) as of_one:
                await sweep.reconcile("ApiKey", world.team.namespace, "first")
            assert of_one.total() <= _STATEMENTS_MAX, of_one
            for number in range(_KEYS):
                world.team.apply(api_key(f"key-{number}", f"key-{number}"))
            await sweep.once()
            await sweep.once()  # from now on all Secrets were seen
            before = requests_of_team(world)
            with counted_statements(world.database) as of_many:
                await sweep.once()
            assert of_many.total() == of_none.total()
            assert requests_of_team(world) - before == {
                f"list {kind}": 1
                for kind in ("secrets", "accounts", "apikeys", "creditgrants", "creditallowances")
            }

    world.operator().kill()  # the schema and the installation secret
    asyncio.run(look())


def requests_of_team(world: World) -> Counter[str]:
    """The operator's requests about the team's namespace, by verb and resource."""
    found: Counter[str] = Counter()
    for each in world.server.requests_of("operator"):
        about = each.get("objectRef") or {}
        if about.get("namespace") == world.team.namespace:
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            found[f"{each['verb']} {resource}"] += 1
    return found


def writes_in(world: World) -> dict[str, int]:
    return {
        what: number
        for what, number in requests_of_team(world).items()
        if what.partition(" ")[0] in _WRITES
    }


@contextmanager
def counted_statements(database: Database) -> Iterator[Counter[str]]:
    """The statements of a block by their first word."""
    found: Counter[str] = Counter()

    def count(_: object, __: object, statement: str, *___: object) -> None:
        found[statement.split(maxsplit=1)[0]] += 1

    event.listen(database.engine, "before_cursor_execute", count)
    yield found
    event.remove(database.engine, "before_cursor_execute", count)
