"""Every expression of rules and dashboards, asked of a real Prometheus that scrapes real processes:
a gateway with its database, and an operator on an API server. The stories of a cluster do the same
with pods.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.expressions import alerting, chosen_from, recorded, shown
from tests.chart.prometheus import Prometheus, Scraped, prometheus
from tests.chart.traffic import ask_everything
from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.gateway import GatewayProcess, Simulated, wait_until
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import Objects, api_key, credit_grant
from tests.reconcile.resources import install_resources
from tests.reconcile.world import FLEET, World

#: what Grafana would put in the place of its times, with so little time gone by
_WINDOW = "1m"
_SECONDS = 90


class Site:
    """A gateway, the operator that feeds it, and the Prometheus that looks at both."""

    def __init__(self, world: World, gateway: GatewayProcess, prometheus: Prometheus) -> None:
        self.world = world
        self.gateway = gateway
        self.prometheus = prometheus

    def round(self) -> None:
        """Everything that can happen, once."""
        keys = {name: self.world.plaintext(f"{name}-key") for name in ("rich", "poor", "narrow")}
        ask_everything(
            self.gateway.http,
            keys["rich"],
            without_credits=keys["poor"],
            with_a_limit=keys["narrow"],
        )
        team = self.world.team
        team.apply(api_key("gone", "rich"))
        self.world.wait_up_to_date()
        team.delete("ApiKey", "gone")
        team.wait_gone("ApiKey", "gone")


@pytest.fixture(scope="module")
def site(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    programs = find_kubernetes()
    if programs is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("site")
    server = ApiServer(programs).start()
    install_resources(server)
    world = World(server, postgres_server, folder)
    operator = world.operator(sweep_seconds="1", audit_seconds="1", balance_seconds="1")
    _people(world.team)
    world.wait_up_to_date()
    gateway = _gateway(world, simulated, folder)
    place = world.system.namespace
    scraped = [
        Scraped(gateway.ops_port, place, "gateway-0", FLEET),
        Scraped(operator.port, place, "operator-0"),
    ]
    try:
        with prometheus(folder, scraped) as found:
            yield Site(world, gateway.start(apply=False), found)
    finally:
        gateway.kill()
        world.close()
        server.remove()


def _people(team: Objects) -> None:
    """Somebody with credits, somebody without, and somebody with a limit."""
    for name in ("rich", "poor"):
        team.apply(api_key(name, name))
    team.apply(api_key("narrow", "rich", limits={"requestsPerMinute": 1}))
    team.apply(credit_grant("rich", "rich", credits=100_000))


def _gateway(world: World, simulated: Simulated, folder: Path) -> GatewayProcess:
    """The gateway of a fleet's pod, in front of an upstream that can be scripted."""
    document = world.system.get("GatewayFleet", FLEET)
    assert document is not None
    spec = {**document["spec"], "upstreams": [{"name": "main", "url": simulated.url}]}
    metadata = {"name": FLEET, "namespace": world.system.namespace}
    fleet = {
        "apiVersion": document["apiVersion"],
        "kind": "GatewayFleet",
        "metadata": metadata,
        "spec": {name: spec[name] for name in ("pricing", "upstreams", "models")},
    }
    gateway = GatewayProcess(folder, [fleet], database_url=world.url)
    (secret,) = world.system.values("faregate-installation").values()
    gateway.environment["FAREGATE_INSTALLATION_SECRET"] = secret
    return gateway


def test_every_expression_has_an_answer(site: Site) -> None:
    asked = [*shown(_WINDOW), *chosen_from(), *recorded()]

    def silent() -> list[str]:
        """Those that have none yet, after another round."""
        site.round()
        return [each.place for each in asked if not site.prometheus.query(each.text)]

    left: list[str] = []

    def all_answer() -> bool:
        left[:] = silent()
        return left == []

    try:
        wait_until(all_answer, "every expression to have data", _SECONDS)
    except AssertionError as error:
        raise AssertionError(f"no data: {left}") from error


def test_prometheus_evaluates_every_rule(site: Site) -> None:
    loaded = site.prometheus.rules()
    assert len(loaded) == len(recorded()) + len(alerting())
    wait_until(
        lambda: all(rule["health"] == "ok" for rule in site.prometheus.rules()),
        "every rule to be evaluated",
    )


def test_every_alert_looks_at_something_that_is_there(site: Site) -> None:
    asked = {name for each in alerting() for name in each.metrics}
    missing = [name for name in sorted(asked) if not site.prometheus.query(name)]
    assert missing == []


@pytest.mark.parametrize("name", [one.place for one in recorded() if ":ratio" in one.place])
def test_a_share_is_a_share(site: Site, name: str) -> None:
    """Failures are counted among requests, so that no share is above one."""
    shares = [float(each["value"][1]) for each in site.prometheus.query(name)]
    assert shares
    assert all(0 <= share <= 1 for share in shares), shares
