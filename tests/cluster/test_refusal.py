"""A key that must not work any more is refused by every replica within two seconds.

The clock starts when the API server has taken the change.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import REFUSED_SECONDS, Installation
from tests.cluster.harness.kube import condition, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]


def test_a_deleted_key_is_refused(team: Teams, faregate: Installation) -> None:
    place = team("deleted")
    key = place.with_key()
    with faregate.replicas() as replicas:
        _works(replicas, key)
        place.kube.delete("apikey", "alice", place.name, "--wait=false")
        began = time.monotonic()
        seconds = faregate.seconds_to_refuse(replicas, key, began)
        assert {client.ask(key).status_code for client in replicas.values()} == {401}
    print(f"\nrefused by {len(replicas)} replicas {seconds:.1f} s after `kubectl delete`")
    assert seconds < REFUSED_SECONDS
    faregate.forget(key)
    wait_until(lambda: place.kube.get("apikey", "alice", place.name) is None, "its end", 10)
    wait_until(lambda: not place.kube.secret(place.name, "alice-key"), "its Secret's end", 30)


def test_a_suspended_key_is_refused_until_it_is_taken_back(
    team: Teams, faregate: Installation
) -> None:
    place = team("suspended")
    key = place.with_key()
    with faregate.replicas() as replicas:
        _works(replicas, key)
        place.change("alice", suspended=True)
        began = time.monotonic()
        seconds = faregate.seconds_to_refuse(replicas, key, began)
        assert {client.ask(key).status_code for client in replicas.values()} <= {401, 403}
        assert seconds < REFUSED_SECONDS
        place.change("alice", suspended=False)
        for client in replicas.values():
            _comes_to_work(client, key)
    print(f"\nrefused {seconds:.1f} s after the change")


def test_an_expired_key_is_refused(team: Teams, faregate: Installation) -> None:
    place = team("expired")
    key = place.with_key()
    with faregate.replicas() as replicas:
        _works(replicas, key)
        ends = datetime.now(UTC) + timedelta(seconds=4)
        place.change("alice", expiresAt=ends.isoformat(timespec="seconds"))
        _works(replicas, key)
        left = (ends - datetime.now(UTC)).total_seconds()
        seconds = faregate.seconds_to_refuse(replicas, key, time.monotonic() + left)
        assert seconds < REFUSED_SECONDS
    wait_until(
        lambda: condition(place.get("apikey", "alice"), "Ready").get("reason") == "Expired",
        "the status to say so", 30,
    )  # fmt: skip
    print(f"\nrefused {seconds:.1f} s after it expired")
    faregate.forget(key)


def test_a_rotated_key_lives_on_for_its_overlap(team: Teams, faregate: Installation) -> None:
    """The new one works before the old one ends, and no request in between is refused."""
    place = team("rotated")
    old = place.with_key()
    overlap = 6
    with faregate.replicas() as replicas:
        _works(replicas, old)
        place.change("alice", rotation={"generation": 1, "overlap": f"{overlap}s"})
        began = time.monotonic()
        wait_until(lambda: place.key("alice") != old, "the Secret to have the new key", 10)
        rotated = time.monotonic()
        new = place.key("alice")
        for client in replicas.values():
            _comes_to_work(client, new)
            assert client.ask(new).status_code == 200
        assert {client.status(old) for client in replicas.values()} == {200}
        seconds = faregate.seconds_to_refuse(replicas, old, rotated + overlap)
        assert time.monotonic() - began >= overlap, "the overlap was cut short"
        assert seconds < REFUSED_SECONDS
        _works(replicas, new)
    print(f"\nrefused {seconds:.1f} s after its overlap")
    faregate.forget(old)


def test_a_leaked_key_is_refused_at_once(team: Teams, faregate: Installation) -> None:
    """An overlap of nothing is the answer to a leak."""
    place = team("leaked")
    old = place.with_key()
    with faregate.replicas() as replicas:
        _works(replicas, old)
        place.change("alice", rotation={"generation": 1, "overlap": "0s"})
        began = time.monotonic()
        seconds = faregate.seconds_to_refuse(replicas, old, began)
    print(f"\nrefused {seconds:.1f} s after the change")
    assert seconds < REFUSED_SECONDS
    faregate.forget(old)


def test_everything_is_in_order_afterwards(faregate: Installation) -> None:
    faregate.check()


def _works(replicas: dict[str, Client], key: str) -> None:
    """Every replica takes the key; one that has only heard of it now may need a moment."""
    for client in replicas.values():
        _comes_to_work(client, key)


def _comes_to_work(client: Client, key: str) -> None:
    wait_until(lambda: client.status(key) == 200, "the key to work", 5)
