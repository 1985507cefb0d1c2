"""The API server is away for a minute in the middle of a hundred creates."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.cluster.clusters.base import Cluster, NotOurs
from tests.cluster.harness import objects
from tests.cluster.harness.clients import Asking, Client
from tests.cluster.harness.installation import Installation, restarts
from tests.cluster.harness.kube import Document, KubectlFailed, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_AWAY_SECONDS = 60
_OBJECTS = 50


def test_an_api_server_that_is_away_for_a_minute(
    team: Teams, client: Client, faregate: Installation, cluster: Cluster
) -> None:
    """Gateways serve on; afterwards everything that was applied is there, once."""
    place = team("away")
    known = team("bystander").with_key(credits=100_000)
    before = restarts(faregate.gateway_pods() + faregate.operator_pods())
    documents = [objects.api_key(f"key-{n:03}", f"key-{n:03}") for n in range(_OBJECTS)]
    documents += [
        objects.credit_grant(f"key-{n:03}", f"key-{n:03}", credits=3) for n in range(_OBJECTS)
    ]
    applying = threading.Thread(target=_apply_until_it_works, args=(place, documents))
    with Asking(lambda: client.ask(known).status_code) as asking:
        applying.start()
        wait_until(lambda: place.ready("apikey") >= 5, "the first keys", 60)
        try:
            cluster.stop_api_server()
        except NotOurs:
            pytest.skip("the API server of a named cluster is not ours to stop")
        time.sleep(_AWAY_SECONDS)  # the minute itself
        began = time.monotonic()
        cluster.start_api_server()
        applying.join(180)
        assert not applying.is_alive()
        wait_until(
            lambda: place.ready("apikey") + place.ready("creditgrant") == 2 * _OBJECTS,
            "all to be Ready", 180,
        )  # fmt: skip
    print(f"\nall Ready {time.monotonic() - began:.0f} s after it came back")
    assert asking.statuses.keys() == {200}, "the gateways need no API server"
    keys = place.keys()
    assert len(keys) == _OBJECTS
    assert {name for name, key in keys.items() if client.balance(key) != 3} == set()
    # A node that could not report for a minute counts as lost until its next report.
    wait_until(
        lambda: restarts(faregate.gateway_pods() + faregate.operator_pods()) == before,
        "the pods as they were, none started anew", 60,
    )  # fmt: skip
    faregate.check()


def _apply_until_it_works(place: Team, documents: list[Document]) -> None:
    """As a tool for GitOps does: in small steps, each tried until it goes through."""
    for start in range(0, len(documents), 4):
        deadline = time.monotonic() + 180
        while True:
            try:
                place.apply(*documents[start : start + 4], seconds=20)
                break
            except KubectlFailed:
                assert time.monotonic() < deadline
                time.sleep(1)
