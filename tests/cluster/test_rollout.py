"""Gateways come and go while streams are open: none is cut, and no credit is lost."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.harness.clients import Asking, Client, Streams
from tests.cluster.harness.installation import Facts, Installation, merged
from tests.cluster.harness.kube import names, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_STREAMS = 50
_SECONDS = 25.0
_CREDITS = 10_000


def _configuration(facts: Facts) -> dict[str, Any]:
    return {"fleet": {"spec": {"limits": {"keepAliveSeconds": 14}}}}


def _image(facts: Facts) -> dict[str, Any]:
    repository, _, tag = facts.images["next"].rpartition(":")
    return {"image": {"repository": repository, "tag": tag}}


def _fewer(facts: Facts) -> dict[str, Any]:
    return {"fleet": {"spec": {"replicas": 1}}}


@pytest.fixture(scope="module")
def changed() -> dict[str, Any]:
    """The changes so far: each comes on top of the one before."""
    return {}


@pytest.mark.parametrize(
    "change", [_configuration, _image, _fewer], ids=["configuration", "image", "scale-down"]
)
def test_no_stream_is_cut_and_no_credit_is_lost(
    change: Callable[[Facts], dict[str, Any]],
    changed: dict[str, Any],
    team: Teams,
    client: Client,
    faregate: Installation,
    facts: Facts,
) -> None:
    """`helm upgrade` under fifty streams and a client that never stops asking."""
    key = team("streams").with_key(credits=_CREDITS)
    changed.update(merged(changed, change(facts)))
    before = set(names(faregate.gateway_pods()))
    with (
        Asking(lambda: client.ask(key).status_code) as asking,
        Streams(client, key, _STREAMS, seconds=_SECONDS) as streams,
    ):
        began = time.monotonic()
        faregate.install(faregate.values(**changed))
        wait_until(lambda: _is_over(faregate, before, change), "the old pods to go", 90)
        seconds = time.monotonic() - began
    asked = sum(asking.statuses.values())
    print(f"\nthe change took {seconds:.0f} s; {asked} requests meanwhile: {asking.statuses}")
    assert streams.cut == []
    assert streams.complete == _STREAMS
    assert asking.statuses.keys() == {200}
    assert client.balance(key) == _CREDITS - _STREAMS - asked
    faregate.audit()


def test_everything_is_in_order_afterwards(faregate: Installation) -> None:
    faregate.ensure()
    faregate.check()


def _is_over(faregate: Installation, before: set[str], change: Callable[..., object]) -> bool:
    """The pods that had to go are gone, and those that should be there are ready."""
    if change is _fewer:
        pods = faregate.kube.all("pod", faregate.namespace, f"faregate.dev/fleet={faregate.fleet}")
        return len(pods) == 1
    return faregate.has_replaced(before)
