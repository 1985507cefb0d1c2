"""The console in a cluster: a person signs in at the company's identity provider through the
ingress, makes a key, and ends it.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.cluster.harness import identity, objects
from tests.cluster.harness.books import Books
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import HOST, Facts, Installation, Key
from tests.cluster.harness.kube import wait_until
from tests.cluster.harness.team import Team
from tests.console.chromium import PROGRAM
from tests.console.identity_provider import CLIENT_SECRET, IdentityProvider

Teams = Callable[[str], Team]
_TOMBSTONES = "faregate-revoked-keys"


@pytest.fixture(scope="module")
def origin(facts: Facts) -> str:
    """The address of the console for browsers."""
    return f"http://{HOST}:{urlsplit(facts.url).port or 80}".removesuffix(":80")


@pytest.fixture(scope="module")
def issuer(
    faregate: Installation, origin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdentityProvider]:
    """The identity provider of the fleet's console, once the console is there."""
    folder = tmp_path_factory.mktemp("issuer")
    with identity.provider(faregate.kube, folder, origin) as issuer:
        faregate.seen.add(CLIENT_SECRET)
        faregate.kube.apply(*identity.objects_for(folder), namespace=faregate.namespace)
        oidc, authority = identity.spec_for(issuer)
        console = {"url": origin, "replicas": 1, "oidc": oidc, "welcomeCredits": 10}
        spec = {"console": console, "upstreamCA": authority}
        faregate.install(faregate.values(fleet={"spec": spec}))
        yield issuer


@pytest.fixture
def page(faregate: Installation, issuer: IdentityProvider) -> Iterator[Page]:
    """A browser outside the cluster that finds the ingress by the name of the host.

    Its machine is not the company's, so it does not know the authority of the identity provider;
    and the provider's pages would wait for a font out of the internet.
    """
    way = urlsplit(faregate.facts.url).hostname
    rules = f"MAP {HOST} {way},MAP fonts.googleapis.com ~NOTFOUND"
    arguments = ["--no-sandbox", f"--host-resolver-rules={rules}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=arguments)
        yield browser.new_page(locale="en-GB", ignore_https_errors=True)
        browser.close()


def test_a_person_makes_a_key_that_a_pod_uses_and_it_stays_dead_once_revoked(
    page: Page, origin: str, team: Teams, client: Client, faregate: Installation
) -> None:
    """Also after the database was restored to a point before the revocation."""
    kube, place, person = faregate.kube, team("people"), f"tina-{secrets.token_hex(3)}"
    place.with_key("alice")
    identity.sign_in(page, origin, person)
    assert f"The person {person}" in page.content()
    faregate.seen |= _sessions(page)

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
    page.wait_for_url("**/console/keys/key_*")
    key_id = page.url.rpartition("/")[2]
    page.click("summary:has-text('Revoke')")
    page.fill("#name", "mine")
    page.click("form[action*='/revoke'] button")
    wait_until(lambda: client.status(key) == 401, "the end of the key", 30)
    wait_until(partial(_is_buried, faregate, key_id), "its tombstone", 30)
    books.restore(backup)
    wait_until(partial(_is_revoked, books), "the operator to revoke it again", 60)
    with faregate.replicas() as replicas:
        faregate.seconds_to_refuse(replicas, key, time.monotonic())
    wait_until(partial(_counts, faregate, 0), "the fleet to count no key", 30)
    faregate.forget(key)
    faregate.check(place.name, faregate.namespace)


def test_a_link_signs_in_while_the_identity_provider_is_away(
    page: Page, issuer: IdentityProvider, faregate: Installation
) -> None:
    """The last one here: afterwards the provider is away."""
    issuer.stop()
    link = _link(faregate)
    wait_until(partial(_opens, page, link), "the console, whose database was restored", 60)
    page.click("main button")
    page.wait_for_url("**/console")
    faregate.seen |= {link.rpartition("/")[2], *_sessions(page)}
    faregate.check_canary()


def _opens(page: Page, url: str) -> bool:
    """True if the ingress has a console to ask; the link is not used by looking at it."""
    response = page.goto(url)
    return response is not None and response.ok


def _sessions(page: Page) -> set[str]:
    """The console's cookies that a browser has."""
    return {each["value"] for each in page.context.cookies() if "faregate" in each["name"]}


def _link(faregate: Installation) -> str:
    """A link, as one makes it who may run commands in the pod."""
    return faregate.kube(
        "exec", f"deploy/{faregate.fleet}-console", "-n", faregate.namespace, "--",
        "python", "-m", "gateway", "console", "link", "--data", "/var/lib/faregate",
    ).strip()  # fmt: skip


def _is_buried(faregate: Installation, key_id: str) -> bool:
    """True if the operator remembers this key among those that were revoked."""
    kept = faregate.kube.secret(faregate.namespace, _TOMBSTONES)
    return any(key_id in text for text in kept.values())


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
