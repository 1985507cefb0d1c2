"""Every page in every form, in a real browser. A table names the pages; the routes complete it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser

from gateway.console.application import routed_app
from gateway.store.database import Database
from gateway.store.people import Identity
from gateway.store.sign_ins import SignIn, begin_session
from tests.console.chromium import PROGRAM, Watched, watched
from tests.console.steps import finish, make_key, sign_in
from tests.harness.books import INSTALLATION
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="Chromium is not installed")

#: themes and widths; a loaded page is switched between them
FORMS = [("light", 1280), ("dark", 1280), ("dark", 320), ("light", 320)]
#: by language, where its browser is, and the form that is judged by all rules: they are about
#: colours, sizes and texts, and each of those is seen once
LOCALES = {"en": ("en-GB", ("light", 1280)), "zh-Hans": ("zh-CN", ("dark", 320))}
#: nobody listens there
ISSUER = "http://127.0.0.1:1"
#: what leads to a page: its path, or steps
Steps = Callable[[Watched], None]
Way = str | Steps
Ways = dict[str, tuple[Way, ...]]


def press(path: str, button: str = "main form button", **fields: str) -> Steps:
    """Open a page, fill in its form and send it."""

    def steps(page: Watched) -> None:
        page.open(f"/console{path.format_map(page.names)}")
        page.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for name, value in fields.items():
            page.page.fill(f"#{name}", value)
        with page.page.expect_navigation():
            page.page.click(button)

    return steps


def rotate(page: Watched) -> None:
    """Rotate the key that was made just now."""
    press("/keys/{of_person}", "form[action*='/rotate'] button")(page)


def send_old_form(page: Watched) -> None:
    """Send a form with the token of a session that is over."""
    page.open("/console/settings")
    page.page.evaluate("document.querySelectorAll('[name=form_token]').forEach(e => e.value = 'x')")
    with page.page.expect_navigation():
        page.page.click("main form button >> nth=0")


NOBODY: Ways = {
    "GET /console/sign-in": ("/sign-in",),
    "GET /console/signed-out": ("/signed-out",),
    "GET /console/start/{code}": ("/start/unknown",),
    "POST /console/start/{code}": (press("/start/unknown"),),
    "POST /console/sign-in/key": (press("/sign-in", key="sk-of-nobody"),),
}
#: where the identity provider does not answer
AT_ISSUER: Ways = {
    "GET /console/sign-in": ("/sign-in",),
    "GET /console/sign-in/start": ("/sign-in/start",),
    "GET /console/sign-in/again": ("/sign-in/again",),
    "GET /console/callback": ("/callback",),
}
#: a person to whom no account is given
STRANGER: Ways = {"GET /console": ("",)}
KEY: Ways = {
    "GET /console": ("",),
    "GET /console/this-key": ("/this-key",),
    "GET /console/keys": ("/keys",),
    "GET /console/settings": ("/settings",),
}
PERSON: Ways = {
    "GET /console": ("", "?account=team/bob", "/nowhere"),
    "GET /console/keys/new": ("/keys/new",),
    "POST /console/keys": (press("/keys/new", "button.primary", label="a", credits="x"),),
    "GET /console/keys": ("/keys", "/keys?account=team/bob", "/keys?unused=1"),
    "GET /console/keys/{key_id}": ("/keys/{of_object}", "/keys/{of_person}"),
    "POST /console/keys/{key_id}": (
        press("/keys/{of_person}", "form:has(#label) button", credits_per_day="x"),
    ),
    "POST /console/keys/{key_id}/revoke": (
        press("/keys/{of_person}", "form:has(#name) button", name="another name"),
    ),
    "GET /console/usage": ("/usage", "/usage?tag=team", "/usage?account=team/bob"),
    "GET /console/ledger": ("/ledger", "/ledger?account=team/bob", "/ledger?key=key_of_nobody"),
    "GET /console/statement": ("/statement",),
    "GET /console/setup": ("/setup", "/setup?client=claude-code"),
    "GET /console/settings": ("/settings", "/settings?done=settings"),
    "POST /console/settings": (send_old_form,),
    "GET /console/accounts": ("/accounts", "/accounts?search=nowhere"),
    "GET /console/accounts/{namespace}/{name}": ("/accounts/team/alice", "/accounts/team/bob"),
    "GET /console/grants": ("/grants",),
    "GET /console/grants/new": ("/grants/new",),
    "POST /console/grants": (
        press("/grants/new", "button.primary", account="x", credits="0", reference="r"),
    ),
    "GET /console/grants/{grant_id}/void": ("/grants/{grant}/void",),
    "GET /console/people": ("/people",),
    "GET /console/people/bind": ("/people/bind",),
    "POST /console/people/bind": (
        press("/people/bind", "button.primary", subject="nobody", account="x"),
    ),
    "GET /console/people/{person}/unbind/{namespace}/{name}": ("{unbind}",),
    "GET /console/events": ("/events",),
    "POST /console/keys/{key_id}/rotate": (rotate,),
}
WAYS = {"nobody": NOBODY, "issuer": AT_ISSUER, "stranger": STRANGER, "key": KEY, "person": PERSON}
#: what leads on to another page, or answers with a file
WITHOUT_PAGE = {
    "GET /console/",
    "GET /console/ledger.csv",
    "GET /console/static/{name}",
    "GET /console/usage.csv",
    "POST /console/backchannel-logout",
    "POST /console/grants/{grant_id}/void",
    "POST /console/keys/env",
    "POST /console/keys/{key_id}/resume",
    "POST /console/keys/{key_id}/suspend",
    "POST /console/people/{person}/end-sessions",
    "POST /console/people/{person}/suspend-keys",
    "POST /console/people/{person}/unbind/{namespace}/{name}",
    "POST /console/settings/sessions",
    "POST /console/sign-out",
    "POST /console/this-key/revoke",
}


@pytest.fixture(scope="module")
def away(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway whose identity provider does not answer; links and keys still sign in."""
    oidc = {"issuer": ISSUER, "clientID": "console"}
    process = GatewayProcess(tmp_path_factory.mktemp("away"), [])
    console = {"url": process.url, "oidc": oidc, "grants": True, "contact": "Ada"}
    granting = fleet(simulated.url, console=console)
    process.write([granting, api_key("alice"), api_key("bob", "bob"), credit_grant("one")])
    process.start()
    yield process
    assert process.stop() == 0


