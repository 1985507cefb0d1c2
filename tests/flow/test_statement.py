"""`GET /api/v1/statement` and the command of the same name: the same bytes."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.harness.books import check_books
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    run_command,
    wait_until,
)

ALWAYS = {"from": "2020-01-01", "to": "2090-01-01"}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, module_database_url: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url),
        api_key("mine"),
        api_key("other", "bob"),
        credit_grant("start", credits=100, reason="a <start>"),
    ]
    folder = tmp_path_factory.mktemp("statement")
    process = GatewayProcess(folder, documents, database_url=module_database_url).start()
    headers = {"x-api-key": process.key("mine")}
    for text in ("Hi", "Hi", "!error 503"):
        process.http.post(PATHS["chat"], json=body("chat", text), headers=headers)
    wait_until(lambda: process.balance(process.key("mine")) == 96, "two are charged, one is not")
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def ask(gateway: GatewayProcess, key: str = "mine", **values: Any) -> httpx.Response:
    headers = {"x-api-key": gateway.key(key)}
    return gateway.http.get("/api/v1/statement", params=values, headers=headers)


def test_an_account_reads_its_own_statement(gateway: GatewayProcess) -> None:
    found = ask(gateway, **ALWAYS).json()
    assert (found["object"], found["account"]) == ("statement", f"{NAMESPACE}/alice")
    assert (found["opening"], found["closing"], found["closed"]) == (0, 96, False)
    assert found["totals"] == {
        "grants": 100, "charges": -6, "refunds": 2, "expiries": 0, "voids": 0,
    }  # fmt: skip
    [charges], [refunds] = found["charges"], found["refunds"]
    assert (charges["key"], charges["model"]) == (f"{NAMESPACE}/mine", "kimi-k2.5")
    assert (charges["requests"], refunds["requests"], refunds["model"]) == (3, 1, "kimi-k2.5")
    other = ask(gateway, "other", **ALWAYS).json()
    assert (other["account"], other["closing"]) == (f"{NAMESPACE}/bob", 0)


@pytest.mark.parametrize("form", ["json", "csv", "html"])
@pytest.mark.parametrize("period", [ALWAYS, {"month": "2021-02"}])
def test_a_shell_prints_the_same_bytes(
    gateway: GatewayProcess, form: str, period: dict[str, str]
) -> None:
    answer = ask(gateway, format=form, **period)
    flags = [part for name, value in period.items() for part in (f"--{name}", value)]
    code, printed = run_command(
        "statement", "--account", f"{NAMESPACE}/alice", "--format", form, *flags,
        "--data", str(gateway.data), environment=gateway.environment,
    )  # fmt: skip
    assert code == 0, printed
    assert answer.text.replace("\r\n", "\n") == printed


def test_the_page_loads_nothing_and_its_policy_allows_its_looks(gateway: GatewayProcess) -> None:
    answer = ask(gateway, format="html", **ALWAYS)
    policy = answer.headers["content-security-policy"]
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{allowed}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script|<link|<img|<iframe|style=|https?://", answer.text)
    assert "a &lt;start&gt;" in answer.text


def test_a_period_that_is_none_is_a_400_with_a_sentence(gateway: GatewayProcess) -> None:
    for values, param in (({"month": "2026-13"}, "month"), ({"from": "2026-10-01"}, "to"),
                          ({"format": "xml"}, "format"), ({"timezone": "UTC"}, "timezone"),
                          ({"month": ["2021-02", "2021-03"]}, "month")):  # fmt: skip
        answer = ask(gateway, **values)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    code, printed = run_command(
        "statement", "--account", "team/nobody", "--data", str(gateway.data),
        environment=gateway.environment,
    )  # fmt: skip
    assert code == 1
    assert "there is no account team/nobody" in printed


def test_without_a_period_it_is_this_month_s(gateway: GatewayProcess) -> None:
    found = json.loads(ask(gateway).text)
    assert found["closing"] == 96
    assert found["from"].endswith("-01T00:00:00Z")


def test_below_adds_to_a_statement_and_changes_nothing_of_it(gateway: GatewayProcess) -> None:
    plain, whole = ask(gateway).json(), ask(gateway, below="true").json()
    below = whole.pop("below")
    assert whole == plain
    assert below.pop("complete_until").endswith("Z")
    assert below == {"total": {"charges": 0, "refunds": 0, "credits": 0}, "accounts": []}
    code, printed = run_command(
        "statement", "--account", f"{NAMESPACE}/alice", "--below",
        "--data", str(gateway.data), environment=gateway.environment,
    )  # fmt: skip
    assert code == 0
    assert json.loads(printed)["below"]["accounts"] == []
    half_hours = {"from": "2021-02-01", "to": "2021-02-01T01:30:00Z"}
    for values, param in ((ALWAYS, "to"), ({"below": "perhaps"}, "below"), (half_hours, "to")):
        answer = ask(gateway, **{"below": "true", **values})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
