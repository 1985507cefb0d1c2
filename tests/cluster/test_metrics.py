"""A Prometheus finds the pods by their annotations, and every shipped expression has data."""

from collections.abc import Callable, Iterator

import pytest

from tests.chart.expressions import Expression, alerting, chosen_from, recorded, shown
from tests.chart.prometheus import Prometheus
from tests.chart.traffic import ask_everything
from tests.cluster.harness import objects
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import Installation
from tests.cluster.harness.kube import names, wait_until
from tests.cluster.harness.prometheus import prometheus
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
#: what Grafana would put in the place of its times
_WINDOW = "1m"
#: a minute of traffic, an audit, and room for a busy machine
_SECONDS = 180


@pytest.fixture(scope="module")
def seen(faregate: Installation) -> Iterator[Prometheus]:
    with prometheus(faregate.kube, faregate.facts.images["product"]) as found:
        yield found


def test_every_pod_is_scraped_and_states_whose_it_is(
    seen: Prometheus, faregate: Installation
) -> None:
    gateways = set(names(faregate.gateway_pods()))
    operator = faregate.operator_pod()["metadata"]["name"]

    def scraped() -> set[tuple[str, str, str]]:
        return {
            (each["labels"]["namespace"], each["labels"]["pod"], _fleet(each["labels"]))
            for each in seen.targets()
            if each["health"] == "up" and each["labels"]["namespace"] == faregate.namespace
        }

    expected = {(faregate.namespace, name, faregate.fleet) for name in gateways}
    expected.add((faregate.namespace, operator, ""))
    wait_until(lambda: scraped() == expected, f"Prometheus to see {sorted(expected)}", 60)


def _fleet(labels: dict[str, str]) -> str:
    return labels.get("faregate_dev_fleet", "")


def test_every_expression_has_an_answer(
    seen: Prometheus, team: Teams, client: Client, faregate: Installation
) -> None:
    """After traffic of all kinds, revocations and an audit; alerts look at what is there."""
    place = team("seen")
    rich = place.with_key("rich", credits=100_000)
    narrow = place.with_key("narrow", limits={"requestsPerMinute": 1})
    place.apply(objects.api_key("poor", "poor"))
    place.wait("apikey", "poor")
    poor = place.key("poor")

    asked = [*shown(_WINDOW), *chosen_from(), *recorded(), *_of_alerts()]
    left: list[str] = []

    def all_answer() -> bool:
        _revoke(place)
        ask_everything(client.http, rich, without_credits=poor, with_a_limit=narrow)
        left[:] = [each.place for each in asked if not seen.query(each.text)]
        return left == []

    try:
        wait_until(all_answer, "every expression to have data", _SECONDS, pause=1)
    except AssertionError as error:
        raise AssertionError(f"no data: {left}") from error
    _recover(client, rich)
    faregate.check(place.name)


def _revoke(place: Team) -> None:
    """A key that was there for a moment."""
    place.apply(objects.api_key("gone", "rich"))
    place.wait("apikey", "gone")
    place.faregate.forget(place.key("gone"))
    place.delete_key("gone")


def _of_alerts() -> Iterator[Expression]:
    """The expressions of alerts, without the bounds that they are compared with."""
    for each in alerting():
        for name in sorted(each.metrics):
            yield Expression(f"{each.place}: {name}", name)


def _recover(client: Client, key: str) -> None:
    """The circuits that the failures have opened in the gateways close again."""

    def all_served() -> bool:
        return all(client.ask(key).status_code == 200 for _ in range(10))

    wait_until(all_served, "the upstream to be asked again", 120, pause=1)


def test_prometheus_evaluates_every_rule(seen: Prometheus) -> None:
    assert len(seen.rules()) == len(recorded()) + len(alerting())

    def broken() -> list[str]:
        return [each["name"] for each in seen.rules() if each["health"] != "ok"]

    wait_until(lambda: not broken(), "every rule to be evaluated", 60)
