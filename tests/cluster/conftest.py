"""The cluster of the run, the installation that the stories share, and their evidence.

The stories run where the cluster can be reached: `make test-cluster` finds or makes one and starts
this suite inside. Without it nothing here is collected.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.clusters import by_name
from tests.cluster.clusters.base import Cluster
from tests.cluster.harness import evidence, objects
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import Facts, Installation
from tests.cluster.harness.kube import Kube, wait_until
from tests.cluster.harness.team import Team

_FACTS = os.environ.get("FAREGATE_TEST_CLUSTER")
collect_ignore_glob = [] if _FACTS else ["test_*.py"]

#: as a reader would want to read it; what takes the installation away comes last
_ORDER = (
    "first_key", "credits", "metrics", "refusal", "rollout", "operator", "api_server", "database",
    "many", "restore", "console", "uninstall", "upgrade", "quick_start",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return _ORDER.index(name) if name in _ORDER else len(_ORDER)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed story reports what the cluster looked like."""
    report = yield
    if report.failed and _FACTS:  # type: ignore[attr-defined]  # what the hook gives
        pieces = evidence.collect(Kube(), "faregate-system")
        report.sections.extend(pieces)  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session")
def facts() -> Facts:
    assert _FACTS is not None
    found = json.loads(Path(_FACTS).read_text())
    return Facts(found["cluster"], found["url"], found["class"], found["gateway"], found["images"])


@pytest.fixture(scope="session")
def cluster(facts: Facts) -> Cluster:
    return by_name(facts.cluster)


@pytest.fixture(scope="session")
def kube() -> Kube:
    return Kube()


@pytest.fixture(scope="session")
def surroundings(kube: Kube, facts: Facts) -> None:
    """The cluster before Faregate: a database and an upstream."""
    kube.apply(
        *objects.database(facts.images["postgres"]),
        *objects.simulated_upstream(facts.images["product"]),
    )
    for place, name in ((objects.DATABASE, "postgres"), (objects.UPSTREAM, "simulated")):
        wait_until(partial(kube.pods, place, f"app={name}"), f"{name} to be ready", 120)


@pytest.fixture(scope="session")
def shared(kube: Kube, facts: Facts, surroundings: None) -> Installation:
    return Installation(kube, facts)


@pytest.fixture(scope="module")
def faregate(shared: Installation) -> Installation:
    """The installation, as it is meant to be when a file begins."""
    shared.ensure()
    return shared


@pytest.fixture
def client(faregate: Installation) -> Iterator[Client]:
    """A client outside the cluster, through the ingress."""
    with faregate.client() as client:
        yield client


@pytest.fixture
def team(faregate: Installation) -> Iterator[Callable[[str], Team]]:
    """Makes namespaces of teams; they go when the story is over.

    Each has a name that was never there: an account outlives its namespace, with its credits.
    """
    made: list[Team] = []

    def make(name: str) -> Team:
        made.append(Team(faregate, f"{name}-{secrets.token_hex(3)}"))
        return made[-1]

    yield make
    for each in made:
        each.leave()
