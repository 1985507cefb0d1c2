"""An operator that dies, and two at once: what was asked for is there in the end, once."""

from collections.abc import Callable

import pytest

from tests.cluster.harness import objects
from tests.cluster.harness.clients import Asking, Client
from tests.cluster.harness.installation import Facts, Installation, restarts
from tests.cluster.harness.killer import Killer
from tests.cluster.harness.kube import Kube, KubectlFailed, names, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_OBJECTS = 50
_KILLS = 2


@pytest.fixture(scope="module")
def killer(kube: Kube, facts: Facts) -> Killer:
    return Killer(kube, facts.images["product"])


def test_killed_again_and_again_while_a_hundred_objects_are_made(
    team: Teams, faregate: Installation, killer: Killer, client: Client
) -> None:
    """SIGKILL in the middle of its work; nothing is made twice, nothing is left out."""
    place = team("killed")
    known = team("bystander").with_key(credits=10_000)
    documents = _documents(_OBJECTS)
    with Asking(lambda: client.ask(known).status_code) as asking:
        place.apply(*documents)
        for _ in range(_KILLS):
            _wait_for_progress(place, len(documents))
            _kill_operator(faregate, killer)
        wait_until(lambda: _ready_objects(place) == len(documents), "all to be Ready", 120)
    assert asking.statuses.keys() == {200}, "the gateways need no operator"
    _check_books(place, client, faregate)


def test_two_operators_at_once_do_no_harm(
    team: Teams, faregate: Installation, client: Client
) -> None:
    place = team("twice")
    deployment = names(
        faregate.kube.all("deployment", faregate.namespace, "app.kubernetes.io/component=operator")
    )[0]
    scale = ("scale", f"deployment/{deployment}", "-n", faregate.namespace)
    faregate.kube(*scale, "--replicas=2")
    try:
        wait_until(lambda: len(faregate.operator_pods()) == 2, "the second operator", 90)
        place.apply(*_documents(_OBJECTS))
        wait_until(lambda: _ready_objects(place) == 2 * _OBJECTS, "all to be Ready", 120)
        keys = {name: key for name, key in place.keys().items() if name < "key-005"}
        for name in keys:
            place.change(name, rotation={"generation": 1, "overlap": "0s"})
        for name, old in keys.items():
            _wait_for_rotation(place, client, name, old)
        faregate.forget(*keys.values())
        _check_books(place, client, faregate)
    finally:
        faregate.kube(*scale, "--replicas=1")
    wait_until(lambda: len(faregate.operator_pods()) == 1, "one operator", 60)
    faregate.check()


def _numbered(count: int) -> list[str]:
    return [f"key-{number:03}" for number in range(count)]


def _documents(count: int) -> list[dict[str, object]]:
    """A key and a grant for each of so many accounts."""
    keys = [objects.api_key(name, name) for name in _numbered(count)]
    return keys + [objects.credit_grant(name, name, credits=7) for name in _numbered(count)]


def _ready_objects(place: Team) -> int:
    try:
        return place.ready("apikey") + place.ready("creditgrant")
    except KubectlFailed:
        return 0


def _kill_operator(faregate: Installation, killer: Killer) -> None:
    """End it with SIGKILL; returns when it is ready again."""
    pod = faregate.operator_pod()
    assert killer.kill(pod, "gateway_operator") >= 1
    before = restarts([pod])
    wait_until(lambda: restarts(faregate.operator_pods()) not in ({}, before), "its return", 60)


def _wait_for_progress(place: Team, wanted: int) -> None:
    """Until more is Ready than now, or all."""
    done = _ready_objects(place)
    wait_until(lambda: _ready_objects(place) > min(done, wanted - 1), "some progress", 60)


def _wait_for_rotation(place: Team, client: Client, name: str, old: str) -> None:
    wait_until(lambda: place.key(name) != old, "the rotation", 30)
    wait_until(lambda: client.status(old) == 401, "the end of the old key", 30)


def _check_books(place: Team, client: Client, faregate: Installation) -> None:
    """Every key works, every account has what was granted, and the invariant holds."""
    keys = place.keys()
    assert sorted(keys) == _numbered(_OBJECTS)
    assert {name for name, key in keys.items() if client.balance(key) != 7} == set()
    faregate.check()
