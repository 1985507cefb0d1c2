"""Secrets in a real browser: a key is on one page, once, and nothing else keeps a secret."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.console.chromium import PROGRAM
from tests.console.steps import link
from tests.harness.gateway import PLAINTEXTS, GatewayProcess

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="Chromium is not installed")

#: all that a page can read back of what the browser keeps for it
_KEPT = """async () => JSON.stringify([
  document.cookie, {...localStorage}, {...sessionStorage}, window.name, history.state,
  await caches.keys(), await indexedDB.databases(),
  (await navigator.serviceWorker?.getRegistrations() ?? []).length,
])"""
_NOTHING = '["",{},{},"",null,[],[],0]'


class Watch:
    """A page of a browser, with all answers that it got and all that it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[tuple[str, str]] = []
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        asked = response.request
        headers = f"{asked.headers.get('referer')} {response.headers.get('location')}"
        self.seen.append((f"{asked.method} {asked.url}", headers))

    def holding(self, secret: str) -> list[str]:
        """The requests with a secret in an address, or in a header that leads on."""
        return [where for where, headers in self.seen if secret in where + headers]


@pytest.fixture
def watch(chromium: Browser) -> Iterator[Watch]:
    page = chromium.new_page(locale="en-GB")
    yield Watch(page)
    page.close()


def kept(page: Page) -> Any:
    return page.evaluate(_KEPT)


def test_secrets_are_nowhere_but_where_they_belong(watch: Watch, gateway: GatewayProcess) -> None:
    page, path = watch.page, link(gateway, "member", "team")
    page.goto(gateway.url + path)
    page.click("main button")
    page.wait_for_url("**/console")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["expires"]) == ("faregate", True, -1)
    code, session = path.rpartition("/")[2], cookie["value"]

    page.goto(f"{gateway.url}/console/keys/new")
    page.fill("#label", "canary")
    page.click("main form button.primary")
    key = page.input_value("#secret")
    PLAINTEXTS.update((key, session))
    assert kept(page) == _NOTHING
    page.check("input[data-stored]")
    page.click("text=Done")
    page.wait_for_selector("text=About this key")
    for there in ("", "/usage", "/ledger", "/setup", "/settings", "/keys"):
        page.goto(f"{gateway.url}/console{there}")
        shown = page.content()
        assert [each for each in (key, session, code) if each in shown] == [], there
        assert kept(page) == _NOTHING, there
    assert watch.holding(key) == []
    assert watch.holding(session) == []
    # The browser asks for the link itself, and sends the form of that page to it.
    ways = [f"GET {gateway.url}{path}", f"POST {gateway.url}{path}"]
    assert watch.holding(code) == ways
    assert [each for each in (key, session, code) if each in gateway.log_text()] == []

    assert "canary" in page.content()
    page.click("text=Sign out")
    page.wait_for_selector("text=signed out")
    assert page.context.cookies() == []
    page.go_back()
    page.wait_for_selector("text=Sign in")
    assert "canary" not in page.content()
