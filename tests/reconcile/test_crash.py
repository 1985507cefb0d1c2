"""An operator that ends after the n-th action, for every n: the next one goes on where it was."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.harness.gateway import PLAINTEXTS, wait_until
from tests.reconcile.dying import DIED
from tests.reconcile.objects import api_key, brought_secret, credit_allowance, credit_grant
from tests.reconcile.world import World

_STEPS_MAX = 8
_OWN = "own-key-0123456789-0123456789-0123456789-"


def _make_key(world: World, name: str) -> None:
    world.team.apply(api_key(name))


def _bring_key(world: World, name: str) -> None:
    PLAINTEXTS.add(_OWN + name)
    world.team.apply(brought_secret(f"{name}-own", _OWN + name))
    reference = {"secretKeyRef": {"name": f"{name}-own", "key": "value"}}
    world.team.apply(api_key(name, valueFrom=reference))


def _rotate_key(world: World, name: str) -> None:
    world.team.apply(api_key(name, rotation={"generation": 1, "overlap": "0s"}))


def _replace_object(world: World, name: str) -> None:
    """As in a restored cluster: the Secret is gone, and the row is an older object's."""
    world.team.delete("Secret", f"{name}-key")
    world.team.wait("ApiKey", name, "SecretLost")
    with world.database.write() as session:
        session.execute(text("UPDATE api_key SET uid = 'older' WHERE name = :name"), {"name": name})


def _delete_key(world: World, name: str) -> None:
    world.team.delete("ApiKey", name)


def _make_grant(world: World, name: str) -> None:
    world.team.apply(credit_grant(name))


def _void_grant(world: World, name: str) -> None:
    world.team.apply(credit_grant(name, void=True))


def _make_allowance(world: World, name: str) -> None:
    world.team.apply(credit_allowance(name, account=name))


def _nothing(world: World, name: str) -> None:
    pass


Act = Callable[[World, str], None]


@pytest.mark.parametrize(
    ("prepare", "act", "steps_min"),
    [
        (_nothing, _make_key, 3),
        (_nothing, _bring_key, 2),
        (_make_key, _rotate_key, 3),
        (_make_key, _replace_object, 3),
        (_make_key, _delete_key, 1),
        (_nothing, _make_grant, 2),
        (_make_grant, _void_grant, 2),
        (_nothing, _make_allowance, 3),
    ],
)
def test_an_operator_that_ends_after_the_nth_action_does_no_harm(
    world: World, tmp_path: Path, prepare: Act, act: Act, steps_min: int
) -> None:
    armed = tmp_path / "armed"
    names = [f"object-{number}" for number in range(1, _STEPS_MAX + 1)]
    for name in names:
        prepare(world, name)
    died = 0
    for number, name in enumerate(names, start=1):
        operator = world.operator(
            "tests.reconcile.dying", str(armed), str(number), sweep_seconds="1"
        )
        world.check()
        armed.touch()
        act(world, name)
        wait_until(
            lambda operator=operator: not operator.is_running or not armed.exists(),  # type: ignore[misc]  # bound in the loop
            "the operator to die, or to be done",
        )
        if not armed.exists():
            operator.kill()
            break
        assert operator.wait() == DIED, operator.log_text()[-2000:]
        armed.unlink()
        died += 1
    assert steps_min <= died < _STEPS_MAX, "there was an action to die after, and an end of them"
    world.operator()
    world.check()
    if act is _delete_key:
        for name in names[: died + 1]:
            world.team.wait_gone("ApiKey", name)
            row = world.row(name)
            assert row is not None
            assert row.revoked
    if act is _make_grant:
        assert world.balance() == 100 * (died + 1)
    if act is _void_grant:
        assert world.balance() == 100 * (len(names) - died - 1)
    if act is _make_allowance:
        assert {world.balance(name) for name in names[: died + 1]} == {100}
