"""The database goes away and comes back: nothing is started again, nothing is lost or doubled."""

import time
from collections.abc import Callable

from tests.cluster.harness import objects
from tests.cluster.harness.books import Books
from tests.cluster.harness.clients import Asking, Client
from tests.cluster.harness.installation import Installation, restarts
from tests.cluster.harness.kube import condition, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_OBJECTS = 20
_AWAY_SECONDS = 20


def test_a_database_that_is_stopped_and_started(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """Charged routes answer 503 meanwhile; objects report why they wait, and heal by themselves."""
    place = team("no-books")
    key = team("bystander").with_key(credits=1000)
    books = Books(faregate.kube)
    before = restarts(faregate.gateway_pods() + faregate.operator_pods())
    names = [f"key-{number:02}" for number in range(_OBJECTS)]
    with Asking(lambda: client.ask(key).status_code) as asking:
        books.stop()
        place.apply(
            *(objects.api_key(name, name) for name in names),
            *(objects.credit_grant(name, name, credits=3) for name in names),
        )
        wait_until(lambda: _reason(place, names[0]) == "DatabaseUnavailable", "the reason", 60)
        time.sleep(_AWAY_SECONDS)  # long enough for every probe and every retry to have had a turn
        began = time.monotonic()
        books.start()
        wait_until(
            lambda: place.ready("apikey") + place.ready("creditgrant") == 2 * _OBJECTS,
            "all to be Ready", 120,
        )  # fmt: skip
        seconds = time.monotonic() - began
        wait_until(lambda: client.ask(key).status_code == 200, "requests to be served", 30)
    print(f"\nall Ready {seconds:.0f} s after it came back; meanwhile {asking.statuses}")
    assert asking.statuses.keys() <= {200, 503}
    assert asking.statuses[503] > 0
    keys = place.keys()
    assert sorted(keys) == names
    assert {name for name, key in keys.items() if client.balance(key) != 3} == set()
    wait_until(
        lambda: restarts(faregate.gateway_pods() + faregate.operator_pods()) == before,
        "the same pods to be ready, none of them restarted", 60,
    )  # fmt: skip
    faregate.check()


def _reason(place: Team, name: str) -> str:
    return str(condition(place.get("apikey", name), "Ready").get("reason"))
