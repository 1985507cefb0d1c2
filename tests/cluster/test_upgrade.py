"""From the release before to this one, back, and there again: no stream is cut, no credit lost.

By the documented steps (docs/how-to/upgrade.md), in a cluster and a database that have seen no
other release.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.cluster.clusters.images import unpack_previous
from tests.cluster.harness import objects
from tests.cluster.harness.books import Books
from tests.cluster.harness.clients import Asking, Streams
from tests.cluster.harness.installation import CHART, ROOT, Facts, Installation
from tests.cluster.harness.kube import Document, Kube, condition, names, wait_until
from tests.cluster.harness.sdks import Sdks
from tests.cluster.harness.team import Team

_DATABASE = "upgraded"
_STREAMS = 12
_SECONDS = 18.0
_CREDITS = 10_000
_LATER = "2999-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def faregate(
    shared: Installation, kube: Kube, facts: Facts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The release before, with the stories' other installation out of the way."""
    if shared.release in shared.helm("list", "-q"):
        shared.uninstall()
    _remove_definitions(kube)
    Books(kube).make(_DATABASE)
    upgraded = Installation(kube, facts, "upgrading", _DATABASE)
    upgraded.prepare()
    source = tmp_path_factory.mktemp("previous")
    unpack_previous(source)
    upgraded.install(_values(upgraded, "previous"), chart=source / "charts" / CHART.name)
    yield upgraded
    for release in (upgraded.release, "faregate-crds"):
        if release in upgraded.helm("list", "-q").split():
            upgraded.helm("uninstall", release)
    kube.delete("namespace", upgraded.namespace, None, "--wait=false")


@pytest.fixture(scope="module")
def team(faregate: Installation) -> Iterator[Team]:
    """Keys and grants of each kind that the release before knows."""
    team = Team(faregate, "upgraded-team")
    team.apply(
        objects.api_key("alice", "alice"),
        objects.api_key("capped", "alice", limits={"creditsPerDay": 5000}),
        objects.api_key("suspended", "alice", suspended=True),
        objects.credit_grant("alice", "alice", credits=_CREDITS),
        objects.credit_grant("expiring", "bob", expiresAt=_LATER),
        objects.credit_grant("voided", "bob", void=True),
    )
    for name in ("alice", "capped", "suspended"):
        team.kube("wait", f"apikey/{name}", "-n", team.name, "--for=create", "--timeout=30s")
    wait_until(lambda: not faregate.unsettled(team.name), "the team's objects to settle", 60)
    yield team
    team.leave()


def test_upgraded(faregate: Installation, team: Team) -> None:
    _change(faregate, team, partial(_upgrade, faregate))
    team.apply(
        objects.api_key("monthly", "bob", limits={"creditsPerMonth": 5}),
        objects.credit_grant("scheduled", "bob", startsAt=_LATER),
        objects.credit_allowance("daily", "carol", credits=7, every="month"),
    )
    faregate.check()


def test_rolled_back(faregate: Installation, team: Team) -> None:
    """As the page asks: a grant that is yet to start is taken away before."""
    team.kube.delete("creditgrant", "scheduled", team.name)
    _change(faregate, team, partial(_roll_back, faregate))
    changed = team.key("monthly")
    team.change("monthly", rotation={"generation": 1, "overlap": "0s"})
    wait_until(lambda: team.key("monthly") != changed, "the old operator to rotate a key", 60)
    faregate.forget(changed)
    faregate.check()


def test_upgraded_again(faregate: Installation, team: Team) -> None:
    _change(faregate, team, partial(_upgrade, faregate))
    carol = team.get("creditallowance", "daily")
    assert condition(carol, "Ready").get("reason") == "Posted"
    faregate.check()
    with faregate.client() as client:
        assert client.balance(team.key("monthly")) == 100
        assert client.ask(team.key("monthly")).status_code == 200


def _change(faregate: Installation, team: Team, change: partial[None]) -> None:
    """One change of the release, with streams open and both SDKs asking all along."""
    key, before = team.key("alice"), set(names(faregate.gateway_pods()))
    with faregate.client() as client, closing(Sdks(client, key)) as sdks:
        balance = client.balance(key)
        with (
            Asking(sdks.ask) as asking,
            Streams(client, key, _STREAMS, seconds=_SECONDS) as streams,
        ):
            began = time.monotonic()
            change()
            wait_until(lambda: faregate.has_replaced(before), "the old pods to go", 90)
            seconds = time.monotonic() - began
        asked = asking.statuses.total()
        print(f"\nit took {seconds:.0f} s; {asked} requests meanwhile: {asking.statuses}")
        assert streams.cut == []
        assert streams.complete == _STREAMS
        assert asking.statuses.keys() == {200}
        assert client.balance(key) == balance - _STREAMS - asked


def _upgrade(faregate: Installation) -> None:
    crds = str(ROOT / "charts" / "faregate-crds")
    faregate.helm("upgrade", "--install", "faregate-crds", crds, "--take-ownership")
    faregate.install(_values(faregate, "product"))


def _roll_back(faregate: Installation) -> None:
    faregate.helm("rollback", faregate.release, "1", "--wait", "--timeout=180s", seconds=210)
    faregate.kube.wait_ready("gatewayfleet", faregate.namespace, faregate.fleet, seconds=120)


def _values(faregate: Installation, image: str) -> Document:
    """Values that both releases know."""
    repository, _, tag = faregate.facts.images[image].rpartition(":")
    values = faregate.values(image={"repository": repository, "tag": tag})
    values["fleet"]["spec"].pop("httpRoute", None)
    return values


def _remove_definitions(kube: Kube) -> None:
    """Delete the custom resources, after the last key that an operator had to revoke."""
    kube.wait_keyless()
    found = [name for name in kube("get", "crd", "-o", "name").split() if "faregate.dev" in name]
    if found:
        kube("delete", *found, seconds=120)
