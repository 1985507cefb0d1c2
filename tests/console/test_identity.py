"""Signing in by OpenID Connect against a real, certified identity provider."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import update
from sqlmodel import select

from gateway.store.console_tables import PersonRow, SessionRow
from gateway.store.database import Database
from gateway.store.tables import Account, Entry
from tests.console.browser import Browser
from tests.console.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    confirm_sign_out,
    go_to_issuer,
    sign_in,
    sign_in_there,
)
from tests.console.keycloak import FOLDER, Keycloak
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    PLAINTEXTS,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    wait_until,
)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    folder = tmp_path_factory.mktemp("issuer")
    given = os.environ.get(FOLDER)
    made = Keycloak(folder, Path(given)) if given else IdentityProvider(folder)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(
    issuer: IdentityProvider, simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("identity")
    environment = {"FAREGATE_ACCESS_LOG": "1", "console-secret": CLIENT_SECRET}
    process = GatewayProcess(folder, [], environment=environment)
    console = {
        "grants": True,
        "url": process.url,
        "oidc": {
            "issuer": issuer.url,
            "clientID": CLIENT_ID,
            "secretRef": {"name": "console", "key": "console-secret"},
            "scopes": ["openid", "profile", "email", "groups"],
        },
        "roles": [
            {"group": "finance", "namespaces": ["*"], "role": "treasurer"},
            {"group": "staff", "namespaces": ["team"], "role": "member"},
        ],
        "signup": False,
        "welcomeCredits": 50,
        "contact": "Ada",
    }
    documents = [fleet(simulated.url, console=console), api_key("alice"), credit_grant("one")]
    process.write(documents)
    issuer.start(process.url)
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def browser(gateway: GatewayProcess) -> Iterator[Browser]:
    with Browser(gateway.url) as made:
        yield made


@pytest.fixture
def database(gateway: GatewayProcess) -> Iterator[Database]:
    """The gateway's own."""
    made = Database(gateway.database_url)
    yield made
    made.close()


def attempts(browser: Browser) -> dict[str, str]:
    """The cookies of sign-ins under way."""
    prefix = "faregate-signin-"
    jar = browser.http.cookies.jar
    return {each.name: each.value or "" for each in jar if each.name.startswith(prefix)}


def is_in(browser: Browser) -> bool:
    return browser.get("/console").status_code == 200


def test_a_person_signs_in_and_gets_an_account_and_its_credits_once(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser, database: Database
) -> None:
    issuer.set_groups("tina", "staff")
    for _ in range(2):
        answer = sign_in(browser, "tina", "/console/sign-in/start?next=/console/signed-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/signed-out")
        assert "The person tina" in browser.get("/console").text
    with database.read() as session:
        account = session.exec(select(Account).where(Account.namespace == "people")).one()
        assert (account.name, account.balance) == ("tina", 50)
        assert len(session.exec(select(Entry).where(Entry.account_id == account.id)).all()) == 1
    assert attempts(browser) == {}


