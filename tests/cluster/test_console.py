"""The console in a cluster: a person signs in through the ingress, makes a key, and ends it."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.cluster.harness import objects
from tests.cluster.harness.books import Books
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import HOST, Installation, Key
from tests.cluster.harness.kube import wait_until
from tests.cluster.harness.team import Team
from tests.console.chromium import PROGRAM

Teams = Callable[[str], Team]
_TOMBSTONES = "faregate-revoked-keys"


@pytest.fixture(autouse=True)
def _no_loop_left() -> None:
    """Playwright has one, for as long as its browser runs."""


@pytest.fixture
def origin(faregate: Installation) -> str:
    """The address of the console for browsers, once it is there."""
    url = f"http://{HOST}:{urlsplit(faregate.facts.url).port or 80}"
    console = {"url": url.removesuffix(":80"), "replicas": 1}
    faregate.install(faregate.values(fleet={"spec": {"console": console}}))
    return url


@pytest.fixture
def page(faregate: Installation, origin: str) -> Iterator[Page]:
    """A browser outside the cluster that finds the ingress by the name of the host."""
    way = urlsplit(faregate.facts.url).hostname
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {HOST} {way}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=arguments)
        yield browser.new_page(locale="en-GB")
        browser.close()


def test_a_person_makes_a_key_that_a_pod_uses_and_it_stays_dead_once_revoked(
    page: Page, origin: str, team: Teams, client: Client, faregate: Installation
) -> None:
    """Also after the database was restored to a point before the revocation."""
    kube, place = faregate.kube, team("people")
    place.with_key("alice", credits=10)
    link = _link(faregate, place.name)
    page.goto(link)
    page.click("main button")
    page.wait_for_url("**/console")
    sessions = {each["value"] for each in page.context.cookies() if "faregate" in each["name"]}
    faregate.seen |= {link.rpartition("/")[2], *sessions}

    page.goto(f"{origin}/console/keys/new")
    page.fill("#label", "mine")
    page.click("main form button.primary")
    key = Key(page.input_value("#secret"))
    faregate.seen.add(key)
    assert "openai four" in _answers_in_a_pod(place, key, faregate.facts.images["sdk"])
    assert client.balance(key) == 10 - 4
    page.goto(f"{origin}/console/ledger")
    assert "kimi-k2.5" in page.inner_text("main table")
    wait_until(partial(_counts, faregate, 1), "the fleet to count the key", 30)

    kube.wait_calm()  # else a backup would bring back keys that nobody wants any more
    books = Books(kube)
    backup = books.dump()
    page.goto(f"{origin}/console/keys")
    page.click("main table a:has-text('mine')")
    page.click("summary:has-text('Revoke')")
    page.fill("#name", "mine")
    page.click("form[action*='/revoke'] button")
    wait_until(lambda: client.status(key) == 401, "the end of the key", 10)
    wait_until(lambda: kube.secret(faregate.namespace, _TOMBSTONES), "its tombstone", 30)
    books.restore(backup)
    wait_until(partial(_is_revoked, books), "the operator to revoke it again", 60)
    with faregate.replicas() as replicas:
        faregate.seconds_to_refuse(replicas, key, time.monotonic())
    wait_until(partial(_counts, faregate, 0), "the fleet to count no key", 30)
    faregate.forget(key)
    faregate.check(place.name, faregate.namespace)


def _link(faregate: Installation, namespace: str) -> str:
    """A link, as one makes it who may run commands in the pod."""
    return faregate.kube(
        "exec", f"deploy/{faregate.fleet}-console", "-n", faregate.namespace, "--",
        "python", "-m", "gateway", "console", "link", "--data", "/var/lib/faregate",
        "--role", "member", "--namespace", namespace,
    ).strip()  # fmt: skip


def _is_revoked(books: Books) -> bool:
    """True if the one key that a person made is revoked in the database."""
    live = books.value(
        "SELECT count(*) FROM api_key WHERE installation LIKE '%/people' AND revoked_at IS NULL"
    )
    return live.strip() == "0"


def _answers_in_a_pod(place: Team, key: str, image: str) -> str:
    """The answers that a pod gets with this key in its environment."""
    values = place.kube.secret(place.name, "alice-key")
    given = {name: key if value.startswith("sk-") else value for name, value in values.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}}
    place.apply({**secret, "stringData": given}, objects.asking_pod("asking", image, "mine"))
    ended = ("Succeeded", "Failed")
    wait_until(
        lambda: place.get("pod", "asking")["status"].get("phase") in ended, "the pod to end", 90
    )
    return place.kube("logs", "asking", "-n", place.name)


def _counts(faregate: Installation, keys: int) -> bool:
    """True if the fleet's status has so many keys of people."""
    found = faregate.kube.get("gatewayfleet", faregate.fleet, faregate.namespace)
    return found is not None and found.get("status", {}).get("keysOfPeople") == keys
