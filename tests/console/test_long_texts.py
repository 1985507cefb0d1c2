"""Texts as long as they may be: no page becomes wider than a telephone by them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium

from gateway.console.granting import REASON_CHARACTERS_MAX, REFERENCE_CHARACTERS_MAX
from gateway.core.key_policy import LABEL_CHARACTERS_MAX
from tests.console.browser import Browser
from tests.console.chromium import PROGRAM, Watched, watched
from tests.console.steps import link
from tests.harness.gateway import GatewayProcess

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="Chromium is not installed")

_LABEL = "W" * LABEL_CHARACTERS_MAX
_PAGES = ("", "/keys", "/ledger", "/usage", "/grants", "/accounts/team/alice", "/events")


@pytest.fixture
def page(chromium: Chromium, gateway: GatewayProcess, treasurer: Browser) -> Iterator[Watched]:
    """A telephone whose account has a grant and a key with long texts."""
    granted = {
        "account": "team/alice",
        "credits": "5",
        "reference": "R" * REFERENCE_CHARACTERS_MAX,
        "reason": "W" * REASON_CHARACTERS_MAX,
    }
    form = treasurer.get("/console/grants/new")
    assert treasurer.submit(form, "/console/grants", granted).status_code == 303
    narrow = {"width": 320, "height": 900}
    with watched(chromium, gateway.url, locale="en-GB", viewport=narrow) as made:
        made.open(link(gateway, "member", "team")).page.click("main button")
        made.page.wait_for_url("**/console")
        made.open("/console/keys/new?account=team/alice").page.fill("#label", _LABEL)
        made.page.click("main form button.primary")
        made.page.check("input[data-stored]")
        yield made


def test_no_page_is_wider_than_a_telephone(page: Watched) -> None:
    wide = [page.page.url] if page.is_too_wide() else []
    page.page.click("text=Done")
    page.page.wait_for_selector("text=About this key")
    wide += [page.page.url] if page.is_too_wide() else []
    for path in _PAGES:
        page.open(f"/console{path}" + ("" if "team" in path else "?account=team/alice"))
        if page.is_too_wide():
            wide.append(path)
    assert wide == []
