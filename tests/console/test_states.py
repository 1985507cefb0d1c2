"""Each state of the pages has its words, in both languages: the table names them in English."""

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from gateway.console.language import LANGUAGES, translations
from gateway.console.page_request import DONE
from gateway.store.console_tables import SessionRow
from gateway.store.database import Database
from gateway.store.people import Identity, NamespaceRole
from gateway.store.sign_ins import USUAL, SignIn, begin_session, make_link
from tests.console.browser import Browser
from tests.harness.books import INSTALLATION
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet
from tests.harness.ports import free_port

NO_CREDITS = (
    "This account has no credits.",
    "Requests are answered with 402.",
    "Ask %(contact)s for a grant.",
)
LITTLE_LEFT = ("%(left)s of %(granted)s credits left.",)
COUNTED = "Counted until %(time)s."
NO_USAGE = (
    "Nothing was sent in this %(number)s day.",
    "Nothing was sent in these %(number)s days.",
)
NO_ENTRIES = "No entries yet. A grant puts credits into the account; each request takes some."
#: words by page; a pair is one text, of one thing and of several
PAGES: dict[str, tuple[str | tuple[str, str], ...]] = {
    "?account=team/bob": (*NO_CREDITS, NO_ENTRIES, COUNTED),
    "/keys?account=team/bob": NO_CREDITS,
    "/keys/new?account=team/bob": NO_CREDITS,
    "/usage?account=team/bob": (*NO_CREDITS, NO_USAGE, COUNTED, "Set up a client"),
    "/ledger?account=team/bob": (*NO_CREDITS, NO_ENTRIES),
    "/setup?account=team/bob": NO_CREDITS,
    "/accounts/team/bob": (*NO_CREDITS, "No grants yet.", COUNTED),
    "?account=team/low": LITTLE_LEFT,
    "/keys?account=team/low": LITTLE_LEFT,
    "/usage?account=team/low": LITTLE_LEFT,
    "?account=team/rich": ("%(credits)s credits expire on %(time)s.",),
    "/keys?account=team/rich": (
        "No keys yet. A key lets a program spend this account’s credits.",
        "Create key",
    ),
    "/keys?unused=1&account=team/rich": ("Every key was used within %(number)s days.",),
    "/ledger?kind=void&account=team/rich": ("No entry matches.",),
    "/ledger?from=2026-10-02&to=2026-10-01&account=team/rich": ("to must be later than from",),
    "/ledger?from=x&account=team/rich": (
        "{parameter} must be a date of UTC or a moment with a zone, such as 2026-10-01 or"
        " 2026-10-01T00:00:00Z",
    ),
    "/accounts?search=nowhere": ("No account matches.",),
    "/accounts/team/rich": ("Nobody is bound to this account; programs may still use its keys.",),
    "/keys/{object}?account=team/low": (
        "This key is managed in the gateway’s configuration file. Change it there.",
    ),
    "/people": ("Treasurer", "all namespaces", "One-time link"),
    "/nowhere": ("There is no such page", "To the overview", "Request"),
    **{f"/settings?done={done}": (words,) for done, words in DONE.items()},
}
SIGNED_OUT: dict[str, tuple[str | tuple[str, str], ...]] = {
    "/sign-in": ("Sign in with your organization", "With an API key"),
    "/sign-in/start": (
        "Sign-in is not possible just now",
        "The identity provider does not answer. Requests with API keys are not affected.",
    ),
    "/callback": (
        "This sign-in was begun elsewhere, took too long, or was refused. Nothing has changed.",
    ),
    "/signed-out": ("You are signed out",),
    "/start/unknown": ("This link signs you in once.",),
}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway with an account in each state, whose identity provider does not answer."""
    oidc = {"issuer": f"http://127.0.0.1:{free_port()}", "clientID": "console"}
    process = GatewayProcess(tmp_path_factory.mktemp("states"), [])
    console = {"url": process.url, "oidc": oidc, "contact": "Ada", "grants": True}
    grants = [
        credit_grant("low", "low", credits=10),
        credit_grant("rich", "rich", expiresAt="2096-04-01T00:00:00Z"),
    ]
    keys = [api_key("low", "low"), api_key("bob", "bob")]
    process.write([fleet(simulated.url, console=console), *keys, *grants])
    process.start()
    headers = {"authorization": f"Bearer {process.key('low')}"}
    for _ in range(4):
        answer = process.http.post(PATHS["chat"], json=body("chat", "Hello"), headers=headers)
        assert answer.status_code == 200
    yield process
    assert process.stop() == 0


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def browser(gateway: GatewayProcess, language: str) -> Iterator[Browser]:
    """A browser of somebody who reads the language."""
    with Browser(gateway.url) as made:
        made.http.headers["accept-language"] = language
        yield made


def sign_in(browser: Browser, gateway: GatewayProcess, *roles: NamespaceRole) -> None:
    """Sign in by a new link, with these roles."""
    database = Database(gateway.database_url)
    path = f"/console/start/{make_link(database, INSTALLATION, roles)}"
    database.close()
    assert browser.submit(browser.get(path), path).status_code == 303


EVERYTHING = NamespaceRole("*", "treasurer"), NamespaceRole("*", "member")


def has(page: str, text: str | tuple[str, str], language: str) -> bool:
    """True if a page has a text in a language, with something in each of its gaps."""
    found = translations(language)
    forms = [found.gettext(text)] if isinstance(text, str) else [
        found.ngettext(*text, number) for number in (1, 2)
    ]  # fmt: skip
    if language != "en":
        assert text not in forms, "this is not translated"
    plain = " ".join(re.sub("<[^>]*>", "", page).split())
    patterns = (re.sub(r"%\\\(\w+\\\)s|\\\{\w+\\\}", ".+?", re.escape(form)) for form in forms)
    return any(re.search(pattern.replace("\\ ", " "), plain) for pattern in patterns)


def lacks(page: str, language: str, *texts: str | tuple[str, str]) -> list[str]:
    """The texts that a page has not."""
    return [str(text) for text in texts if not has(page, text, language)]


def test_each_state_has_its_words(gateway: GatewayProcess, browser: Browser, language: str) -> None:
    wrong = []
    for path, texts in SIGNED_OUT.items():
        page = browser.get(f"/console{path}").text
        wrong += [f"{path}: {text}" for text in lacks(page, language, *texts)]
    sign_in(browser, gateway, *EVERYTHING)
    listed = browser.get("/console/keys?account=team/low").text
    of_object = re.search(r"/keys/(key_\w+)", listed)
    assert of_object is not None
    for path, texts in PAGES.items():
        page = browser.get(f"/console{path.format(object=of_object[1])}").text
        wrong += [f"{path}: {text}" for text in lacks(page, language, *texts)]
        assert "treasurer:*" not in page, "a link's roles are in words"
    assert wrong == []


def test_a_key_s_states_have_their_words(
    gateway: GatewayProcess, browser: Browser, language: str
) -> None:
    sign_in(browser, gateway, *EVERYTHING)

    def send(path: str, action: str, texts: tuple[str, ...], **fields: str) -> str:
        page = browser.submit(browser.get(path), action, fields)
        if page.status_code == 303:
            page = browser.get(page.headers["location"])
        assert lacks(page.text, language, *texts) == []
        return page.text

    def shown(account: str, label: str) -> str:
        once = (
            "This is the only time that the key is shown.",
            "Faregate keeps a fingerprint of it, not the key.",
            "I have stored the key",
        )
        made = send(
            f"/console/keys/new?account={account}",
            f"/console/keys?account={account.replace('/', '%2F')}",
            once,
            label=label,
            expires="30",
        )
        found = re.search(r"/keys/(key_\w+)", made)
        assert found is not None
        return f"/console/keys/{found[1]}"

    key = shown("team/rich", f"for {language}")
    query = "?account=team%2Frich"
    path = key + query
    day = "The new key works now. The old one works until %(time)s."
    send(path, f"{key}/rotate{query}", (day,), overlap="86400")
    old = "Old secret valid until %(time)s"
    assert lacks(browser.get(path).text, language, old, "Active") == []
    at_once = "The old key stopped working. Streams under way run to their end."
    send(path, f"{key}/rotate{query}", (at_once,), overlap="0")
    send(path, f"{key}/suspend{query}", ("The key is suspended.", "Suspended", "By %(actor)s"))
    send(path, f"{key}/resume{query}", ("The key works again.",))
    asked = "Programs with this key get 401 from now on. This cannot be undone; its history stays."
    send(path, f"{key}/revoke{query}", (asked, "This is not its name."), name="x")
    alive = browser.get(path)
    done = ("The key is revoked.", "Revoked")
    send(path, f"{key}/revoke{query}", done, name=f"for {language}")
    late = browser.submit(alive, f"{key}/rotate{query}", {"overlap": "0"})
    over = "the key {key} is revoked, and that cannot be undone: make another one"
    assert lacks(late.text, language, over) == []


def test_a_refusal_has_its_words(gateway: GatewayProcess, browser: Browser, language: str) -> None:
    path = "/console/start/unknown"
    over = browser.submit(browser.get(path), path)
    assert over.status_code == 410
    assert lacks(over.text, language, "This link does not work") == []
    refused = browser.post("/console/sign-in/key", {"key": "sk-of-nobody"})
    no_key = "There is no such API key, or it does not work any more."
    assert lacks(refused.text, language, no_key) == []
    sign_in(browser, gateway, NamespaceRole("*", "auditor"))
    answer = browser.get("/console/keys/new?account=team/rich")
    assert answer.status_code == 403
    no_right = "This is not allowed", "Your role does not allow this."
    assert lacks(answer.text, language, *no_right) == []
    identity = Identity("https://id.example.com", "tina-1", "Tina", "tina@example.com")
    database = Database(gateway.database_url)
    begun = begin_session(database, INSTALLATION, SignIn(identity=identity))
    database.close()
    assert begun is not None
    browser.keep({"faregate": begun.secret})
    answer = browser.get("/console")
    assert answer.status_code == 403
    who = "You are signed in as %(name)s, but no account is assigned to you."
    asked = "Give this to %(contact)s:", "Issuer", "Subject", "Groups"
    assert lacks(answer.text, language, "No account", who, *asked) == []


def test_what_the_books_refuse_has_its_words(
    gateway: GatewayProcess, browser: Browser, language: str
) -> None:
    sign_in(browser, gateway, *EVERYTHING)
    form, answers = browser.get("/console/grants/new"), []
    grant = {"account": "team/rich", "reference": f"in {language}"}
    for credits in ("5", "6"):
        answers.append(browser.submit(form, "/console/grants", {**grant, "credits": credits}))
    assert [each.status_code for each in answers] == [303, 409]
    other = (
        "the reference {reference} was posted with another account, amount or expiry; use another"
        " one"
    )
    assert lacks(answers[1].text, language, other) == []
    for number in range(11):
        fields = {"label": f"{number}", "expires": "30"}
        action = "/console/keys?account=team%2Fbob"
        answer = browser.submit(browser.get("/console/keys/new?account=team/bob"), action, fields)
        if answer.status_code == 429:
            break
    many = "{account} got {number} keys within an hour, and no account may get more"
    assert lacks(answer.text, language, many) == []
    assert lacks(answer.text, language, "{problem}. Ask {contact}.") == []
    elsewhere = browser.http.get("/console", headers={"host": "other.example"})
    assert elsewhere.status_code == 421
    assert lacks(elsewhere.text, language, "Open the console at {url}") == []


def test_a_form_outlives_its_session(
    gateway: GatewayProcess, browser: Browser, language: str
) -> None:
    """Nothing that was entered is lost, and nothing is done before its person asks again."""
    sign_in(browser, gateway, *EVERYTHING)
    path, action = "/console/keys/new?account=team/rich", "/console/keys?account=team%2Frich"
    form = browser.get(path)
    database = Database(gateway.database_url)
    with database.write() as session:
        session.execute(update(SessionRow).values(seen_at=database.now(session) - USUAL.idle))
    database.close()
    away = browser.get(path)
    back = "/console/sign-in?next=/console/keys/new%3Faccount%3Dteam/rich"
    assert (away.status_code, away.headers["location"]) == (303, back)
    words = "Your session has ended. Sign in to go on."
    assert lacks(browser.get(back).text, language, words) == []

    secret = {"form_token": "of before", "secret": "sk-of-before"}
    for path_of_none, fields in (("/console/sign-out", {}), ("/console/keys/env", secret)):
        empty = browser.post(path_of_none, fields)
        assert (empty.status_code, empty.headers["location"]) == (303, "/console/sign-in")

    label = f'kept "{language}" <b>'
    more = dict.fromkeys(("credits_per_month", "requests_per_minute", "concurrent_requests"), "")
    entries = {"label": label, "models": "open", "credits_per_day": "7", **more}
    over = browser.submit(form, action, entries)
    assert over.status_code == 403
    kept = "Your session has ended. Nothing has changed, and this page keeps your entries."
    ways = "You were signed out", "Sign in in a new tab", "Go on"
    assert lacks(over.text, language, kept, *ways) == []
    again = browser.submit(over, action)  # still nobody
    assert again.status_code == 403
    sign_in(browser, gateway, *EVERYTHING)
    again = browser.submit(again, action)
    assert again.status_code == 403
    assert lacks(again.text, language, "Send this again?", "Send again") == []
    assert "form_token" in again.text
    named = "Signed in as", "Treasurer", "Goes to", "Name", "Models", "Credits a day"
    limits = "Credits a month", "Requests a minute", "Requests at once"
    assert lacks(again.text, language, *named, *limits) == []
    facts, shown = again.text.partition("<form")[0], f"kept &#34;{language}&#34; &lt;b&gt;"
    assert all(f">{text}</" in facts for text in (action, shown, "open"))
    assert "attempt" not in facts
    chosen = {"expires": "90", "overlap": "86400", "clock": "local", "language": ""}
    facts = browser.post("/console/settings", chosen).text.partition("<form")[0]
    shown_as = "In 90 days", "24 more hours", "The clock of this computer", "As the browser"
    assert lacks(facts, language, *shown_as) == []
    assert not re.search(r"86400|\blocal\b", facts), "the names are for programs"
    listed = browser.get("/console/keys?account=team/rich").text
    assert shown not in listed
    assert browser.submit(again, action).status_code == 200
    assert shown in browser.get("/console/keys?account=team/rich").text