def test_two_tabs_at_once_both_end_signed_in(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("tom", "staff")
    first, second = go_to_issuer(browser), go_to_issuer(browser)
    back_second = sign_in_there(browser, second, "tom")
    back_first = sign_in_there(browser, first, "tom")
    for path in (back_first, back_second):
        assert browser.get(path).headers["location"] == "/console"
        assert is_in(browser)


def test_an_answer_to_another_browser_s_attempt_is_refused(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("mallory", "staff")
    with Browser(gateway.url) as other:
        back = sign_in_there(other, go_to_issuer(other), "mallory")
        go_to_issuer(browser)  # this one has an attempt of its own
        assert browser.get(back).status_code == 400
        assert not is_in(browser)
        # With the state of the victim's attempt the code does not fit its verifier.
        mine = parse_qs(urlsplit(go_to_issuer(browser).headers["location"]).query)["state"][0]
        theirs = parse_qs(urlsplit(back).query)
        swapped = urlencode({**{name: value[0] for name, value in theirs.items()}, "state": mine})
        assert browser.get(f"/console/callback?{swapped}").status_code == 403
        assert not is_in(browser)


@pytest.mark.parametrize(
    "query", ["", "state=x&code=y", "code=y", "state=" + "x" * 500, "error=access_denied"]
)
def test_an_answer_to_no_attempt_is_refused(browser: Browser, query: str) -> None:
    assert browser.get(f"/console/callback?{query}").status_code == 400


def test_a_code_counts_once_and_only_with_its_issuer(
    issuer: IdentityProvider, browser: Browser
) -> None:
    issuer.set_groups("uma", "staff")
    back = sign_in_there(browser, go_to_issuer(browser), "uma")
    parts = {name: value[0] for name, value in parse_qs(urlsplit(back).query).items()}
    assert parts["iss"] == issuer.url
    kept = attempts(browser)
    for wrong in ({**parts, "iss": "https://other.example"}, {**parts, "iss": ""}):
        browser.keep(kept)
        assert browser.get(f"/console/callback?{urlencode(wrong)}").status_code == 403
    assert browser.get(back).status_code == 400  # that ended the attempt
    browser.keep(kept)
    assert browser.get(back).status_code == 303
    browser.http.cookies.clear()
    browser.keep(kept)
    assert browser.get(back).status_code == 403  # the code is used up
    assert not is_in(browser)


def test_a_person_without_a_rule_reads_whom_to_ask(
    issuer: IdentityProvider, browser: Browser, database: Database
) -> None:
    issuer.add("nobody")
    answer = sign_in(browser, "nobody")
    assert answer.status_code == 403
    assert "Ada" in answer.text
    assert issuer.url in answer.text
    assert not is_in(browser)
    with database.read() as session:
        row = session.exec(select(PersonRow).where(PersonRow.subject == "nobody")).one()
        assert row.issuer == issuer.url


def test_a_group_that_is_taken_away_counts_no_more_at_the_next_sign_in(
    issuer: IdentityProvider, browser: Browser, database: Database
) -> None:
    def roles() -> list[list[str]]:
        with database.read() as session:
            rows = session.exec(
                select(SessionRow).join(PersonRow).where(PersonRow.subject == "tess")
            ).all()
            return [role for row in rows for role in row.roles if not role[2]]

    issuer.set_groups("tess", "finance", "staff")
    assert sign_in(browser, "tess").status_code == 303
    assert roles() == [["*", "treasurer", ""]]
    issuer.set_groups("tess", "staff")
    assert sign_in(browser, "tess").status_code == 303
    assert roles() == []


def test_signing_out_ends_the_session_there_too(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("olga", "staff")
    sign_in(browser, "olga")
    with Browser(gateway.url) as other:
        sign_in(other, "olga")
        page = browser.get("/console")
        assert f"form-action 'self' {issuer.origin};" in page.headers["content-security-policy"]
        answer = browser.submit(page, "/console/sign-out")
        assert answer.headers["location"].startswith(f"{issuer.sign_out_url}?")
        assert not is_in(browser)
        there = browser.http.get(answer.headers["location"])
        back = sign_in_there(browser, confirm_sign_out(browser, there), "olga")
        assert back.startswith("/console/signed-out")
        assert is_in(other), "its session there goes on"


def test_the_provider_s_sign_out_ends_sessions_here(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("hana", "staff")
    sign_in(browser, "hana")
    assert is_in(browser)
    with Browser(gateway.url) as other:
        sign_in(other, "hana")
        confirm_sign_out(browser, browser.http.get(issuer.sign_out_url))
        wait_until(lambda: not is_in(browser), "the session's end")
        assert is_in(other)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 20_000])
def test_a_logout_token_that_is_none_ends_nothing(
    issuer: IdentityProvider, browser: Browser, token: str
) -> None:
    issuer.set_groups("kim", "staff")
    sign_in(browser, "kim")
    answer = browser.http.post("/console/backchannel-logout", data={"logout_token": token})
    assert answer.status_code == 400
    assert is_in(browser)


def test_a_cookie_planted_before_is_worth_nothing_after(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("vera", "staff")
    sign_in(browser, "vera")
    planted = browser.http.cookies["faregate"]
    sign_in(browser, "vera")
    assert browser.http.cookies["faregate"] != planted
    with Browser(gateway.url) as other:
        other.http.cookies.set("faregate", planted)
        assert not is_in(other)


def test_attempts_of_one_browser_are_few(browser: Browser) -> None:
    for _ in range(12):
        go_to_issuer(browser)
    assert len(attempts(browser)) == 8


def test_a_step_up_asks_the_provider_how_long_ago(
    issuer: IdentityProvider, browser: Browser, database: Database
) -> None:
    issuer.set_groups("rita", "finance")
    sign_in(browser, "rita")
    asked = parse_qs(
        urlsplit(go_to_issuer(browser, "/console/sign-in/again").headers["location"]).query
    )
    assert asked["max_age"] == ["900"]
    answer = sign_in(browser, "rita", "/console/sign-in/again?next=/console/signed-out")
    assert answer.headers["location"] == "/console/signed-out"


def test_credits_are_granted_by_who_has_authenticated_just_now(
    issuer: IdentityProvider, browser: Browser, database: Database
) -> None:
    issuer.set_groups("ruth", "finance")
    sign_in(browser, "ruth")
    page = browser.get("/console/grants/new")
    with database.write() as session:
        past = datetime.now(UTC) - timedelta(minutes=16)
        session.execute(update(SessionRow).values(authenticated_at=past))
    again = "/console/sign-in/again?next=/console/grants"
    asked = browser.get("/console/grants/new")
    assert (asked.status_code, asked.headers["location"]) == (303, f"{again}/new")
    fields = {"account": "team/ruth", "credits": "5", "reference": "late"}
    posted = browser.submit(page, "/console/grants", fields)
    assert (posted.status_code, posted.headers["location"]) == (303, again)
    void = browser.get("/console/grants/1/void")
    assert void.headers["location"] == f"{again}/1/void"
    with database.read() as session:
        assert session.exec(select(Account).where(Account.name == "ruth")).all() == []
    browser.http.cookies.clear()
    sign_in(browser, "ruth", f"{again}/new")
    page = browser.get("/console/grants/new")
    posted = browser.submit(page, "/console/grants", fields)
    assert posted.headers["location"] == "/console/accounts/team/ruth?done=granted"


def test_keys_of_somebody_who_lost_the_role_stop_and_are_explained(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("lena", "staff")
    sign_in(browser, "lena")
    page = browser.get("/console/keys/new")
    shown = browser.submit(page, "/console/keys", {"label": "mine", "expires": "90"})
    secret = re.findall(r"sk-\w+", shown.text)[0]
    PLAINTEXTS.add(secret)
    headers = {"x-api-key": secret}
    asked = partial(gateway.http.post, PATHS["chat"], json=body("chat", "Hi"), headers=headers)
    assert asked().status_code == 200
    issuer.set_groups("lena")
    with Browser(gateway.url) as later:
        refused = sign_in(later, "lena")
        assert refused.status_code == 403
        assert "1 key that you made is suspended" in refused.text
        assert "Give this to Ada" in refused.text
        assert not is_in(later), "the account that signing up gave is lost, too"
    assert asked().status_code == 401
    issuer.set_groups("lena", "staff")
    with Browser(gateway.url) as back:
        sign_in(back, "lena")
        (path,) = set(re.findall(r"/console/keys/key_\w+", back.get("/console/keys").text))
        page = back.get(path)
        assert "The person who made it has lost the role for it." in page.text
        back.submit(page, f"{path}/resume")
    wait_until(lambda: asked().status_code == 200, "the key to work again")


#: RFC 7519: a header of JSON, a payload and a signature
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.")


def test_tokens_stay_behind(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    issuer.set_groups("ines", "staff")
    answer = sign_in(browser, "ines")
    jar = browser.http.cookies.jar  # with the provider's own
    cookies = " ".join(each.value or "" for each in jar if each.name.startswith("faregate"))
    shown = answer.text + str(answer.headers) + browser.get("/console").text + cookies
    kept = b"".join(path.read_bytes() for path in gateway.data.glob("*.db*")).decode("latin-1")
    for text in (shown, gateway.log_text(), kept):
        assert not _TOKEN.search(text)
    assert CLIENT_SECRET not in gateway.log_text()


def test_without_the_provider_open_sessions_go_on(
    issuer: IdentityProvider, gateway: GatewayProcess, browser: Browser
) -> None:
    """The last one here: afterwards the provider is away."""
    issuer.set_groups("zoe", "staff")
    sign_in(browser, "zoe")
    back = None
    with Browser(gateway.url) as other:
        back = sign_in_there(other, go_to_issuer(other), "zoe")
        issuer.stop()
        away = other.get(back)
        assert away.status_code == 503
        assert "not possible just now" in away.text
        assert not is_in(other)
    assert is_in(browser)
    assert browser.submit(browser.get("/console"), "/console/sign-out").status_code == 303
    assert gateway.http.get("/console/sign-in").status_code == 200