@contextmanager
def seen_by(
    who: str, chromium: Browser, gateway: GatewayProcess, language: str
) -> Iterator[Watched]:
    """A page of one of `WAYS`, signed in where that one is, with the names of what it is about."""
    with watched(chromium, gateway.url, locale=LOCALES[language][0]) as page:
        if who == "stranger":
            keep_session(page, gateway, language)
        elif who == "key":
            press("/sign-in", key=gateway.key("alice"))(page)
        elif who == "person":
            sign_in(page, gateway)
            page.names = make_things(page, language)
        yield page


def keep_session(page: Watched, gateway: GatewayProcess, language: str) -> None:
    """Sign a person in who may see nothing."""
    database = Database(gateway.database_url)
    identity = Identity(ISSUER, f"tina-{language}", "Tina", "tina@example.com")
    begun = begin_session(database, INSTALLATION, SignIn(identity=identity))
    database.close()
    assert begun is not None
    cookie = {"name": "faregate", "value": begun.secret, "url": gateway.url}
    page.page.context.add_cookies([cookie])  # type: ignore[list-item]


def make_things(page: Watched, language: str) -> dict[str, str]:
    """Make a key, a grant and a binding; what paths name of each. The key's own page is judged."""
    make_key(page, f"seen in {language}")
    assert judge(page, language) == []
    finish(page)
    of_person = page.page.url.rsplit("/", 1)[-1]
    values = {"account": "team/alice", "credits": "7", "reference": f"seen in {language}"}
    press("/grants/new", "button.primary", **values)(page)
    bound = {"subject": f"tina-{language}", "account": "team/bob"}
    press("/people/bind", "button.primary", **bound)(page)
    unbind = page.page.get_attribute("a[href*='/unbind/'] >> nth=0", "href")
    page.open("/console/grants")
    grant = page.page.get_attribute("a[href$='/void'] >> nth=0", "href")
    page.open("/console/keys")
    of_object = page.page.get_attribute("th a:has-text('team/alice')", "href")
    assert grant is not None
    assert of_object is not None
    assert unbind is not None
    return {
        "unbind": unbind.removeprefix("/console"),
        "of_person": of_person,
        "of_object": of_object.rsplit("/", 1)[-1],
        "grant": grant.split("/")[-2],
    }


def judge(page: Watched, language: str) -> list[str]:
    """Judge the page as it is now, in each form; the result names its faults."""
    browser, wrong = page.page, []
    if browser.get_attribute("html", "lang") != language and "/statement" not in browser.url:
        wrong.append(f"{browser.url} is in another language")
    for theme, width in FORMS:
        browser.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        browser.set_viewport_size({"width": width, "height": 900})
        if LOCALES[language][1] == (theme, width):
            wrong += [f"{theme} {width}: {found}" for found in page.violations()]
        if page.is_too_wide():
            wrong.append(f"{theme} {width}: {browser.url} is too wide")
    return wrong


def test_every_route_is_looked_at() -> None:
    """A page that is added is named here, with a way that leads to it."""
    routes = {
        f"{method.upper()} {path}"
        for path, methods in routed_app(None).openapi()["paths"].items()
        for method in methods
    }
    looked_at = {route for ways in WAYS.values() for route in ways}
    assert looked_at | WITHOUT_PAGE == routes, "WAYS needs a way to each page"
    assert looked_at & WITHOUT_PAGE == set()


@pytest.mark.parametrize("language", LOCALES)
def test_every_page_in_every_form(
    chromium: Browser, gateway: GatewayProcess, away: GatewayProcess, language: str
) -> None:
    wrong: list[str] = []
    for who, ways in WAYS.items():
        at = gateway if who == "nobody" else away
        with seen_by(who, chromium, at, language) as page:
            for way in (each for of_route in ways.values() for each in of_route):
                if isinstance(way, str):
                    page.page.goto(f"{page.origin}/console{way.format_map(page.names)}")
                else:
                    way(page)
                wrong += judge(page, language)
            if who == "person":
                finish(page)
    assert wrong == []
