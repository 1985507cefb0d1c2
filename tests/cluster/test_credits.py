"""Credits are exact, for every client and any number at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.cluster.harness import objects
from tests.cluster.harness.clients import Client, ask_at_once
from tests.cluster.harness.installation import Installation
from tests.cluster.harness.kube import KubectlFailed, condition
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_PAID = 300


def test_twice_as_many_ask_as_can_pay(team: Teams, client: Client, faregate: Installation) -> None:
    """Two replicas, one database: exactly those are served that the balance pays for."""
    key = team("exact").with_key(credits=_PAID)
    before = faregate.stats()["received"]
    statuses = ask_at_once(client, key, 2 * _PAID)
    assert statuses == {200: _PAID, 402: _PAID}
    assert client.balance(key) == 0
    assert faregate.stats()["received"] - before == _PAID


def test_a_grant_counts_once_however_often_it_is_applied(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """Again under its name, deleted and applied again, and at the same time as itself."""
    place = team("once")
    key = place.with_key(credits=100)
    grant = objects.credit_grant("alice", "alice", credits=100)
    place.kube.delete("creditgrant", "alice", place.name)

    def apply(_: int) -> None:
        try:
            place.apply(grant)
        except KubectlFailed:  # between its look and its create, another one has made it
            place.apply(grant)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(apply, range(4)))
    place.wait("creditgrant", "alice")
    assert client.balance(key) == 100
    assert condition(place.get("creditgrant", "alice"), "Ready")["reason"] == "AlreadyPosted"


def test_accounts_of_two_namespaces_never_meet(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """The same account name, the same key name, the same grant name: two of each."""
    one, other = team("left"), team("right")
    keys = [one.with_key(credits=5), other.with_key(credits=7)]
    assert keys[0] != keys[1]
    assert [client.balance(key) for key in keys] == [5, 7]
    assert client.ask(keys[0]).status_code == 200
    assert [client.balance(key) for key in keys] == [4, 7]
    faregate.check()
