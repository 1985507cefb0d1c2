"""With `console.grants` off, nobody grants or voids credits, and a treasurer reads who does."""

from collections.abc import Iterator

import pytest

from tests.console.browser import Browser, token_of
from tests.console.conftest import link
from tests.harness.gateway import NAMESPACE, GatewayProcess, Simulated, api_key, credit_grant, fleet


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url, console={"grantingKeys": [f"{NAMESPACE}/portal"]}),
        api_key("alice"),
        api_key("portal", "portal", scope="manage"),
        credit_grant("one", credits=100),
    ]
    process = GatewayProcess(tmp_path_factory.mktemp("grants-off"), documents).start()
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
        assert details == {"limit": "console.grants", "level": "fleet"}
    assert gateway.balance(gateway.key("alice")) == 100


def test_an_auditor_is_not(gateway: GatewayProcess) -> None:
    with Browser(gateway.url) as auditor:
        path = link(gateway, "auditor")
        auditor.submit(auditor.get(path), path)
        assert "by CreditGrant objects only" not in auditor.get("/console/grants").text
        assert "your role does not allow this" in auditor.get("/console/grants/new").text
