"""A careful fleet: credits are granted by objects only, and keys live for a month."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway.console.parties import KEY_TRIES
from tests.console.browser import Browser, token_of
from tests.console.steps import link
from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import (
    NAMESPACE,
    PLAINTEXTS,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    console = {
        "contact": "Ada",
        "trustedProxies": ["127.0.0.0/8", "::1"],
        "grantingKeys": [f"{NAMESPACE}/portal"],
        "keys": {
            "suggestedDays": 14,
            "longestDays": {"member": 30, "treasurer": 365},
            "accountsPerNamespace": 20,
        },
    }
    documents = [
        fleet(simulated.url, console=console),
        api_key("alice"),
        api_key("poor", "poor"),
        api_key("narrow", models=["open"]),
        api_key("capped", limits={"creditsPerDay": 1}),
        api_key("for-good", limits={"credits": 1}),
        api_key("slow", limits={"requestsPerMinute": 1}),
        api_key("portal", "portal", scope="manage"),
        credit_grant("one", credits=100),
    ]
    process = GatewayProcess(tmp_path_factory.mktemp("policy"), documents).start()
    yield process
    assert process.stop() == 0


def test_a_treasurer_reads_where_credits_are_granted(
    gateway: GatewayProcess, treasurer: Browser
) -> None:
    page = treasurer.get("/console/grants")
    assert "by CreditGrant objects only" in page.text
    assert "/grants/new" not in page.text
    fields = {"account": "team/alice", "credits": "5", "reference": "any"}
    token = token_of(page)
    for answer in (
        treasurer.get("/console/grants/new"),
        treasurer.post("/console/grants", fields | token),
        treasurer.post("/console/grants/1/void", token),
    ):
        assert answer.status_code == 403
        assert "With the setting console.grants" in answer.text
    assert gateway.balance(gateway.key("alice")) == 100


def test_so_is_a_management_key(gateway: GatewayProcess) -> None:
    headers = {"x-api-key": gateway.key("portal")}
    wanted = {"account": f"{NAMESPACE}/alice", "credits": 5, "reference": "any"}
    listed = gateway.http.get("/api/v1/grants", headers=headers).json()["data"]
    for path, sent in (("grants", wanted), (f"grants/{listed[0]['id']}/void", None)):
        answer = gateway.http.post(f"/api/v1/{path}", json=sent, headers=headers)
        assert answer.status_code == 403
        details = answer.json()["error"]["details"]
        assert details == {"limit": "console.grants", "level": "fleet", "contact": "Ada"}
    assert gateway.balance(gateway.key("alice")) == 100


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("key", "status", "limit", "level"),
    [
        ("poor", 402, "balance", "account"),
        ("narrow", 403, "models", "key"),
        ("portal", 403, "scope", "key"),
        ("capped", 429, "credits_per_day", "key"),
        ("for-good", 429, "credits", "key"),
        ("slow", 429, "requests_per_minute", "key"),
    ],
)
def test_a_refusal_names_the_limit_its_level_and_whom_to_ask(
    gateway: GatewayProcess, dialect: str, key: str, status: int, limit: str, level: str
) -> None:
    headers = {"x-api-key": gateway.key(key)}
    if key == "slow":
        gateway.http.get("/api/v1/account", headers=headers)
        free = gateway.http.get("/api/v1/account", headers=headers).json()["error"]
        assert free["details"] == {"limit": limit, "level": level, "contact": "Ada"}
    answer = gateway.http.post(PATHS[dialect], json=body(dialect, "Hi"), headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["message"][-9:]) == (status, " Ask Ada.")
    assert error["details"] == {"limit": limit, "level": level, "contact": "Ada"}


def test_wrong_keys_are_counted_by_the_address_behind_a_proxy(gateway: GatewayProcess) -> None:
    with Browser(gateway.url) as browser:

        def try_key(address: str) -> int:
            sent = {"sec-fetch-site": "same-origin", "x-forwarded-for": f"203.0.113.1, {address}"}
            return browser.post("/console/sign-in/key", {"key": "sk-wrong"}, sent).status_code

        tried = [try_key("198.51.100.7") for _ in range(KEY_TRIES + 1)]
        assert tried[-1] == 429
        assert 429 not in tried[:-1]
        assert try_key("198.51.100.8") == tried[0]


def test_a_management_key_fills_no_database_with_accounts(gateway: GatewayProcess) -> None:
    key = gateway.key("portal")

    def ask(account: str, name: str) -> httpx.Response:
        sent = {"account": f"{NAMESPACE}/{account}", "name": name}
        headers = {"x-api-key": key, "idempotency-key": name}
        return gateway.http.post("/api/v1/keys", json=sent, headers=headers)

    made = 0
    while (answer := ask(f"many-{made}", f"many-{made}")).status_code == 201:
        PLAINTEXTS.add(answer.json()["secret"])
        made += 1
        assert made < 20
    details = {"reason": "too_many_accounts", "limit": "accounts", "level": "namespace"}
    assert (answer.status_code, answer.json()["error"]["details"]) == (409, details)
    again = ask("many-0", "second")
    PLAINTEXTS.add(again.json()["secret"])
    assert again.status_code == 201, "an account that is there gets keys"


def test_somebody_without_an_account_reads_whom_to_ask(gateway: GatewayProcess) -> None:
    with Browser(gateway.url) as browser:
        path = link(gateway, "member", "nowhere")
        browser.submit(browser.get(path), path)
        page = browser.get("/console")
        assert page.status_code == 403
        assert "Give this to Ada:" in page.text


def test_an_auditor_is_not(gateway: GatewayProcess) -> None:
    with Browser(gateway.url) as auditor:
        path = link(gateway, "auditor")
        auditor.submit(auditor.get(path), path)
        assert "by CreditGrant objects only" not in auditor.get("/console/grants").text
        assert "Your role does not allow this." in auditor.get("/console/grants/new").text


def test_a_key_lives_as_long_as_the_role_of_its_maker_allows(gateway: GatewayProcess) -> None:
    headers = {"x-api-key": gateway.key("portal"), "idempotency-key": "none"}
    # It may grant, so it has the role of a treasurer.
    wanted = {"name": "long", "account": f"{NAMESPACE}/alice"}
    made = gateway.http.post("/api/v1/keys", json=wanted, headers=headers).json()
    PLAINTEXTS.add(made["secret"])
    end = datetime.fromisoformat(made["expires_at"])
    assert timedelta(days=364) < end - datetime.now(UTC) < timedelta(days=366)
    later = (end + timedelta(days=1)).isoformat()
    for method, path in (("POST", "/keys"), ("PATCH", f"/keys/{made['id']}")):
        sent = {"expires_at": later} | (wanted if method == "POST" else {})
        answer = gateway.http.request(
            method, f"/api/v1{path}", json=sent, headers=headers | {"idempotency-key": "later"}
        )
        assert answer.status_code == 403, answer.text
        error = answer.json()["error"]
        assert (error["param"], error["details"]["limit"]) == ("expires_at", "longest_days")


def test_the_form_offers_such_lifetimes_only(gateway: GatewayProcess) -> None:
    with Browser(gateway.url) as member:
        path = link(gateway, "member")
        member.submit(member.get(path), path)
        page = member.get("/console/keys/new?account=team/alice")
        offered = re.findall(r'<option value="(\w+)"( selected)?>', page.text)
        assert [days for days, _ in offered if days.isdigit() or days == "never"] == ["14", "30"]
        assert ("14", " selected") in offered
        fields = {"label": "mine", "expires": "never", "attempt": "x"}
        shown = member.submit(page, "/console/keys?account=team%2Falice", fields)
        PLAINTEXTS.update(re.findall(r"sk-\w+", shown.text))
        listed = member.get("/console/keys?account=team/alice")
        assert "Expires in" not in listed.text, "14 days are no week"
        # Sent without one of the offers, it gets the suggestion.
        (key, *_) = re.findall(r"/console/keys/(key_\w+)", listed.text)
        end = f"{datetime.now(UTC) + timedelta(days=14):%Y-%m-%d}"
        assert end in member.get(f"/console/keys/{key}?account=team/alice").text
