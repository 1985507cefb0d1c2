"""The pages in a real browser: the way from a link to a key that works, and what becomes of it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Route

from tests.console.chromium import PROGRAM, Watched, watched
from tests.console.steps import finish, link_for_everything, make_key, shown_secret, sign_in
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import PLAINTEXTS, GatewayProcess, wait_until

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="Chromium is not installed")

#: shown as text on each page where it stands
HOSTILE = """<img src=x onerror=alert(1)>"'{{7*7}}"""


@pytest.fixture(scope="module")
def page(chromium: Browser, gateway: GatewayProcess) -> Iterator[Watched]:
    """A page that a link has signed in."""
    with watched(chromium, gateway.url, locale="en-GB") as page:
        sign_in(page, gateway)
        yield page


class Caller:
    """A program with a key."""

    def __init__(self, gateway: GatewayProcess, secret: str) -> None:
        PLAINTEXTS.add(secret)
        self._gateway = gateway
        self._secret = secret

    def status(self, model: str = "kimi-k2.5") -> int:
        asked = {**body("chat", "Hello"), "model": model}
        headers = {"authorization": f"Bearer {self._secret}"}
        with httpx.Client(trust_env=False, timeout=30) as client:
            url = self._gateway.url + PATHS["chat"]
            return client.post(url, json=asked, headers=headers).status_code


def test_by_keyboard_from_the_link_to_a_key_that_works(
    chromium: Browser, gateway: GatewayProcess
) -> None:
    with watched(chromium, gateway.url, locale="en-GB") as page:
        page.open(link_for_everything(gateway))
        page.tab_to("Sign in to the console")
        page.page.keyboard.press("Enter")
        page.page.wait_for_url("**/console")
        page.tab_to("Create key")
        page.page.keyboard.press("Enter")
        page.page.wait_for_url("**/keys/new")
        page.tab_to("Name")
        page.page.keyboard.type("by keyboard")
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector("#secret")
        secret = shown_secret(page)
        assert secret not in page.page.url
        page.tab_to("I have stored the key")
        page.page.keyboard.press("Space")
        page.tab_to("Done")
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector("h1:has-text('by keyboard')")
        assert secret not in page.page.content()
    caller = Caller(gateway, secret)
    assert caller.status() == 200
    assert gateway.stop() == 0
    gateway.start()
    assert caller.status() == 200


def test_each_step_of_a_key_is_what_its_caller_sees(page: Watched, gateway: GatewayProcess) -> None:
    first = Caller(gateway, make_key(page, HOSTILE))
    assert HOSTILE in page.page.text_content("main")  # type: ignore[operator]
    finish(page)
    browser = page.page
    assert first.status() == 200

    browser.click("summary:has-text('Name and limits')")
    browser.fill("#credits_per_day", "x")
    browser.click("text=Save changes")
    browser.wait_for_selector("#credits_per_day[aria-invalid]")
    browser.fill("#credits_per_day", "3")
    browser.check("text=open")
    browser.click("text=Save changes")
    assert page.message() == "The changes are saved."
    wait_until(lambda: first.status() in (402, 403, 404, 429), "the limits to hold")

    browser.click("summary:has-text('Name and limits')")
    browser.fill("#credits_per_day", "")
    browser.uncheck("text=open")
    browser.click("text=Save changes")
    wait_until(lambda: first.status() == 200, "the limits to be gone")

    browser.click("summary:has-text('Rotate')")
    browser.click("text=Rotate key")
    second = Caller(gateway, shown_secret(page))
    finish(page)
    assert "Old secret valid until" in browser.inner_text("main")
    assert (first.status(), second.status()) == (200, 200)

    browser.click("summary:has-text('Suspend')")
    browser.click("text=Suspend key")
    assert page.message() == "The key is suspended."
    wait_until(lambda: (first.status(), second.status()) == (401, 401), "both to be suspended")
    browser.click("summary:has-text('Resume')")
    browser.click("text=Resume key")
    wait_until(lambda: (first.status(), second.status()) == (200, 200), "both to work again")

    browser.click("summary:has-text('Revoke')")
    browser.fill("#name", "another name")
    browser.click("text=Revoke key")
    browser.wait_for_selector("#name[aria-invalid]")
    browser.fill("#name", HOSTILE)
    browser.click("text=Revoke key")
    assert page.message() == "The key is revoked."
    assert (first.status(), second.status()) == (401, 401)


def test_a_key_that_is_sent_for_twice_is_made_and_shown_once(page: Watched) -> None:
    make_key(page, "sent twice")
    page.page.check("input[data-stored]")
    page.page.reload()
    assert page.message() == "This key was made already; it is shown only once."
    assert page.page.locator("#secret").count() == 0


def test_leaving_a_key_that_is_not_stored_asks_first(page: Watched) -> None:
    make_key(page, "left")
    questions: list[str] = []

    def answer(dialog: Any) -> None:
        questions.append(dialog.type)
        dialog.accept()

    page.page.once("dialog", answer)
    page.page.click("nav >> text=Overview")
    page.page.wait_for_url("**/console")
    assert questions == ["beforeunload"]


def test_the_variables_of_a_key_come_as_a_file(page: Watched, gateway: GatewayProcess) -> None:
    secret = make_key(page, "downloaded")
    with page.page.expect_download() as download:
        page.page.click("text=Download .env")
    text = download.value.path().read_text()
    assert f"OPENAI_API_KEY={secret}\nOPENAI_BASE_URL={gateway.url}/api/openai/v1\n" in text
    finish(page)


def test_credits_are_granted_once_by_their_reference_and_taken_back(page: Watched) -> None:
    browser = page.page

    def grant(credits: str) -> None:
        page.open("/console/grants/new?account=team/bob")
        browser.fill("#credits", credits)
        browser.fill("#reference", "order 7")
        browser.fill("#reason", HOSTILE)
        browser.click("main form button.primary")

    grant("1,200")
    assert page.message() == "The credits are granted."
    assert "1,200" in browser.inner_text(".figure-number >> nth=0")
    grant("1200")
    assert page.message() == "This reference was granted already; nothing was added."
    grant("1300")
    browser.wait_for_selector(".banner.bad")
    page.open("/console/grants").page.click("a:has-text('Void') >> nth=0")
    browser.wait_for_selector("text=1,200 credits go from team/bob.")
    browser.click("main button.danger")
    assert page.message() == "The grant is void."
    assert browser.inner_text(".figure-number >> nth=0").startswith("0")


def test_everything_but_copying_works_without_scripts(
    chromium: Browser, gateway: GatewayProcess
) -> None:
    with watched(chromium, gateway.url, locale="en-GB", java_script_enabled=False) as page:
        sign_in(page, gateway)
        secret = make_key(page, "without scripts")
        assert page.page.locator("button[data-copy]:visible").count() == 0
        page.page.check("text=I have stored the key")
        page.page.click("text=Done")
        page.page.wait_for_selector("h1:has-text('without scripts')")
    assert Caller(gateway, secret).status() == 200


def test_the_policy_stops_what_is_not_ours(chromium: Browser, gateway: GatewayProcess) -> None:
    """The watch over the pages sees a violation where there is one."""
    inline = "<script>document.title = 'run'</script></body>"

    def spoil(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("</body>", inline))

    with watched(chromium, gateway.url) as page:
        page.page.route("**/sign-in", spoil)
        page.open("/console/sign-in")
        assert page.page.title() != "run"
        (fault,) = page.faults
        assert "Content Security Policy" in fault
        page.faults.clear()
